"""Lists of deliveries and events: which index to walk for which filters, where a page ends, where a search gave up.

One page is one statement, and a second one only where it could not be filled.
"""

from collections.abc import Sequence
from typing import Any

from whatsync.model import limits
from whatsync.model.delivery import FINAL, State
from whatsync.model.ids import first_row_at, ms_of
from whatsync.ports.history import DeliveryPage, DeliveryQuery, DeliveryView, EventPage, EventQuery
from whatsync.ports.store import EventRow, Origin
from whatsync.store.coding import STATE_NUMBERS, STATES
from whatsync.store.postgres.coding import ROW_MAX, day_of, read_event, text_of
from whatsync.store.postgres.connection import fetch
from whatsync.store.postgres.statements import statements
from whatsync.store.postgres.words import Words
from whatsync.store.search import word_forms

_SQL = statements("history.sql")
_DAY_MAX = (1 << 31) - 1
_EXACT = frozenset({"events_by_types", "events_unmatched"})
_WHOLE = 1 << 30
"""More bytes than any body has."""
_FILTERS = ("endpoint", "type", "number", "states", "code", "test", "event", "events", "search")


def bounds_of(query: DeliveryQuery | EventQuery) -> dict[str, int]:
    """Time and cursor of a query as row numbers, and the days those lie in."""
    low = 0 if query.since_ms is None else first_row_at(query.since_ms)
    high = ROW_MAX if query.until_ms is None else first_row_at(query.until_ms) - 1
    if query.before is not None and query.ascending:
        low = max(low, query.before + 1)
    elif query.before is not None:
        high = min(high, query.before - 1)
    return {"low": low, "high": high, "low_day": min(day_of(low), _DAY_MAX), "high_day": min(day_of(high), _DAY_MAX)}


def examined_max(query: DeliveryQuery | EventQuery) -> int:
    """How many rows a page may look at."""
    return limits.PAGE_ROWS_EXAMINED_MAX if query.text is None else limits.PAGE_BODIES_EXAMINED_MAX


def search_value(text: str | None) -> list[str] | None:
    """The words of a search as the statement compares them: bytes read as Latin-1, a word's forms a line each."""
    return None if text is None else [b"\n".join(forms).decode("latin-1") for forms in word_forms(text)]


async def deliveries(connection: Any, words: Words, query: DeliveryQuery) -> DeliveryPage:
    """One page of deliveries."""
    values = await _delivery_values(connection, words, query)
    if values is None:
        return DeliveryPage((), None, None)
    walk, plain = _delivery_walk(query)
    if walk == "by_types":
        type_ = values["type"]
        values["types"] = await words.types_of(connection, query.account) if type_ is None else [type_]
    most, wanted = examined_max(query), query.limit + 1
    exact = all(values[name] is None for name in _FILTERS if name not in plain)
    values |= {"wanted": wanted, "limit": wanted if exact else most, "examined": most}
    rows = await fetch(connection, _SQL.directed(f"page_{walk}", query.ascending), **values)
    views = [await _view(connection, words, row) for row in rows[: query.limit]]
    if len(rows) > query.limit:
        return DeliveryPage(tuple(views), views[-1].id, None)
    stopped = None if exact else await _stopped(connection, f"stop_{walk}", query.ascending, values)
    return DeliveryPage(tuple(views), stopped, None if stopped is None else ms_of(stopped))


def _delivery_walk(query: DeliveryQuery) -> tuple[str, tuple[str, ...]]:
    """The index to follow, and the filters that it leaves nothing of to look at."""
    if query.event is not None or query.events is not None:
        return "of_events", ("event",) if query.events is None else ("events",)
    if query.code is not None:
        return "by_code", ("code",)
    if query.states and State.SUCCEEDED not in query.states:
        if query.endpoint is not None:
            return "by_states_of_endpoint", ("states",)
        return "by_states", ("states",)
    if query.test:
        return "of_tests", ("test",)
    if query.endpoint is not None:
        return "by_endpoint", ()
    if query.number is not None:
        return "by_number", ("number",)
    return "by_types", ("type",)


async def _delivery_values(connection: Any, words: Words, query: DeliveryQuery) -> dict[str, Any] | None:
    """The filters as a statement takes them; ``None`` where one of them is a word that no row has."""
    states = [STATE_NUMBERS[state] for state in dict.fromkeys(query.states)] or None
    walked = query.events if query.event is None else (query.event,)
    values: dict[str, Any] = {
        "account": query.account,
        "endpoint": query.endpoint,
        "states": states,
        "state_list": states,
        "test": query.test,
        "event": query.event,
        "events": None if query.events is None else list(query.events),
        "walked_events": sorted(set(walked)) if walked is not None else None,
        "search": search_value(query.text),
        **bounds_of(query),
    }
    for name in ("type", "number", "code"):
        text = getattr(query, name)
        values[name] = None if text is None else await words.known(connection, text)
        if text is not None and values[name] is None:
            return None
    return values


