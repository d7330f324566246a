"""The four documented events as a program submits them, and the signatures a receiver checks.
Written from the public document alone."""

import base64
import hashlib
import hmac
import json
from typing import Any

import standardwebhooks

from tests.end_to_end.receiver import Arrival

EVENTS: tuple[dict[str, Any], ...] = (
    {
        "event": "message.incoming",
        "id": "msg_123456789",
        "timestamp": "2023-06-15T14:22:33Z",
        "data": {
            "from": "+1234567890",
            "to": "+0987654321",
            "text": "Hello, how are you?",
            "media": None,
            "timestamp": "2023-06-15T14:22:30Z",
        },
    },
    {
        "event": "message.status",
        "id": "status_123456789",
        "timestamp": "2023-06-15T14:23:45Z",
        "data": {"messageId": "msg_987654321", "status": "read", "timestamp": "2023-06-15T14:23:40Z"},
    },
    {
        "event": "contact.update",
        "id": "contact_update_123456789",
        "timestamp": "2023-06-15T15:30:00Z",
        "data": {
            "contactId": "contact_123456",
            "phone": "+1234567890",
            "name": "John Doe",
            "profileImage": "https://example.com/profile.jpg",
        },
    },
    {
        "event": "media.upload",
        "id": "media_123456789",
        "timestamp": "2023-06-15T16:45:20Z",
        "data": {
            "messageId": "msg_123456",
            "mediaType": "image",
            "mediaUrl": "https://media.whatsync.io/123456.jpg",
            "mimeType": "image/jpeg",
            "caption": "Check out this photo",
        },
    },
)


def compact(event: dict[str, Any]) -> bytes:
    """An event as it must stand in a request's body."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def verify(arrival: Arrival, secret: str) -> None:
    """Check both signatures as the document and the official library do. Raises where one is wrong."""
    expected = hmac.new(secret.encode(), arrival.body, hashlib.sha256).hexdigest()
    # The document's example reads the header with one s in the middle, the product's name has two: both are sent.
    assert arrival.headers["x-whatsync-signature"] == arrival.headers["x-whatssync-signature"] == expected
    verify_standard(arrival, secret)


def verify_standard(arrival: Arrival, secret: str) -> None:
    """Check the Standard Webhooks signature alone. Raises where it is wrong."""
    assert base64.b64decode(secret.removeprefix("whsec_"))
    got = standardwebhooks.Webhook(secret).verify(arrival.body, dict(arrival.headers))
    assert got["id"] == arrival.event_id
