"""What is left of an event when the person it is about is erased: its ids and times, in a body that is still valid.

Pure. Finding the events of a person is ``engine/erasure.py``'s work.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

KEPT: dict[str, frozenset[str]] = {
    "message.incoming": frozenset({"to", "timestamp"}),
    "message.status": frozenset({"messageId", "status", "timestamp"}),
    "contact.update": frozenset(),
    "media.upload": frozenset({"messageId", "mediaType", "mimeType"}),
}
"""Fields of the data that stay, by type; of every other type none does. All others become ``null``.

``to`` is the business's own number. A contact's id goes: it stands for the person.
"""

_NEVER_NULL = {"message.incoming": "from", "contact.update": "contactId", "media.upload": "mediaUrl"}
"""A field that every event of the type comes with and an erasure takes: where it is ``null``, the event was erased."""

_KEY_KEPT = "message:"


class _Envelope(msgspec.Struct):
    event: str
    id: str
    timestamp: str
    data: dict[str, Any]


_decode = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.Encoder().encode


def erased_body(body: bytes) -> bytes:
    """Return the body with every field of its data that is about a person set to ``null``; keys and order stay."""
    envelope = _decode(body)
    kept = KEPT.get(envelope.event, frozenset())
    data = {name: value if name in kept else None for name, value in envelope.data.items()}
    return _encode(_Envelope(envelope.event, envelope.id, envelope.timestamp, data))


def shows_erased(event_type: str, body: bytes) -> bool:
    """Say whether the body itself tells that an erasure has been here. Other types' bodies don't tell."""
    field = _NEVER_NULL.get(event_type)
    return field is not None and _decode(body).data.get(field, "") is None


def kept_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """The search words that stay: message ids. WhatsApp's own ids (wamids) go, for they hold the phone number."""
    return tuple(key for key in keys if key.startswith(_KEY_KEPT))


def person_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """The search words that stand for a person."""
    return tuple(key for key in keys if key.startswith(("phone:", "contact:")))
