"""The filters of the history as they stand in a page's address: the API's own names, so that a view can be shared.

Reads and writes addresses; asks the store nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from whatsync.engine.directory import RunningAccount
from whatsync.engine.inspection import DeliveryFilter, EventFilter
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.model.endpoint import Endpoint
from whatsync.model.outcome import NETWORK_CODES
from whatsync.web.api.call import to_ms
from whatsync.web.api.deliveries import DeliveriesQuery
from whatsync.web.api.events import EventsQuery
from whatsync.web.decoding import decode_query
from whatsync.web.pages.moments import written_time, zoned
from whatsync.web.pages.page import Visit

Query = TypeVar("Query", DeliveriesQuery, EventsQuery)

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
WINDOWS = (
    ("Last hour", HOUR_MS),
    ("24 hours", 24 * HOUR_MS),
    ("7 days", 168 * HOUR_MS),
    ("30 days", 720 * HOUR_MS),
)
WINDOW_MS = WINDOWS[1][1]
"""What is shown where the address says nothing about time."""
NUMBERS_MAX = 1_000
"""Numbers to pick from; more can still be named in the address."""
ENDPOINTS_MAX = 400
"""Endpoints to pick from a list. Where there are more, people type a part of a URL or description."""
CANDIDATES_MAX = 25
"""Endpoints to choose from where several fit what was typed."""
URL_CHARS = 100
"""As much of a URL stands in a list to pick from."""
EVERYTHING = "2000-01-01T00:00:00Z"
CODES = (*(f"http_{status}" for status in (400, 401, 403, 404, 410, 413, 429, 500, 502, 503, 504)), *NETWORK_CODES)
_OWN = ("limit", "cursor")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One filter in words, and the address of the view without it."""

    words: str
    without: str


@dataclass(frozen=True, slots=True)
class Window:
    """One length of time to look at."""

    words: str
    url: str
    current: bool


def read_query(takes: type[Query], pairs: Sequence[tuple[str, str]], own: Sequence[str] = ()) -> Query:
    """An address's filters, with a page's ``own`` further fields left out. Raises Invalid.

    A time without a zone, as a browser's field gives it, is UTC.
    """
    given = [
        (name, zoned(value) if name in ("since", "until") else value)
        for name, value in pairs
        if value.strip() and name not in own
    ]
    read: Query = decode_query(takes, given)
    return read


def parameters(query: DeliveriesQuery | EventsQuery, **changed: Any) -> dict[str, Any]:
    """The filters as an address has them, some changed; ``None`` leaves one out. Where one is on the list is no
    filter.
    """
    values: dict[str, Any] = {}
    for name, attribute in zip(query.__struct_encode_fields__, query.__struct_fields__, strict=True):
        value = getattr(query, attribute)
        if name in _OWN or value is None or value == []:
            continue
        values[name] = _written(value)
    values |= changed
    return {name: value for name, value in values.items() if value is not None}


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return written_time(to_ms(value) or 0)
    if isinstance(value, list):
        return [str(one) for one in value]
    return value


def narrowed(query: DeliveriesQuery | EventsQuery) -> bool:
    """Whether the address names a time, or something that leads straight to its rows."""
    exact = query.q or (query.event_id if isinstance(query, DeliveriesQuery) else query.wamid)
    return query.since is not None or query.until is not None or exact is not None


def since_ms(query: DeliveriesQuery | EventsQuery, now_ms: int) -> int | None:
    """From when on the list looks: by default a day back, in whole minutes, so that a page asks the same again."""
    if narrowed(query):
        return to_ms(query.since)
    return (now_ms - WINDOW_MS) // MINUTE_MS * MINUTE_MS


def delivery_filter(query: DeliveriesQuery, now_ms: int) -> DeliveryFilter:
    """What the services take."""
    return DeliveryFilter(
        endpoint=query.endpoint,
        event=query.event,
        number=query.number,
        states=tuple(query.state),
        code=query.code,
        test=query.test,
        event_id=query.event_id,
        since_ms=since_ms(query, now_ms),
        until_ms=to_ms(query.until),
        q=query.q,
    )


def event_filter(query: EventsQuery, now_ms: int) -> EventFilter:
    """What the services take."""
    return EventFilter(
        event=query.event,
        number=query.number,
        matched=query.matched,
        wamid=query.wamid,
        since_ms=since_ms(query, now_ms),
        until_ms=to_ms(query.until),
        q=query.q,
    )


def windows(visit: Visit, path: str, query: DeliveriesQuery | EventsQuery, now_ms: int) -> list[Window]:
    """Lengths of time to choose from."""
    begun = to_ms(query.since)
    shown = []
    for words, span in WINDOWS:
        since = (now_ms - span) // MINUTE_MS * MINUTE_MS
        default = span == WINDOW_MS
        near = begun is not None and query.until is None and abs(begun - since) < span // 12
        url = visit.here(path, **parameters(query, until=None, since=None if default else written_time(since)))
        shown.append(Window(words, url, near or (default and not narrowed(query))))
    begins = to_ms(datetime.fromisoformat(EVERYTHING)) or 0
    everything = query.until is None and (narrowed(query) if begun is None else begun <= begins)
    shown.append(Window("All", visit.here(path, **parameters(query, until=None, since=EVERYTHING)), everything))
    return shown


