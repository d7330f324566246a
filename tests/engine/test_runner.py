"""The runner: a loop that dies is started again with a growing pause, and counts as dead until it is well."""

import asyncio
import logging

import pytest

from whatsync.engine.runner import Runner


class SlowClock:
    """Time that passes only when somebody sleeps; a sleep is one turn of the loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_loop_that_dies_is_started_again_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    clock = SlowClock()
    runner = Runner(clock)
    deaths = 0

    async def fragile() -> None:
        nonlocal deaths
        if deaths < 4:
            deaths += 1
            raise ValueError("a bug")
        await asyncio.Event().wait()

    runner.add("fragile", fragile)
    with caplog.at_level(logging.ERROR):
        runner.start()
        await turns(20)
    assert clock.slept == [0.5, 1.0, 2.0, 4.0]
    assert runner.restarts == 4
    assert runner.dead == {"fragile": "ValueError"}
    assert all("fragile" in record.getMessage() for record in caplog.records)
    clock.now += 10
    assert runner.dead == {}
    await runner.stop()


async def test_a_loop_that_ends_was_broken_too() -> None:
    clock = SlowClock()
    runner = Runner(clock)
    runs = 0

    async def short() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            await asyncio.Event().wait()

    runner.add("short", short)
    runner.start()
    await turns(10)
    assert runs == 2
    assert runner.dead == {"short": "it ended"}
    await runner.stop()


async def test_the_pause_never_grows_beyond_half_a_minute() -> None:
    clock = SlowClock()
    runner = Runner(clock)

    async def broken() -> None:
        if len(clock.slept) > 12:
            await asyncio.Event().wait()
        raise ValueError

    runner.add("broken", broken)
    runner.start()
    await turns(60)
    assert clock.slept[:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert max(clock.slept) == 30.0
    await runner.stop()


async def test_periodic_work_comes_round_and_survives_a_bug() -> None:
    clock = SlowClock()
    runner = Runner(clock)
    done: list[float] = []

    async def work() -> None:
        done.append(clock.now)
        if len(done) == 2:
            raise ValueError
        if len(done) == 4:
            await asyncio.Event().wait()

    runner.add_every("work", 10.0, work)
    runner.start()
    await turns(40)
    assert done == [10.0, 20.0, 30.5, 40.5]
    await runner.stop()


async def test_stopping_ends_all_loops() -> None:
    runner = Runner(SlowClock())
    ended = []

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    runner.add("one", loop)
    runner.add("two", loop)
    ready = [runner.ready]
    runner.start()
    ready.append(runner.ready)
    await turns(3)
    await runner.stop()
    ready.append(runner.ready)
    assert ended == [True, True]
    assert ready == [False, True, False]
