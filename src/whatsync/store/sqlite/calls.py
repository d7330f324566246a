"""One call to the store on its way from the event loop to the writer's thread and back.

Knows futures and the kinds of work; nothing of SQL.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any

from whatsync.ports.store import Admission, Intake
from whatsync.store.sqlite import arrivals
from whatsync.store.sqlite.accept import Accepting
from whatsync.store.sqlite.record import Outcomes
from whatsync.store.sqlite.session import Session

Step = Callable[[Session], Any]
"""Work inside the writer's transaction that stands by itself."""


PATIENT_ROWS_MAX = 50
"""Outcomes from which on a commit of their own is worth its price."""


class Call:
    """Something to write, and who waits for the answer."""

    __slots__ = ("answer", "problem", "result")

    def __init__(self, answer: "Future[Any] | None") -> None:
        self.answer = answer
        self.result: Any = None
        self.problem: BaseException | None = None

    @property
    def weight(self) -> int:
        """Rows it brings, about."""
        return 10


class AcceptCall(Call):
    """An admission; those of a commit are written together."""

    __slots__ = ("admission",)

    def __init__(self, answer: "Future[Any]", admission: Admission) -> None:
        self.answer = answer
        self.result = self.problem = None
        self.admission = admission

    @property
    def weight(self) -> int:
        """Rows it brings."""
        return len(self.admission.events) + len(self.admission.deliveries)

    def admit(self, _session: Session, accepting: Accepting) -> Any:
        """Decide about it, and take its rows in."""
        return accepting.admit(self.admission)


class TakeInCall(AcceptCall):
    """A source's body with its admissions; written together with the other admissions of a commit."""

    __slots__ = ("intake",)

    def __init__(self, answer: "Future[Any]", intake: Intake) -> None:
        self.answer = answer
        self.result = self.problem = None
        self.intake = intake

    @property
    def weight(self) -> int:
        """Rows it brings."""
        return 1 + sum(len(one.events) + len(one.deliveries) for one in self.intake.admissions)

    def admit(self, session: Session, accepting: Accepting) -> Any:
        """Decide about it, and write it."""
        return arrivals.take_in(session, accepting, self.intake)


class RecordCall(Call):
    """Outcomes; those of a commit are written together."""

    __slots__ = ("outcomes",)

    @property
    def patient(self) -> bool:
        """Whether nobody is held up if it waits a moment for others to share its commit with."""
        attempts, _ = self.outcomes
        return len(attempts) < PATIENT_ROWS_MAX and not any(row.ordered for row in attempts)

    def __init__(self, answer: "Future[Any]", outcomes: Outcomes) -> None:
        self.answer = answer
        self.result = self.problem = None
        self.outcomes = outcomes

    @property
    def weight(self) -> int:
        """Rows it brings."""
        return len(self.outcomes[0])


class StepCall(Call):
    """Anything else that is written."""

    __slots__ = ("step",)

    def __init__(self, answer: "Future[Any] | None", step: Step) -> None:
        self.answer = answer
        self.result = self.problem = None
        self.step = step


class BackupCall(Call):
    """A copy to be made while everything goes on."""

    __slots__ = ("path",)

    def __init__(self, answer: "Future[Any]", path: str) -> None:
        self.answer = answer
        self.result = self.problem = None
        self.path = path


class CloseCall(Call):
    """The last call."""

    __slots__ = ()


class AbandonCall(CloseCall):
    """The last call of a store that is dropped as a crash drops it."""

    __slots__ = ()


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
