"""Writes attempts and what they lead to: all of a commit in two statements, and one by one where a claim was lost.

Runs inside the writer's transaction. Knows no future and no file.
"""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from whatsync.model.delivery import FINAL, Happening, State, next_state
from whatsync.ports.store import AttemptRow, HealthRow, Recorded
from whatsync.store.coding import (
    LATE,
    ORDERED,
    REUSED,
    STATE_NUMBERS,
    STATES,
    TEST,
    TRUNCATED,
    pack_outcome,
)
from whatsync.store.sqlite.order import forward
from whatsync.store.sqlite.rollup import bucket
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

SUCCEEDED = "succeeded"
"""Outcome that counts successes in the rollups."""

_SQL = statements("record.sql")
_DECIDE = _SQL.many("decide")
_INSERT_ATTEMPTS = _SQL.many("insert_attempts")
_NOTHING = Recorded()
_FINAL_NUMBERS = frozenset(STATE_NUMBERS[state] for state in FINAL)

_encode = msgspec.json.Encoder().encode
Outcomes = tuple[Sequence[AttemptRow], Sequence[HealthRow]]
"""What one call of ``record`` brings."""


def record_all(session: Session, calls: Sequence[Outcomes]) -> list[Recorded]:
    """Record many calls together, the quick way where no claim was lost."""
    rows = [row for attempts, _ in calls for row in attempts]
    health = {known.endpoint: known for _, changed in calls for known in changed}
    for endpoint, known in health.items():
        session.db.execute(_SQL["put_health"], (endpoint, _encode(known.health)))
    if not rows:
        return [_NOTHING] * len(calls)
    if not _decide_all(session, rows):
        return [_record_slowly(session, attempts) for attempts, _ in calls]
    if not any(row.ordered for row in rows):
        return [_NOTHING] * len(calls)
    return [Recorded(forwarded=_forward_all(session, attempts)) for attempts, _ in calls]


def _decide_all(session: Session, rows: Sequence[AttemptRow]) -> bool:
    """Decide and keep all; false, and nothing done, where a claim did not hold or a delivery is not there."""
    db = session.db
    decisions: list[Any] = []
    kept: list[Any] = []
    for row in rows:
        decisions += _decision(session, row)
        kept += _attempt(session, row, False)
    db.execute(_SAVE)
    try:
        held = _DECIDE.run(db, decisions) == len(rows)
        if held:
            _INSERT_ATTEMPTS.run(db, kept)
    except apsw.ConstraintError:
        held = False
    if not held:
        db.execute(_UNDO)
    db.execute(_RELEASE)
    if held:
        _count(session, rows)
    return held


def _forward_all(session: Session, attempts: Sequence[AttemptRow]) -> tuple[int, ...]:
    """Bring forward what stands behind the ordered deliveries that ended."""
    forwarded: dict[int, None] = {}
    for row in attempts:
        if row.ordered and row.state in FINAL:
            endpoint = forward(session, row.delivery, row.finished_ms)
            if endpoint is not None:
                forwarded[endpoint] = None
    return tuple(forwarded)


def _record_slowly(session: Session, attempts: Sequence[AttemptRow]) -> Recorded:
    stale: list[int] = []
    forwarded: dict[int, None] = {}
    for row in attempts:
        found = fetch(session.db, _SQL["stands"], (row.delivery,))
        if not found:
            stale.append(row.delivery)
            continue
        state, in_flight, claim = found[0]
        late = not in_flight or claim != row.claim
        if late:
            stale.append(row.delivery)
        _keep_one(session, row, STATES[state], late)
        if state not in _FINAL_NUMBERS and _is_final(session, row.delivery):
            endpoint = forward(session, row.delivery, row.finished_ms)
            if endpoint is not None:
                forwarded[endpoint] = None
    return Recorded(tuple(stale), tuple(forwarded))


def _keep_one(session: Session, row: AttemptRow, before: State, late: bool) -> None:
    db = session.db
    db.execute(_SQL["remove_attempt"], (row.delivery, row.claim))
    _INSERT_ATTEMPTS.run(db, _attempt(session, row, late))
    _count(session, [row])
    closes = row.state is State.SUCCEEDED and next_state(before, Happening.LATE_SUCCESS) is not None
    if not late:
        _DECIDE.run(db, _decision(session, row))
    elif closes:
        _, _, state, queued, at_ms, number, outcome, code = _decision(session, row)
        db.execute(_SQL["close"], (state, queued, at_ms, number, outcome, code, row.delivery))
    else:
        db.execute(_SQL["note_attempt"], (row.number, row.delivery))


def _is_final(session: Session, delivery: int) -> bool:
    return fetch(session.db, _SQL["stands"], (delivery,))[0][0] in _FINAL_NUMBERS


def _decision(session: Session, row: AttemptRow) -> tuple[Any, ...]:
    state, code = STATE_NUMBERS[row.state], row.code
    ends = state in _FINAL_NUMBERS
    return (
        row.delivery,
        row.claim,
        state,
        not ends,
        row.finished_ms if ends else row.due_ms or 0,
        row.number,
        pack_outcome(row.status, row.total_us),
        None if code is None else session.words.number(code),
    )


def _attempt(session: Session, row: AttemptRow, late: bool) -> tuple[Any, ...]:
    code = row.code
    flags = late * LATE | row.reused * REUSED | row.truncated * TRUNCATED | row.test * TEST | row.ordered * ORDERED
    return (
        row.delivery,
        row.claim,
        row.number,
        STATE_NUMBERS[row.state],
        flags,
        row.started_ms,
        row.finished_ms - row.started_ms,
        row.due_ms,
        row.status,
        None if code is None else session.words.number(code),
        row.dns_us,
        row.connect_us,
        row.tls_us,
        row.first_byte_us,
        row.total_us,
        row.endpoint_version,
        row.signed_s,
        row.run,
        row.detail,
        row.address,
        row.signatures,
        row.answer_headers,
        row.answer_body,
    )


def _count(session: Session, rows: Sequence[AttemptRow]) -> None:
    rollups = session.staged.rollups
    for row in rows:
        if not row.test:
            at_ms = row.finished_ms
            key = (row.account, row.endpoint, at_ms - at_ms % 60_000, row.code or SUCCEEDED, bucket(row.total_us))
            rollups[key] = rollups.get(key, 0) + 1


_SAVE = "SAVEPOINT deciding"
_UNDO = "ROLLBACK TO deciding"
_RELEASE = "RELEASE deciding"
