"""Enters the tail into the big indexes in bulk: a few thousand rows at a time, each index in its own order, so that an
endpoint's page is written once per fold and not once per event.

Runs inside the writer's transaction. Knows which tables are indexes of which, and nothing of verbs.
"""

from collections.abc import Sequence

from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import statements

TAIL_ROWS_MAX = 4_000
"""Events and deliveries in the tail, from which on it is folded."""

_SQL = statements("fold.sql")
_LATE = tuple(
    _SQL.many(name) for name in ("late_event_type", "late_event_number", "late_endpoint", "late_type", "late_number")
)
_FOLDS = tuple(
    _SQL[name]
    for name in ("fold_event_type", "fold_event_number", "fold_endpoint", "fold_type", "fold_number", "fold_queued")
)


def fold(session: Session) -> None:
    """Enter everything above the mark and move the mark."""
    db, above, top = session.db, session.folded, session.staged.top
    if top <= above:
        return
    for text in _FOLDS:
        db.execute(text, (above, top))
    db.execute(_SQL["set_folded"], (top,))
    session.staged.tail = 0

    def moved() -> None:
        session.folded = top

    session.staged.later.append(moved)


def enter_late(session: Session, rows: Sequence[int]) -> None:
    """Enter rows that were committed below the mark."""
    for statement in _LATE:
        statement.run(session.db, rows)
