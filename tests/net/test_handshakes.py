"""Handshake steps in portions: no turn of the loop does more than its share, and those begun come first."""

from typing import Any

from tests.net.hand import HandLoop
from whatsync.net.handshakes import HandshakeQueue
from whatsync.net.statistics import SenderStatistics


class Step:
    def __init__(
        self, loop: HandLoop, done: list[str], name: str, *, begun: bool = False, seconds: float = 0.001
    ) -> None:
        self.queued = False
        self.begun = begun
        self._loop = loop
        self._done = done
        self._name = name
        self._seconds = seconds

    def step(self) -> None:
        self._loop.now += self._seconds
        self._done.append(self._name)


def queue(turn_seconds: float) -> tuple[HandLoop, HandshakeQueue, SenderStatistics]:
    loop: Any = HandLoop()
    statistics = SenderStatistics()
    handshakes = HandshakeQueue(
        loop=loop, now=loop.time, turn_seconds=turn_seconds, statistics=statistics, processor=lambda: loop.time() / 2
    )
    return loop, handshakes, statistics


def test_a_turn_does_no_more_than_its_share() -> None:
    loop, handshakes, statistics = queue(0.0025)
    done: list[str] = []
    for number in range(7):
        handshakes.put(Step(loop, done, str(number)))
    for count in (3, 6, 7):
        loop.turn()
        assert len(done) == count
    assert (done, loop.soon) == ([*"0123456"], [])
    assert statistics.handshake_longest_us in {999, 1_000, 1_001}
    assert statistics.handshake_turn_longest_us in {2_999, 3_000, 3_001}
    assert statistics.handshake_turn_longest_cpu_us in {1_499, 1_500, 1_501}


def test_those_begun_come_first_and_nobody_stands_in_line_twice() -> None:
    loop, handshakes, _ = queue(0.0005)
    done: list[str] = []
    new, begun = Step(loop, done, "new"), Step(loop, done, "begun", begun=True)
    for step in (new, new, begun, begun):
        handshakes.put(step)
    while loop.soon:
        loop.turn()
    assert done == ["begun", "new"]
    handshakes.put(new)
    loop.turn()
    assert done == ["begun", "new", "new"]


def test_a_bug_in_one_step_does_not_stop_the_others() -> None:
    loop, handshakes, _ = queue(0.01)
    done: list[str] = []
    broken = Step(loop, done, "broken")
    broken.step = None  # type: ignore[method-assign,assignment]
    handshakes.put(broken)
    handshakes.put(Step(loop, done, "sound"))
    try:
        loop.turn()
    except TypeError:
        loop.turn()
    assert done == ["sound"]
