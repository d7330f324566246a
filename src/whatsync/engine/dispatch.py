"""Moves deliveries: from the door or the store into lanes, from lanes to attempts, from attempts to the record. What
lanes take from the store is seen to by ``claiming.py``.

Sleeps until the next delivery is due or somebody wakes it. Knows model and ports; HTTP and SQL stay behind those.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence

from whatsync.engine.attempt import Attempter
from whatsync.engine.claiming import Claiming
from whatsync.engine.directory import Directory, RunningEndpoint
from whatsync.engine.flight import Flight
from whatsync.engine.lanes import Budget, Lane
from whatsync.engine.outcome import Outcome
from whatsync.engine.recorder import Recorder
from whatsync.engine.replanning import Replanning
from whatsync.engine.standing import SOLE, Standing
from whatsync.engine.watch import Watch
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.model.health import HEALTHY, Health, forgotten, joined, since_enabled
from whatsync.model.outcome import Kind
from whatsync.ports.clock import Clock
from whatsync.ports.store import AttemptRow, Backlog, Claimed, HealthRow, Origin, Store, StoreUnavailable

logger = logging.getLogger(__name__)

# Members of an enum are looked up slowly in Python 3.11.
_TEST = Origin.TEST
_SUCCESS = Kind.SUCCESS
_SET_ASIDE_SECONDS = 900
"""How long a delivery rests whose attempt met a bug of ours."""
_RECORD_DRAIN_SECONDS = 30.0


class Dispatcher:
    """All lanes, and the workers that make attempts; what is due it leaves to ``claiming``."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        attempter: Attempter,
        clock: Clock,
        watch: Watch,
        observe: Callable[[Outcome, RunningEndpoint], None],
        *,
        standing: Standing = SOLE,
    ) -> None:
        self._standing = standing
        self._leased = standing.leased
        self._directory = directory
        self._store = store
        self._attempter = attempter
        self._clock = clock
        self._watch = watch
        self._observe = observe
        self.recorder = Recorder(store, clock, self.wake, self.resume)
        self.replanning = Replanning(clock, store)
        self.budget = Budget()
        self.claiming = Claiming(self, store, clock, standing, self.recorder, self.budget)
        self.lanes: dict[int, Lane] = {}
        self._health: dict[int, Health] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._flights: set[Flight] = set()
        self._stopping = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    # Start and stop

    def load(self, backlog: Sequence[Backlog], health: Sequence[HealthRow], newest_ms: int = 0) -> None:
        """Take over what waited and how endpoints fared when the store was opened, and the latest time in it."""
        self.replanning.remember(newest_ms, health)
        for known in health:
            running = self._directory.endpoints.get(known.endpoint)
            if running is not None:
                self._health[running.row] = since_enabled(known.health, running.endpoint.enabled_ms)
                self.lane(running)
        for waiting in backlog:
            running = self._directory.endpoints.get(waiting.endpoint)
            if running is not None and waiting.waiting:
                lane = self.lane(running)
                if waiting.next_due_ms is not None and waiting.next_due_ms <= self._clock.now_ms():
                    lane.direct = False
                self.claiming.note_due(lane, waiting.next_due_ms)

    async def run(self) -> None:
        """Claim what is due, for ever. Cancelled at the end; the runner restarts it if it dies of a bug."""
        while True:
            self.claiming.wakeup.clear()
            now_ms = self._clock.now_ms()
            if self.replanning.due(now_ms):
                self.spawn(self.replanning.run(self.lanes, self.claiming.note_due))
            pause = self.claiming.start_due(self.lanes, now_ms)
            try:
                async with asyncio.timeout(pause):
                    await self.claiming.wakeup.wait()
            except TimeoutError:
                continue

    async def stop(self, drain_seconds: float) -> None:
        """Start nothing new, let requests under way end within ``drain_seconds``, and give everything else back."""
        self._stopping = self.claiming.stopping = True
        give_back = [(claimed.id, claimed.claim) for lane in self.lanes.values() for claimed in lane.emptied()]
        try:
            async with asyncio.timeout(drain_seconds):
                await self._quiet.wait()
        except TimeoutError:
            logger.warning("stopping with %d requests still under way; they will be repeated", self.in_flight)
        for flight in list(self._flights):
            flight.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if give_back:
            with contextlib.suppress(StoreUnavailable):  # the next start takes them back
                await self._store.give_back(give_back, self._clock.now_ms())
        try:
            async with asyncio.timeout(_RECORD_DRAIN_SECONDS):
                await self.recorder.drained()
        except TimeoutError:
            logger.error("stopping with %d outcomes not written; they will be repeated", self.recorder.unrecorded)

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return len(self._flights)

    # The accepting door

    def lane(self, endpoint: RunningEndpoint) -> Lane:
        """The endpoint's lane, made when first needed."""
        lane = self.lanes.get(endpoint.row)
        if lane is None:
            known = self._health.get(endpoint.row)
            lane = Lane(endpoint) if known is None else Lane(endpoint, known)
            if self._leased:
                lane.closed = lane.closed or not self._standing.mine(endpoint)
                lane.pace_from(self._clock.monotonic())
            self.lanes[endpoint.row] = lane
        return lane

    def reserve(self, endpoint: RunningEndpoint) -> bool:
        """Ask for a place in memory for a new delivery. ``hand_over``, ``left_waiting`` or ``forget`` must follow."""
        lane = self.lanes.get(endpoint.row) or self.lane(endpoint)
        if self._stopping or not self.recorder.gate_open:
            lane.direct = False
            lane.writing += 1
            return False
        return lane.reserve(self.budget)

    def hand_over(self, endpoint: int, claimed: Claimed) -> None:
        """A reserved delivery is on disk, claimed: send it."""
        self.budget.bytes_held += len(claimed.event.body)
        lane = self.lanes[endpoint]
        lane.queue.append(claimed)
        if lane.closed or self._stopping:
            self.claiming.give_up(lane)
            return
        self.go_on(lane)

    def left_waiting(self, endpoint: int, due_ms: int) -> None:
        """A delivery that found no place is on disk, unclaimed."""
        lane = self.lanes[endpoint]
        lane.left_waiting(due_ms)
        self.claiming.note_due(lane, due_ms)

    def forget(self, endpoint: int, reserved: bool) -> None:
        """The delivery was not written after all."""
        lane = self.lanes[endpoint]
        if reserved:
            lane.owned -= 1
            self.budget.deliveries_held -= 1
        else:
            lane.writing -= 1
            self.claiming.note_due(lane, self._clock.now_ms())

    # Wake-ups

    def wake(self, endpoint: int, due_ms: int | None = None) -> None:
        """Something of this endpoint may be due now, or at ``due_ms``."""
        running = self._directory.endpoints.get(endpoint)
        if running is not None:
            self.claiming.note_due(self.lane(running), self._clock.now_ms() if due_ms is None else due_ms)

    def withdraw(self, endpoint: int, delivery: int) -> bool:
        """Take a delivery that was ended in the store out of the lane; true where it was queued and is not sent now.
        Otherwise another node may have it, and hears of it.
        """
        if self.drop(endpoint, delivery):
            return True
        self._standing.call_off(endpoint, delivery)
        return False

    def drop(self, endpoint: int, delivery: int) -> bool:
        """The same on this node alone."""
        lane = self.lanes.get(endpoint)
        for claimed in () if lane is None else lane.queue:
            if lane is not None and claimed.id == delivery:
                lane.queue.remove(claimed)
                self.let_go(lane, claimed)
                return True
        return False

    def changed(self, endpoint: int) -> None:
        """The endpoint's document changed: use it from the next request on; empty the lane if it is off or gone."""
        running = self._directory.endpoints.get(endpoint)
        lane = self.lanes.get(endpoint)
        if lane is None:
            return
        if running is not None:
            lane.endpoint = running
        was_closed = lane.closed
        lane.closed = running is None or not running.endpoint.enabled or not self._standing.mine(running)
        if lane.closed:
            lane.early = False
            self.claiming.give_up(lane)
        elif was_closed:
            # What the sweep had no time to hold waits in the store, and nobody has looked there meanwhile.
            lane.direct = False
            if self._leased:
                lane.pace_from(self._clock.monotonic())
            self.claiming.note_due(lane, self._clock.now_ms())
        self.go_on(lane)
        self._drop_if_gone(lane)

    def clear_health(self, endpoint: int) -> None:
        """Forget failures, on disk too: the endpoint was enabled again by hand. What was held comes gently."""
        running = self._directory.endpoints.get(endpoint)
        if running is not None:
            lane = self.lane(running)
            lane.health = forgotten(lane.health)
            lane.ramp = 1
            self.recorder.keep_health(endpoint, lane.health)

    def health(self, endpoint: int) -> Health:
        """How an endpoint fares."""
        lane = self.lanes.get(endpoint)
        if lane is not None:
            return lane.health
        return self._health.get(endpoint, HEALTHY)

    def learn(self, endpoint: RunningEndpoint, health: Health) -> None:
        """How an endpoint fares as another node has seen it."""
        lane = self.lane(endpoint)
        lane.health = joined(lane.health, since_enabled(health, endpoint.endpoint.enabled_ms))

    def resume(self) -> None:
        """What kept attempts from beginning is over."""
        for lane in self.lanes.values():
            self.go_on(lane)
            if not lane.direct:
                self.claiming.claim(lane)

    def drop_claims(self) -> None:
        """What is queued has been taken back by others: forget it, and look what there is to claim."""
        for lane in list(self.lanes.values()):
            for claimed in lane.emptied():
                self.let_go(lane, claimed)
            lane.direct = False
            if not lane.closed:
                self.claiming.note_due(lane, self._clock.now_ms())

    def at_rest(self, endpoint: int) -> bool:
        """Whether nothing of this endpoint is in memory or on its way."""
        lane = self.lanes.get(endpoint)
        return lane is None or (lane.owned == 0 and not lane.claiming)

    # Sending

    def go_on(self, lane: Lane) -> None:
        """Begin attempts while the lane has work and leave for another one."""
        queue = lane.queue
        while (
            queue and lane.in_flight < lane.limit and self.recorder.gate_open and not self._stopping and not lane.closed
        ):
            if self._leased and not self._standing.covers(lane.endpoint):
                return
            if lane.paced:
                wait = lane.take_leave(self._clock.monotonic())
                if wait > 0:
                    self._wake_later(lane, wait)
                    return
            flight = Flight(self._attempter, queue.popleft(), self, lane)
            lane.in_flight += 1
            if not self._flights:
                self._quiet.clear()
            self._flights.add(flight)
            flight.begin()

    def _wake_later(self, lane: Lane, seconds: float) -> None:
        if not lane.waking:
            lane.waking = True
            self.spawn(self._rate_pause(lane, seconds))

    async def _rate_pause(self, lane: Lane, seconds: float) -> None:
        await self._clock.sleep(seconds)
        lane.waking = False
        self.go_on(lane)

    def landed(self, flight: Flight, outcome: Outcome) -> None:
        """An attempt has ended: take its outcome."""
        lane = flight.lane
        health = self._judge(lane, flight.claimed, outcome)
        self._observe(outcome, lane.endpoint)
        self.recorder.add(outcome.row, flight.recorded, health)

    def crashed(self, flight: Flight, bug: Exception) -> None:
        """A bug of ours in an attempt: its delivery must neither be lost nor keep its place in memory for ever."""
        words = "a delivery can't be attempted; it is set aside for %d s"
        logger.error(words, _SET_ASIDE_SECONDS, exc_info=bug)
        self.spawn(self.claiming.give_back(flight.lane, [flight.claimed], _SET_ASIDE_SECONDS))

    def end_flight(self, flight: Flight) -> None:
        """Whatever came of it, the attempt is over."""
        flights = self._flights
        flights.discard(flight)
        flight.lane.in_flight -= 1
        if not flights:
            self._quiet.set()

    def recorded(self, flight: Flight, row: AttemptRow, held: bool) -> None:
        """An outcome is on disk; ``held`` says whether the claim still was ours."""
        lane = flight.lane
        self.let_go(lane, flight.claimed)
        if held and row.due_ms is not None and row.state is State.RETRYING:
            self.claiming.note_due(lane, row.due_ms)
        elif not held and row.state is State.SUCCEEDED:
            self._standing.call_off(row.endpoint, row.delivery)  # Who has taken it over need not send it again.
        if lane.direct and not lane.early:
            return
        # A lane without work looks too: one that fails never has room for half a claim.
        room = lane.owned == 0 or lane.room(self.budget) * 2 >= limits.CLAIM_DELIVERIES_MAX
        if lane.early or (not lane.direct and room):
            self.claiming.claim(lane)

    def _judge(self, lane: Lane, claimed: Claimed, outcome: Outcome) -> Health | None:
        before = lane.health
        if claimed.origin is _TEST:
            return None  # Taken back after a crash; tests neither count nor clear.
        if outcome.verdict.kind is _SUCCESS:
            lane.succeeded_ms = outcome.row.finished_ms
            if before.first_failure_ms is None:
                if lane.ramp < limits.IN_FLIGHT_MAX:
                    lane.succeeded()
                return None
            lane.health = self._watch.success(lane.endpoint, before, outcome.row.finished_ms)
            lane.recovered(before.failures_in_a_row)
            if lane.early:
                self.claiming.claim(lane)
        else:
            lane.health = self._watch.failure(lane.endpoint, before, claimed, outcome)
            lane.failed()
        return lane.health

    def let_go(self, lane: Lane, claimed: Claimed) -> None:
        """A delivery is in memory no more."""
        lane.owned -= 1
        self.budget.deliveries_held -= 1
        self.budget.bytes_held -= len(claimed.event.body)
        if lane.closed:
            self._drop_if_gone(lane)

    def _drop_if_gone(self, lane: Lane) -> None:
        row = lane.endpoint.row
        if lane.closed and lane.owned == 0 and lane.writing == 0 and row not in self._directory.endpoints:
            self.lanes.pop(row, None)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Do it beside everything else, until the dispatcher stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            logger.error("a dispatch task died", exc_info=problem)
