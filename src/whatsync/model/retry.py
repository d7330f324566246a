"""When a failed delivery is tried again: the schedule, its jitter, and what ``Retry-After`` may change. Pure arithmetic
on milliseconds.
"""

import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

from whatsync.model import limits

DEFAULT_SCHEDULE_SECONDS: tuple[float, ...] = (5, 30, 120, 600, 1800, 3600, 10800, 21600, 43200, 86400, 86400)
"""Waits after the first try: twelve attempts in about 71 hours."""

JITTER = 0.2
"""Each wait is stretched or shrunk by up to this fraction, so that what failed together does not come back together."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WAIT = re.compile(r"(\d{1,7})([smhd])")


def parse_schedule(text: str) -> tuple[float, ...]:
    """Read ``5s,30s,2m,1h,1d``; empty means one try only.

    Raises ValueError with a sentence that names the wrong part.
    """
    waits: list[float] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _WAIT.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not a wait; write a number and a unit, for example 5s, 2m, 1h or 1d")
        waits.append(float(int(match[1]) * _UNITS[match[2]]))
    return check_schedule(waits)


def check_schedule(waits: Sequence[float]) -> tuple[float, ...]:
    """Return the waits in seconds as a tuple. Raises ValueError where one is out of range or there are too many."""
    if len(waits) > limits.RETRIES_MAX:
        raise ValueError(f"at most {limits.RETRIES_MAX} waits are allowed, got {len(waits)}")
    for wait in waits:
        if not 1 <= wait <= limits.RETRY_WAIT_SECONDS_MAX:
            raise ValueError(f"a wait must be 1 s to {limits.RETRY_WAIT_SECONDS_MAX} s (7 days), got {wait:g} s")
    return tuple(waits)


def format_schedule(waits: Sequence[float]) -> str:
    """Write waits the way ``parse_schedule`` reads them, each in its largest whole unit."""
    return ",".join(_format_wait(int(wait)) for wait in waits)


def _format_wait(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0 and seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def due_ms(now_ms: int, wait_seconds: float, jitter: float, retry_after_seconds: float | None = None) -> int:
    """Return when to try again: the wait with jitter, lengthened but never shortened by ``Retry-After``.

    ``jitter`` is uniform in [0, 1). ``Retry-After`` counts up to 24 hours.
    """
    wait = wait_seconds * (1 - JITTER + 2 * JITTER * jitter)
    if retry_after_seconds is not None:
        wait = max(wait, min(retry_after_seconds, limits.RETRY_AFTER_SECONDS_MAX))
    return now_ms + round(wait * 1000)


def turn_ms(now_ms: int, earlier_ms: int, wait_ms: int) -> int:
    """When a delivery is due that stands behind an earlier one about its contact, made at ``earlier_ms``: once that has
    waited ``wait_ms``. Row numbers never go back with the clock, so what was made in the future was made now.
    """
    return max(now_ms, min(earlier_ms, now_ms) + wait_ms)


def replanned_ms(now_ms: int, due_ms: int, wait_ms: int | None, finished_ms: int | None, planned_ms: int | None) -> int:
    """When a waiting delivery is due once the clock that planned it is back at ``now_ms``; never later than it was.

    ``finished_ms`` and ``planned_ms`` tell of its last attempt: when it ended, and what was due then. A retry planned
    in what is the future now keeps its wait, counted from now. What was not tried yet waits for its turn alone, and for
    that at most ``wait_ms`` (``None``: it is its turn).
    """
    if finished_ms is None or planned_ms is None:
        return min(due_ms, now_ms + (wait_ms or 0))
    if planned_ms == due_ms and finished_ms <= now_ms:
        return due_ms
    return min(due_ms, now_ms + planned_ms - finished_ms)


def replanned_file_ms(now_ms: int, due_ms: int, planned_at_ms: int, *, claimed: bool) -> int:
    """The same for a media file whose next work was planned at ``planned_at_ms``. What is being worked on is taken
    back no later than a claim lasts from now.
    """
    if claimed:
        return min(due_ms, now_ms + limits.MEDIA_CLAIM_SECONDS * 1000)
    if planned_at_ms <= now_ms:
        return due_ms
    return min(due_ms, now_ms + max(0, due_ms - planned_at_ms))


def parse_retry_after(value: str, now_ms: int) -> float | None:
    """Read a ``Retry-After`` header (RFC 9110, section 10.2.3): seconds or an HTTP date. ``None`` where it makes no
    sense.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text.lstrip("0")[:9] or 0)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        # The oldest of the three forms that a recipient has to read, asctime's, names no zone and means GMT.
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_ms / 1000)
