"""Begins a run: takes back the claims of earlier runs and says what waits.

Runs inside the writer's transaction.
"""

import msgspec

from whatsync.model.health import Health
from whatsync.ports.store import Backlog, HealthRow, Opened
from whatsync.store.sqlite import documents, media
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

_SQL = statements("opening.sql")
_HELD = 5
_decode_health = msgspec.json.Decoder(Health).decode


def begin_run(session: Session, now_ms: int, version: str) -> Opened:
    """Take everything back and start a new run."""
    db = session.db
    endpoints = fetch(db, _SQL["endpoints"])
    db.execute(_SQL["take_back_tail"], (now_ms, session.folded))
    for (endpoint,) in endpoints:
        db.execute(_SQL["take_back"], (now_ms, endpoint))
    media.take_back(session, now_ms)
    run = int(fetch(db, _SQL["begin_run"], (now_ms, version))[0][0])
    session.staged.later.append(lambda: setattr(session, "run", run))
    return Opened(
        run=run,
        floor=session.top,
        documents=documents.load(session),
        versions=dict(session.versions),
        backlog=_backlog(session),
        health=_health(session),
    )


def _backlog(session: Session) -> tuple[Backlog, ...]:
    db = session.db
    waiting: dict[int, int] = {}
    held: dict[int, int] = {}
    for endpoint, state, count in fetch(db, _SQL["count_open"]):
        kind = held if state == _HELD else waiting
        kind[endpoint] = kind.get(endpoint, 0) + count
    backlog = []
    for endpoint in sorted(waiting.keys() | held.keys()):
        account = fetch(db, _SQL["account_of"], (endpoint,))[0][0]
        due = fetch(db, _SQL["next_due"], (endpoint,))
        next_due = due[0][0] if due else None
        backlog.append(Backlog(endpoint, account, waiting.get(endpoint, 0), held.get(endpoint, 0), next_due))
    return tuple(backlog)


def _health(session: Session) -> tuple[HealthRow, ...]:
    rows = fetch(session.db, _SQL["health"])
    return tuple([HealthRow(endpoint, _decode_health(body)) for endpoint, body in rows])
