"""Row numbers in order, fetched piece by piece: along an index, along several at once, or out of a list; and the search
that walks them until a page is full or enough has been looked at. Knows no table.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace, merge
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from whatsync.model import limits
from whatsync.model.ids import first_row_at, ms_of

Item = TypeVar("Item")
Fetch = Callable[[int, int, int], list[int]]
"""Rows between two, both included, in the walk's direction, up to a number of them."""

LOOK_AHEAD = 64
_PIECE = 16
_PIECE_MAX = 512
_PIECES_MIN = 5
"""Pieces, at least, in which a search looks at all it may; between two of them it can stop."""
ROW_MAX = 2**63 - 1


class Bounds(msgspec.Struct, frozen=True):
    """Between which rows, both included, and in which direction."""

    low: int
    high: int
    ascending: bool

    def up_to(self, row: int) -> "Bounds":
        """The part that ends with ``row``."""
        return Bounds(self.low, min(self.high, row), self.ascending)

    def above(self, row: int) -> "Bounds":
        """The part that begins above ``row``."""
        return Bounds(max(self.low, row + 1), self.high, self.ascending)


class Query(Protocol):
    """What the queries for lists have in common."""

    @property
    def since_ms(self) -> int | None:
        """From this moment on."""

    @property
    def until_ms(self) -> int | None:
        """Before this moment."""

    @property
    def before(self) -> int | None:
        """The cursor."""

    @property
    def ascending(self) -> bool:
        """Oldest first."""


def bounds_of(query: Query) -> Bounds:
    """Time and cursor of a query as row numbers."""
    low = 0 if query.since_ms is None else first_row_at(query.since_ms)
    high = ROW_MAX if query.until_ms is None else first_row_at(query.until_ms) - 1
    if query.before is not None and query.ascending:
        low = max(low, query.before + 1)
    elif query.before is not None:
        high = min(high, query.before - 1)
    return Bounds(low, high, query.ascending)


class Walk:
    """Rows from one source."""

    def __init__(self, fetch: Fetch, bounds: Bounds) -> None:
        self._fetch = fetch
        self._low, self._high, self.ascending = bounds.low, bounds.high, bounds.ascending
        self._ahead: list[int] = []
        self.sieves: Sequence[Callable[[Sequence[int]], list[int]]] = ()
        """Other indexes a row has to be in: asked before the table itself is."""

    def sifted(self, rows: list[int]) -> list[int]:
        """The ones of these rows that are in all other indexes too."""
        for sieve in self.sieves:
            if rows:
                rows = sieve(rows)
        return rows

    def take(self, count: int) -> list[int]:
        """The next rows, ``count`` of them unless the walk ends."""
        rows, self._ahead = self._ahead[:count], self._ahead[count:]
        if len(rows) < count:
            rows += self._more(count - len(rows))
        return rows

    def density(self) -> float:
        """How far apart the next rows lie; a walk that is about to end is as thin as can be."""
        self._ahead += self._more(LOOK_AHEAD - len(self._ahead))
        if len(self._ahead) < LOOK_AHEAD:
            return -1.0
        return LOOK_AHEAD / (1 + abs(self._ahead[-1] - self._ahead[0]))

    def __iter__(self) -> Iterator[int]:
        piece = _PIECE
        while rows := self.take(piece):
            yield from rows
            piece = min(piece * 2, _PIECE_MAX)

    def _more(self, count: int) -> list[int]:
        if self._low > self._high or count <= 0:
            return []
        rows = self._fetch(self._low, self._high, count)
        if len(rows) < count:
            self._low = self._high + 1
        elif self.ascending:
            self._low = rows[-1] + 1
        else:
            self._high = rows[-1] - 1
        return rows


class Merged(Walk):
    """Rows from several sources that have none in common."""

    def __init__(self, walks: Sequence[Walk], ascending: bool) -> None:
        super().__init__(lambda _low, _high, _limit: [], Bounds(0, 0, ascending))
        self._rows = merge(*walks, reverse=not ascending)

    def _more(self, count: int) -> list[int]:
        return list(islice(self._rows, count))


class _Headed(Walk):
    """Rows of several ways whose first rows are known."""

    def __init__(self, ways: Sequence["Way"], heads: Sequence[int | None], bounds: Bounds) -> None:
        super().__init__(lambda _low, _high, _limit: [], bounds)
        self._sign = 1 if bounds.ascending else -1
        self._bounds = bounds
        self._ways = ways
        self._heap = [(self._sign * row, at) for at, row in enumerate(heads) if row is not None]
        heapify(self._heap)
        self._begun: dict[int, Iterator[int]] = {}

    def _more(self, count: int) -> list[int]:
        rows: list[int] = []
        while self._heap and len(rows) < count:
            signed, at = self._heap[0]
            rows.append(self._sign * signed)
            following = self._after(rows[-1], at)
            if following is None:
                heappop(self._heap)
            else:
                heapreplace(self._heap, (self._sign * following, at))
        return rows

    def _after(self, row: int, at: int) -> int | None:
        begun = self._begun.get(at)
        if begun is None:
            rest = self._bounds.above(row) if self.ascending else self._bounds.up_to(row - 1)
            begun = self._begun[at] = iter(self._ways[at].walk(rest))
        return next(begun, None)


