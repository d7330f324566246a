"""Time as the engine sees it. Only ``net/system.py`` and the simulator implement it; nothing else reads a real
clock.
"""

from typing import Protocol


class Clock(Protocol):
    """The wall clock for what is stored and shown, and a monotonic one for durations and leases."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC. May jump in either direction."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start. Never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of monotonic time."""
