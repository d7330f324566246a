"""A clock for tests of times on real sockets: the machine's own, but only a moment passes in it between two turns of
the loop. So a machine that stands still for a while changes nothing; what has to end in time does so by this clock.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from whatsync.net.system import SystemClock

_TURN_SECONDS = 0.01
_MOMENT_SECONDS = 0.02


class TurningClock:
    """Never faster than the machine's, and as fast where nothing is late. Implements ``ports.clock.Clock``."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._now = self._turned_at = self._system.monotonic()

    def monotonic(self) -> float:
        return self._now + min(self._system.monotonic() - self._turned_at, _MOMENT_SECONDS)

    def now_ms(self) -> int:
        return self._system.now_ms()

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while self.monotonic() < until:  # noqa: ASYNC110 - it is the clock itself
            await asyncio.sleep(_TURN_SECONDS)

    async def turn(self) -> None:
        """Go on for ever."""
        while True:
            await asyncio.sleep(_TURN_SECONDS)
            self._now, self._turned_at = self.monotonic(), self._system.monotonic()


@asynccontextmanager
async def turning() -> AsyncIterator[TurningClock]:
    """Such a clock, which goes on while the block runs."""
    clock = TurningClock()
    task = asyncio.create_task(clock.turn())
    try:
        yield clock
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
