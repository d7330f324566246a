"""Takes what is due for one endpoint, gives back what was not attempted, and plans anew when the clock went back.

Runs inside the writer's transaction. Knows no lane and no clock.
"""

from collections.abc import Sequence
from typing import Any

from whatsync.model.retry import replanned_ms
from whatsync.ports.store import Claimed, Claims, Origin
from whatsync.store.coding import STATES, read_event
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

_SQL = statements("claim.sql")
_TAKE = _SQL.many("take")
_GIVE_BACK = _SQL.many("give_back")
_PLAN = _SQL.many("plan")
_DELIVERY_COLUMNS = 6


def claim(session: Session, endpoint: int, now_ms: int, limit: int, early: bool) -> Claims:
    """Take up to ``limit`` deliveries that wait in the store."""
    db = session.db
    if early:
        rows = fetch(db, _SQL["retrying"], (endpoint, limit))
    else:
        rows = fetch(db, _SQL["due"], (endpoint, now_ms, limit))
    _TAKE.run(db, [row[0] for row in rows])
    next_due = fetch(db, _SQL["next_due"], (endpoint,))
    return Claims(tuple([_claimed(session, row) for row in rows]), next_due[0][0] if next_due else None)


def _claimed(session: Session, row: Sequence[Any]) -> Claimed:
    delivery, claims, attempts, state, contact, origin = row[:_DELIVERY_COLUMNS]
    event = read_event(row[_DELIVERY_COLUMNS:], session.words.text)
    about = None
    if contact is not None:
        # Erased meanwhile: any word keeps the order.
        about = event.contact or f"{contact:x}"
    return Claimed(delivery, claims + 1, attempts, STATES[state], event, about, Origin(origin))


def give_back(session: Session, claims: Sequence[tuple[int, int]], due_ms: int) -> None:
    """Let go of claims that still hold."""
    _GIVE_BACK.run(session.db, [value for delivery, number in claims for value in (delivery, number, due_ms)])


def replan(session: Session, endpoint: int, now_ms: int, after: tuple[int, int], limit: int) -> tuple[int, int] | None:
    """Bring forward what a later clock had planned; returns where to go on."""
    db = session.db
    rows = fetch(db, _SQL["planned"], (endpoint, *after, limit))
    due = [(id_, due_ms, replanned_ms(now_ms, due_ms, *planned)) for id_, due_ms, *planned in rows]
    _PLAN.run(db, [value for id_, before, then in due if then != before for value in (id_, then)])
    return (rows[-1][1], rows[-1][0]) if len(rows) == limit else None
