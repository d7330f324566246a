"""A wall clock that went back: what was planned while it ran ahead would wait as long as it was wrong.

Notices it against the monotonic clock, or at a start by what the store remembers of a later time; then the store plans
anew. Knows lanes and the store; which deliveries move the store decides by ``model.retry.replanned_ms``.
"""

from collections.abc import Callable, Iterable

from whatsync.engine.lanes import Lane
from whatsync.model import limits
from whatsync.ports.clock import Clock
from whatsync.ports.store import HealthRow, Store, StoreUnavailable


class Replanning:
    """Looks whenever the dispatcher does; costs two readings of clocks."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock = clock
        self._store = store
        self._lead_ms: float | None = None
        """The most that the wall clock was before the monotonic one, as long as it has not gone back."""

    def remember(self, newest_ms: int, health: Iterable[HealthRow]) -> None:
        """At a start: what the store last saw of time."""
        failed_ms = (known.health.last_failure_ms or 0 for known in health)
        seen_ms = max(newest_ms, self._clock.now_ms(), *failed_ms)
        self._lead_ms = seen_ms - self._clock.monotonic() * 1000

    def due(self, now_ms: int) -> bool:
        """Whether the clock has gone back since the last look; true once."""
        lead_ms, before = now_ms - self._clock.monotonic() * 1000, self._lead_ms
        if before is not None and lead_ms < before - limits.CLOCK_BACK_SECONDS * 1000:
            self._lead_ms = lead_ms
            return True
        if before is None or lead_ms > before:
            self._lead_ms = lead_ms
        return False

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
