"""What came in from a source, read but not yet anybody's: events to be, people that were seen, and what was set aside.

Pure data, and how an event's body is made of it once its account and contact are known. Knows no payload and no store.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whatsync.model import limits
from whatsync.model.canonical import encode_lenient
from whatsync.model.details import lenient_details_with_words
from whatsync.model.documented import Data, MessageIncoming
from whatsync.model.draft import (
    DETAILS_JOINT_BYTES,
    DETAILS_KEY,
    NOTHING,
    Draft,
    encode_body,
    keys_with,
    make_body,
    settle_data_time,
)
from whatsync.model.timestamp import format_time


class File(msgspec.Struct, frozen=True):
    """A file that came with a message, as its source told of it. Text is as given, checked by nobody."""

    id: str
    """Of the ``media.upload`` event there will be: derived, so known before the download."""
    media_id: str
    """The source's own name for it."""
    media_type: str
    mime_type: str | None = None
    sha256: str | None = None
    caption: str | None = None
    filename: str | None = None
    url: str | None = None


class Sighting(msgspec.Struct, frozen=True):
    """Something said about a person. ``words`` are the names he goes by, the most lasting first: ``phone:+…``,
    ``user:…``.
    """

    number: str
    words: tuple[str, ...]
    at_ms: int
    """When it was said, by the source."""
    reference: str
    """What said it: makes the id of the event that may follow."""
    phone: str | None = None
    user_id: str | None = None
    name: str | None = None
    former: tuple[str, ...] = ()
    """Names he went by until now."""


class Arrival(msgspec.Struct, frozen=True):
    """One event to be."""

    event_type: str
    id: str
    number: str | None
    """``phoneNumberId`` of the business number; ``None`` where it concerns a whole business account."""
    business: str | None
    """The source's id of the business account (WABA)."""
    data: Data | dict[str, Any]
    """Documented data, or what Meta sent."""
    details: Mapping[str, Any]
    """As ``lenient_details`` takes them."""
    path: str
    """Where it stands in the body."""
    sighting: Sighting | None = None
    contact: str | None = None
    """Ordering key."""
    message_id: str | None = None
    file: File | None = None
    display_number: str | None = None
    at_ms: int = 0
    """When it happened, by the source; 0 where it does not say."""


class SetAside(msgspec.Struct, frozen=True):
    """An element nothing could be made of. ``reason`` is a stable word, ``sentence`` says what is wrong with it."""

    path: str
    reason: str
    sentence: str
    number: str | None = None
    reference: str | None = None
    """The message's own id, where it has one."""


class SeenNumber(msgspec.Struct, frozen=True):
    """A business number as a body names it."""

    number: str
    display: str | None
    business: str | None


class Reading(msgspec.Struct, frozen=True):
    """A whole body, read."""

    arrivals: tuple[Arrival, ...] = ()
    """Incoming messages stand before statuses, else in the body's order."""
    sightings: tuple[Sighting, ...] = ()
    """Those that no arrival carries."""
    set_aside: tuple[SetAside, ...] = ()
    numbers: tuple[SeenNumber, ...] = ()
    sample: bool = False
    """It is the fixed example that Meta's dashboard sends to try a callback."""

    @property
    def updates(self) -> int:
        """Elements in the body."""
        return len(self.arrivals) + len(self.set_aside)


def draft_of_arrival(arrival: Arrival, now_ms: int, contact_id: str | None, media_url: str | None) -> Draft:
    """Make the event. What would make its body too large is shortened, and says so; nothing is refused."""
    timestamp = format_time(now_ms)
    data = arrival.data
    if isinstance(data, Data):
        data = msgspec.structs.replace(data)
        if isinstance(data, MessageIncoming) and data.media is not None and media_url is not None:
            data = msgspec.structs.replace(data, media=msgspec.structs.replace(data.media, media_url=media_url))
        timed = settle_data_time(data, timestamp)
        body = _fitting_body(arrival, timestamp, data)
        about = data.about(arrival.id)
    else:
        timed, about = True, NOTHING
        raw = encode_lenient(data, frozenset({DETAILS_KEY}))
        if len(raw) > limits.WHATSAPP_DATA_BYTES_MAX:
            raw = b'{"shortened":true,"bytes":%d}' % len(raw)
        body = make_body(arrival.event_type, arrival.id, timestamp, raw)
    given = arrival.details if contact_id is None else {**arrival.details, "contact_id": contact_id}
    encoded, words = lenient_details_with_words(limits.BODY_BYTES_MAX - len(body) - DETAILS_JOINT_BYTES, given)
    return Draft(
        arrival.event_type,
        arrival.id,
        body,
        timestamp,
        timestamp_given=False,
        data_time_given=timed,
        details=encoded,
        contact=arrival.contact or about.contact,
        message_id=arrival.message_id or about.message_id,
        phone=about.phone,
        number=arrival.number,
        keys=_keys(arrival, keys_with(about, words, None)),
    )


def _keys(arrival: Arrival, keys: tuple[str, ...]) -> tuple[str, ...]:
    """A reaction or an edit belongs to the story of the message it is about."""
    if arrival.message_id is None or isinstance(arrival.data, Data):
        return keys
    return (*keys, "message:" + arrival.message_id)


def _fitting_body(arrival: Arrival, timestamp: str, data: Data) -> bytes:
    most = limits.BODY_BYTES_MAX - limits.WHATSAPP_DETAILS_BYTES_MIN
    body = encode_body(arrival.event_type, arrival.id, timestamp, data)
    while len(body) > most and isinstance(data, MessageIncoming) and data.text:
        # A character has up to six bytes, so this comes near from above and never takes too much.
        kept = data.text[: -((len(body) - most) // 6 + 2)]
        data = msgspec.structs.replace(data, text=kept + "…" if kept else None)
        body = encode_body(arrival.event_type, arrival.id, timestamp, data)
    return body


def in_order(arrivals: Sequence[Arrival]) -> tuple[Arrival, ...]:
    """Incoming messages, then whatever WhatsApp says beside them, then statuses; each in the order given."""
    ranks = {"message.incoming": 0, "message.status": 2}
    return tuple(sorted(arrivals, key=lambda arrival: ranks.get(arrival.event_type, 1)))
