"""Counts what the server does, as plain numbers that the metrics read. Costs next to nothing; knows
no part of the server, and of an attempt its row.
"""

from bisect import bisect_left

from whatsync.model.delivery import State
from whatsync.model.ids import ms_of
from whatsync.ports.store import AttemptRow

ACCEPT_SECONDS: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
LAG_SECONDS: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
ATTEMPT_SECONDS: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)

_FAILED = State.FAILED  # members of an enum are looked up slowly in Python 3.11


class Histogram:
    """Observations in seconds, counted by upper bound."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Tally:
    """All counters of one server, from its start."""

    __slots__ = (
        "accept", "accepting_bytes", "arriving_bytes", "attempt", "attempts", "delivered", "first_attempt", "loop_lag",
        "refused", "test_attempts", "unfinished",
    )  # fmt: skip

    def __init__(self) -> None:
        self.accepting_bytes = 0
        """Bodies of requests whose commit is under way."""
        self.arriving_bytes = 0
        """Bodies of requests that have arrived in part only."""
        self.delivered = 0
        self.attempts: dict[str, int] = {}
        """By outcome: ``success`` or the failure's code. Like all that follows from attempts without test sends, which
        people make fail on purpose.
        """
        self.test_attempts: dict[str, int] = {}
        """The same of test sends alone."""
        self.refused: dict[int, int] = {}
        """Requests to accept events that were refused, by status."""
        self.unfinished = 0
        """Deliveries that ended without success."""
        self.accept = Histogram(ACCEPT_SECONDS)
        """From a request's last byte to its durable commit."""
        self.first_attempt = Histogram(ACCEPT_SECONDS)
        """From accepting an event to the start of a delivery's first attempt."""
        self.attempt = Histogram(ATTEMPT_SECONDS)
        """Duration of attempts."""
        self.loop_lag = Histogram(LAG_SECONDS)
        """How late the event loop was."""

    def count_attempt(self, row: AttemptRow) -> None:
        """Count one attempt."""
        word = row.code or "success"
        if row.test:
            self.test_attempts[word] = self.test_attempts.get(word, 0) + 1
            return
        self.attempts[word] = self.attempts.get(word, 0) + 1
        seconds, took = row.total_us / 1_000_000, self.attempt
        took.counts[bisect_left(took.bounds, seconds)] += 1
        took.sum += seconds
        if row.number == 1:
            self.first_attempt.add((row.started_ms - ms_of(row.delivery)) / 1000)
        if row.code is None:
            self.delivered += 1
        elif row.state is _FAILED:
            self.unfinished += 1

    def count_refused(self, status: int) -> None:
        """Count a refused request."""
        self.refused[status] = self.refused.get(status, 0) + 1
