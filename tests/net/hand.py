"""Connections worked by hand: a clock that stands still until it is told, and a stream that only remembers."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

from whatsync.net.connection import Connection, Result
from whatsync.net.deadlines import Deadlines
from whatsync.net.origin import Origin
from whatsync.net.pool import Pool
from whatsync.net.sender_limits import SenderLimits
from whatsync.net.socket_budget import SocketBudget
from whatsync.net.statistics import SenderStatistics

_FUTURES = asyncio.new_event_loop()
"""Never runs; futures must belong to some loop."""


class HandTimer:
    def __init__(self, at: float, callback: Callable[..., None]) -> None:
        self.at = at
        self.callback = callback

    def cancel(self) -> None:
        self.at = inf


class HandLoop:
    """As much of a loop as the network rooms use without sockets; time goes on by ``advance`` only."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.timers: list[HandTimer] = []
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def create_future(self) -> asyncio.Future[Any]:
        return _FUTURES.create_future()

    def call_later(self, delay: float, callback: Callable[..., None]) -> HandTimer:
        timer = HandTimer(self.now + delay, callback)
        self.timers.append(timer)
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        """Run what was asked to run soon, once."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        while True:
            self.timers = [timer for timer in self.timers if timer.at < inf]
            timer = min(self.timers, key=lambda timer: timer.at, default=None)
            if timer is None or timer.at > end:
                break
            self.timers.remove(timer)
            self.now = max(self.now, timer.at) + 0.0001
            timer.callback()
        self.now = max(self.now, end)


class HandStream:
    """Remembers what was written and whether it was closed."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after close"
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close


class Desk:
    """One connection with all its surroundings."""

    def __init__(self, limits: SenderLimits | None = None) -> None:
        self.loop = HandLoop()
        loop: Any = self.loop
        deadlines = Deadlines(loop, self.loop.time)
        self.statistics = SenderStatistics()
        self.pool = Pool(
            limits=limits or SenderLimits(), now=self.loop.time, deadlines=deadlines, statistics=self.statistics
        )
        self.budget = self.pool.budget = SocketBudget(
            10, loop=loop, deadlines=deadlines, evict=self.pool.evict, quick_answers_to_trust=3
        )
        self.origin = Origin(("http", "desk.test", 80))
        assert self.budget.take(self.origin)
        self.connection = Connection(self.pool, self.origin, "127.0.0.1", loop)
        self.stream = HandStream()
        self.connection.attach(self.stream)

    @property
    def kept(self) -> bool:
        """Whether the connection is in the pool."""
        return self.pool.idle == 1

    def begin(self, timeout: float = 15.0) -> "asyncio.Future[Result]":
        """Send a request, on the connection from the pool if it is there."""
        now = self.loop.now
        if self.kept:
            assert self.pool.take(self.origin) is self.connection
            return self.connection.begin(b"request", now, now, now + timeout)
        return self.connection.begin_first(b"request", now, now, now + timeout)
