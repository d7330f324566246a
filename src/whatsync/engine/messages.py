"""A message's whole story: what came in, every status, its media, and for each endpoint what was delivered or why not.

Ends in one verdict with what to do next. Reads only, within one account; knows no HTTP.
"""

from collections.abc import Sequence

import msgspec

from whatsync.engine.directory import ENDPOINT, Directory, RunningAccount, RunningEndpoint, decode
from whatsync.engine.inspection import DeliveryStory, Inspection, search_keys
from whatsync.engine.matching import why_not_then
from whatsync.engine.missing import Missing
from whatsync.engine.verdicts import BY_PHONE, Verdict, judge
from whatsync.model import limits
from whatsync.model.details import DetailsError, details_of
from whatsync.model.endpoint import DisabledBy, Endpoint, Why
from whatsync.model.ids import first_row_at, ms_of
from whatsync.model.phone import is_phone, phone_word
from whatsync.ports.history import DeliveryQuery, EventQuery, History
from whatsync.ports.store import EventRow

INCOMING = "message.incoming"
STATUS = "message.status"
MEDIA = "media.upload"

_NAMES = ("msg_", "wamid.", "status_", "contact_update_", "media_", "dlv_")
"""How names begin that no text is searched for: a miss has to be told at once, not after a long look."""
_NAMED_MAX = 3
_OLD_VERSIONS_MAX = 20
"""How far back an endpoint's versions are read to find the one of the event's time."""


class StatusEntry(msgspec.Struct, frozen=True):
    """One status WhatsApp reported."""

    event_id: str
    status: str
    timestamp: str | None
    received_ms: int
    recipient: str | None = None
    error: DetailsError | None = None


class MediaEntry(msgspec.Struct, frozen=True):
    """One file that came with the message."""

    event_id: str
    media_type: str | None
    media_url: str | None
    mime_type: str | None
    caption: str | None


class EndpointEntry(msgspec.Struct, frozen=True):
    """How one endpoint stands to the message: its deliveries, or why there is none for the event that counts."""

    id: str | None
    url: str | None
    deleted: bool
    deliveries: tuple[DeliveryStory, ...]
    why: Why | None
    disabled_by: DisabledBy | None = None
    """Who disabled it, while it is disabled."""
    description: str = ""


class Message(msgspec.Struct, frozen=True):
    """The story. ``direction`` is ``incoming``, ``outgoing``, or ``None`` where nothing is known of it."""

    id: str
    wamid: str | None
    direction: str | None
    number: str | None
    contact: str | None
    text: str | None
    received_ms: int | None
    timestamp: str | None
    statuses: tuple[StatusEntry, ...]
    media: tuple[MediaEntry, ...]
    endpoints: tuple[EndpointEntry, ...]
    verdict: Verdict
    test: bool = False
    """Made by a test send: only the endpoint it was for can have it."""


class MessageList(msgspec.Struct, frozen=True):
    """Messages, newest first."""

    items: tuple[Message, ...]
    next: int | None
    searched_to_ms: int | None = None


class _Data(msgspec.Struct, rename="camel"):
    """What the story tells out of an event's data, whatever its type."""

    text: str | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    status: str | None = None
    timestamp: str | None = None
    message_id: str | None = None
    media_type: str | None = None
    media_url: str | None = None
    mime_type: str | None = None
    caption: str | None = None
    media: "_Data | None" = None


class _Body(msgspec.Struct):
    data: _Data


_body = msgspec.json.Decoder(_Body).decode


