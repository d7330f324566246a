"""Bugs planted on purpose. Each must be found within a bounded number of schedules, or the simulator proves nothing."""

import asyncio
from asyncio import Future
from copy import deepcopy
from dataclasses import dataclass

import msgspec

from tests.sim.life import Parts
from whatsync.engine.attempt import Attempt, Attempter
from whatsync.engine.outcome import Outcome
from whatsync.model.delivery import State, decide
from whatsync.model.outcome import Kind, Verdict
from whatsync.model.signature import Signer
from whatsync.ports.sender import Answer, Failure
from whatsync.ports.store import Accepted, AcceptResult, Admission, AttemptRow, Opened
from whatsync.store.memory import MemoryStore
from whatsync.store.memory.disk import Delivery


class AcknowledgesFirst(MemoryStore):
    """202 before the commit."""

    def accept(self, admission: Admission) -> "Future[AcceptResult]":
        super().accept(admission).add_done_callback(lambda written: written.exception())
        answer: Future[AcceptResult] = asyncio.get_running_loop().create_future()
        answer.set_result(Accepted())
        return answer


class GuardRemoved(MemoryStore):
    """An outcome counts whatever became of the claim."""

    def claim_holds(self, delivery: Delivery, claim: int) -> bool:
        return True


class ForgetsTakeBack(MemoryStore):
    """Claims of earlier runs are never taken back: the single server's form of an ignored lease."""

    def apply_open(self, now_ms: int, version: str) -> Opened:
        flying = [delivery for delivery in self.disk.deliveries.values() if delivery.in_flight]
        opened = super().apply_open(now_ms, version)
        for delivery in flying:
            delivery.in_flight, delivery.due_ms = True, None
        return opened


class ForgetsIds(MemoryStore):
    """Event ids are remembered for an hour instead of eight days."""

    def apply_accept(self, admission: Admission) -> AcceptResult:
        newest = max((event.seq for event in admission.events), default=0) >> 21
        for key, seq in list(self.disk.event_ids.items()):
            if newest - (seq >> 21) > 3_600_000:
                del self.disk.event_ids[key]
        return super().apply_accept(admission)


class _Unheard(Attempt):
    """An attempt of which nobody hears."""

    def ended(self, outcome: Outcome | Exception) -> None:
        pass


class RecordsFirst(Attempter):
    """The outcome is recorded before the request is made."""

    def begin(self, attempt: Attempt, signer: Signer | None = None) -> None:
        claimed, endpoint = attempt.claimed, attempt.endpoint
        now_ms = self._clock.now_ms()
        decision = decide(Verdict(Kind.SUCCESS), 1, (), now_ms, 0.0)
        row = AttemptRow(
            claimed.id, claimed.claim, claimed.attempts + 1, claimed.event.account, endpoint.row, now_ms, now_ms,
            State.SUCCEEDED, None, 200, None, ordered=claimed.contact is not None,
        )  # fmt: skip
        outcome = Outcome(row, Verdict(Kind.SUCCESS), decision, claimed.event.id)
        asyncio.get_running_loop().call_soon(attempt.ended, outcome)
        unheard = _Unheard(self, claimed, endpoint)
        super().begin(unheard, signer)
        attempt.under_way = unheard.under_way


class IgnoresSuccess(Attempter):
    """A success is taken for a failure."""

    def conclude(self, attempt: Attempt, answer: Answer | Failure) -> Outcome:
        outcome = super().conclude(attempt, answer)
        if outcome.verdict.kind is not Kind.SUCCESS or attempt.claimed.attempts > 2:
            return outcome
        verdict = Verdict(Kind.RETRY, "http_500")
        decision = decide(verdict, outcome.row.number, (5, 30, 120), outcome.row.finished_ms, 0.5)
        row = msgspec.structs.replace(outcome.row, state=decision.state, due_ms=decision.due_ms, code="http_500")
        return Outcome(row, verdict, decision, outcome.event)


class RetriesEarly(Attempter):
    """A retry comes at half its time."""

    def conclude(self, attempt: Attempt, answer: Answer | Failure) -> Outcome:
        outcome = super().conclude(attempt, answer)
        row = outcome.row
        if row.due_ms is None:
            return outcome
        due_ms = row.finished_ms + (row.due_ms - row.finished_ms) // 2
        decision = msgspec.structs.replace(outcome.decision, due_ms=due_ms)
        return Outcome(msgspec.structs.replace(row, due_ms=due_ms), outcome.verdict, decision, outcome.event)


@dataclass
class NotSynced:
    """``synchronous`` is off: a crash takes the last commits with it."""

    kept: MemoryStore | None = None

    def parts(self) -> Parts:
        """A store whose disk forgets what was written since the last but one claim, when the power goes."""
        outer = self

        class Store(MemoryStore):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments)  # type: ignore[arg-type]
                outer.kept = self
                self.before = (dict(self.disk.events), dict(self.disk.event_ids))
                self.accepts = 0

            def apply_accept(self, admission: Admission) -> AcceptResult:
                self.accepts += 1
                if self.accepts % 5 == 0:
                    self.before = (dict(self.disk.events), dict(self.disk.event_ids))
                return super().apply_accept(admission)

        def forget() -> None:
            store = outer.kept
            assert isinstance(store, Store)
            events, ids = store.before
            for seq in set(store.disk.events) - set(events):
                for delivery in deepcopy(store.disk.of_event(seq)):
                    store.disk.remove(store.disk.deliveries[delivery.row.id])
                store.disk.deliveries_of_event.pop(seq, None)
                del store.disk.events[seq]
            store.disk.event_ids = dict(ids)

        return Parts(store=Store, on_crash=[forget])


BUGS = {
    "202 before the commit": lambda: Parts(store=AcknowledgesFirst),
    "synchronous off": lambda: NotSynced().parts(),
    "outcome before the send": lambda: Parts(attempter=RecordsFirst),
    "claim guard removed": lambda: Parts(store=GuardRemoved),
    "success ignored": lambda: Parts(attempter=IgnoresSuccess),
    "retry early": lambda: Parts(attempter=RetriesEarly),
    "lease ignored": lambda: Parts(store=ForgetsTakeBack),
    "key expired early": lambda: Parts(store=ForgetsIds),
}
