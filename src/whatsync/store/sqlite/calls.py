"""One call to the store on its way from the event loop to the writer's thread and back.

Knows futures and the kinds of work; nothing of SQL.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from whatsync.ports.store import Admission, Intake
from whatsync.store.sqlite import arrivals
from whatsync.store.sqlite.accept import Accepting
from whatsync.store.sqlite.record import Outcomes
from whatsync.store.sqlite.session import Session

Step = Callable[[Session], Any]
"""Work inside the writer's transaction that stands by itself."""


PATIENT_ROWS_MAX = 50
"""Outcomes from which on a commit of their own is worth its price."""


class Call(msgspec.Struct, eq=False):
    """Something to write, and who waits for the answer."""

    answer: "Future[Any] | None"
    result: Any = None
    problem: BaseException | None = None

    @property
    def weight(self) -> int:
        """Rows it brings, about."""
        return 10


class AdmittingCall(Call):
    """One admission or more; those of a commit are written together."""

    def admit(self, session: Session, accepting: Accepting) -> Any:
        """Decide about it, and take its rows in."""
        raise NotImplementedError


class AcceptCall(AdmittingCall, kw_only=True):
    """An admission."""

    admission: Admission

    @property
    def weight(self) -> int:
        """Rows it brings."""
        return len(self.admission.events) + len(self.admission.deliveries)

    def admit(self, session: Session, accepting: Accepting) -> Any:
        """Decide about it, and take its rows in."""
        return accepting.admit(self.admission)


class TakeInCall(AdmittingCall, kw_only=True):
    """A source's body with its admissions."""

    intake: Intake

    @property
    def weight(self) -> int:
        """Rows it brings."""
        return 1 + sum(len(one.events) + len(one.deliveries) for one in self.intake.admissions)

    def admit(self, session: Session, accepting: Accepting) -> Any:
        """Decide about it, and write it."""
        return arrivals.take_in(session, accepting, self.intake)


class RecordCall(Call, kw_only=True):
    """Outcomes; those of a commit are written together."""

    outcomes: Outcomes

    @property
    def patient(self) -> bool:
        """Whether nobody is held up if it waits a moment for others to share its commit with."""
        attempts, _ = self.outcomes
        return len(attempts) < PATIENT_ROWS_MAX and not any(row.ordered for row in attempts)

    @property
    def weight(self) -> int:
        """Rows it brings."""
        return len(self.outcomes[0])


class StepCall(Call, kw_only=True):
    """Anything else that is written."""

    step: Step


class BackupCall(Call, kw_only=True):
    """A copy to be made while everything goes on."""

    path: str


class CloseCall(Call):
    """The last call."""


class AbandonCall(CloseCall):
    """The last call of a store that is dropped as a crash drops it."""


def resolve_all(calls: Sequence[Call]) -> None:
    """Answer everybody; in the event loop's thread."""
    for call in calls:
        answer = call.answer
        if answer is None or answer.done():
            continue
        if call.problem is None:
            answer.set_result(call.result)
        else:
            answer.set_exception(call.problem)
