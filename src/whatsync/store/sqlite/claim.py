"""Takes what is due for one endpoint, and gives back what was not attempted.

Runs inside the writer's transaction. Knows no lane and no clock.
"""

from collections.abc import Sequence
from typing import Any

from whatsync.ports.store import Claimed, Claims, Origin
from whatsync.store.coding import STATES, read_event
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

_SQL = statements("claim.sql")
_TAKE = _SQL.many("take")
_GIVE_BACK = _SQL.many("give_back")
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
