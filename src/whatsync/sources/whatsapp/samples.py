"""Bodies as Meta's Cloud API sends them, to try a source without a Meta account: signed and escaped in the same way.

Pure; ids and times are arguments. What is in them is invented.
"""

import json
from typing import Any

import msgspec

from whatsync.model.canonical import encode_lenient, parse_lenient

Element = dict[str, Any]

KINDS = ("text", "image", "voice", "location", "button", "reaction", "sent", "delivered", "read", "failed")
STATUSES = frozenset({"sent", "delivered", "read", "failed"})


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What one sample is about."""

    kind: str
    number: str
    display: str
    business: str
    person: str
    """Digits of a phone number."""
    name: str
    text: str
    wamids: tuple[str, ...]
    """One element each."""
    about: str
    """The wamid that a reaction is to."""
    at_s: int


def body_of(sample: Sample) -> bytes:
    """The whole body, in the bytes Meta would send."""
    statuses = sample.kind in STATUSES
    elements = [_status(sample, wamid) if statuses else _message(sample, wamid) for wamid in sample.wamids]
    card = {"profile": {"name": sample.name}, "wa_id": sample.person}
    value: Element = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": sample.display, "phone_number_id": sample.number},
    }
    value |= {"statuses": elements} if statuses else {"contacts": [card], "messages": elements}
    entry = {"id": sample.business, "changes": [{"value": value, "field": "messages"}]}
    return escaped({"object": "whatsapp_business_account", "entry": [entry]})


def example_of(event_type: str, number: str, wamid: str, at_s: int) -> bytes | None:
    """Meta's body for the example of a documented event type, in its canonical form; ``None`` where Meta has none."""
    kind = {"message.incoming": "text", "message.status": "delivered"}.get(event_type)
    if kind is None:
        return None
    sample = Sample(
        kind=kind,
        number=number,
        display="15550100200",
        business="102290129340398",
        person="1234567890",
        name="John Doe",
        text="Hello, I need help",
        wamids=(wamid,),
        about=wamid,
        at_s=at_s,
    )
    return encode_lenient(parse_lenient(body_of(sample)))


def escaped(value: object) -> bytes:
    """JSON as Meta writes it: nothing but ASCII, in lower-case hex, and slashes escaped."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()


def _message(sample: Sample, wamid: str) -> Element:
    media = {"id": f"media.{wamid[-12:]}", "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}
    content: dict[str, Element] = {
        "text": {"text": {"body": sample.text}},
        "image": {"image": {**media, "mime_type": "image/jpeg", "caption": sample.text}},
        "voice": {"audio": {**media, "mime_type": "audio/ogg; codecs=opus", "voice": True}},
        "location": {"location": {"latitude": 52.52, "longitude": 13.405, "name": sample.text}},
        "button": {"interactive": {"type": "button_reply", "button_reply": {"id": "choice-1", "title": sample.text}}},
        "reaction": {"reaction": {"message_id": sample.about, "emoji": "👍"}},
    }
    types = {"voice": "audio", "button": "interactive"}
    head = {"from": sample.person, "id": wamid, "timestamp": str(sample.at_s)}
    return {**head, **content[sample.kind], "type": types.get(sample.kind, sample.kind)}


def _status(sample: Sample, wamid: str) -> Element:
    element: Element = {
        "id": wamid,
        "status": sample.kind,
        "timestamp": str(sample.at_s),
        "recipient_id": sample.person,
    }
    if sample.kind == "failed":
        details = "Message failed to send because more than 24 hours have passed since the customer last replied."
        error = {"code": 131047, "title": "Re-engagement message", "message": "Re-engagement message"}
        return element | {"errors": [{**error, "error_data": {"details": details}}]}
    return element | {"pricing": {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"}}
