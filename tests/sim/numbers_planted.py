"""Bugs about whose everything is, planted on purpose: each must be found within a bounded number of schedules."""

import asyncio
from asyncio import Future

from tests.sim.numbers_world import NumberParts
from whatsync.compose.whatsapp import WhatsApp
from whatsync.engine.ownership import Owner, Ownership
from whatsync.engine.source_directory import RunningNumber, RunningSource
from whatsync.ports.arrivals import TakenIn
from whatsync.ports.store import Intake, IntakeResult
from whatsync.store.memory import NodeStore


class PresentOwner(Ownership):
    """Everything is the present account's, whenever it happened."""

    def _of_number(self, source: RunningSource, known: RunningNumber, at_ms: int) -> Owner:
        return Owner(known.account)


class AnswersFirst(NodeStore):
    """200 before the commit."""

    def take_in(self, intake: Intake) -> "Future[IntakeResult]":
        super().take_in(intake).add_done_callback(lambda written: written.exception())
        answer: Future[IntakeResult] = asyncio.get_running_loop().create_future()
        answer.set_result(TakenIn(()))
        return answer


def forget_owners(whatsapp: WhatsApp) -> None:
    """Spoil: earlier accounts do not count."""
    whatsapp.reception._ownership = PresentOwner(whatsapp._directory)


def never_look_again(whatsapp: WhatsApp) -> None:
    """Spoil: who gives a number away processes what waits for it, and nobody else does when that one dies."""

    async def nothing() -> None:
        return

    whatsapp.reprocessing._look_for_more = nothing  # type: ignore[method-assign]


def leave_kept(whatsapp: WhatsApp) -> None:
    """Spoil: what was kept for a number of nobody's stays where it is."""
    never_look_again(whatsapp)
    whatsapp.numbers.on_assigned.clear()


BUGS = {
    "earlier accounts forgotten": lambda: NumberParts(spoil=forget_owners),
    "kept bodies left": lambda: NumberParts(spoil=leave_kept),
    "nobody looks again": lambda: NumberParts(spoil=never_look_again),
    "200 before the commit": lambda: NumberParts(store=AnswersFirst),
}
