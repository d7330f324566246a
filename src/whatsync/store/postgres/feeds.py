"""Events in the order of their transactions, and the ones an endpoint has no delivery of.

A place in the feed is (transaction, number in it). Only places below the oldest transaction that still runs are read:
nothing can appear there any more, in whatever order transactions commit.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from whatsync.model import limits
from whatsync.ports.store import EventRow
from whatsync.store.postgres.coding import day_of
from whatsync.store.postgres.connection import fetch
from whatsync.store.postgres.lists import read_events
from whatsync.store.postgres.statements import statements
from whatsync.store.postgres.words import Words

HIDDEN_SECONDS = 2.0
HIDDEN_PAUSE_SECONDS = 0.02
_EXAMINED = 1_000
_DAY_MAX = (1 << 31) - 1

_SQL = statements("history.sql")


class Wanted(msgspec.Struct, frozen=True):
    """What a reader of the feed asks for."""

    account: int
    after: int
    types: tuple[str, ...]
    limit: int
    base: int


class Page(msgspec.Struct, frozen=True):
    """What there is for it. ``hidden``: more is committed that can't be shown yet."""

    items: tuple[EventRow, ...]
    cursor: int
    hidden: bool


async def feed(connection: Any, words: Words, wanted: Wanted) -> Page:
    """Events whose place is above the cursor, and the cursor behind them."""
    types = None
    if wanted.types:
        types = await _numbers(connection, words, wanted.types)
    values = {
        "account": wanted.account, "after": wanted.after, "types": types, "limit": wanted.limit, "base": wanted.base,
        "examined": min(limits.PAGE_ROWS_EXAMINED_MAX, max(_EXAMINED if types is not None else 0, wanted.limit + 50)),
    }  # fmt: skip
    rows = await fetch(connection, _SQL["feed"], **values)
    last, hidden = rows[0][0], rows[0][1]
    found = [row for row in rows if row[2] is not None]
    items = await read_events(connection, words, [row[3:] for row in found])
    if len(found) == wanted.limit:
        return Page(items, found[-1][2], hidden)
    return Page(items, wanted.after if last is None else last, hidden)


class Gap(msgspec.Struct, frozen=True):
    """Which events are asked for that an endpoint has no delivery of."""

    account: int
    endpoint: int
    types: tuple[str, ...]
    low: int
    high: int
    limit: int


async def missing(connection: Any, words: Words, gap: Gap) -> tuple[tuple[EventRow, ...], int | None]:
    """Events without a delivery to the endpoint, oldest first, and where to go on."""
    types = await _numbers(connection, words, gap.types)
    if not types or gap.low > gap.high:
        return (), None
    most = limits.PAGE_ROWS_EXAMINED_MAX
    values: dict[str, Any] = {
        "account": gap.account, "endpoint": gap.endpoint, "types": types, "low": gap.low, "high": gap.high,
        "low_day": min(day_of(gap.low), _DAY_MAX), "high_day": min(day_of(gap.high), _DAY_MAX),
        "wanted": gap.limit + 1, "limit": most, "examined": most,
    }  # fmt: skip
    rows = await fetch(connection, _SQL.directed("missing", ascending=True), **values)
    events = await read_events(connection, words, rows[: gap.limit])
    if len(rows) > gap.limit:
        return events, events[-1].seq
    stop = _SQL.directed("stop_events_by_types", ascending=True)
    stopped = await fetch(connection, stop, **(values | {"limit": most + 1}))
    return events, stopped[0][0] if len(stopped) > 1 else None


async def _numbers(connection: Any, words: Words, types: Sequence[str]) -> list[int]:
    numbers = [await words.known(connection, one) for one in dict.fromkeys(types)]
    return [number for number in numbers if number is not None]
