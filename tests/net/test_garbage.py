"""Looks for garbage: brief ones while there is work, a thorough one when there is none."""

import asyncio
import contextlib
import gc
from collections.abc import Iterator

import pytest

from tests.engine.desk import HandClock
from whatsync.model import limits
from whatsync.net.garbage import Garbage, look_briefly


class Circle:
    """Refers to itself: only a look finds out that nobody else does."""

    living = 0

    def __init__(self) -> None:
        self.itself = self
        Circle.living += 1

    def __del__(self) -> None:
        Circle.living -= 1


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    look_briefly()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def work(objects: int) -> list[list[int]]:
    """Objects that live on."""
    return [[] for _ in range(objects)]


def test_a_brief_look_goes_through_few_objects() -> None:
    looks: list[int] = []
    gc.callbacks.append(watch := lambda phase, about: looks.append(about["generation"]) if phase == "start" else None)
    try:
        kept = work(20 * limits.GARBAGE_OBJECTS)
    finally:
        gc.callbacks.remove(watch)
    assert len(kept) == 20 * limits.GARBAGE_OBJECTS
    assert 19 <= len(looks) <= 22
    assert set(looks) == {0}


def test_a_circle_that_outlived_a_brief_look_goes_when_nothing_is_under_way() -> None:
    clock, at_work = HandClock(), True
    garbage = Garbage(clock, lambda: at_work)
    circle = Circle()
    kept = work(2 * limits.GARBAGE_OBJECTS)
    del circle
    kept += work(2 * limits.GARBAGE_OBJECTS)
    assert Circle.living == 1
    at_work = False
    assert not garbage.look(), "hardly anything can have gathered"
    kept += work(limits.GARBAGE_BRIEF_LOOKS_MIN * limits.GARBAGE_OBJECTS)
    at_work = True
    assert not garbage.look()
    assert Circle.living == 1
    at_work = False
    assert garbage.look()
    assert (Circle.living, bool(kept)) == (0, True)
    assert not garbage.look(), "nothing is new"


def test_a_server_that_never_rests_looks_once_a_day() -> None:
    clock = HandClock()
    garbage = Garbage(clock, lambda: True)
    kept = work((limits.GARBAGE_BRIEF_LOOKS_MIN + 2) * limits.GARBAGE_OBJECTS)
    clock.advance(limits.GARBAGE_SECONDS_MAX - 1)
    assert not garbage.look()
    clock.advance(1)
    assert garbage.look()
    kept += work((limits.GARBAGE_BRIEF_LOOKS_MIN + 2) * limits.GARBAGE_OBJECTS)
    assert not garbage.look()


async def test_it_looks_from_time_to_time() -> None:
    clock = HandClock()
    looked = 0

    class Counted(Garbage):
        def look(self) -> bool:
            nonlocal looked
            looked += 1
            return False

    running = asyncio.create_task(Counted(clock, lambda: False).run())
    for count in range(3):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert looked == count
        clock.advance(limits.GARBAGE_LOOK_SECONDS)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
