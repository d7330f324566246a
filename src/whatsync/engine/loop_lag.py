"""How late the event loop is: everything this process does waits for it. Looks some times a second; decides nothing."""

from whatsync.engine.tally import Histogram
from whatsync.model import limits
from whatsync.ports.clock import Clock


class LoopLag:
    """Asks to be woken again and again, and counts how much later than asked it was.

    A look in the middle of a stall sees what is left of it, one between two stalls sees none: the histogram is what
    whatever becomes due at any moment meets.
    """

    def __init__(self, clock: Clock, lag: Histogram) -> None:
        self._clock = clock
        self._lag = lag

    async def run(self) -> None:
        """Look for ever."""
        clock, pause = self._clock, limits.LOOP_LAG_LOOK_SECONDS
        while True:
            asked = clock.monotonic()
            await clock.sleep(pause)
            self._lag.add(max(0.0, clock.monotonic() - asked - pause))