class Messages:
    """The messages of all accounts; each method looks inside one account only."""

    def __init__(
        self, *, directory: Directory, history: History, inspection: Inspection, missing: Missing | None = None
    ) -> None:
        self._directory = directory
        self._missing = missing
        self._history = history
        self._inspection = inspection

    async def page(
        self,
        account: RunningAccount,
        q: str | None = None,
        before: int | None = None,
        limit: int = 20,
        since_ms: int | None = None,
        until_ms: int | None = None,
        *,
        brief: bool = False,
    ) -> MessageList:
        """List messages by ``msg_…``, wamid, phone number or contact, else incoming ones by words of their text, or by
        a number without its country's code; without ``q`` the newest incoming ones.

        With ``since_ms <= t < until_ms`` only those of which something came in then. ``brief``: of endpoints without a
        delivery no more than the verdict names.
        """
        limit = min(limit, limits.MESSAGE_ITEMS_MAX)
        words = (q or "").strip()
        known: dict[str, EventRow] = {}
        found: tuple[EventRow, ...] = ()
        if words:
            ending = None if until_ms is None else first_row_at(until_ms)
            found = await self._history.find(account.row, search_keys(words), limits.SEARCH_EVENTS_MAX, ending)
        text = None if found else as_text(words)
        if found or (words and text is None):
            newest, following, searched = _by_name(found, (since_ms or 0, until_ms), before, limit)
        else:
            query = EventQuery(
                account.row, type=INCOMING, text=text, since_ms=since_ms, until_ms=until_ms, before=before, limit=limit
            )
            page = await self._history.events(query)
            known = {event.id: event for event in page.items}
            newest = tuple(known)
            following, searched = page.next, page.searched_to_ms
        told = [await self._tell(account, one, known.get(one), brief) for one in newest]
        return MessageList(tuple(told), following, searched)

    async def read(
        self, account: RunningAccount, name: str, at_ms: int | None = None, number: str | None = None
    ) -> Message:
        """Tell the story of one message by its id or wamid. What is unknown has a story too: ``set_aside`` or
        ``not_received``, with what came about ``at_ms`` for ``number``.
        """
        message = await self._read(account, name)
        if (
            message.received_ms is None
            and is_phone(name)
            and await self._history.find(account.row, search_keys(name), 1)
        ):
            return msgspec.structs.replace(message, verdict=BY_PHONE)
        if message.direction is None and message.received_ms is None and self._missing is not None:
            verdict = await self._missing.verdict(account, name, at_ms, number)
            message = msgspec.structs.replace(message, verdict=verdict)
        return message

    async def about(self, account: RunningAccount, event: EventRow) -> tuple[Verdict, tuple[EndpointEntry, ...]]:
        """How endpoints stand to one event of any type, and the verdict about it."""
        endpoints = await self._endpoints(account, event, [event], None)
        return judge(event, endpoints, None), endpoints

    async def _read(self, account: RunningAccount, name: str) -> Message:
        if await self._history.event(account.row, name) is None:
            for event in await self._history.find(account.row, [f"wamid:{name}"], limits.MESSAGE_EVENTS_MAX):
                message_id = message_of(event)
                if message_id is not None:
                    return await self._tell(account, message_id)
        return await self._tell(account, name)

    async def _tell(
        self, account: RunningAccount, message_id: str, message: EventRow | None = None, brief: bool = False
    ) -> Message:
        message = message or await self._history.event(account.row, message_id)
        if message is not None and message.type != INCOMING:
            message = None
        related = await self._history.find(account.row, [f"message:{message_id}"], limits.MESSAGE_EVENTS_MAX)
        statuses = tuple(_status(event) for event in reversed(related) if event.type == STATUS)
        media = tuple(_media(event.id, _body(event.body).data) for event in reversed(related) if event.type == MEDIA)
        main = message or next((event for event in related if event.type == STATUS), None) or next(iter(related), None)
        events = [event for event in (message, *related) if event is not None]
        endpoints = await self._endpoints(account, main, events, _NAMED_MAX if brief else None)
        verdict = judge(main, endpoints_of(main, endpoints), statuses[-1] if statuses else None)
        data = _Data() if message is None else _body(message.body).data
        if data.media is not None:
            media = (_media(message_id, data.media), *media)
        return Message(
            id=message_id,
            wamid=next((wamid for wamid in map(_wamid, events) if wamid), None),
            direction="incoming" if message is not None else ("outgoing" if statuses else None),
            number=next((event.number for event in events if event.number), None),
            contact=data.from_ or next((entry.recipient for entry in statuses if entry.recipient), None),
            text=data.text,
            received_ms=None if main is None else ms_of(min(event.seq for event in events)),
            timestamp=data.timestamp,
            statuses=statuses,
            media=media,
            endpoints=endpoints,
            verdict=verdict,
            test=main is not None and main.test,
        )

    async def _endpoints(
        self, account: RunningAccount, main: EventRow | None, events: Sequence[EventRow], without_max: int | None
    ) -> tuple[EndpointEntry, ...]:
        if main is None:
            return ()
        stories: dict[int, list[DeliveryStory]] = {}
        query = DeliveryQuery(account.row, events=tuple(event.seq for event in events), limit=limits.PAGE_ITEMS_MAX)
        while True:
            page = await self._history.deliveries(query)
            for view in page.items:
                stories.setdefault(view.endpoint, []).append(await self._inspection.story(view))
            if page.next is None:
                break
            query = msgspec.structs.replace(query, before=page.next)
        others = () if main.test else account.endpoints
        without = [row for row in others if row not in stories][: limits.MESSAGE_ENDPOINTS_MAX]
        if without_max is not None:
            without = [] if stories else without[:without_max]
        entries = [
            await self._entry(account.endpoints[row], main, stories.get(row, []))
            for row in (*(row for row in stories if row in account.endpoints), *without)
        ]
        for row, told in stories.items():
            if row not in account.endpoints:
                place = told[0].place
                entries.append(EndpointEntry(place.id, place.url, True, tuple(told), None, None, place.description))
        return tuple(entries)

    async def _entry(self, running: RunningEndpoint, main: EventRow, told: Sequence[DeliveryStory]) -> EndpointEntry:
        why = None
        if not any(story.view.event == main.seq for story in told):
            then = await self._as_of(running, ms_of(main.seq))
            # What it says now is the best guess where the version of then is no longer known.
            why = why_not_then(then, main) or Why.NOT_SUBSCRIBED
        policy = running.endpoint
        by = None if policy.enabled else policy.disabled_by or DisabledBy.USER
        return EndpointEntry(policy.id, policy.url, False, tuple(told), why, by, policy.description)

    async def _as_of(self, running: RunningEndpoint, at_ms: int) -> Endpoint:
        """The endpoint as it was configured at a time, as far as its versions are kept."""
        policy, version = running.endpoint, running.version
        for _ in range(_OLD_VERSIONS_MAX):
            if policy.updated_ms <= at_ms or version <= 1:
                break
            version -= 1
            document = await self._history.document_version(ENDPOINT, running.row, version)
            if document is None:
                break
            policy = decode(document, Endpoint)
        return policy


