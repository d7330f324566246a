"""What the server counts about itself: attempts without tests, and how late its loop was."""

import asyncio

from tests.engine.desk import HandClock
from whatsync.engine.loop_lag import LoopLag
from whatsync.engine.tally import LAG_SECONDS, Histogram, Tally
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.ports.store import AttemptRow


def attempt(*, code: str | None, state: State, test: bool) -> AttemptRow:
    return AttemptRow(
        delivery=1 << 22,
        claim=1,
        number=1,
        account=1,
        endpoint=1,
        started_ms=1_780_000_000_000,
        finished_ms=1_780_000_000_100,
        state=state,
        due_ms=None,
        status=None,
        code=code,
        total_us=100_000,
        test=test,
    )


def test_tests_that_people_make_fail_on_purpose_are_counted_apart() -> None:
    tally = Tally()
    tally.count_attempt(attempt(code="http_500", state=State.FAILED, test=True))
    tally.count_attempt(attempt(code=None, state=State.SUCCEEDED, test=True))
    assert tally.test_attempts == {"http_500": 1, "success": 1}
    assert (tally.attempts, tally.delivered, tally.unfinished) == ({}, 0, 0)
    assert sum(tally.attempt.counts) == sum(tally.first_attempt.counts) == 0
    tally.count_attempt(attempt(code="http_500", state=State.FAILED, test=False))
    tally.count_attempt(attempt(code=None, state=State.SUCCEEDED, test=False))
    assert tally.attempts == {"http_500": 1, "success": 1}
    assert (tally.delivered, tally.unfinished, sum(tally.attempt.counts)) == (1, 1, 2)


async def test_a_loop_that_wakes_late_is_seen() -> None:
    clock, lag = HandClock(), Histogram(LAG_SECONDS)
    looking = asyncio.get_running_loop().create_task(LoopLag(clock, lag).run())
    for late_seconds in (0.0, 0.004, 0.2):
        await asyncio.sleep(0)
        clock.advance(limits.LOOP_LAG_LOOK_SECONDS + late_seconds)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    looking.cancel()
    seen = {bound: count for bound, count in zip(LAG_SECONDS, lag.counts, strict=False) if count}
    assert seen == {0.001: 1, 0.005: 1, 0.25: 1}
    assert round(lag.sum, 3) == 0.204
