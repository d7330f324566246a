"""A wall clock that goes back is noticed, in a run and across a start; the store is asked until it has answered."""

from typing import Any

import pytest

from tests.engine.desk import START_MS
from whatsync.engine.replanning import Replanning
from whatsync.model import limits
from whatsync.model.health import Health
from whatsync.ports.store import HealthRow, StoreUnavailable

HOUR_MS = 3_600_000


class TwoClocks:
    """A wall clock that can be set, beside a monotonic one that only goes on."""

    def __init__(self) -> None:
        self.ms = START_MS
        self.seconds = 100.0
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def pass_time(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)
        self.seconds += seconds


class AskedStore:
    """Answers with a few steps, after some refusals."""

    def __init__(self, refusals: int = 0) -> None:
        self.asked: list[tuple[int, tuple[int, int]]] = []
        self._refusals = refusals

    async def replan(self, endpoint: int, now_ms: int, after: tuple[int, int], limit: int) -> tuple[int, int] | None:
        if self._refusals:
            self._refusals -= 1
            raise StoreUnavailable("full")
        self.asked.append((endpoint, after))
        return (now_ms + 5, 7) if after == (now_ms, 0) else None


def replanning(store: Any = None) -> tuple[Replanning, TwoClocks]:
    clock = TwoClocks()
    return Replanning(clock, store), clock


def test_time_that_passes_is_no_jump() -> None:
    one, clock = replanning()
    for _ in range(100):
        assert not one.due(clock.ms)
        clock.pass_time(600)


@pytest.mark.parametrize("ahead_seconds", [20, 3_600, 864_000])
def test_back_from_ahead_is_noticed_once(ahead_seconds: int) -> None:
    one, clock = replanning()
    assert not one.due(clock.ms)
    clock.ms += ahead_seconds * 1000
    assert not one.due(clock.ms)
    clock.pass_time(60)
    clock.ms -= ahead_seconds * 1000
    assert one.due(clock.ms)
    clock.pass_time(60)
    assert not one.due(clock.ms)


def test_small_corrections_are_no_jump() -> None:
    one, clock = replanning()
    assert not one.due(clock.ms)
    clock.ms -= round(limits.CLOCK_BACK_SECONDS * 1000) - 1
    assert not one.due(clock.ms)
    clock.ms -= 2
    assert one.due(clock.ms)


def test_a_start_after_a_time_ahead_is_noticed() -> None:
    for newest_ms, failed_ms in ((START_MS + HOUR_MS, None), (0, START_MS + HOUR_MS)):
        one, clock = replanning()
        one.remember(newest_ms, [HealthRow(1, Health()), HealthRow(2, Health(last_failure_ms=failed_ms))])
        assert one.due(clock.ms)
        assert not one.due(clock.ms)
    one, clock = replanning()
    one.remember(START_MS - HOUR_MS, [HealthRow(2, Health(last_failure_ms=START_MS - HOUR_MS))])
    assert not one.due(clock.ms)


async def test_a_store_that_takes_no_writes_is_asked_again() -> None:
    store = AskedStore(refusals=2)
    one, clock = replanning(store)
    lane: Any = type("Open", (), {"closed": False})()
    closed: Any = type("Closed", (), {"closed": True})()
    looked: list[tuple[Any, int]] = []
    await one.run({3: lane, 4: closed}, lambda lane, due_ms: looked.append((lane, due_ms)))
    assert store.asked == [(3, (START_MS, 0)), (3, (START_MS + 5, 7))]
    assert looked == [(lane, START_MS)]
    assert clock.slept == [limits.REPLAN_PAUSE_SECONDS] * 2
