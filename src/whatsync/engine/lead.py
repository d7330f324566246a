"""How far the wall clock runs before the monotonic one, and when it has gone back. Knows nothing but the clock."""

from whatsync.model import limits
from whatsync.ports.clock import Clock


class Lead:
    """To be asked again and again; costs two readings of clocks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lead_ms: float | None = None
        """The most that the wall clock was before the monotonic one, as long as it has not gone back."""

    def seen(self, ms: int) -> None:
        """A time that the wall clock has shown before."""
        self._lead_ms = ms - self._clock.monotonic() * 1000

    def due(self, now_ms: int) -> bool:
        """Whether the clock has gone back since the last look; true once."""
        lead_ms, before = now_ms - self._clock.monotonic() * 1000, self._lead_ms
        if before is not None and lead_ms < before - limits.CLOCK_BACK_SECONDS * 1000:
            self._lead_ms = lead_ms
            return True
        if before is None or lead_ms > before:
            self._lead_ms = lead_ms
        return False
