"""Tells the story once over a given store and sender, to its end or until it has clearly stuck; judges it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.failure.faults import Fault
from tests.failure.laws import Laws
from tests.failure.receivers import Receivers
from tests.failure.scenario import Story
from tests.sim.loop import Stuck, Time, VirtualLoop

END_S = 6 * 3600.0
"""Virtual seconds in which everything must have come to rest, faults included."""


def tell_on(loop: VirtualLoop, time: Time, store: Any, receivers: Receivers, *store_faults: Fault) -> list[str]:
    """Tell the story in virtual time over a store with both sides; every broken law. The store's faults are armed when
    it is open."""
    story = Story(store, receivers, time)
    return told(loop, time, story, lambda: Laws(story).faults(), *store_faults)


def told(
    loop: VirtualLoop, time: Time, story: Story, judge: Callable[[], Awaitable[list[str]]], *store_faults: Fault
) -> list[str]:
    """Tell any story, and have it judged."""
    for fault in store_faults:
        fault.armed, fault.now_s = False, lambda: time.now
    faults: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def whole() -> None:
        await story.open()
        tasks.extend(story._tasks)
        for fault in store_faults:
            fault.armed = True
        await story.tell()
        faults.extend(await judge())

    async def beat() -> None:
        """So that the next timer is never far when everybody waits for the disk."""
        while True:  # noqa: ASYNC110 - time itself is what is waited for
            await asyncio.sleep(1)

    def stop(_: object) -> None:
        loop.stop()

    telling = loop.create_task(whole())
    telling.add_done_callback(stop)
    beating = loop.create_task(beat())
    try:
        loop.run_until_time(END_S)
    except Stuck as problem:
        faults.append(str(problem))
    telling.remove_done_callback(stop)
    beating.cancel()
    if not telling.done():
        faults.append(f"the story had not ended after {END_S:.0f} s: {where(telling)}")
    elif telling.exception() is not None:
        faults.append(f"the story died: {telling.exception()!r}")
    faults += [f"unhandled: {failure.get('message')} {failure.get('exception')!r}" for failure in loop.failures]
    faults += [f"a loop died: {task.exception()!r}" for task in tasks if task.done() and not task.cancelled()]
    return faults


def where(task: "asyncio.Task[None]") -> str:
    """What a task stands at, innermost last."""
    places = []
    at: Any = task.get_coro()
    while at is not None and getattr(at, "cr_frame", None) is not None:
        places.append(f"{at.cr_code.co_name}:{at.cr_frame.f_lineno}")
        at = at.cr_await
    return " -> ".join([*places, repr(at)])


def every_call(tell: Callable[[int], tuple[int, list[str]]], step: int = 1, first: int = 1) -> list[str]:
    """Tell the story with the fault at the first call, the second, and so on until one telling is not struck. With
    ``step`` only at every so manieth call, from ``first`` on.

    ``tell`` gives how often the fault struck, and the broken laws.
    """
    broken: list[str] = []
    number = first
    while True:
        struck, faults = tell(number)
        broken += [f"call {number}: {fault}" for fault in faults]
        if struck == 0:
            return broken
        number += step
