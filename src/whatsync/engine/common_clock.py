"""The one time of many nodes: the database's clock, carried on between heartbeats by this node's monotonic one.

Due times written by one node are read by the others; their own clocks may be an hour apart, or jump.
"""

from whatsync.ports.clock import Clock


class CommonClock:
    """Implements ``ports.clock.Clock``; shows this node's own time until it is first set."""

    def __init__(self, own: Clock) -> None:
        self._own = own
        self._base: float | None = None

    def set(self, now_ms: int, asked: float) -> None:
        """The database's clock showed ``now_ms`` between ``asked`` (monotonic) and now."""
        answered = self._own.monotonic()
        exact = now_ms - (asked + answered) / 2 * 1000
        if self._base is None or abs(exact - self._base) > (answered - asked) * 500 + 1:
            self._base = exact

    def now_ms(self) -> int:
        """The database's time."""
        return self._own.now_ms() if self._base is None else round(self._base + self._own.monotonic() * 1000)

    def apart_seconds(self) -> float:
        """How far this node's own clock is before the common one."""
        return (self._own.now_ms() - self.now_ms()) / 1000

    def monotonic(self) -> float:
        """This node's."""
        return self._own.monotonic()

    async def sleep(self, seconds: float) -> None:
        """This node's."""
        await self._own.sleep(seconds)