def _by_name(
    found: Sequence[EventRow], within: tuple[int, int | None], before: int | None, limit: int
) -> tuple[tuple[str, ...], int | None, int | None]:
    """The messages of what an exact word found, by their newest event; how far back it reached where it has a bound."""
    since_ms, until_ms = within
    newest: dict[str, int] = {}
    for event in found:
        at_ms = ms_of(event.seq)
        if at_ms < since_ms or (until_ms is not None and at_ms >= until_ms):
            continue
        message_id = message_of(event)
        if message_id is not None:
            newest.setdefault(message_id, event.seq)
    below = [pair for pair in newest.items() if before is None or pair[1] < before]
    following = below[limit - 1][1] if len(below) > limit else None
    searched = ms_of(found[-1].seq) if following is None and len(found) == limits.SEARCH_EVENTS_MAX else None
    return tuple(message_id for message_id, _ in below[:limit]), following, searched


def as_text(words: str) -> str | None:
    """What to look for in the texts where nothing has these words as its name; ``None`` where they can only be a name.

    A phone number in the way of its own country, with a leading 0 or bare, is the end of the number that wrote.
    """
    if words.startswith(_NAMES):
        return None
    if not is_phone(words):
        return words or None
    digits = phone_word(words)[1:]
    abroad = words.startswith(("+", "00"))
    return None if abroad else digits.lstrip("0") or None


def endpoints_of(main: EventRow | None, endpoints: Sequence[EndpointEntry]) -> tuple[EndpointEntry, ...]:
    """The same endpoints with only the deliveries of the event that the verdict is about."""
    if main is None:
        return ()
    return tuple(
        msgspec.structs.replace(
            entry, deliveries=tuple(story for story in entry.deliveries if story.view.event == main.seq)
        )
        for entry in endpoints
    )


def message_of(event: EventRow) -> str | None:
    """The message an event is, or is about."""
    if event.type == INCOMING:
        return event.id
    return next((key.partition(":")[2] for key in event.keys if key.startswith("message:")), None)


def _wamid(event: EventRow) -> str | None:
    return None if event.details is None else details_of(event.details).wamid


def _status(event: EventRow) -> StatusEntry:
    data = _body(event.body).data
    details = None if event.details is None else details_of(event.details)
    return StatusEntry(
        event.id,
        data.status or "",
        data.timestamp,
        ms_of(event.seq),
        None if details is None else details.recipient,
        None if details is None else details.error,
    )


def _media(event_id: str, data: _Data) -> MediaEntry:
    return MediaEntry(event_id, data.media_type, data.media_url, data.mime_type, data.caption)
