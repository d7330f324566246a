"""Who gets a socket when there are few: quick before slow, none over the limit, nobody waiting beside a free one."""

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.net.hand import HandLoop
from whatsync.net.deadlines import Deadlines
from whatsync.net.origin import Origin
from whatsync.net.socket_budget import SocketBudget, sockets_of_process

MAX = 40


def make() -> tuple[HandLoop, SocketBudget, list[Origin]]:
    loop: Any = HandLoop()
    idle: list[Origin] = []

    def evict(slow_only: bool) -> bool:
        fitting = [one for one in idle if one.slow or not slow_only]
        if not fitting:
            return False
        idle.remove(fitting[0])
        budget.give_back(fitting[0])
        return True

    budget = SocketBudget(MAX, loop=loop, deadlines=Deadlines(loop, loop.time), evict=evict, quick_answers_to_trust=3)
    return loop, budget, idle


def origin(name: str = "a.test", *, quick: bool = False) -> Origin:
    made = Origin(("http", name, 80))
    made.slow = not quick
    return made


def test_the_process_has_some() -> None:
    assert sockets_of_process() >= 16


def test_the_unproven_share_half_and_one_of_them_gets_a_part_of_it() -> None:
    _, budget, _ = make()
    first, second, third, quick = origin("a"), origin("b"), origin("c"), origin("d", quick=True)
    assert sum(budget.take(first) for _ in range(MAX)) == 8
    assert sum(budget.take(second) for _ in range(MAX)) == 8
    assert sum(budget.take(third) for _ in range(MAX)) == 4
    assert sum(budget.take(quick) for _ in range(MAX)) == 20
    assert (budget.in_use, budget.slow_in_use) == (MAX, MAX // 2)


def test_an_origin_changes_sides_with_all_its_sockets() -> None:
    _, budget, _ = make()
    one = origin(quick=True)
    for _ in range(30):
        assert budget.take(one)
    budget.mark_slow(one)
    assert (budget.slow_in_use, budget.take(one)) == (30, False)
    for slow_in_use in (30, 30, 0, 0):
        budget.mark_quick(one)
        assert budget.slow_in_use == slow_in_use
    assert budget.take(one)


def test_an_idle_connection_makes_room() -> None:
    _, budget, idle = make()
    one = origin(quick=True)
    for _ in range(MAX):
        assert budget.take(one)
    assert not budget.take(one)
    idle.append(one)
    assert budget.take(one)
    assert budget.in_use == MAX


async def test_waiters_are_served_quick_ones_first() -> None:
    loop, budget, _ = make()
    held, quick, slow = origin("h", quick=True), origin("q", quick=True), origin("s")
    for _ in range(MAX):
        budget.take(held)
    order: list[str] = []

    async def wait(name: str, which: Origin) -> None:
        if await take_by_hand(budget, which, loop.now + 5.0):
            order.append(name)

    tasks = [asyncio.create_task(wait(*who)) for who in (("slow", slow), ("quick 1", quick), ("quick 2", quick))]
    await asyncio.sleep(0)
    for _ in range(3):
        budget.give_back(held)
        for _ in range(3):
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["quick 1", "quick 2", "slow"]
    assert (budget.in_use, budget.waiting) == (MAX, 0)


async def test_a_wait_ends_with_its_time_or_with_its_caller() -> None:
    loop, budget, _ = make()
    one = origin(quick=True)
    for _ in range(MAX):
        budget.take(one)
    late = asyncio.create_task(take_by_hand(budget, one, loop.now + 1.0))
    cancelled = asyncio.create_task(take_by_hand(budget, one, loop.now + 9.0))
    served_and_cancelled = asyncio.create_task(take_by_hand(budget, one, loop.now + 9.0))
    await asyncio.sleep(0)
    loop.advance(2.0)
    assert await late is False
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    budget.give_back(one)
    served_and_cancelled.cancel()
    await asyncio.gather(served_and_cancelled, return_exceptions=True)
    assert (budget.in_use, budget.waiting, one.sockets) == (MAX - 1, 0, MAX - 1)


async def take_by_hand(budget: SocketBudget, which: Origin, until: float) -> bool:
    budget._loop = asyncio.get_running_loop()
    return await budget.take_within(which, until)


class Bookkeeping(RuleBasedStateMachine):
    """Whatever happens in whatever order, the sums are right and no limit is passed."""

    def __init__(self) -> None:
        super().__init__()
        self.loop, self.budget, self.idle = make()
        self.origins = [origin(str(number), quick=number % 2 == 0) for number in range(4)]

    @rule(number=st.integers(0, 3))
    def take(self, number: int) -> None:
        which = self.origins[number]
        expected = self.budget.in_use < MAX or bool(self.idle)
        if which.slow:  # an origin that turned slow may be over the limit, and then several have to go
            idle = sum(one.slow for one in self.idle)
            expected = which.sockets < 8 and self.budget.slow_in_use - idle < MAX // 2 and (expected or idle > 0)
        assert self.budget.take(which) == expected

    @precondition(lambda self: any(one.sockets > self.idle.count(one) for one in self.origins))
    @rule(data=st.data(), keep=st.booleans())
    def release(self, data: st.DataObject, keep: bool) -> None:
        busy = [one for one in self.origins if one.sockets > self.idle.count(one)]
        which = data.draw(st.sampled_from(busy))
        if keep:
            self.idle.append(which)
        else:
            self.budget.give_back(which)

    @rule(number=st.integers(0, 3))
    def mark_slow(self, number: int) -> None:
        self.budget.mark_slow(self.origins[number])

    @rule(number=st.integers(0, 3))
    def mark_quick(self, number: int) -> None:
        self.budget.mark_quick(self.origins[number])

    @invariant()
    def sums_are_right(self) -> None:
        assert self.budget.in_use == sum(one.sockets for one in self.origins) <= MAX
        assert self.budget.slow_in_use == sum(one.sockets for one in self.origins if one.slow)


TestBookkeeping = Bookkeeping.TestCase
TestBookkeeping.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
