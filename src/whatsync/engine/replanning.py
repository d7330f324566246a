"""A wall clock that went back: what was planned while it ran ahead would wait as long as it was wrong.

Notices it (``engine.lead``), at a start by what the store remembers of a later time; then the store plans anew. Knows
lanes and the store; which deliveries move the store decides by ``model.retry.replanned_ms``.
"""

from collections.abc import Callable, Iterable

from whatsync.engine.lanes import Lane
from whatsync.engine.lead import Lead
from whatsync.model import limits
from whatsync.ports.clock import Clock
from whatsync.ports.store import HealthRow, Store, StoreUnavailable


class Replanning(Lead):
    """Looks whenever the dispatcher does."""

    def __init__(self, clock: Clock, store: Store) -> None:
        super().__init__(clock)
        self._store = store

    def remember(self, newest_ms: int, health: Iterable[HealthRow]) -> None:
        """At a start: what the store last saw of time."""
        failed_ms = (known.health.last_failure_ms or 0 for known in health)
        self.seen(max(newest_ms, self._clock.now_ms(), *failed_ms))

    async def run(self, lanes: dict[int, Lane], look: Callable[[Lane, int], None]) -> None:
        """Let the store plan anew for every open lane; ``look`` is told from when on to look there."""
        for endpoint, lane in list(lanes.items()):
            if not lane.closed:
                await self._plan(endpoint)
                look(lane, self._clock.now_ms())

    async def _plan(self, endpoint: int) -> None:
        after: tuple[int, int] | None = (self._clock.now_ms(), 0)
        while after is not None:
            try:
                after = await self._store.replan(endpoint, self._clock.now_ms(), after, limits.REPLAN_DELIVERIES_MAX)
            except StoreUnavailable:
                await self._clock.sleep(limits.REPLAN_PAUSE_SECONDS)