def chosen(visit: Visit, path: str, query: DeliveriesQuery | EventsQuery) -> list[Chosen]:
    """The filters that narrow the list besides time and words, each with a way to drop it."""
    known = parameters(query, since=None, until=None, q=None)
    found = []
    for name, value in known.items():
        for one in value if isinstance(value, list) else [value]:
            rest = [other for other in value if other != one] if isinstance(value, list) else None
            url = visit.here(path, **parameters(query, **{name: rest or None}))
            found.append(Chosen(_words(visit, name, one), url))
    return found


def _words(visit: Visit, name: str, value: str) -> str:
    if name == "endpoint":
        running = visit.services.directory.endpoints_by_id.get(value)
        same = running is not None and running.account.row == visit.account.row
        return _named(running.endpoint) if running is not None and same else value
    if name == "test":
        return "Tests only" if value == "true" else "Without tests"
    if name == "matched":
        return "Matched an endpoint" if value == "true" else "Matched no endpoint"
    words = {"eventId": "Event", "number": "Number", "code": "Answer", "state": "Delivery", "wamid": "wamid"}
    return f"{words[name]}: {STATE_WORDS.get(value, value)}" if name in words else value


STATE_WORDS: dict[str, str] = {
    State.PENDING: "Pending",
    State.RETRYING: "Retrying",
    State.SUCCEEDED: "Delivered",
    State.FAILED: "Failed",
    State.CANCELLED: "Cancelled",
    State.HELD: "Held",
}
"""A delivery's states as pages call them."""


def endpoints_meant(account: RunningAccount, typed: str) -> list[Endpoint] | None:
    """The endpoints whose URL or description holds what was typed; ``None`` where nothing was, or an id."""
    words = typed.lower()
    if not words or words.startswith("ep_"):
        return None
    known = (one.endpoint for one in account.endpoints.values())
    found = (one for one in known if words in one.url.lower() or words in one.description.lower())
    return sorted(found, key=lambda one: one.url)


async def is_gone(visit: Visit, typed: str) -> bool:
    """Whether this is the id of an endpoint that the account has not, or no longer."""
    known = visit.services.directory.endpoints_by_id
    if not typed.startswith("ep_"):
        return False
    if typed not in known:
        await visit.services.standing.refreshed()  # it may have been made at another node just now
    return typed not in known or known[typed].account.row != visit.account.row


def candidates(visit: Visit, path: str, found: Sequence[Endpoint]) -> list[tuple[str, str]]:
    """Endpoints to choose from: each in words, with the address of the view filtered by it."""
    return [(_named(one), with_endpoint(visit, path, one.id)) for one in found[:CANDIDATES_MAX]]


def with_endpoint(visit: Visit, path: str, endpoint_id: str) -> str:
    """The address of the present view with this endpoint in place of what was typed."""
    asked: dict[str, list[str]] = {}
    for name, value in visit.query:
        if name not in ("endpoint", *_OWN):
            asked.setdefault(name, []).append(value)
    return visit.here(path, **asked, endpoint=endpoint_id)


def _named(endpoint: Endpoint) -> str:
    url = short_url(endpoint.url)[:URL_CHARS]
    return f"{endpoint.description[:60]} · {url}" if endpoint.description else url


def short_url(url: str | None) -> str:
    """A URL without its scheme."""
    return (url or "").partition("://")[2] or "an endpoint that is gone"


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be picked in the filters. Long lists are cut; what is chosen always stands in them."""

    events: list[tuple[str, str]]
    numbers: list[tuple[str, str]]
    endpoints: list[tuple[str, str]]
    typed: bool
    """There are too many endpoints for a list: they are found by a part of their URL or description."""
    codes: tuple[str, ...] = CODES


def choices(visit: Visit, query: DeliveriesQuery | EventsQuery) -> Choices:
    """The account's event types, numbers and endpoints."""
    services, account = visit.services, visit.account
    types, _ = services.event_types.page(account, limit=limits.PAGE_ITEMS_MAX)
    names = [facts.name for facts in types]
    running, _ = services.numbers.page(account, limit=NUMBERS_MAX)
    numbers = [(one.number.id, one.number.display or one.number.id) for one in running]
    endpoints: list[tuple[str, str]] = []
    typed = len(account.endpoints) > ENDPOINTS_MAX
    if isinstance(query, DeliveriesQuery) and not typed:
        held = sorted(account.endpoints.values(), key=lambda one: one.endpoint.url)
        endpoints = _with(query.endpoint, [(one.endpoint.id, _named(one.endpoint)) for one in held])
    events = _with(query.event, [(name, name) for name in names])
    return Choices(events, _with(query.number, numbers), endpoints, typed)


def _with(value: str | None, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return pairs if value is None or any(value == known for known, _ in pairs) else [(value, value), *pairs]
