"""Events in the order of their commits, and the ones an endpoint has no delivery of."""

from collections.abc import Sequence
from typing import Any

import msgspec

from whatsync.model import limits
from whatsync.model.ids import ms_of
from whatsync.ports.store import EventRow
from whatsync.store.sqlite.event_lists import of_account, of_types, rows_of
from whatsync.store.sqlite.readers import Reader, rows_value
from whatsync.store.sqlite.walks import ROW_MAX, Bounds, Walk

CURSOR_STEP_MS = 60_000
"""A reader who has got everything is moved to the newest row of all accounts, but not oftener than this: his cursor
stays young enough for retention, and does not change each time somebody else's event comes.
"""


def feed(
    reader: Reader, account: int, after: int, types: tuple[str, ...], limit: int
) -> tuple[tuple[EventRow, ...], int]:
    """Events whose place is above ``after``, and the cursor behind them.

    An event's place is its row, except where it was committed after younger ones; those have theirs in a column.
    """
    wanted = _numbers(reader, types) if types else None
    newest = reader.value("newest_event") or 0
    rows, passed = _in_order(reader, account, after, wanted, limit)
    late = _late(reader, account, after, wanted)
    if len(late) == limits.PAGE_ROWS_EXAMINED_MAX:
        passed = min(late[-1].place, late[-1].place if passed is None else passed)
    placed = [(row, row) for row in rows] + [(one.place, one.row) for one in late if one.fits]
    taken = sorted(one for one in placed if passed is None or one[0] <= passed)
    events = rows_of(reader, account, [row for _, row in taken[:limit]])
    if len(taken) > limit:
        return events, taken[limit - 1][0]
    if passed is not None:
        return events, passed
    last = max([after, *(place for place, _ in taken), *(one.place for one in late)])
    return events, newest if ms_of(newest) - ms_of(last) > CURSOR_STEP_MS else last


class _Late(msgspec.Struct, array_like=True, frozen=True):
    """An event that was committed after younger ones."""

    place: int
    row: int
    fits: int


def _late(reader: Reader, account: int, after: int, types: list[int] | None) -> list[_Late]:
    packed = reader.value(
        "fed_late", account=account, after=after, limit=limits.PAGE_ROWS_EXAMINED_MAX, types=_encoded(types)
    )
    return msgspec.json.decode(packed, type=list[_Late])


def _in_order(
    reader: Reader, account: int, after: int, types: list[int] | None, limit: int
) -> tuple[list[int], int | None]:
    """Rows committed in their order, one more than the limit where there are as many; and how far was looked, ``None``
    where that is to the end.
    """
    fold = reader.fold()
    bounds = Bounds(after + 1, ROW_MAX, ascending=True)
    below = bounds.up_to(fold)
    walk = of_account(reader, account, below) if types is None else of_types(reader, account, types, below)
    rows, passed = gathered(
        walk,
        limit + 1,
        lambda some, wanted: reader.packed("fed_among", account=account, rows=rows_value(some), limit=wanted),
    )
    if len(rows) > limit or passed is not None:
        return rows, passed
    above = bounds.above(fold)
    rows += reader.packed(
        "fed_in_range",
        account=account,
        low=above.low,
        high=above.high,
        limit=limit + 1 - len(rows),
        types=_encoded(types),
    )
    return rows, None


def gathered(walk: Walk, wanted: int, matching: Any) -> tuple[list[int], int | None]:
    """Matching rows of a walk, and the row it stopped at where it has looked at enough."""
    rows: list[int] = []
    examined = 0
    while len(rows) < wanted:
        piece = walk.take(min(max(wanted, 64), limits.PAGE_ROWS_EXAMINED_MAX - examined))
        if not piece:
            return rows, None
        examined += len(piece)
        rows += matching(piece, wanted - len(rows))
        if examined >= limits.PAGE_ROWS_EXAMINED_MAX and len(rows) < wanted:
            return rows, piece[-1]
    return rows, None


def feed_bounds(reader: Reader, account: int) -> tuple[int, int]:
    """The oldest cursor that still skips nothing, and the newest."""
    floor = reader.value("feed_floor", account=account) or 0
    newest = reader.value("newest_event") or 0
    late = reader.value("newest_late", account=account) or 0
    return floor, max(floor, newest, late)


class Gap(msgspec.Struct, frozen=True):
    """Which events are asked for that an endpoint has no delivery of."""

    account: int
    endpoint: int
    types: tuple[str, ...]
    bounds: Bounds
    limit: int


def missing(reader: Reader, gap: Gap) -> tuple[tuple[EventRow, ...], int | None]:
    """Events without a delivery to the endpoint, oldest first, and where to go on."""
    types = _numbers(reader, gap.types)
    if not types:
        return (), None
    fold = reader.fold()
    values: dict[str, Any] = {"account": gap.account, "endpoint": gap.endpoint, "fold": fold}
    walk = of_types(reader, gap.account, types, gap.bounds.up_to(fold))
    rows, passed = gathered(
        walk,
        gap.limit + 1,
        lambda some, wanted: reader.packed("missing_among", rows=rows_value(some), limit=wanted, **values),
    )
    above = gap.bounds.above(fold)
    if passed is None and len(rows) <= gap.limit and above.low <= above.high:
        wanted = gap.limit + 1 - len(rows)
        rows += reader.packed(
            "missing_in_range", low=above.low, high=above.high, types=_encoded(types), limit=wanted, **values
        )
    if len(rows) > gap.limit:
        rows = rows[: gap.limit]
        passed = rows[-1]
    return rows_of(reader, gap.account, rows), passed


def _numbers(reader: Reader, types: Sequence[str]) -> list[int]:
    known = (reader.words.known(one) for one in dict.fromkeys(types))
    return [number for number in known if number is not None]


def _encoded(types: list[int] | None) -> str | None:
    return None if types is None else msgspec.json.encode(types).decode()
