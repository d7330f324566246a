"""One lane per endpoint: what it has in memory, how much of it may be under way, and where its next work comes from.

Pure bookkeeping without awaiting: ``claiming.py`` and ``dispatch.py`` move deliveries through lanes. Knows no store and
no sender.
"""

from collections import deque

from whatsync.engine.directory import RunningEndpoint
from whatsync.model import limits
from whatsync.model.endpoint import Ordering
from whatsync.model.health import HEALTHY, Health
from whatsync.model.ids import ms_of
from whatsync.ports.store import Claimed

_BY_CONTACT = Ordering.CONTACT  # members of an enum are looked up slowly in Python 3.11


class Budget:
    """What all lanes together may hold in memory."""

    __slots__ = ("bytes_held", "deliveries_held")

    def __init__(self) -> None:
        self.deliveries_held = 0
        self.bytes_held = 0

    @property
    def tight(self) -> bool:
        """More than half of it is used: lanes keep to a small share each."""
        return self.deliveries_held * 2 > limits.LANES_DELIVERIES_MAX or self.bytes_held * 2 > limits.LANES_BYTES_MAX

    @property
    def spent(self) -> bool:
        """Nothing more fits; new deliveries wait in the store."""
        return self.deliveries_held >= limits.LANES_DELIVERIES_MAX or self.bytes_held >= limits.LANES_BYTES_MAX


