"""Counts for charts: each commit's counts are written as one small row, and many of those are added to the rollups
together; old minutes become hours.

Runs inside the writer's transaction; ``decode`` is for readers too.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from whatsync.ports.rows import Waiting
from whatsync.store.coding import ACCOUNT_TOTAL, WAITED
from whatsync.store.rollup_pieces import LONG_STEPS_MS
from whatsync.store.sqlite.session import RollupKey, Session
from whatsync.store.sqlite.statements import fetch, statements

PENDING_MAX = 200
"""Commits whose counts wait to be added."""
MINUTES_KEPT_MS = 2 * 86_400_000
"""How far back counts stay apart by minute; older ones are kept by the hour."""
_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000

Entry = tuple[int, int, int, str, int, int]
"""Account, endpoint, start of the minute, outcome, bucket, count."""

_SQL = statements("rollup.sql")
_ADD = _SQL.many("add")
_ADD_LONG = _SQL.many("add_long")
_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[Entry]).decode
"""Read the body of a row of table ``rollup_pending``."""


def bucket(total_us: int) -> int:
    """The latency bucket of an attempt: bucket ``b`` ends below ``2**b`` milliseconds."""
    return (total_us // 1000).bit_length()


def write_pending(session: Session) -> None:
    """Write down what this transaction counted."""
    rollups = session.staged.rollups
    if rollups:
        totals: Counter[RollupKey] = Counter()
        for (account, endpoint, start_ms, outcome, in_bucket), count in rollups.items():
            if endpoint != ACCOUNT_TOTAL:
                totals[account, ACCOUNT_TOTAL, start_ms, outcome, in_bucket] += count
        entries = [(*key, count) for counts in (rollups, totals) for key, count in counts.items()]
        session.db.execute(_SQL["insert_pending"], (_encode(entries),))
        session.staged.rollups = {}
        session.staged.later.append(lambda: _counted(session))


def count_waiting(session: Session, samples: Sequence[Waiting]) -> None:
    """Count how long the oldest delivery of each endpoint had waited."""
    for sample in samples:
        session.count(sample.account, sample.endpoint, sample.at_ms, WAITED, sample.age_ms.bit_length())


def _counted(session: Session) -> None:
    session.pending_rollups += 1


def add_pending(session: Session) -> None:
    """Add all that was written down to the rollups."""
    db = session.db
    counts: dict[RollupKey, int] = {}
    for (body,) in fetch(db, _SQL["pending"]):
        for entry in decode(body):
            key = entry[:5]
            counts[key] = counts.get(key, 0) + entry[5]
    number = session.words.number
    rows = sorted((key[0], key[1], key[2], number(key[3]), key[4], count) for key, count in counts.items())
    _ADD.run(db, [value for row in rows for value in row])
    long: dict[tuple[int, int, int, int, int, int], int] = {}
    for account, endpoint, start_ms, outcome, in_bucket, count in rows:
        for step_ms in LONG_STEPS_MS:
            at = (account, endpoint, step_ms, start_ms - start_ms % step_ms, outcome, in_bucket)
            long[at] = long.get(at, 0) + count
    _ADD_LONG.run(db, [value for at in sorted(long) for value in (*at, long[at])])
    db.execute(_SQL["delete_pending"])
    session.staged.later.append(lambda: _added(session))


def _added(session: Session) -> None:
    session.pending_rollups = 0


def tidy(session: Session, account: int, before_ms: int, now_ms: int) -> None:
    """Join an account's old minutes into hours, and remove what lies before ``before_ms``."""
    db = session.db
    name = f"hours of {account}"
    done_ms = next((row for (row,) in fetch(db, _SQL["hours_mark"], (name,))), 0)
    until_ms = max(done_ms, (now_ms - MINUTES_KEPT_MS) // _HOUR_MS * _HOUR_MS)
    for (endpoint,) in fetch(db, _SQL["endpoints"], (account,)):
        db.execute(_SQL["expire"], (account, endpoint, before_ms - _MINUTE_MS))
        for step_ms in LONG_STEPS_MS:
            db.execute(_SQL["expire_long"], (account, endpoint, step_ms, before_ms - step_ms))
        db.execute(_SQL["add_hours"], (account, endpoint, done_ms, until_ms))
        db.execute(_SQL["delete_minutes"], (account, endpoint, done_ms, until_ms))
    db.execute(_SQL["set_hours_mark"], (name, until_ms))
