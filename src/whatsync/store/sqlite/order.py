"""The order of deliveries about one contact: when the next one's turn comes after one has ended.

Runs inside the writer's transaction.
"""

from whatsync.model.ids import ms_of
from whatsync.model.retry import turn_ms
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

_SQL = statements("order.sql")


def forward(session: Session, ended: int, now_ms: int) -> int | None:
    """Bring the delivery behind one that has just ended forward. Returns its endpoint where that moved it."""
    db = session.db
    for endpoint, contact in fetch(db, _SQL["contact_of"], (ended,)):
        for following, at_ms, wait_ms, untried in fetch(db, _SQL["next_open"], (endpoint, contact, ended)):
            if not untried:
                return None
            earlier = fetch(db, _SQL["earlier_open"], (endpoint, contact, following))
            due_ms = turn_ms(now_ms, ms_of(earlier[0][0]), wait_ms) if earlier else now_ms
            if at_ms <= due_ms:
                return None
            db.execute(_SQL["set_turn"], (due_ms, following))
            return int(endpoint)
    return None


def behind(session: Session, delivery: int) -> bool:
    """Whether an earlier open delivery about the same contact stands before this one."""
    db = session.db
    for endpoint, contact in fetch(db, _SQL["contact_of"], (delivery,)):
        return bool(fetch(db, _SQL["earlier_open"], (endpoint, contact, delivery)))
    return False
