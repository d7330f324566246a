"""Lists of deliveries: which index to walk for which filters, and the rows as the history shows them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from whatsync.model.delivery import FINAL, State
from whatsync.model.ids import ms_of
from whatsync.ports.history import DeliveryPage, DeliveryQuery, DeliveryView
from whatsync.ports.store import Origin
from whatsync.store.coding import STATE_NUMBERS, STATES, unpack_outcome
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

_LOST = frozenset({State.FAILED, State.CANCELLED})


class _Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A delivery as the statement packs it."""

    id: int
    event: int
    event_id: str
    type: int
    account: int
    endpoint: int
    state: int
    attempts: int
    origin: int
    at_ms: int | None
    in_flight: int
    outcome: int
    code: int | None
    number: int | None
    reason: int | None
    ordered: int


_rows = msgspec.json.Decoder(list[_Row])


class _Search:
    """The deliveries that a query asks for."""

    def __init__(self, reader: Reader, query: DeliveryQuery, values: dict[str, Any]) -> None:
        self._reader = reader
        self._query = query
        self._values = values

    def in_range(self, bounds: Bounds, limit: int) -> list[_Row]:
        """Matching rows of the table."""
        return _decode(
            self._reader.value(
                "deliveries_in_range",
                bounds.ascending,
                low=bounds.low,
                high=bounds.high,
                limit=limit,
                **self._values,
            )
        )

    def among(self, rows: Sequence[int], limit: int) -> list[_Row]:
        """The matching ones of these rows."""
        return _decode(self._reader.value("deliveries_among", rows=rows_value(rows), limit=limit, **self._values))

    def row_of(self, row: _Row) -> int:
        """A delivery's row."""
        return row.id

    def tired(self) -> bool:
        """Whether enough of the file was read for one page."""
        return self._reader.tired()

    def walk(self, bounds: Bounds) -> Walk:
        """The index to follow."""
        query, values = self._query, self._values
        if query.event is not None:
            return self._of_events((query.event,), bounds)
        if query.events is not None:
            return self._of_events(query.events, bounds)
        ways: list[Way] = []
        if query.code is not None:
            ways.append(self._along("deliveries_by_code", values["code"]))
        if query.states and State.SUCCEEDED not in query.states:
            ways.append(AnyOf([self._in_state(state) for state in State if state in query.states]))
        if query.test:
            ways.append(self._along("deliveries_of_tests", None))
        named = [name for name in ("endpoint", "type", "number") if values[name] is not None]
        ways += [self._along(f"deliveries_by_{name}", values[name]) for name in named]
        return thinnest(ways, bounds) if ways else self._of_account(bounds)

    def _along(self, name: str, key: int | None) -> Along:
        return Along(self._reader, name, {"account": self._query.account, "key": key})

    def _in_state(self, state: State) -> Along:
        number = STATE_NUMBERS[state]
        if self._query.endpoint is not None:
            name = "deliveries_lost" if state in _LOST else "deliveries_open"
            return Along(self._reader, name, {"endpoint": self._query.endpoint, "key": number})
        return self._along("deliveries_pending" if state is State.PENDING else "deliveries_by_state", number)

    def _of_account(self, bounds: Bounds) -> Walk:
        types = self._reader.packed("types_of_deliveries", account=self._query.account)
        if not types:
            return listed((), bounds)
        ways = [self._along("deliveries_by_type", number) for number in types]
        return AnyOf(ways, heads(self._reader, "delivery_heads", self._query.account, types)).walk(bounds)

    def _of_events(self, events: Sequence[int], bounds: Bounds) -> Walk:
        spans = self._reader.packed("delivery_spans", account=self._query.account, rows=rows_value(events))
        groups = _groups([(first, last) for first, last in spans if last >= bounds.low and first <= bounds.high])
        if not bounds.ascending:
            groups.reverse()
        added = self._reader.packed("deliveries_added", rows=rows_value(events), low=bounds.low, high=bounds.high)
        walks = [_InTurn([self._in_span(bounds, *group) for group in groups], bounds), listed(added, bounds)]
        return merged(walks, bounds.ascending)

    def _in_span(self, bounds: Bounds, first: int, last: int) -> Walk:
        reader, ascending = self._reader, bounds.ascending

        def fetch(low: int, high: int, limit: int) -> list[int]:
            return reader.packed("deliveries_in_span", ascending, low=low, high=high, limit=limit)

        return Walk(fetch, bounds.above(first - 1).up_to(last))


class _InTurn(Walk):
    """Walks one after the other, begun only when their turn comes."""

    def __init__(self, walks: Sequence[Walk], bounds: Bounds) -> None:
        super().__init__(lambda _low, _high, _limit: [], bounds)
        self._walks = list(walks)

    def _more(self, count: int) -> list[int]:
        rows: list[int] = []
        while self._walks and len(rows) < count:
            rows += self._walks[0].take(count - len(rows))
            if len(rows) < count:
                self._walks.pop(0)
        return rows


def _groups(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that overlap or nearly touch made one."""
    groups: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if groups and first <= groups[-1][1]:
            groups[-1] = (groups[-1][0], max(last, groups[-1][1]))
        else:
            groups.append((first, last))
    return groups


def deliveries(reader: Reader, query: DeliveryQuery) -> DeliveryPage:
    """One page of deliveries."""
    values = _values(reader, query)
    if values is None:
        return DeliveryPage((), None, None)
    source = _Search(reader, query, values)
    found: Found[_Row] = search(found_for(query.limit, query.text), source, bounds_of(query), reader.fold())
    rows, following, searched_to_ms = found.page(source.row_of)
    return DeliveryPage(tuple([_view(reader, row) for row in rows]), following, searched_to_ms)


def delivery(reader: Reader, account: int, row: int) -> DeliveryView | None:
    """One delivery."""
    for found in _decode(reader.value("delivery", id=row, account=account)):
        return _view(reader, found)
    return None


def _values(reader: Reader, query: DeliveryQuery) -> dict[str, Any] | None:
    """The filters as a statement takes them; ``None`` where one of them is a word that no row has."""
    values: dict[str, Any] = {
        "account": query.account,
        "endpoint": query.endpoint,
        "states": sum(1 << STATE_NUMBERS[state] for state in set(query.states)) if query.states else None,
        "test": query.test,
        "event": query.event,
        "events": None if query.events is None else msgspec.json.encode(query.events).decode(),
        **word_values(query.text),
    }
    for name in ("type", "number", "code"):
        text = getattr(query, name)
        values[name] = None if text is None else reader.words.known(text)
        if text is not None and values[name] is None:
            return None
    return values


def _decode(packed: str | None) -> list[_Row]:
    return [] if packed is None else _rows.decode(packed)


def _view(reader: Reader, row: _Row) -> DeliveryView:
    state = STATES[row.state]
    status, duration_us = unpack_outcome(row.outcome)
    waits = state in (State.PENDING, State.RETRYING) and not row.in_flight
    return DeliveryView(
        id=row.id,
        event=row.event,
        event_id=row.event_id,
        type=reader.words.text(row.type),
        account=row.account,
        endpoint=row.endpoint,
        state=state,
        attempts=row.attempts,
        origin=Origin(row.origin),
        created_ms=ms_of(row.id),
        due_ms=row.at_ms if waits else None,
        in_flight=bool(row.in_flight),
        finished_ms=row.at_ms if state in FINAL else None,
        status=status,
        code=reader.text(row.code),
        duration_us=duration_us,
        number=reader.text(row.number),
        reason=reader.text(row.reason),
        ordered=bool(row.ordered),
    )
