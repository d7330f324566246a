"""Rows of media files: written with their events, claimed when there is something to do, ended under their claim.

Runs inside the writer's transaction. Knows no file of bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from whatsync.model import limits
from whatsync.model.retry import replanned_file_ms
from whatsync.model.turns import Candidate, first_accounts, first_turns, most_of_one
from whatsync.ports.media import MediaClaim, MediaOutcome, MediaRow, MediaState
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

EXPIRED = "expired"
FORGET_ROWS = 2_000
"""Rows that one step of retention forgets."""
_DAY_MS = 86_400_000

_SQL = statements("media.sql")
_INSERT = _SQL.many("insert")


def insert(session: Session, rows: Iterable[MediaRow], events: frozenset[int] | set[int]) -> None:
    """Write the rows that came with one of ``events``."""
    values: list[Any] = []
    for row in rows:
        if row.event in events:
            values += (
                row.name,
                row.account,
                row.event,
                row.id,
                int(row.state),
                row.created_ms,
                row.created_ms,
                row.due_ms,
                row.size,
                row.mime_type,
                row.reason,
                row.sha256,
                row.task,
            )
    if values:
        _INSERT.run(session.db, values)


def claim(session: Session, now_ms: int, until_ms: int, free: int, held: Mapping[int, int], after: int) -> MediaClaim:
    """Take what is due, in turns."""
    further: int | None = None
    due = _candidates(session, "due", now_ms, limits.MEDIA_DUE_LOOKED_AT + 1)
    if len(due) > limits.MEDIA_DUE_LOOKED_AT:
        firsts = sorted(_candidates(session, "firsts", after, limits.MEDIA_ACCOUNTS_LOOKED_AT))
        through = len(firsts) < limits.MEDIA_ACCOUNTS_LOOKED_AT
        further = (None if after == 0 else 0) if through else firsts[-1].account
        accounts = first_accounts((one for one in firsts if one.due_ms <= now_ms), free, held)
        due = [one for row in accounts for one in _candidates(session, "due_of", row, now_ms, most_of_one(free))]
    names = first_turns(due, free, held)
    rows = [read_row(fetch(session.db, _SQL["claim"], (until_ms, name))[0]) for name in names]
    return MediaClaim(tuple(rows), further)


def _candidates(session: Session, statement: str, *values: int) -> list[Candidate]:
    return [Candidate(*row) for row in fetch(session.db, _SQL[statement], values)]


def replan(session: Session, now_ms: int, after: tuple[int, str], limit: int) -> tuple[int, str] | None:
    """Bring forward what a later clock had planned; returns where to go on."""
    rows = fetch(session.db, _SQL["planned"], (*after, limit))
    for name, due_ms, changed_ms, claimed in rows:
        then = replanned_file_ms(now_ms, due_ms, changed_ms, claimed=bool(claimed))
        if then != due_ms:
            session.db.execute(_SQL["plan"], (then, now_ms, name))
    return (rows[-1][1], rows[-1][0]) if len(rows) == limit else None


def record(session: Session, outcomes: Sequence[MediaOutcome]) -> tuple[str, ...]:
    """Write outcomes; the names whose claim no longer held."""
    late = []
    for one in outcomes:
        values = (
            int(one.state),
            one.at_ms,
            one.due_ms,
            one.size,
            one.sha256,
            one.reason,
            one.mime_type,
            one.event,
            one.due_ms is not None,
            one.name,
            one.claim,
        )
        session.db.execute(_SQL["record"], values)
        if not session.db.changes():
            late.append(one.name)
    return tuple(late)


def remove(session: Session, account: int, names: Sequence[str], reason: str, now_ms: int) -> None:
    """End media whose bytes have to go."""
    for name in names:
        session.db.execute(_SQL["remove"], (reason, now_ms, now_ms, name, account))


def expire(session: Session, events: Iterable[int], now_ms: int) -> None:
    """End what came with events that are gone."""
    for event in events:
        session.db.execute(_SQL["expire"], (now_ms, now_ms, event))


def forget(session: Session, now_ms: int) -> bool:
    """Forget a part of what ended long ago; true where there is more of it."""
    session.db.execute(_SQL["forget"], (now_ms - limits.MEDIA_ENDED_DAYS * _DAY_MS, FORGET_ROWS))
    return session.db.changes() == FORGET_ROWS


def take_back(session: Session, now_ms: int) -> None:
    """Make due what earlier runs had claimed."""
    session.db.execute(_SQL["take_back"], (now_ms,))


def read_row(row: Sequence[Any]) -> MediaRow:
    """A row as the statements return it."""
    name, account, event, id_, created_ms, state, *rest = row
    return MediaRow(name, account, event, id_, created_ms, MediaState(state), *rest)
