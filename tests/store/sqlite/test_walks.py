"""Walks over rows in order, one source or several, and the search that stops in time. No database needed."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model import limits
from whatsync.model.ids import ms_of
from whatsync.ports.history import EventQuery
from whatsync.store.sqlite.walks import (
    LOOK_AHEAD,
    AnyOf,
    Bounds,
    Found,
    Walk,
    bounds_of,
    found_for,
    listed,
    merged,
    search,
    thinnest,
)

rows_of = st.sets(st.integers(1, 3000), max_size=300)


def source(rows: Sequence[int], bounds: Bounds) -> Walk:
    """A walk over rows that are fetched a few at a time, as from an index."""

    def fetch(low: int, high: int, limit: int) -> list[int]:
        inside = sorted((row for row in rows if low <= row <= high), reverse=not bounds.ascending)
        return inside[:limit]

    return Walk(fetch, bounds)


def in_order(rows: set[int], bounds: Bounds) -> list[int]:
    return sorted((row for row in rows if bounds.low <= row <= bounds.high), reverse=not bounds.ascending)


bounds_made = st.builds(Bounds, st.integers(0, 1500), st.integers(1000, 3000), st.booleans())


@given(rows=rows_of, bounds=bounds_made, sizes=st.lists(st.integers(1, 50), min_size=1))
def test_a_walk_gives_every_row_once_in_order(rows: set[int], bounds: Bounds, sizes: list[int]) -> None:
    for walk in (source(list(rows), bounds), listed(list(rows), bounds)):
        seen: list[int] = []
        walk.density()
        for size in sizes * 400:
            taken = walk.take(size)
            seen += taken
            if len(taken) < size:
                break
        assert seen == in_order(rows, bounds)
        assert walk.take(1) == []


@given(sets=st.lists(rows_of, min_size=1, max_size=5), bounds=bounds_made)
def test_merged_walks_give_every_row_of_all(sets: list[set[int]], bounds: Bounds) -> None:
    apart: list[set[int]] = []
    for rows in sets:
        apart.append(rows - set().union(*apart))
    walk = merged([source(list(rows), bounds) for rows in apart], bounds.ascending)
    assert list(walk) == in_order(set().union(*apart), bounds)


class Listed:
    """A way along plain numbers."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = rows

    def walk(self, bounds: Bounds) -> Walk:
        return source(self.rows, bounds)

    def among(self, rows: Sequence[int]) -> list[int]:
        return [row for row in rows if row in self.rows]


@pytest.mark.parametrize("ascending", [False, True])
def test_the_thinnest_way_is_followed(ascending: bool) -> None:
    bounds = Bounds(0, 10**6, ascending)
    dense, sparse, ending = Listed(range(100_000)), Listed(range(0, 100_000, 50)), Listed(range(LOOK_AHEAD - 1))
    assert len(thinnest([dense, sparse], bounds).take(3000)) == 2000
    assert len(thinnest([dense, sparse, ending], bounds).take(3000)) == LOOK_AHEAD - 1
    assert len(thinnest([dense], bounds).take(3000)) == 3000


@given(sets=st.lists(rows_of, min_size=1, max_size=4), bounds=bounds_made)
def test_all_ways_together_give_what_is_in_each(sets: list[set[int]], bounds: Bounds) -> None:
    walk = thinnest([Listed(sorted(rows)) for rows in sets], bounds)
    seen: list[int] = []
    while rows := walk.take(20):
        seen += walk.sifted(rows)
    assert seen == in_order(set.intersection(*sets), bounds)


@given(sets=st.lists(rows_of, min_size=1, max_size=4), bounds=bounds_made)
def test_any_of_several_ways_is_one_way(sets: list[set[int]], bounds: Bounds) -> None:
    apart: list[set[int]] = []
    for rows in sets:
        apart.append(rows - set().union(*apart))
    way = AnyOf([Listed(sorted(rows)) for rows in apart])
    everything = set().union(*sets)
    assert list(way.walk(bounds)) == in_order(everything, bounds)

    def heads(within: Bounds) -> list[int | None]:
        return [next(iter(in_order(rows, within)), None) for rows in apart]

    assert list(AnyOf([Listed(sorted(rows)) for rows in apart], heads).walk(bounds)) == in_order(everything, bounds)
    assert way.among(list(range(0, 3000, 3))) == [row for row in range(0, 3000, 3) if row in everything]