async def _stopped(connection: Any, name: str, ascending: bool, values: dict[str, Any]) -> int | None:
    """The last row a search looked at, where it gave up before the end."""
    asked = values | {"limit": values["examined"] + 1}
    rows = await fetch(connection, _SQL.directed(name, ascending), **asked)
    return rows[0][0] if len(rows) > 1 else None


async def delivery(connection: Any, words: Words, account: int, row: int) -> DeliveryView | None:
    """One delivery."""
    day = min(day_of(row), _DAY_MAX)
    for found in await fetch(connection, _SQL["delivery"], id=row, day=day, account=account):
        return await _view(connection, words, found)
    return None


async def _view(connection: Any, words: Words, row: Any) -> DeliveryView:
    state = STATES[row["state"]]
    await words.read(connection, [row["type"], row["number"], row["code"], row["reason"]])
    waits = state in (State.PENDING, State.RETRYING) and not row["in_flight"]
    return DeliveryView(
        id=row["id"],
        event=row["event"],
        event_id=text_of(row["event_id"]),
        type=words.text(row["type"]) or "",
        account=row["account"],
        endpoint=row["endpoint"],
        state=state,
        attempts=row["attempts"],
        origin=Origin(row["origin"]),
        created_ms=ms_of(row["id"]),
        due_ms=row["due_ms"] if waits else None,
        in_flight=row["in_flight"],
        finished_ms=row["ended_ms"] if state in FINAL else None,
        status=row["status"],
        code=words.text(row["code"]),
        duration_us=row["duration_us"],
        number=words.text(row["number"]),
        reason=words.text(row["reason"]),
        ordered=row["ordered"],
    )


async def events(connection: Any, words: Words, query: EventQuery) -> EventPage:
    """One page of events."""
    values: dict[str, Any] = {
        "account": query.account,
        "matched": query.matched,
        "search": search_value(query.text),
        **bounds_of(query),
    }
    for name in ("type", "number"):
        text = getattr(query, name)
        values[name] = None if text is None else await words.known(connection, text)
        if text is not None and values[name] is None:
            return EventPage((), None, None)
    known = [await words.known(connection, name) for name in query.without]
    values["without"] = [number for number in known if number is not None]
    walk = await _event_walk(connection, words, query, values)
    most = examined_max(query)
    # Where each row of the walk is one that is wanted, no type needs to give more than fill the page.
    exact = walk in _EXACT and query.number is None and query.text is None and not query.matched
    rows_each = query.limit + 1 if exact else most
    values |= {"wanted": query.limit + 1, "limit": rows_each, "examined": most, "most": query.bytes_max or _WHOLE}
    rows = await fetch(connection, _SQL.directed(f"page_{walk}", query.ascending), **values)
    found = await read_events(connection, words, rows[: query.limit])
    if len(rows) > query.limit:
        return EventPage(found, found[-1].seq, None)
    stopped = await _stopped(connection, f"stop_{walk}", query.ascending, values)
    return EventPage(found, stopped, None if stopped is None else ms_of(stopped))


async def _event_walk(connection: Any, words: Words, query: EventQuery, values: dict[str, Any]) -> str:
    if query.seqs is not None:
        values["seqs"] = list(query.seqs)
        return "events_listed"
    if query.matched is False:
        values["types"] = await _types(connection, words, query, values)
        return "events_unmatched"
    if query.number is not None:
        return "events_by_number"
    values["types"] = await _types(connection, words, query, values)
    return "events_by_types"


async def _types(connection: Any, words: Words, query: EventQuery, values: dict[str, Any]) -> list[int]:
    """The types that events asked for may have."""
    if values["type"] is not None:
        return [values["type"]]
    return [number for number in await words.types_of(connection, query.account) if number not in values["without"]]


async def read_events(connection: Any, words: Words, rows: Sequence[Any]) -> tuple[EventRow, ...]:
    """Rows of the columns that an event is read from."""
    await words.read(connection, [number for row in rows for number in (row[3], row[6])])
    return tuple([read_event(row, words.text(row[3]) or "", words.text(row[6])) for row in rows])
