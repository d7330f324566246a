"""An event on its way to the store: its body, made once and for ever, and what has to be known about it.

Makes drafts of typed data and of what Meta sent, and tells a repeat from something else under the same id.
"""

from typing import Any

import msgspec
from msgspec.structs import force_setattr

from whatsync.model import limits
from whatsync.model.canonical import encode_lenient
from whatsync.model.catalogue import CATALOGUE
from whatsync.model.details import Details, encode_details, words_of
from whatsync.model.documented import TIMED, About, Data
from whatsync.model.endpoint import Scalar
from whatsync.model.phone import is_phone, phone_word
from whatsync.model.timestamp import format_time, parse_time

DETAILS_KEY = "details"
DETAILS_JOINT_BYTES = len(',"details":')
NOTHING = About()
_TIME_BYTES = len("2023-06-15T14:22:33Z")
_TIME_AT_END = slice(-_TIME_BYTES - len('"}}'), -len('"}}'))

_encode = msgspec.json.Encoder().encode


class _Envelope(msgspec.Struct, gc=False):
    event: str
    id: str
    timestamp: str
    data: msgspec.Struct


class _AnyData(msgspec.Struct):
    data: dict[str, Any]


_decode_any = msgspec.json.Decoder(_AnyData).decode


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An event ready to be stored. ``body`` is canonical and without details; it is never made again."""

    event_type: str
    id: str
    body: bytes
    timestamp: str
    id_given: bool = True
    timestamp_given: bool = True
    data_time_given: bool = True
    """False where ``data.timestamp`` was taken from the envelope."""
    details: bytes | None = None
    contact: str | None = None
    """Ordering key: the given one, else what the type defines, ``None`` where only the message knows."""
    message_id: str | None = None
    """The ``msg_…`` it is or is about."""
    phone: str | None = None
    number: str | None = None
    """``phoneNumberId`` of the business number, from the details."""
    keys: tuple[str, ...] = ()
    """Words it can be found by, each ``kind:value``."""

    @property
    def timestamp_ms(self) -> int:
        """The envelope's time in Unix milliseconds."""
        return parse_time(self.timestamp)[1]

    def field(self, name: str) -> Scalar:
        """Read a scalar of the data by name, ``None`` where there is none. Decodes the body: for filters only."""
        return scalar_of(self.body, name)


# Bodies


def make_body(event_type: str, event_id: str, timestamp: str, data: bytes) -> bytes:
    """Put canonical data into its envelope. The other values hold nothing that would need an escape."""
    return f'{{"event":"{event_type}","id":"{event_id}","timestamp":"{timestamp}","data":'.encode() + data + b"}"


def encode_body(event_type: str, event_id: str, timestamp: str, data: msgspec.Struct) -> bytes:
    """The same from typed data, in one step."""
    return _encode(_Envelope(event_type, event_id, timestamp, data))


def with_details(body: bytes, details: bytes) -> bytes:
    """Add canonical details to a body as the last key of its data, without reading it."""
    joint = b'"details":' if body.endswith(b'"data":{}}') else b',"details":'
    return b"".join((body[:-2], joint, details, b"}}"))


def size_with_details(body: bytes, details: bytes | None) -> int:
    """Bytes of the largest body an endpoint can be sent for the event."""
    return len(body) if details is None else len(body) + DETAILS_JOINT_BYTES + len(details)


def scalar_of(body: bytes, name: str) -> Scalar:
    """Read a scalar of a body's data by name, ``None`` where there is none."""
    value: object = _decode_any(body).data.get(name)
    return value if isinstance(value, str | int | float) else None


def settle_data_time(data: msgspec.Struct, timestamp: str) -> bool:
    """Bring the time inside freshly read data into its form, or set it; says whether it had one of its own.

    Raises NotATime.
    """
    if not isinstance(data, TIMED):
        return True
    given = data.timestamp
    if given is None:
        force_setattr(data, "timestamp", timestamp)
        return False
    settled = parse_time(given)[0]
    if settled != given:
        force_setattr(data, "timestamp", settled)
    return True


