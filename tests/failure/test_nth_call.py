"""The n-th call of the store in memory or of the sender fails, for every n until the story ends untouched."""

import asyncio

import pytest

from tests.failure.faults import Fault
from tests.failure.receivers import Arrival, Receivers
from tests.failure.telling import every_call, tell_on
from tests.sim.loop import Time, VirtualLoop
from whatsync.ports.store import StoreUnavailable
from whatsync.store.memory import Disk, MemoryStore

HOW = ["fail", "lose", "raise"]
STEP = 4
"""What fails for long is told at every so manieth call, unless all are asked for (``--every-call``)."""


def tell(
    store_fault: Fault, stage: str, sender_fault: Fault, how: str, heard: list[Arrival] | None = None
) -> list[str]:
    """One telling on the store in memory; ``heard`` gets what arrived."""
    time = Time()
    sender_fault.now_s = lambda: time.now

    async def commit(at: str) -> None:
        if at.startswith(stage) and store_fault.strikes():
            await asyncio.sleep(1)
            raise StoreUnavailable("planted: the disk fails")

    loop = VirtualLoop(time)
    receivers = Receivers(sender_fault, how)
    try:
        return tell_on(loop, time, MemoryStore(Disk(), commit), receivers, store_fault)
    finally:
        loop.bury()
        if heard is not None:
            heard += receivers.arrivals


def test_the_story_is_long_enough_and_breaks_no_law_by_itself() -> None:
    commits, sends = Fault(0), Fault(0)
    assert tell(commits, "before", sends, "fail") == []
    assert commits.calls > 40
    assert sends.calls > 25


def test_the_same_fault_gives_the_same_story() -> None:
    first: list[Arrival] = []
    second: list[Arrival] = []
    for heard in (first, second):
        assert tell(Fault(9, once=False), "after", Fault(20, once=False), "lose", heard) == []
    assert first == second != []


@pytest.mark.slow
@pytest.mark.parametrize("once", [True, False], ids=["once", "until repaired"])
@pytest.mark.parametrize("stage", ["before", "after"])
def test_any_commit_may_fail_before_or_after_its_effect(stage: str, once: bool, every: bool) -> None:
    def one(number: int) -> tuple[int, list[str]]:
        fault = Fault(number, once)
        faults = tell(fault, stage, Fault(0), "fail")
        return fault.struck, faults

    assert every_call(one, 1 if once or every else STEP, 1 + (stage == "after")) == []


@pytest.mark.slow
@pytest.mark.parametrize("once", [True, False], ids=["once", "until repaired"])
@pytest.mark.parametrize("how", HOW)
def test_any_request_may_fail_before_or_after_it_arrives(how: str, once: bool, every: bool) -> None:
    def one(number: int) -> tuple[int, list[str]]:
        fault = Fault(number, once)
        faults = tell(Fault(0), "before", fault, how)
        return fault.struck, faults

    assert every_call(one, 1 if once or every else STEP, 1 + HOW.index(how)) == []
