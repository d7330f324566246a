"""Beginnings are spread over the turns of the loop, in order, and who gives up leaves the place to the next."""

import asyncio
from itertools import pairwise

from whatsync.net.pace import Pace


async def test_no_more_than_so_many_in_a_turn() -> None:
    pace = Pace(loop=asyncio.get_running_loop(), per_turn=3)
    through: list[int] = []

    async def one(number: int) -> None:
        await pace.wait()
        through.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(10)]
    tasks[4].cancel()
    counts = [0]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        counts.append(len(through))
    assert through == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert max(after - before for before, after in pairwise(counts)) <= 3


async def test_alone_nobody_waits() -> None:
    pace = Pace(loop=asyncio.get_running_loop(), per_turn=1)
    for _ in range(3):
        waiting = pace.wait()
        try:
            waiting.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it had to wait")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
