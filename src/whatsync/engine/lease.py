"""How long this node may still send, judged by its own monotonic clock alone. Pure bookkeeping; a paused process that
wakes up late finds here that its time is over.
"""

from whatsync.model import limits
from whatsync.ports.clock import Clock


class Lease:
    """Void until it is first renewed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = float("-inf")
        self.refused = False
        """Somebody was told no since the last renewal."""

    def renewed(self, asked: float, seconds: float = limits.LEASE_SECONDS) -> bool:
        """The database has granted ``seconds``, counted from a moment not before ``asked`` (monotonic). True where
        somebody had been told no.
        """
        self._until = max(self._until, asked + seconds - limits.LEASE_MARGIN_SECONDS)
        refused, self.refused = self.refused, False
        return refused

    def void(self) -> None:
        """It is over, or another epoch's."""
        self._until = float("-inf")

    def covers(self, seconds: float) -> bool:
        """Whether what takes up to ``seconds`` ends under it."""
        if self._clock.monotonic() + seconds <= self._until:
            return True
        self.refused = True
        return False