# Events of our own and of WhatsApp


def draft_of(event_type: str, event_id: str, now_ms: int, data: bytes, details: Details | None = None) -> Draft:
    """Make an event of a documented or operational type from JSON of its data, at ``now_ms``.

    Raises msgspec's errors on data that is not the type's: that is a bug of the caller.
    """
    read = msgspec.json.decode(data, type=CATALOGUE[event_type].data)
    return draft_of_data(event_type, event_id, now_ms, read, details)


def draft_of_data(
    event_type: str, event_id: str, now_ms: int, data: msgspec.Struct, details: Details | None = None
) -> Draft:
    """The same from the type's own struct. Text in it must be free of lone surrogates (``canonical.whole_text``)."""
    timestamp = format_time(now_ms)
    data = msgspec.structs.replace(data)
    settle_data_time(data, timestamp)
    body = encode_body(event_type, event_id, timestamp, data)
    about = data.about(event_id) if isinstance(data, Data) else NOTHING
    return _draft_about(event_type, event_id, timestamp, body, about, details)


def draft_of_whatsapp(
    event_type: str, event_id: str, now_ms: int, value: object, details: Details | None = None
) -> Draft:
    """Make a ``whatsapp.…`` event whose data is what Meta sent; nothing is refused.

    A value that is no object stands under ``value``; a key ``details`` on top gets ``_`` appended; what would make
    the body too large is replaced by ``{"shortened": true, "bytes": …}``.
    """
    timestamp = format_time(now_ms)
    whole = value if isinstance(value, dict) else {"value": value}
    data = encode_lenient(whole, frozenset({DETAILS_KEY}))
    body = make_body(event_type, event_id, timestamp, data)
    encoded = None if details is None else encode_details(details)
    if size_with_details(body, encoded) > limits.BODY_BYTES_MAX:
        body = make_body(event_type, event_id, timestamp, b'{"shortened":true,"bytes":%d}' % len(data))
    return _draft_about(event_type, event_id, timestamp, body, NOTHING, details)


def _draft_about(
    event_type: str, event_id: str, timestamp: str, body: bytes, about: About, details: Details | None
) -> Draft:
    return Draft(
        event_type,
        event_id,
        body,
        timestamp,
        details=None if details is None else encode_details(details),
        contact=about.contact,
        message_id=about.message_id,
        phone=about.phone,
        number=None if details is None else details.number,
        keys=keys_of(about, details, None),
    )


def keys_of(about: About, details: Details | None, contact: str | None) -> tuple[str, ...]:
    """The words an event can be found by: from its data, its details and the contact given with it."""
    words = () if details is None else words_of(details)
    return keys_with(about, words, contact)


def keys_with(about: About, words: tuple[str, ...], contact: str | None) -> tuple[str, ...]:
    """The same where the details' words are known already."""
    keys = about.keys + words
    if contact is not None:
        keys += ("phone:" + phone_word(contact) if is_phone(contact) else "contact:" + contact,)
    return tuple(dict.fromkeys(keys)) if len(keys) > 1 else keys


# Same id, same content


def same_content(event_type: str, body: bytes, details: bytes | None, draft: Draft) -> bool:
    """Say whether a stored event with the draft's id is the one the draft repeats.

    Times that the draft did not give itself count as equal: a repeat comes later than what it repeats.
    """
    if event_type != draft.event_type or details != draft.details:
        return False
    if body == draft.body:
        return True
    if draft.timestamp_given and draft.data_time_given:
        return False
    return body == _restamped(draft, body)


def _restamped(draft: Draft, stored: bytes) -> bytes:
    """The draft's body as it would have been made at the time of the stored one."""
    start = len(f'{{"event":"{draft.event_type}","id":"{draft.id}","timestamp":"')
    at = slice(start, start + _TIME_BYTES)
    body = bytearray(draft.body)
    if not draft.timestamp_given:
        body[at] = stored[at]
    if not draft.data_time_given:
        # The types with a time in their data have it as the last key.
        body[_TIME_AT_END] = body[at]
    return bytes(body)
