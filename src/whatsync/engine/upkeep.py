"""Work that comes round: notices that fall due without an attempt, and how many deliveries each account has open.

Looks only at what may have changed, so that an idle server asks its store nothing. Decides nothing itself.
"""

from collections.abc import Sequence

from whatsync.engine.directory import Directory, RunningEndpoint
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.quota import Quota
from whatsync.engine.watch import Watch
from whatsync.model import limits
from whatsync.ports.clock import Clock
from whatsync.ports.history import Counts, History
from whatsync.ports.rows import Waiting
from whatsync.ports.store import Backlog, Store


class Upkeep:
    """Called by the runner from time to time."""

    def __init__(
        self,
        *,
        directory: Directory,
        dispatcher: Dispatcher,
        watch: Watch,
        store: Store,
        history: History,
        quota: Quota,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._dispatcher = dispatcher
        self._watch = watch
        self._store = store
        self._history = history
        self._quota = quota
        self._clock = clock
        self._open: dict[int, int] = {}
        """Open deliveries by endpoint row, as last counted."""

    def load(self, backlog: Sequence[Backlog]) -> None:
        """Begin with what the store found when it opened, and end what a crash left half done."""
        for row, running in list(self._directory.endpoints.items()):
            self._watch.resume(running, self._dispatcher.health(row))
        for waiting in backlog:
            self._open[waiting.endpoint] = waiting.waiting + waiting.held
        self._sum_up()

    async def look_at_health(self) -> None:
        """Ask the rules again about endpoints that fail: a notice or a disabling can fall due by time alone."""
        now_ms = self._clock.now_ms()
        for row, lane in list(self._dispatcher.lanes.items()):
            if lane.health.first_failure_ms is None or lane.closed:
                continue
            after = self._watch.look(lane.endpoint, lane.health, now_ms)
            if after is not lane.health:
                lane.health = after
                # Behind what the recorder still has of this endpoint, which is older.
                self._dispatcher.recorder.keep_health(row, after)

    async def count_open(self) -> None:
        """Count anew the open deliveries of endpoints that have a backlog, a few at a time per call's pause; and how
        long the oldest of each has waited.
        """
        looks: list[Waiting] = []
        for row, running in list(self._directory.endpoints.items()):
            lane = self._dispatcher.lanes.get(row)
            backlogged = lane is not None and (not lane.direct or lane.next_due_ms is not None)
            if backlogged or self._open.get(row) or not running.endpoint.enabled:
                counts = await self._history.counts(row)
                self._open[row] = await self._open_of(running, counts)
                looks += self._waiting(running, counts)
                await self._clock.sleep(limits.OPEN_COUNT_PAUSE_SECONDS)
        for row in [row for row in self._open if row not in self._directory.endpoints]:
            del self._open[row]
        self._sum_up()
        if looks:
            await self._store.count_waiting(looks)

    async def _open_of(self, running: RunningEndpoint, counts: Counts) -> int:
        """How many are open, counted as far as the account's limit: a page's ceiling lies far below it."""
        most = running.account.account.limits.open_deliveries or limits.ACCOUNT_OPEN_DELIVERIES
        if max(counts.waiting, counts.held) >= counts.ceiling and counts.ceiling < most:
            counts = await self._history.counts(running.row, most)
        return counts.waiting + counts.held

    def _waiting(self, running: RunningEndpoint, counts: Counts) -> list[Waiting]:
        """The look that is counted, where something has waited for longer than usual."""
        now_ms = self._clock.now_ms()
        if counts.oldest_made_ms is None or now_ms - counts.oldest_made_ms < limits.WAITING_COUNTED_MS_MIN:
            return []
        return [Waiting(running.account.row, running.row, now_ms, now_ms - counts.oldest_made_ms)]

    def _sum_up(self) -> None:
        sums: dict[int, int] = {}
        for row, count in self._open.items():
            running = self._directory.endpoints.get(row)
            if running is not None:
                sums[running.account.row] = sums.get(running.account.row, 0) + count
        self._quota.open_deliveries = sums
