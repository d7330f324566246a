"""One delivery between lane and record: its attempt, and afterwards its outcome on the way to the disk.

Only tells the dispatcher what has happened; decides nothing.
"""

from typing import Protocol

from whatsync.engine.attempt import Attempt, Attempter, Outcome
from whatsync.engine.lanes import Lane
from whatsync.ports.store import AttemptRow, Claimed


class Tower(Protocol):
    """Who hears of flights: the dispatcher."""

    def landed(self, flight: "Flight", outcome: Outcome) -> None:
        """An attempt has ended."""

    def crashed(self, flight: "Flight", bug: Exception) -> None:
        """A bug of ours ended it."""

    def end_flight(self, flight: "Flight") -> None:
        """Whatever came of it, it is over."""

    def go_on(self, lane: Lane) -> None:
        """Another one may begin."""

    def recorded(self, flight: "Flight", row: AttemptRow, held: bool) -> None:
        """Its outcome is on disk."""


class Flight:
    """One delivery between lane and record: its attempt, and afterwards its outcome on the way to the disk."""

    __slots__ = ("_attempt", "_dispatcher", "_row", "claimed", "lane")

    def __init__(self, dispatcher: Tower, lane: Lane, claimed: Claimed) -> None:
        self._dispatcher = dispatcher
        self.lane = lane
        self.claimed = claimed
        self._attempt: Attempt | None = None
        self._row: AttemptRow | None = None

    def begin(self, attempter: Attempter) -> None:
        """Begin the attempt."""
        try:
            self._attempt = attempter.begin(self.claimed, self.lane.endpoint, self._landed)
        except Exception as bug:  # noqa: BLE001 - logged there
            self._dispatcher.crashed(self, bug)
            self._dispatcher.end_flight(self)

    def cancel(self) -> None:
        """The server stops: whatever comes of it, the attempt will be repeated."""
        if self._attempt is not None:
            self._attempt.cancel()

    def _landed(self, outcome: Outcome | Exception) -> None:
        dispatcher = self._dispatcher
        self._attempt = None  # the two know each other: only the collector, which stops everything, would free them
        if isinstance(outcome, Exception):
            dispatcher.crashed(self, outcome)
        else:
            self._row = outcome.row
            try:
                dispatcher.landed(self, outcome)
            except Exception as bug:  # noqa: BLE001 - logged there
                dispatcher.crashed(self, bug)
        dispatcher.end_flight(self)
        dispatcher.go_on(self.lane)

    def recorded(self, held: bool) -> None:
        """The outcome is on disk."""
        assert self._row is not None
        self._dispatcher.recorded(self, self._row, held)