class Table:
    """A search over plain numbers: those above the fold are the table's tail."""

    def __init__(self, rows: range, wanted: set[int], tired_after: int = 10**9) -> None:
        self.rows, self.wanted, self.tired_after = rows, wanted, tired_after
        self.looked_at = 0

    def in_range(self, bounds: Bounds, limit: int) -> list[int]:
        inside = [row for row in self.rows if bounds.low <= row <= bounds.high and row in self.wanted]
        return (inside if bounds.ascending else inside[::-1])[:limit]

    def among(self, rows: Sequence[int], limit: int) -> list[int]:
        self.looked_at += len(rows)
        return [row for row in rows if row in self.wanted][:limit]

    def walk(self, bounds: Bounds) -> Walk:
        return source(self.rows, bounds)

    def row_of(self, item: int) -> int:
        return item

    def tired(self) -> bool:
        return self.looked_at >= self.tired_after


@given(wanted=st.sets(st.integers(0, 999)), fold=st.integers(-1, 1000), limit=st.integers(1, 60), up=st.booleans())
def test_pages_give_every_match_once(wanted: set[int], fold: int, limit: int, up: bool) -> None:
    table = Table(range(1000), wanted)
    bounds, seen = Bounds(0, 999, up), list[int]()
    while True:
        items, following, searched = search(Found(limit), table, bounds, fold).page(table.row_of)
        assert searched is None
        seen += items
        if following is None:
            break
        assert len(items) == limit
        bounds = bounds.above(following) if up else bounds.up_to(following - 1)
    assert seen == sorted(wanted, reverse=not up)


@pytest.mark.parametrize("up", [False, True])
def test_a_search_stops_at_its_bound_and_goes_on_there(up: bool) -> None:
    rows = range(1 << 21, (1 << 21) * 20_001, 1 << 21)
    table = Table(rows, {rows[0], rows[-1]})
    bounds, pages = Bounds(0, rows[-1], up), 0
    found: list[int] = []
    while True:
        table.looked_at = 0
        items, following, searched = search(Found(10), table, bounds, -1 if up else 1 << 60).page(table.row_of)
        if up:
            table.looked_at = 0
        assert table.looked_at <= limits.PAGE_ROWS_EXAMINED_MAX
        found += items
        if following is None:
            break
        pages += 1
        assert searched == ms_of(following)
        bounds = bounds.above(following) if up else bounds.up_to(following - 1)
    assert sorted(found) == [rows[0], rows[-1]]
    assert pages == (0 if up else 3)


def test_a_tired_search_stops() -> None:
    table = Table(range(5000), {0}, tired_after=1000)
    items, following, searched = search(Found(10), table, Bounds(0, 4999, False), 10_000).page(table.row_of)
    assert (items, searched is None) == ([], False)
    assert following is not None
    assert following > 0
    assert table.looked_at < 2000


def test_a_search_that_looked_at_everything_is_at_its_end() -> None:
    """Even where the last row is the last that may be looked at."""
    table = Table(range(limits.PAGE_ROWS_EXAMINED_MAX), {0})
    items, following, searched = search(Found(10), table, Bounds(0, 10**6, False), 10**6).page(table.row_of)
    assert (items, following, searched) == ([0], None, None)


def test_words_are_looked_for_in_fewer_rows() -> None:
    assert found_for(10, None).examined_max == limits.PAGE_ROWS_EXAMINED_MAX
    assert found_for(10, "word").examined_max == limits.PAGE_BODIES_EXAMINED_MAX


def test_times_and_cursor_become_rows() -> None:
    assert bounds_of(EventQuery(1, since_ms=5, until_ms=7)) == Bounds(5 << 21, (7 << 21) - 1, False)
    assert bounds_of(EventQuery(1, before=100)) == Bounds(0, 99, False)
    assert bounds_of(EventQuery(1, before=100, ascending=True)).low == 101
    assert bounds_of(EventQuery(1, until_ms=0)).high == -1
