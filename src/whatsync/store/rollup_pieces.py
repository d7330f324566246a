"""Which rollups a time is read from: whole days and hours where the steps allow it, minutes at the edges."""

import msgspec

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
LONG_STEPS_MS = (HOUR_MS, DAY_MS)
"""The lengths that counts are also kept by."""
WHOLE_MS = 1 << 62
"""A step longer than any time: everything is added up."""


class Pieces(msgspec.Struct, frozen=True):
    """``since`` to ``first_hour`` and ``last_hour`` to ``until`` by the minute, from there to the days by the hour."""

    since: int
    first_hour: int
    first_day: int
    last_day: int
    last_hour: int
    until: int


def pieces(since_ms: int, until_ms: int, step_ms: int) -> Pieces:
    """Part a time. An hour lies within one step only where a step is made of whole hours; a day likewise."""
    first_hour, last_hour = _within(since_ms, until_ms, HOUR_MS, step_ms) or (until_ms, until_ms)
    first_day, last_day = _within(first_hour, last_hour, DAY_MS, step_ms) or (last_hour, last_hour)
    return Pieces(since_ms, first_hour, first_day, last_day, last_hour, until_ms)


def _within(since_ms: int, until_ms: int, unit_ms: int, step_ms: int) -> tuple[int, int] | None:
    """The whole units within a time; ``None`` where there are none that fit into the steps."""
    first, last = -(-since_ms // unit_ms) * unit_ms, until_ms // unit_ms * unit_ms
    fits = step_ms == WHOLE_MS or step_ms % unit_ms == 0
    return (first, last) if fits and first < last else None
