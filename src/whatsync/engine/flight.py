"""One delivery between lane and record: its attempt, and afterwards its outcome on the way to the disk.

Only tells the dispatcher what has happened; decides nothing.
"""

from typing import Protocol

from whatsync.engine.attempt import Attempt, Attempter
from whatsync.engine.lanes import Lane
from whatsync.engine.outcome import Outcome
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


class Flight(Attempt):
    """The attempt of one delivery from a lane, and afterwards its outcome on the way to the disk."""

    __slots__ = ("lane", "row", "tower")

    def __init__(self, attempter: Attempter, claimed: Claimed, tower: Tower, lane: Lane) -> None:
        super().__init__(attempter, claimed, lane.endpoint)
        self.tower = tower
        self.lane = lane
        self.row: AttemptRow | None = None

    def begin(self) -> None:
        """Begin the attempt."""
        try:
            self.attempter.begin(self)
        except Exception as bug:  # noqa: BLE001 - logged there
            self.tower.crashed(self, bug)
            self.tower.end_flight(self)

    def ended(self, outcome: Outcome | Exception) -> None:
        """The attempt is over, and its lane goes on."""
        tower = self.tower
        if isinstance(outcome, Exception):
            tower.crashed(self, outcome)
        else:
            self.row = outcome.row
            try:
                tower.landed(self, outcome)
            except Exception as bug:  # noqa: BLE001 - logged there
                tower.crashed(self, bug)
        tower.end_flight(self)
        if self.lane.queue:
            tower.go_on(self.lane)

    def recorded(self, held: bool) -> None:
        """The outcome is on disk."""
        assert self.row is not None
        self.tower.recorded(self, self.row, held)
