"""What was accepted, what was sent and what came back: lists and single views of events, deliveries and attempts.

Reads only, always within one account. Requests are rebuilt exactly from the endpoint's version and the signatures kept.
"""

import msgspec

from whatsync.engine.directory import ENDPOINT, Directory, RunningAccount, decode
from whatsync.model import limits
from whatsync.model.catalogue import OPERATIONAL
from whatsync.model.curl import curl_command
from whatsync.model.delivery import State
from whatsync.model.endpoint import Endpoint
from whatsync.model.errors import FieldError, Invalid, NotFound
from whatsync.model.ids import delivery_id, delivery_row, ms_of
from whatsync.model.outcome import Explanation, explain
from whatsync.model.outgoing import outgoing
from whatsync.model.phone import is_phone, phone_word
from whatsync.model.request import attempt_head, fixed_head, masked
from whatsync.model.url import Target, parse_url
from whatsync.ports.history import DeliveryPage, DeliveryQuery, DeliveryView, EventPage, EventQuery, Exchange, History
from whatsync.ports.rows import Origin
from whatsync.ports.store import AttemptRow, EventRow


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Filters of the delivery history as people give them, by public ids; all joined by *and*."""

    endpoint: str | None = None
    event: str | None = None
    number: str | None = None
    states: tuple[State, ...] = ()
    code: str | None = None
    test: bool | None = None
    event_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    q: str | None = None


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of the list of events as people give them."""

    event: str | None = None
    number: str | None = None
    matched: bool | None = None
    wamid: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    q: str | None = None


class Place(msgspec.Struct, frozen=True):
    """An endpoint as a delivery's history names it; it may be deleted since."""

    id: str | None
    url: str | None
    deleted: bool = False
    description: str = ""


class DeliveryStory(msgspec.Struct, frozen=True):
    """A delivery with its endpoint, and its last failure in words."""

    view: DeliveryView
    place: Place
    explanation: Explanation | None
    waiting_for: int | None = None
    """For one that waits its turn: the delivery that goes before it."""


class DeliveryList(msgspec.Struct, frozen=True):
    """One page of deliveries."""

    items: tuple[DeliveryStory, ...]
    next: int | None = None
    searched_to_ms: int | None = None


class RequestSent(msgspec.Struct, frozen=True):
    """A request as it went out, with the values of the endpoint's own headers masked."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    curl: str


class AttemptStory(msgspec.Struct, frozen=True):
    """One attempt: what was sent, what came back, how long each phase took, and what a failure means."""

    row: AttemptRow
    late: bool
    explanation: Explanation | None
    request: RequestSent | None
    """``None`` where the endpoint's version of then is no longer kept."""
    answer_headers: tuple[tuple[str, str], ...]