class Lane:
    """The deliveries of one endpoint that are in memory.

    *Direct*: new deliveries are handed over in memory. *Draining* (``direct`` is false): some wait in the store, and
    new ones are written behind them until the backlog has been claimed in order.
    """

    __slots__ = (
        "again", "arrivals", "claiming", "closed", "direct", "early", "endpoint", "health", "in_flight", "next_due_ms",
        "owned", "queue", "ramp", "succeeded_ms", "tokens", "tokens_at", "tried_at", "waiting_ms", "waking", "writing",
    )  # fmt: skip

    def __init__(self, endpoint: RunningEndpoint, health: Health = HEALTHY) -> None:
        self.endpoint = endpoint
        self.health = health
        self.queue: deque[Claimed] = deque()
        self.in_flight = 0
        self.owned = 0
        """Reserved, queued, in flight or not yet recorded: everything claimed that the store does not have back yet."""
        self.writing = 0
        """Deliveries on their way to the store to wait there; until they arrive an empty claim proves nothing."""
        self.arrivals = 0
        """Counts deliveries that came to wait in the store, so that a claim can tell whether one slipped in behind it.
        """
        self.direct = True
        self.claiming = False
        self.again = False
        """Something fell due while a claim was under way: it has to look once more."""
        self.early = False
        """The endpoint has just recovered: waiting retries come forward whatever their due time."""
        self.next_due_ms: int | None = None
        self.waiting_ms: int | None = None
        """Since when deliveries wait in the store: when the first that was left there was made, then when the last
        untried one was made that was taken from there. ``None`` where none wait.
        """
        self.ramp = limits.IN_FLIGHT_MAX
        self.succeeded_ms: int | None = None
        """The last success since the lane was made. Health holds only those that end a time of failing."""
        self.tokens = 1.0
        self.tokens_at = 0.0
        self.tried_at = -limits.FAILING_ATTEMPT_SECONDS
        """When the last request to an endpoint that fails was begun."""
        self.waking = False
        self.closed = not endpoint.endpoint.enabled

    @property
    def ordered(self) -> bool:
        """Ordered endpoints get everything through the store, which alone knows what comes before what."""
        return self.endpoint.endpoint.ordering is _BY_CONTACT

    @property
    def limit(self) -> int:
        """Requests that may be under way at once."""
        if self.health.failures_in_a_row >= limits.FAILURES_IN_A_ROW_TO_SLOW:
            return 1
        most = self.endpoint.endpoint.max_in_flight or limits.IN_FLIGHT_DEFAULT
        return most if most < self.ramp else self.ramp  # noqa: FURB136 - thrice as quick as min()

    def capacity(self, budget: Budget) -> int:
        """Deliveries the lane may own: little for an endpoint that fails, a small share when memory is tight."""
        if self.health.failures_in_a_row >= limits.FAILURES_IN_A_ROW_TO_SLOW:
            return limits.LANE_DELIVERIES_FAILING
        if budget.tight:
            return 2 * (self.endpoint.endpoint.max_in_flight or limits.IN_FLIGHT_DEFAULT)
        return limits.LANE_DELIVERIES_MAX

    def room(self, budget: Budget) -> int:
        """How many more it may claim. One that drains keeps a modest stock; a direct one only fetches retries."""
        capacity = self.capacity(budget)
        if self.direct:
            return min(capacity - self.owned, limits.CLAIM_DELIVERIES_MAX)
        return min(capacity, max(2 * self.limit, limits.CLAIM_DELIVERIES_MAX)) - self.owned

    def reserve(self, budget: Budget) -> bool:
        """Ask for a place for a new delivery; where there is none, it must wait in the store and the lane drains."""
        room = self.owned < limits.LANE_DELIVERIES_FAILING or self.owned < self.capacity(budget)
        ordered = self.endpoint.endpoint.ordering is _BY_CONTACT
        if self.direct and room and not self.closed and not ordered and not budget.spent:
            self.owned += 1
            budget.deliveries_held += 1
            return True
        self.direct = False
        self.writing += 1
        return False

    def left_waiting(self, due_ms: int) -> None:
        """A delivery that found no place is on disk, unclaimed."""
        self.writing -= 1
        self.arrivals += 1
        if self.waiting_ms is None:
            self.waiting_ms = due_ms

    def take(self, claimed: Claimed, budget: Budget) -> None:
        """Own a delivery that was claimed from the store."""
        self.owned += 1
        budget.deliveries_held += 1
        budget.bytes_held += len(claimed.event.body)
        self.queue.append(claimed)
        if claimed.attempts == 0:
            self.waiting_ms = ms_of(claimed.id)

    def emptied(self) -> list[Claimed]:
        """Take all out that is queued; it is owned as before."""
        queued = list(self.queue)
        self.queue.clear()
        return queued

    def found_end(self, *, since: int, writing: int) -> None:
        """A claim found no more than it was given. The lane is direct again unless something slipped in behind it:
        ``since`` and ``writing`` are what ``arrivals`` and ``writing`` were when it began.
        """
        self.direct = writing == 0 and self.writing == 0 and self.arrivals == since
        if self.direct:
            self.waiting_ms = None

    @property
    def paced(self) -> bool:
        """Whether each request needs leave."""
        if self.endpoint.endpoint.rate_limit_per_second is not None:
            return True
        return self.health.failures_in_a_row >= limits.FAILURES_IN_A_ROW_TO_SLOW

    @property
    def failing(self) -> bool:
        """The last attempts all failed."""
        return self.health.failures_in_a_row >= limits.FAILURES_IN_A_ROW_TO_SLOW

    def take_leave(self, now: float) -> float:
        """Take leave to start one request. Returns 0, or the seconds to wait for it."""
        if self.failing:
            wait = self.tried_at + limits.FAILING_ATTEMPT_SECONDS - now
            # The clock's rounding must not leave a wait too short to move it.
            if wait > 0.001:
                return wait
            self.tried_at = now
        return self._take_token(now)

    def _take_token(self, now: float) -> float:
        """The rate limit's part of it."""
        rate = self.endpoint.endpoint.rate_limit_per_second
        if rate is None:
            return 0.0
        burst = max(1.0, rate / 10)
        self.tokens = min(burst, self.tokens + (now - self.tokens_at) * rate)
        self.tokens_at = now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        # At least a millisecond: rounding can leave a wait too short to move any clock.
        return max(0.001, (1.0 - self.tokens) / rate)

    def pace_from(self, now: float) -> None:
        """Begin with no leave saved up: another node may have used it all."""
        self.tokens, self.tokens_at = 0.0, now

    @property
    def last_success_ms(self) -> int | None:
        """When an attempt last succeeded, as far as this process knows; tests are left out."""
        return self.health.last_success_ms if self.succeeded_ms is None else self.succeeded_ms

    def succeeded(self) -> None:
        """A success widens the ramp: 1, 2, 4 … requests at once."""
        if self.ramp < limits.IN_FLIGHT_MAX:
            self.ramp = min(limits.IN_FLIGHT_MAX, self.ramp * 2)

    def recovered(self, failures_in_a_row: int) -> None:
        """A success after failures: begin the ramp, and let waiting retries come forward.

        Only where the endpoint itself was down. One delivery that always fails among others that succeed keeps its
        schedule.
        """
        if failures_in_a_row >= limits.FAILURES_IN_A_ROW_TO_RECOVER:
            self.ramp = 1
            self.early = True

    def failed(self) -> None:
        """A failure: what came forward early stops, a ramp begins anew."""
        self.early = False
        if self.ramp < limits.IN_FLIGHT_MAX:
            self.ramp = 1
