"""Rollups sorted into the steps of a chart: how attempts ended, by kind of answer, and how long they took.

Pure sums over rows that are read already. What a code means is in ``model/outcome.py``.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from whatsync.engine.figures import ACCEPTED, SUCCEEDED, TIMEOUT, WAITED, answered, percentile_ms
from whatsync.ports.history import RollupRow


class Ending(StrEnum):
    """How an attempt ended, in the few kinds that a chart can show."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """The receiver answered 3xx or 4xx."""
    BROKEN = "broken"
    """The receiver answered 5xx, or nothing that is HTTP."""
    LATE = "late"
    """No answer in time."""
    UNREACHED = "unreached"
    """No connection came about."""


class Span(msgspec.Struct, frozen=True):
    """A time to look back over, and the length of its steps."""

    name: str
    words: str
    length_ms: int
    step_ms: int


_MINUTE, _HOUR = 60_000, 3_600_000
SPANS = (
    Span("1h", "1 hour", _HOUR, _MINUTE),
    Span("6h", "6 hours", 6 * _HOUR, 5 * _MINUTE),
    Span("24h", "24 hours", 24 * _HOUR, 20 * _MINUTE),
    Span("7d", "7 days", 168 * _HOUR, 2 * _HOUR),
    Span("30d", "30 days", 720 * _HOUR, 8 * _HOUR),
)


class Step(msgspec.Struct, frozen=True):
    """One step of a chart. Percentiles are of attempts that got an answer or ran out of time; ``None`` without any."""

    start_ms: int
    endings: dict[Ending, int]
    accepted: int
    p50_ms: int | None
    p95_ms: int | None
    waited_ms: int | None
    """The oldest delivery that waited had waited less than this; ``None`` where nothing was seen waiting."""


def ending(outcome: str) -> Ending:
    """The kind of a rollup's outcome."""
    if outcome == SUCCEEDED:
        return Ending.DELIVERED
    if outcome.startswith(("http_3", "http_4")):
        return Ending.REFUSED
    if answered(outcome):
        return Ending.BROKEN
    return Ending.LATE if outcome == TIMEOUT else Ending.UNREACHED


def steps(rows: Iterable[RollupRow], span: Span, now_ms: int) -> Sequence[Step]:
    """Sort rows into the steps that end with now; every step is there, with or without attempts."""
    first_ms = (now_ms - span.length_ms) // span.step_ms * span.step_ms + span.step_ms
    held: dict[int, list[RollupRow]] = {at: [] for at in range(first_ms, now_ms + 1, span.step_ms)}
    for row in rows:
        mine = held.get(row.start_ms - row.start_ms % span.step_ms)
        if mine is not None:
            mine.append(row)
    return [_step(at, mine) for at, mine in held.items()]


def _step(start_ms: int, rows: list[RollupRow]) -> Step:
    endings: Counter[Ending] = Counter()
    buckets: Counter[int] = Counter()
    accepted = waited = 0
    for row in rows:
        if row.outcome == ACCEPTED:
            accepted += row.count
            continue
        if row.outcome == WAITED:
            waited = max(waited, row.bucket)
            continue
        kind = ending(row.outcome)
        endings[kind] += row.count
        if kind is not Ending.UNREACHED:
            buckets[row.bucket] += row.count
    slow, usual = percentile_ms(buckets, 0.95), percentile_ms(buckets, 0.5)
    return Step(
        start_ms,
        dict(endings),
        accepted,
        usual if buckets else None,
        slow if buckets else None,
        2**waited if waited else None,
    )
