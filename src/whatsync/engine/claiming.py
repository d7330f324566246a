"""What lanes take from the store once it is due, and what they give back to it.

Knows lanes and the store; begins no attempt: it tells the dispatcher what has come.
"""

import asyncio
import heapq
from collections.abc import Coroutine, Sequence
from typing import Protocol

from whatsync.engine.lanes import Budget, Lane
from whatsync.engine.recorder import Recorder
from whatsync.engine.standing import Standing
from whatsync.ports.clock import Clock
from whatsync.ports.store import Claimed, Store, StoreUnavailable

_CLAIM_PAUSE_SECONDS = 1.0


class Floor(Protocol):
    """Who works on what was claimed: the dispatcher."""

    def go_on(self, lane: Lane) -> None:
        """A lane may have something to begin."""

    def let_go(self, lane: Lane, claimed: Claimed) -> None:
        """A delivery is in memory no more."""

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Do it beside everything else."""


class Claiming:
    """The heap of due times, and the claims that are under way: at most one for each lane."""

    sleep_seconds_max = 15.0
    """Bounds how late a forward jump of the wall clock is noticed."""

    def __init__(
        self, floor: Floor, store: Store, clock: Clock, standing: Standing, recorder: Recorder, budget: Budget
    ) -> None:
        self._floor = floor
        self._store = store
        self._clock = clock
        self._standing = standing
        self._recorder = recorder
        self._budget = budget
        self._due: list[tuple[int, int]] = []
        self.wakeup = asyncio.Event()
        """Something is due earlier than all that was known."""
        self.stopping = False

    def note_due(self, lane: Lane, due_ms: int | None) -> None:
        """Something of a lane is due at a time; ``None``: nothing is."""
        if due_ms is None or lane.closed or (lane.next_due_ms is not None and lane.next_due_ms <= due_ms):
            if lane.closed:
                self._standing.call(lane.endpoint)
            return
        lane.next_due_ms = due_ms
        heapq.heappush(self._due, (due_ms, lane.endpoint.row))
        if self._due[0] == (due_ms, lane.endpoint.row):
            self.wakeup.set()

    def start_due(self, lanes: dict[int, Lane], now_ms: int) -> float:
        """Claim for all lanes that have something due; returns the seconds until another one has."""
        while self._due and self._due[0][0] <= now_ms:
            due, endpoint = heapq.heappop(self._due)
            lane = lanes.get(endpoint)
            if lane is None or lane.next_due_ms != due:
                continue
            lane.next_due_ms = None
            self.claim(lane)
        if not self._due:
            return self.sleep_seconds_max
        return min(self.sleep_seconds_max, max(0.001, (self._due[0][0] - now_ms) / 1000))

    def claim(self, lane: Lane) -> None:
        """Start claiming for a lane unless it does already. A lane that is full claims when it has room again."""
        if lane.claiming or lane.closed or self.stopping:
            lane.again = True
            return
        lane.claiming = True
        self._floor.spawn(self._claim_lane(lane))

    async def _claim_lane(self, lane: Lane) -> None:
        """Claim until the lane is full or nothing more is due; then the lane is direct again."""
        again_ms: int | None = None
        try:
            while not lane.closed and not self.stopping:
                room = lane.room(self._budget)
                if room <= 0 or not self._recorder.gate_open:
                    lane.direct = False
                    break
                early = lane.early
                if early:
                    # Only what may start at once: if the endpoint fails again, nothing else has left its schedule.
                    room = min(room, lane.limit - lane.in_flight - len(lane.queue))
                    if room <= 0:
                        lane.direct = False
                        break
                arrivals, writing = lane.arrivals, lane.writing
                lane.again = False
                claims = await self._store.claim(lane.endpoint.row, self._clock.now_ms(), room, early=early)
                self._take(lane, claims.items)
                again_ms = claims.next_due_ms
                if early:
                    lane.early = lane.early and len(claims.items) == room
                    continue
                if len(claims.items) < room:
                    now = self._clock.now_ms()
                    if lane.again or (claims.next_due_ms is not None and claims.next_due_ms <= now):
                        continue
                    lane.found_end(since=arrivals, writing=writing)
                    break
        except StoreUnavailable:
            again_ms = self._clock.now_ms() + round(_CLAIM_PAUSE_SECONDS * 1000)
        finally:
            lane.claiming = False
        self.note_due(lane, again_ms)

    def _take(self, lane: Lane, items: Sequence[Claimed]) -> None:
        for claimed in items:
            lane.take(claimed, self._budget)
        if lane.closed or self.stopping:
            self.give_up(lane)
        else:
            self._floor.go_on(lane)

    def give_up(self, lane: Lane) -> None:
        """Leave to the store what is queued: the sweep settles it there, or it is claimed anew when the lane opens."""
        queued = lane.emptied()
        if queued:
            self._floor.spawn(self.give_back(lane, queued))

    async def give_back(self, lane: Lane, queued: list[Claimed], rest_seconds: int = 0) -> None:
        """Give back what was claimed; it is due again after ``rest_seconds``."""
        while True:
            try:
                claims = [(claimed.id, claimed.claim) for claimed in queued]
                await self._store.give_back(claims, self._clock.now_ms() + rest_seconds * 1000)
                break
            except StoreUnavailable:
                if self.stopping:
                    break
                await self._clock.sleep(_CLAIM_PAUSE_SECONDS)
        for claimed in queued:
            self._floor.let_go(lane, claimed)
        lane.direct = False
        self.note_due(lane, self._clock.now_ms())
