"""Enters the tail into the big indexes in bulk: a few thousand rows at a time, each index in its own order, so that an
endpoint's page is written once per fold and not once per event.

Runs inside the writer's transaction, a piece at a time. Knows which tables are indexes of which, and nothing of verbs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

TAIL_ROWS_MAX = 4_000
"""Events and deliveries in the tail, from which on it is folded."""
FOLD_ROWS_MAX = 2_000
"""Events, and deliveries, of one fold."""
PIECE_OWNERS_MAX = 256
"""Accounts or endpoints that one piece enters rows of: each costs a page of every index."""

_SQL = statements("fold.sql")
_LATE = tuple(
    _SQL.many(name) for name in ("late_event_type", "late_event_number", "late_endpoint", "late_type", "late_number")
)
_OF_EVENTS = (_SQL["fold_event_type"], _SQL["fold_event_number"])
_OF_DELIVERIES = (_SQL["fold_type"], _SQL["fold_number"])
_OF_ENDPOINTS = (_SQL["fold_endpoint"],)


@dataclass(frozen=True)
class _Piece:
    """A statement, the part of the rows it enters (one in ``of``), and how many those are, about."""

    text: str
    of: int
    part: int
    rows: int


@dataclass(frozen=True)
class _Range:
    """What one fold enters, and the pieces of that which are left."""

    above: int
    top: int
    rows: int
    pieces: tuple[_Piece, ...]


class TailFold:
    """Folds what lies above the mark, piece by piece; the mark moves with the last piece of a range."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: _Range | None = None
        """As of the last commit."""
        self._range: _Range | None = None
        """As of the present transaction, like the next."""
        self._folded = session.folded
        self._wanted = False

    @property
    def busy(self) -> bool:
        """Whether a fold is under way."""
        return self._range is not None or (self._wanted and self._session.staged.tail > 0)

    @property
    def level(self) -> float:
        """How full the tail is; from 1 on it is folded."""
        return self._session.staged.tail / TAIL_ROWS_MAX

    def want(self) -> None:
        """Fold all there is, however little."""
        self._wanted = True

    def begin(self) -> None:
        """A transaction begins; whatever another one did that was undone is forgotten."""
        self._range, self._folded = self._kept, self._session.folded

    def step(self, _rows: int) -> int:
        """Do one piece, and say how many rows that entered; 0 where there is nothing to do."""
        session = self._session
        found = self._range
        if found is None or found.top <= session.folded:
            # All of it was folded at once meanwhile, or this is the first piece.
            found = self._range = self._plan()
        if found is None:
            self._wanted = False
            session.staged.tail = 0
            return 0
        if found.pieces:
            piece, *left = found.pieces
            session.db.execute(piece.text, (found.above, found.top, piece.of, piece.part))
            self._range = replace(found, pieces=tuple(left))
            return max(1, piece.rows)
        session.db.execute(_SQL["fold_queued"], (found.above, found.top))
        entered = session.db.changes()
        session.db.execute(_SQL["set_folded"], (found.top,))
        session.staged.tail = max(0, session.staged.tail - found.rows)
        self._range, self._folded = None, found.top
        return max(1, entered)

    def keep(self) -> None:
        """The transaction is on disk."""
        self._kept = self._range
        self._session.folded = max(self._session.folded, self._folded)

    def _plan(self) -> _Range | None:
        """The rows above the mark, as many as one fold takes; ``None`` where there are none."""
        session = self._session
        above, top = max(self._folded, session.folded), session.staged.top
        top = fetch(session.db, _SQL["fold_until"], (above, top, FOLD_ROWS_MAX))[0][0] if top > above else above
        if top <= above:
            return None
        events, accounts, deliveries, owners, endpoints = fetch(session.db, _SQL["fold_count"], (above, top))[0]
        # What is committed below it from now on enters the indexes by itself.
        session.folding = max(session.folding, top)
        pieces = [
            *_pieces(_OF_EVENTS, events, accounts),
            *_pieces(_OF_DELIVERIES, deliveries, owners),
            *_pieces(_OF_ENDPOINTS, deliveries, endpoints),
        ]
        return _Range(above, top, events + deliveries, tuple(pieces))


def _pieces(texts: Sequence[str], rows: int, owners: int) -> list[_Piece]:
    parts = -(-owners // PIECE_OWNERS_MAX)
    return [_Piece(text, parts, part, rows // parts) for text in texts for part in range(parts)]


def fold(session: Session) -> None:
    """Enter everything above the mark at once and move the mark."""
    above, top = session.folded, session.staged.top
    if top <= above:
        return
    for text in (*_OF_EVENTS, *_OF_DELIVERIES, *_OF_ENDPOINTS):
        session.db.execute(text, (above, top, 1, 0))
    session.db.execute(_SQL["fold_queued"], (above, top))
    session.db.execute(_SQL["set_folded"], (top,))
    session.staged.tail = 0

    def moved() -> None:
        session.folded = max(session.folded, top)
        session.folding = max(session.folding, top)

    session.staged.later.append(moved)


def enter_late(session: Session, rows: Sequence[int]) -> None:
    """Enter rows that were committed below the mark."""
    for statement in _LATE:
        statement.run(session.db, rows)
