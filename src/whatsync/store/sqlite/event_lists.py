"""Lists of events, single ones, and finding them by their words."""

from collections.abc import Sequence
from typing import Any

import msgspec

from whatsync.model import limits
from whatsync.ports.history import EventPage, EventQuery
from whatsync.ports.store import EventRow
from whatsync.store.coding import read_event
from whatsync.store.sqlite.readers import Along, Reader, heads, rows_value, word_values
from whatsync.store.sqlite.walks import (
    AnyOf,
    Bounds,
    Found,
    Walk,
    Way,
    bounds_of,
    found_for,
    listed,
    merged,
    search,
    thinnest,
)

BY_TYPE = ("events_by_type", "event_heads")
UNMATCHED = ("events_unmatched", "unmatched_heads")
"""Indexes that begin with the type: the statements that walk one and find its first rows."""
_WHOLE = 1 << 30
"""More bytes than any body has."""


class _Search:
    """The events that a query asks for, by their rows."""

    def __init__(self, reader: Reader, query: EventQuery, values: dict[str, Any]) -> None:
        self._reader = reader
        self._query = query
        known = (reader.words.known(name) for name in query.without)
        self._left_out = [number for number in known if number is not None]
        self._values = values

    def in_range(self, bounds: Bounds, limit: int) -> list[int]:
        """Matching rows of the table."""
        seqs = self._query.seqs
        if seqs is not None:
            return self.among(listed(seqs, bounds).take(len(seqs)), limit)
        low, high = bounds.low, bounds.high
        return self._reader.packed(
            "events_in_range", bounds.ascending, low=low, high=high, limit=limit, **self._values, **self._without()
        )

    def among(self, rows: Sequence[int], limit: int) -> list[int]:
        """The matching ones of these rows."""
        return self._reader.packed(
            "events_among", rows=rows_value(rows), limit=limit, **self._values, **self._without()
        )

    def _without(self) -> dict[str, Any]:
        return {"without": rows_value(self._left_out)}

    def row_of(self, row: int) -> int:
        """An event's row."""
        return row

    def tired(self) -> bool:
        """Whether enough of the file was read for one page."""
        return self._reader.tired()

    def walk(self, bounds: Bounds) -> Walk:
        """The index to follow."""
        query, values = self._query, self._values
        if query.seqs is not None:
            return listed(query.seqs, bounds)
        ways: list[Way] = []
        if query.matched is False:
            ways.append(_of_types(self._reader, query.account, self._types(), UNMATCHED))
        elif values["type"] is not None:
            ways.append(Along(self._reader, "events_by_type", {"account": query.account, "key": values["type"]}))
        if values["number"] is not None:
            ways.append(Along(self._reader, "events_by_number", {"account": query.account, "key": values["number"]}))
        return thinnest(ways, bounds) if ways else of_types(self._reader, query.account, self._types(), bounds)

    def _types(self) -> list[int]:
        """The types that events asked for may have."""
        if self._values["type"] is not None:
            return [self._values["type"]]
        return [number for number in _types_of(self._reader, self._query.account) if number not in self._left_out]


def of_types(reader: Reader, account: int, types: Sequence[int], bounds: Bounds) -> Walk:
    """A walk over an account's events of some types."""
    return _of_types(reader, account, types, BY_TYPE).walk(bounds)


def _of_types(reader: Reader, account: int, types: Sequence[int], index: tuple[str, str]) -> Way:
    """The way along events of some types, in one of the indexes that begin with the type."""
    name, first = index
    ways = [Along(reader, name, {"account": account, "key": number}) for number in types]
    return AnyOf(ways, heads(reader, first, account, types))


def _types_of(reader: Reader, account: int) -> list[int]:
    """The types that an account has events of."""
    return reader.packed("types_of_events", account=account)


def of_account(reader: Reader, account: int, bounds: Bounds) -> Walk:
    """A walk over all events of an account."""
    return of_types(reader, account, _types_of(reader, account), bounds)


def events(reader: Reader, query: EventQuery) -> EventPage:
    """One page of events."""
    values: dict[str, Any] = {"account": query.account, "matched": query.matched, **word_values(query.text)}
    for name in ("type", "number"):
        text = getattr(query, name)
        values[name] = None if text is None else reader.words.known(text)
        if text is not None and values[name] is None:
            return EventPage((), None, None)
    source = _Search(reader, query, values)
    found: Found[int] = search(found_for(query.limit, query.text), source, bounds_of(query), reader.fold())
    rows, following, searched_to_ms = found.page(source.row_of)
    return EventPage(rows_of(reader, query.account, rows, query.bytes_max), following, searched_to_ms)


def rows_of(reader: Reader, account: int, seqs: Sequence[int], bytes_max: int | None = None) -> tuple[EventRow, ...]:
    """The events in these rows, in their order; others' and missing ones left out."""
    if not seqs:
        return ()
    most = _WHOLE if bytes_max is None else bytes_max
    ((packed, bodies),) = reader.rows("event_rows", account=account, rows=rows_value(seqs), most=most)
    found = []
    at = 0
    for row in msgspec.json.decode(packed, type=list[list[Any]]):
        body_bytes, details_bytes = row[4], row[5]
        row[4] = bodies[at : at + body_bytes]
        at += body_bytes
        if details_bytes is not None:
            row[5] = bodies[at : at + details_bytes]
            at += details_bytes
        found.append(read_event(row, reader.words.text))
    return tuple(found)


def by_id(reader: Reader, account: int, event_id: str, hash_: int, recent: Sequence[int]) -> EventRow | None:
    """The event with this id. ``recent``: rows of the hash that are not on disk as such yet."""
    candidates = {*recent, *reader.packed("rows_of_id", hash=hash_)}
    for event in rows_of(reader, account, sorted(candidates)):
        if event.id == event_id:
            return event
    return None


def by_keyword(  # noqa: PLR0917 - one look-up
    reader: Reader, account: int, word: str, hash_: int, recent: Sequence[int], limit: int, below: int
) -> tuple[EventRow, ...]:
    """The newest events with this word, in rows below one."""
    bounds = Bounds(0, below - 1, ascending=False)
    walks = [_along_run(reader, run, hash_, bounds) for run in reader.packed("keyword_runs")]
    rows = merged([listed(recent, bounds), *walks], ascending=False)
    found: list[EventRow] = []
    examined = 0
    while len(found) < limit and examined < limits.PAGE_ROWS_EXAMINED_MAX:
        piece = rows.take(limit - len(found))
        if not piece:
            break
        examined += len(piece)
        # A row may stand in a run and among the recent ones; it may be gone, or have only the hash in common.
        known = {event.seq for event in found[-1:]}
        events = rows_of(reader, account, [row for row in dict.fromkeys(piece) if row not in known])
        found += [event for event in events if word in event.keys]
    return tuple(found)


def _along_run(reader: Reader, run: int, hash_: int, bounds: Bounds) -> Walk:
    def fetch(low: int, high: int, limit: int) -> list[int]:
        return reader.packed("rows_of_keyword", run=run, hash=hash_, low=low, high=high, limit=limit)

    return Walk(fetch, bounds)
