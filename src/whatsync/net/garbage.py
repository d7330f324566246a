"""When Python looks for garbage: often and for a moment while there is work, thoroughly when there is none.

A look stands the whole process still, whichever thread it begins in: the event loop too. How long it takes is how many
objects it goes through, two microseconds each at worst.
"""

import gc
from collections.abc import Callable

from whatsync.model import limits
from whatsync.ports.clock import Clock

_NEVER = 2**31 - 1


def look_briefly() -> None:
    """From now on go through new objects alone, and only a few of them at a time.

    What survives such a look is left to ``Garbage``. Objects die without any look unless they refer to themselves in a
    circle, so little waits for it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(limits.GARBAGE_OBJECTS, _NEVER, _NEVER)


class Garbage:
    """Looks through everything when nothing is under way, so that nobody waits for it."""

    def __init__(self, clock: Clock, at_work: Callable[[], bool]) -> None:
        self._clock = clock
        self._at_work = at_work
        self._looked_at = clock.monotonic()

    async def run(self) -> None:
        """Look from time to time, for ever."""
        while True:
            await self._clock.sleep(limits.GARBAGE_LOOK_SECONDS)
            self.look()

    def look(self) -> bool:
        """Look now, if it is worth it and nothing is under way or has been for a day; says whether it did."""
        now = self._clock.monotonic()
        _, brief_looks, _ = gc.get_count()
        if brief_looks < limits.GARBAGE_BRIEF_LOOKS_MIN:
            return False
        if self._at_work() and now - self._looked_at < limits.GARBAGE_SECONDS_MAX:
            return False
        gc.collect()
        self._looked_at = now
        return True