def merged(walks: Sequence[Walk], ascending: bool) -> Walk:
    """One walk over all of them."""
    return walks[0] if len(walks) == 1 else Merged(walks, ascending)


def listed(rows: Sequence[int], bounds: Bounds) -> Walk:
    """A walk over rows that are known."""
    known = sorted(set(rows))

    def fetch(low: int, high: int, limit: int) -> list[int]:
        inside = known[bisect_left(known, low) : bisect_right(known, high)]
        return (inside if bounds.ascending else inside[::-1])[:limit]

    return Walk(fetch, bounds)


class Way(Protocol):
    """An index and the key to follow in it."""

    def walk(self, bounds: Bounds) -> Walk:
        """Its rows."""

    def among(self, rows: Sequence[int]) -> list[int]:
        """The ones of these rows that are in it, in their order."""


class AnyOf:
    """Several ways that have no row in common, taken as one.

    ``heads`` finds the first row of each (``None``: it has no row) at once; then only ways are walked whose turn comes.
    """

    def __init__(self, ways: Sequence[Way], heads: Callable[[Bounds], Sequence[int | None]] | None = None) -> None:
        self._ways = ways
        self._heads = heads

    def walk(self, bounds: Bounds) -> Walk:
        """Rows of all of them."""
        if self._heads is None or len(self._ways) == 1:
            return merged([way.walk(bounds) for way in self._ways], bounds.ascending)
        return _Headed(self._ways, self._heads(bounds), bounds)

    def among(self, rows: Sequence[int]) -> list[int]:
        """Rows that are in one of them."""
        known = {row for way in self._ways for row in way.among(rows)}
        return [row for row in rows if row in known]


def thinnest(ways: Sequence[Way], bounds: Bounds) -> Walk:
    """A walk along the way whose rows lie farthest apart, the others as its sieves."""
    if len(ways) == 1:
        return ways[0].walk(bounds)
    walks = [way.walk(bounds) for way in ways]
    chosen = min(range(len(ways)), key=lambda at: walks[at].density())
    walks[chosen].sieves = [way.among for at, way in enumerate(ways) if at != chosen]
    return walks[chosen]


class Search(Generic[Item], Protocol):
    """What a search has to know of its table."""

    def in_range(self, bounds: Bounds, limit: int) -> list[Item]:
        """Matching rows of the table itself, in order."""

    def among(self, rows: Sequence[int], limit: int) -> list[Item]:
        """The matching ones of ``rows``, in their order."""

    def walk(self, bounds: Bounds) -> Walk:
        """Rows that may match, thin enough to look at each."""

    def row_of(self, item: Item) -> int:
        """An item's row."""

    def tired(self) -> bool:
        """Whether looking further would take too long for one page."""


class Found(Generic[Item]):
    """What a search has come to."""

    def __init__(self, limit: int, examined_max: int = limits.PAGE_ROWS_EXAMINED_MAX) -> None:
        self.items: list[Item] = []
        self.limit = limit
        self.examined_max = examined_max
        self.stopped: int | None = None
        """The last row looked at, where the search gave up."""

    @property
    def wanted(self) -> int:
        """How many more it takes to fill the page and know that there is another."""
        return self.limit + 1 - len(self.items)

    def page(self, row_of: Callable[[Item], int]) -> tuple[list[Item], int | None, int | None]:
        """Items, where the next page goes on, and how far back a search that gave up has looked."""
        if len(self.items) > self.limit:
            items = self.items[: self.limit]
            return items, row_of(items[-1]), None
        if self.stopped is not None:
            return self.items, self.stopped, ms_of(self.stopped)
        return self.items, None, None


def found_for(limit: int, text: str | None) -> Found[Any]:
    """An empty page of ``limit`` items; a search for words may look at fewer rows."""
    return Found(limit) if text is None else Found(limit, limits.PAGE_BODIES_EXAMINED_MAX)


def search(found: Found[Item], source: Search[Item], bounds: Bounds, fold: int) -> Found[Item]:
    """Look through the tail above ``fold`` and the walk below it, in the direction of ``bounds``."""
    if bounds.ascending:
        _walk(found, source, bounds.up_to(fold))
        if found.stopped is None:
            _tail(found, source, bounds.above(fold))
    else:
        _tail(found, source, bounds.above(fold))
        _walk(found, source, bounds.up_to(fold))
    return found


def _tail(found: Found[Item], source: Search[Item], bounds: Bounds) -> None:
    if bounds.low <= bounds.high and found.wanted > 0:
        found.items += source.in_range(bounds, found.wanted)


def _walk(found: Found[Item], source: Search[Item], bounds: Bounds) -> None:
    if bounds.low > bounds.high or found.wanted <= 0:
        return
    walk = source.walk(bounds)
    examined, piece = 0, max(found.wanted, _PIECE)
    while found.wanted > 0:
        left = found.examined_max - examined
        rows = walk.take(min(piece, left))
        if not rows:
            return
        examined += len(rows)
        sifted = walk.sifted(rows)
        if sifted:
            found.items += source.among(sifted, found.wanted)
        if (examined >= found.examined_max or source.tired()) and found.wanted > 0:
            if walk.take(1):
                found.stopped = rows[-1]
            return
        piece = min(piece * 4, found.examined_max // _PIECES_MIN)