class Inspection:
    """The reading services over the history."""

    def __init__(self, *, directory: Directory, history: History) -> None:
        self._directory = directory
        self._history = history

    # Deliveries

    async def deliveries(
        self, account: RunningAccount, wanted: DeliveryFilter, before: int | None = None, limit: int = 50
    ) -> DeliveryList:
        """List deliveries, newest first. Raises Invalid for an endpoint this account does not have."""
        query = await self.delivery_query(account, wanted)
        if query is None:
            return DeliveryList(())
        page: DeliveryPage = await self._history.deliveries(msgspec.structs.replace(query, before=before, limit=limit))
        places = {row: await self.place(row) for row in {view.endpoint for view in page.items}}
        items = tuple([_story(view, places[view.endpoint]) for view in page.items])
        searched = page.searched_to_ms
        if page.next is None and searched is None:
            searched = _reached(query.events)
        return DeliveryList(items, page.next, searched)

    async def delivery_query(self, account: RunningAccount, wanted: DeliveryFilter) -> DeliveryQuery | None:
        """Turn public ids into rows; ``None`` where nothing can match. Raises Invalid."""
        query = DeliveryQuery(
            account.row,
            endpoint=None if wanted.endpoint is None else self._endpoint_row(account, wanted.endpoint),
            type=wanted.event,
            number=wanted.number,
            states=wanted.states,
            code=wanted.code,
            test=wanted.test,
            since_ms=wanted.since_ms,
            until_ms=wanted.until_ms,
        )
        if wanted.event_id is not None:
            event = await self._history.event(account.row, wanted.event_id)
            if event is None:
                return None
            query = msgspec.structs.replace(query, event=event.seq)
        words = _words(wanted.q)
        return query if words is None else await self._searched(account, query, words)

    async def _searched(self, account: RunningAccount, query: DeliveryQuery, words: str) -> DeliveryQuery:
        """An exact identifier leads straight to its rows; anything else is looked for in the bodies."""
        row = delivery_row(words)
        view = None if row is None else await self._history.delivery(account.row, row)
        if view is not None:
            # Rows of one millisecond at one endpoint for one event: the delivery itself.
            made = ms_of(view.id)
            return msgspec.structs.replace(
                query, events=(view.event,), endpoint=view.endpoint, since_ms=made, until_ms=made + 1
            )
        found = await self._history.find(account.row, search_keys(words), limits.SEARCH_EVENTS_MAX)
        if found:
            return msgspec.structs.replace(query, events=tuple(event.seq for event in found))
        return msgspec.structs.replace(query, text=words)

    def _endpoint_row(self, account: RunningAccount, endpoint_id: str) -> int:
        running = self._directory.endpoints_by_id.get(endpoint_id)
        if running is None or running.account.row != account.row:
            words = (
                "is not an endpoint of this account now; what a deleted one was sent is found by event, code or time"
            )
            raise Invalid([FieldError("endpoint", f"{endpoint_id[:60]!r} {words}")])
        return running.row

    async def delivery(self, account: RunningAccount, public_id: str) -> DeliveryStory:
        """Read one delivery. Raises NotFound."""
        view = await self._view(account, public_id)
        waiting_for = await self._history.waiting_for(account.row, view.id) if view.ordered else None
        return await self._story(view, waiting_for)

    async def story(self, view: DeliveryView) -> DeliveryStory:
        """A delivery already read, with its endpoint and explanation."""
        return await self._story(view)

    async def _view(self, account: RunningAccount, public_id: str) -> DeliveryView:
        row = delivery_row(public_id)
        view = None if row is None else await self._history.delivery(account.row, row)
        if view is None:
            raise NotFound("delivery_not_found", f"there is no delivery {public_id[:60]!r}; it may be past retention")
        return view

    async def _story(self, view: DeliveryView, waiting_for: int | None = None) -> DeliveryStory:
        return _story(view, await self.place(view.endpoint), waiting_for)

    async def place(self, endpoint: int) -> Place:
        """Name an endpoint by its row, deleted ones included."""
        running = self._directory.endpoints.get(endpoint)
        if running is not None:
            return Place(running.endpoint.id, running.endpoint.url, description=running.endpoint.description)
        document = await self._history.document_version(ENDPOINT, endpoint, None)
        if document is None:
            return Place(None, None, deleted=True)
        gone = decode(document, Endpoint)
        return Place(document.id, gone.url, deleted=True, description=gone.description)

    # Attempts

    async def attempts(self, account: RunningAccount, public_id: str) -> tuple[AttemptStory, ...]:
        """Read the attempts of a delivery, first to last. Raises NotFound."""
        view = await self._view(account, public_id)
        exchanges = await self._history.attempts(account.row, view.id)
        event = await self._history.event_by_seq(account.row, view.event)
        return tuple([await self._attempt(exchange, event) for exchange in exchanges])

    async def _attempt(self, exchange: Exchange, event: EventRow | None) -> AttemptStory:
        row = exchange.row
        document = await self._history.document_version(ENDPOINT, row.endpoint, row.endpoint_version)
        request = None
        if document is not None and event is not None:
            request = request_sent(exchange, decode(document, Endpoint), event)
        return AttemptStory(
            row,
            exchange.late,
            None if row.code is None else explain(row.code, event is not None and event.test),
            request,
            header_pairs(row.answer_headers),
        )

    # Events

    async def events(
        self,
        account: RunningAccount,
        wanted: EventFilter,
        before: int | None = None,
        limit: int = 50,
        bytes_max: int | None = None,
    ) -> EventPage:
        """List events, newest first, those included that matched no endpoint; ``bytes_max`` as in ``EventQuery``.

        Where only those are asked for, our own notices are left out unless they are meant by their type: most are for
        nobody, and would hide what somebody misses.
        """
        notices = wanted.matched is False and wanted.event is None
        query = EventQuery(
            account.row,
            type=wanted.event,
            without=OPERATIONAL if notices else (),
            number=wanted.number,
            matched=wanted.matched,
            since_ms=wanted.since_ms,
            until_ms=wanted.until_ms,
            before=before,
            limit=limit,
            bytes_max=bytes_max,
        )
        seqs: set[int] | None = None
        if wanted.wamid is not None:
            seqs = await self._seqs(account, [f"wamid:{wanted.wamid}"])
        words = _words(wanted.q)
        if words is not None:
            found = await self._seqs(account, search_keys(words))
            if found:
                seqs = found if seqs is None else seqs & found
            else:
                query = msgspec.structs.replace(query, text=words)
        if seqs is not None:
            query = msgspec.structs.replace(query, seqs=tuple(sorted(seqs, reverse=True)))
        if seqs == set():
            return EventPage((), None, None)
        page = await self._history.events(query)
        if page.next is None and page.searched_to_ms is None:
            page = msgspec.structs.replace(page, searched_to_ms=_reached(query.seqs))
        return page

    async def _seqs(self, account: RunningAccount, keys: list[str]) -> set[int]:
        return {event.seq for event in await self._history.find(account.row, keys, limits.SEARCH_EVENTS_MAX)}

    async def event(self, account: RunningAccount, event_id: str) -> EventRow:
        """Read one event. Raises NotFound."""
        event = await self._history.event(account.row, event_id)
        if event is None:
            raise NotFound("event_not_found", f"there is no event {event_id[:130]!r}; it may be past retention")
        return event

    async def deliveries_of(
        self, account: RunningAccount, event_id: str, before: int | None = None, limit: int = 50
    ) -> DeliveryList:
        """List the deliveries of one event, newest first. Raises NotFound."""
        event = await self.event(account, event_id)
        page = await self._history.deliveries(DeliveryQuery(account.row, event=event.seq, before=before, limit=limit))
        return DeliveryList(tuple([await self._story(view) for view in page.items]), page.next, page.searched_to_ms)


