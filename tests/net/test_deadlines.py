"""The one timer of the network rooms under a clock of our own: never early, little late, none where nothing waits."""

import asyncio
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.net.hand import HandLoop
from whatsync.net.deadlines import Deadlines, Waiter


class Item:
    def __init__(self, loop: HandLoop, *again: float) -> None:
        self.look_at = inf
        self.asked: list[float] = []
        self.given_up = False
        self._loop = loop
        self._again = list(again)

    def expire(self, now: float) -> float:
        assert now == self._loop.now
        self.asked.append(now)
        return self._again.pop(0) if self._again else inf

    def give_up(self) -> None:
        self.given_up = True


def wheel() -> tuple[HandLoop, Deadlines]:
    loop: Any = HandLoop()
    return loop, Deadlines(loop, loop.time)


@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=30))
def test_everything_is_asked_once_and_in_time(delays: list[float]) -> None:
    loop, deadlines = wheel()
    start = loop.now
    items = [Item(loop) for _ in delays]
    for item, delay in zip(items, delays, strict=True):
        deadlines.add(item, start + delay)
    loop.advance(21.0)
    for item, delay in zip(items, delays, strict=True):
        assert len(item.asked) == 1
        assert delay <= item.asked[0] - start <= delay + 0.06
    assert loop.timers == [], "nothing ticks while nothing waits"


def test_an_earlier_time_wins_and_a_later_one_changes_nothing() -> None:
    loop, deadlines = wheel()
    start = loop.now
    item = Item(loop, start + 5.0)
    deadlines.add(item, start + 3.0)
    deadlines.add(item, start + 1.0)
    deadlines.add(item, start + 2.0)
    loop.advance(4.0)
    assert [round(at - start) for at in item.asked] == [1]
    loop.advance(4.0)
    assert [round(at - start) for at in item.asked] == [1, 5]


def test_a_bug_in_one_does_not_stop_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    loop, deadlines = wheel()
    broken, sound = Item(loop), Item(loop)
    broken.expire = None  # type: ignore[method-assign,assignment]
    deadlines.add(broken, loop.now + 1.0)
    deadlines.add(sound, loop.now + 1.0)
    loop.advance(1.5)
    assert len(sound.asked) == 1
    assert "because of a bug" in caplog.text


def test_closing_lets_all_give_up_once() -> None:
    loop, deadlines = wheel()
    items = [Item(loop) for _ in range(3)]
    for number, item in enumerate(items):
        deadlines.add(item, loop.now + number)
    deadlines.add(items[2], loop.now)
    deadlines.close()
    assert [item.given_up for item in items] == [True] * 3
    loop.advance(5.0)
    assert [item.asked for item in items] == [[], [], []]


def test_a_waiter_settles_late_futures_and_tells_of_long_ones() -> None:
    loop, deadlines = wheel()
    told: list[str] = []
    late: asyncio.Future[str] = loop.create_future()
    done: asyncio.Future[str] = loop.create_future()
    for future in (late, done):
        waiter = Waiter(future, loop.now + 3.0, lambda: "late", loop.now + 1.0, lambda: told.append("long"))
        deadlines.add(waiter, loop.now + 1.0)
    done.set_result("in time")
    loop.advance(2.0)
    assert (told, late.done()) == (["long"], False)
    loop.advance(2.0)
    assert (told, late.result(), done.result()) == (["long"], "late", "in time")
