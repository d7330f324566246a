"""Rollups into figures people read: success rate, latency, failures by reason, and columns of a chart.

Pure sums over rows that are read already. A latency is known to within its bucket, so it is said as the bucket's end.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from whatsync.ports.history import RollupRow

SUCCEEDED = "succeeded"
ACCEPTED = "accepted"
"""Outcome under which accepted events are counted; no attempt."""
WAITED = "waiting"
"""Outcome under which looks at what waited longest are counted, by how long that was; no attempt."""
NO_ATTEMPTS = frozenset({ACCEPTED, WAITED})

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000


TIMEOUT = "timeout"
_BROKEN = frozenset({"bad_response", "headers_too_large", "connection_reset"})


def answered(outcome: str) -> bool:
    """Whether an attempt with this outcome reached something that answered, rightly or not."""
    return outcome == SUCCEEDED or outcome.startswith("http_") or outcome in _BROKEN


class Figures(msgspec.Struct, frozen=True):
    """How attempts went over a time."""

    attempts: int
    succeeded: int
    p50_ms: int | None
    p95_ms: int | None
    """Ninety-five of a hundred attempts that got an answer, or waited for one in vain, took no longer."""
    failures: tuple[tuple[str, int], ...]
    """Codes and how often, the most frequent first."""

    @property
    def success_percent(self) -> float | None:
        """``None`` where nothing was tried. Rounded down, so that 100 means every one."""
        return None if not self.attempts else int(1000 * self.succeeded / self.attempts) / 10


class Column(msgspec.Struct, frozen=True):
    """One step of a chart."""

    start_ms: int
    succeeded: int
    failed: int
    p95_ms: int | None


def figures(rows: Iterable[RollupRow]) -> Figures:
    """Add rows up."""
    attempts, succeeded = 0, 0
    failures: Counter[str] = Counter()
    buckets: Counter[int] = Counter()
    for row in rows:
        if row.outcome in NO_ATTEMPTS:
            continue
        attempts += row.count
        if answered(row.outcome) or row.outcome == TIMEOUT:
            buckets[row.bucket] += row.count
        if row.outcome == SUCCEEDED:
            succeeded += row.count
        else:
            failures[row.outcome] += row.count
    return Figures(
        attempts, succeeded, percentile_ms(buckets, 0.5), percentile_ms(buckets, 0.95), tuple(failures.most_common())
    )


def percentile_ms(buckets: Counter[int], share: float) -> int | None:
    """The end of the bucket in which this share of all attempts has ended, in milliseconds."""
    needed = share * buckets.total()
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= needed:
            return int(2**bucket)
    return None


def columns(rows: Sequence[RollupRow], since_ms: int, until_ms: int, steps: int) -> tuple[Column, ...]:
    """Sort rows into steps of whole minutes between two times."""
    step_ms = step_length_ms(since_ms, until_ms, steps)
    first_ms = since_ms - since_ms % step_ms
    held: dict[int, list[RollupRow]] = {at: [] for at in range(first_ms, until_ms, step_ms)}
    for row in rows:
        at = row.start_ms - row.start_ms % step_ms
        if at in held:
            held[at].append(row)
    summed = ((at, figures(mine)) for at, mine in held.items())
    return tuple(Column(at, one.succeeded, one.attempts - one.succeeded, one.p95_ms) for at, one in summed)


def step_length_ms(since_ms: int, until_ms: int, steps: int) -> int:
    """How long each of so many steps is, or of fewer: whole minutes, or whole hours where it is more than one."""
    length_ms = (until_ms - since_ms) / steps
    unit_ms = _HOUR_MS if length_ms > _HOUR_MS else _MINUTE_MS  # Long times are quick to read by whole hours.
    return max(1, math.ceil(length_ms / unit_ms)) * unit_ms
