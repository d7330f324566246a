"""Counts for charts: each commit's counts are written as a small row or a few, and many of those are added to the
rollups together; old minutes become hours.

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
"""Rows of counts that wait to be added."""
ROW_ENTRIES_MAX = 500
"""Counts in one of them."""
ENTRIES_FOR_A_ROW = 8
"""Counts that are read and joined in the time of a row that is written. Many rows have the same few hundred counts, so
that it pays to join as many as a piece of time allows: adding each row's by themselves cost seven times as much.
"""
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
        for at in range(0, len(entries), ROW_ENTRIES_MAX):
            session.db.execute(_SQL["insert_pending"], (_encode(entries[at : at + ROW_ENTRIES_MAX]),))
            session.staged.pending_rollups += 1
        session.staged.rollups = {}


def count_waiting(session: Session, samples: Sequence[Waiting]) -> None:
    """Count how long the oldest delivery of each endpoint had waited."""
    for sample in samples:
        session.count(sample.account, sample.endpoint, sample.at_ms, WAITED, sample.age_ms.bit_length())


def add_pending(session: Session, entries_max: int | None = None) -> int:
    """Add what was written down, oldest first, to the rollups: all of it, or rows up to a number of entries, at least
    one. Returns how many entries that were.
    """
    db = session.db
    counts: dict[RollupKey, int] = {}
    entries = rows = last = 0
    for id_, body in db.execute(_SQL["pending"]):
        for entry in decode(body):
            key = entry[:5]
            counts[key] = counts.get(key, 0) + entry[5]
            entries += 1
        rows, last = rows + 1, id_
        if entries_max is not None and entries >= entries_max:
            break
    number = session.words.number
    added = sorted((key[0], key[1], key[2], number(key[3]), key[4], count) for key, count in counts.items())
    _ADD.run(db, [value for row in added for value in row])
    long: dict[tuple[int, int, int, int, int, int], int] = {}
    for account, endpoint, start_ms, outcome, in_bucket, count in added:
        for step_ms in LONG_STEPS_MS:
            at = (account, endpoint, step_ms, start_ms - start_ms % step_ms, outcome, in_bucket)
            long[at] = long.get(at, 0) + count
    _ADD_LONG.run(db, [value for at in sorted(long) for value in (*at, long[at])])
    db.execute(_SQL["delete_pending"], (last,))
    session.staged.pending_rollups -= rows
    return entries


class Adding:
    """Adds what was written down, piece by piece."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._wanted = False

    @property
    def busy(self) -> bool:
        """Whether there is something to do though it is not much."""
        return self._wanted

    @property
    def level(self) -> float:
        """How much waits; from 1 on it is added."""
        return self._session.staged.pending_rollups / PENDING_MAX

    def want(self) -> None:
        """Add all there is, however little."""
        self._wanted = self._session.pending_rollups > 0

    def begin(self) -> None:
        """A transaction begins."""

    def step(self, rows: int) -> int:
        """Add what takes about as long as writing so many rows. Returns how many those are; 0 where there are none."""
        if self._session.staged.pending_rollups <= 0:
            return 0
        return max(1, add_pending(self._session, rows * ENTRIES_FOR_A_ROW) // ENTRIES_FOR_A_ROW)

    def keep(self) -> None:
        """The transaction is on disk."""
        self._wanted = self._wanted and self._session.pending_rollups > 0


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
