"""Rows of the history: a delivery or an event with the few words that tell people which one it is.

The beginnings of a whole page's bodies are read with one question; what they hold is only ever shown as text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whatsync.engine.directory import RunningAccount
from whatsync.engine.inspection import DeliveryStory
from whatsync.engine.services import Services
from whatsync.model import limits
from whatsync.model.beginning import read_beginning
from whatsync.model.catalogue import is_operational
from whatsync.model.delivery import FINAL, State
from whatsync.model.ids import delivery_id, ms_of
from whatsync.ports.history import EventQuery
from whatsync.ports.store import EventRow, Origin
from whatsync.web.pages.history_filters import short_url

TEXT_CHARS = 140
ORIGINS = {Origin.RESEND: "resent", Origin.RECOVER: "recovered", Origin.TEST: "test"}


@dataclass(frozen=True, slots=True)
class Said:
    """What an event says, in a few words: whom it is about, a status of WhatsApp's, the beginning of a text."""

    whatsapp: str | None = None
    error: str | None = None
    contact: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery."""

    id: str
    made_ms: int
    event: str
    event_id: str
    endpoint_id: str | None
    endpoint: str
    description: str
    deleted: bool
    state: State
    attempts: int
    status: int | None
    code: str | None
    duration_us: int | None
    due_ms: int | None
    under_way: bool
    origin: str | None
    """A word where it is not simply the event's own."""
    reason: str | None
    said: Said

    @property
    def open(self) -> bool:
        """Whether it can still change."""
        return self.state not in FINAL


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event of the list of events."""

    id: str
    event: str
    accepted_ms: int
    number: str | None
    deliveries: int
    test: bool
    said: Said

    @property
    def notice(self) -> bool:
        """WhatsSync's own notice, which nobody has to subscribe to."""
        return is_operational(self.event)


async def rows_of(services: Services, account: RunningAccount, stories: Sequence[DeliveryStory]) -> list[Row]:
    """Deliveries as rows, in the same order."""
    seqs = tuple(sorted({story.view.event for story in stories}, reverse=True))
    events: dict[int, EventRow] = {}
    if seqs:
        query = EventQuery(account.row, seqs=seqs, limit=len(seqs), bytes_max=limits.EVENT_BEGINNING_BYTES)
        page = await services.history.events(query)
        events = {event.seq: event for event in page.items}
    return [row_of(story, events.get(story.view.event)) for story in stories]


def row_of(story: DeliveryStory, event: EventRow | None) -> Row:
    """One delivery as a row."""
    view, place = story.view, story.place
    return Row(
        id=delivery_id(view.id),
        made_ms=ms_of(view.id),
        event=view.type,
        event_id=view.event_id,
        endpoint_id=place.id,
        endpoint=short_url(place.url),
        description=place.description,
        deleted=place.deleted,
        state=view.state,
        attempts=view.attempts,
        status=view.status,
        code=view.code,
        duration_us=view.duration_us,
        due_ms=view.due_ms,
        under_way=view.in_flight,
        origin=ORIGINS.get(view.origin),
        reason=view.reason,
        said=Said() if event is None else said(event),
    )


def line_of(event: EventRow) -> EventLine:
    """One event as a row."""
    return EventLine(event.id, event.type, ms_of(event.seq), event.number, event.deliveries, event.test, said(event))


def said(event: EventRow) -> Said:
    """What an event says, from the beginning of its body and details. An account's own types may hold anything."""
    most = limits.EVENT_BEGINNING_BYTES
    data = _member(read_beginning(event.body[:most]), "data")
    if data is None:
        return Said()
    media = _member(data, "media") or data
    details = {} if event.details is None else read_beginning(event.details[:most]) or {}
    error = _member(details, "error")
    status = _text(data, "status") if event.type == "message.status" else None
    contact = _text(data, "from", "phone") or _text(details, "recipient")
    text = _text(data, "text", "name", "caption") or _text(media, "caption", "mediaType")
    return Said(
        whatsapp=status,
        error=None if error is None or status is None else f"{error.get('title') or ''} ({error.get('code')})".strip(),
        contact=contact,
        text=None if text is None else text[:TEXT_CHARS],
    )


def _member(value: Any, name: str) -> dict[str, Any] | None:
    """An object's member, where both are objects."""
    member = value.get(name) if isinstance(value, dict) else None
    return member if isinstance(member, dict) else None


def _text(data: dict[str, Any], *names: str) -> str | None:
    return next((data[name] for name in names if isinstance(data.get(name), str) and data[name]), None)
