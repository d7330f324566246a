"""Bugs of a source planted on purpose: each must be found within a bounded number of schedules."""

import asyncio
from asyncio import Future
from collections.abc import Sequence

from msgspec.structs import replace

from tests.sim.life import Parts
from whatsync.ports.arrivals import ContactRow, Outdated, TakenIn
from whatsync.ports.store import Admission, Intake, IntakeResult
from whatsync.store.memory import MemoryStore


class AnswersFirst(MemoryStore):
    """200 before the commit."""

    def take_in(self, intake: Intake) -> "Future[IntakeResult]":
        super().take_in(intake).add_done_callback(lambda written: written.exception())
        answer: Future[IntakeResult] = asyncio.get_running_loop().create_future()
        answer.set_result(TakenIn(()))
        return answer


class KeepsRepeats(MemoryStore):
    """What came before is written again: derived ids are not looked up."""

    def only_new(self, admission: Admission) -> Admission:
        return admission


class ForgetsWhen(MemoryStore):
    """When a person was last heard of is not kept, so an old body turns a name back."""

    async def contacts(self, account: int, words: Sequence[str]) -> tuple[ContactRow, ...]:
        return tuple(replace(one, seen_ms=0) for one in await super().contacts(account, words))


class WritesHalf(MemoryStore):
    """The events of a body are written without what was learnt of people."""

    def apply_take_in(self, intake: Intake) -> IntakeResult:
        return super().apply_take_in(replace(intake, contacts=()))

    def outdated(self, intake: Intake) -> Outdated | None:
        return super().outdated(replace(intake, contacts=()))


BUGS = {
    "200 before the commit": lambda: Parts(store=AnswersFirst),
    "repeats written again": lambda: Parts(store=KeepsRepeats),
    "names turned back": lambda: Parts(store=ForgetsWhen),
    "people not written": lambda: Parts(store=WritesHalf),
}