def _story(view: DeliveryView, place: Place, waiting_for: int | None = None) -> DeliveryStory:
    explanation = None if view.code is None else explain(view.code, view.origin is Origin.TEST)
    return DeliveryStory(view, place, explanation, waiting_for)


def search_keys(words: str) -> list[str]:
    """The exact words an event may be found by, for what somebody typed."""
    keys = [f"{kind}:{words}" for kind in ("id", "message", "wamid", "contact", "phone")]
    if is_phone(words):
        keys.append(f"phone:{phone_word(words)}")
        if words[0] not in "+0":
            keys.append(f"phone:{phone_word('+' + words)}")
    return list(dict.fromkeys(keys))


def _reached(found: tuple[int, ...] | None) -> int | None:
    """How far back an exact word's events reach, where there may be older ones beyond the bound."""
    return ms_of(min(found)) if found is not None and len(found) >= limits.SEARCH_EVENTS_MAX else None


def _words(q: str | None) -> str | None:
    """What somebody typed, without the spaces around it; ``None`` for nothing."""
    words = (q or "").strip()
    if len(words) > limits.SEARCH_CHARS_MAX:
        raise Invalid([FieldError("q", f"must have at most {limits.SEARCH_CHARS_MAX} characters")])
    return words or None


def request_sent(exchange: Exchange, endpoint: Endpoint, event: EventRow) -> RequestSent | None:
    """Rebuild a request from what is kept about it; the endpoint is in the version that was used."""
    row = exchange.row
    target = parse_url(endpoint.url)
    if not isinstance(target, Target):
        return None
    sent = outgoing(endpoint, event.body, event.details)
    head = fixed_head(target, dict.fromkeys(endpoint.headers, "x"), exchange.version) + attempt_head(
        event.type,
        event.id,
        delivery_id(row.delivery),
        row.number,
        row.signed_s,
        row.signatures,
        len(sent.body),
        event.number,
        sent.wamid,
        event.test,
        sent.meta,
    )
    headers = tuple(masked(head, tuple(endpoint.headers)))
    return RequestSent("POST", endpoint.url, headers, sent.body, curl_command(target, headers, sent.body))


def header_pairs(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Header lines as name and value pairs."""
    lines = raw.decode("latin-1").split("\r\n")
    return tuple((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line))
