"""All deadlines of the network rooms under one timer, so that a request costs no timer of its own.

Knows nothing of what waits: an item is asked when its time has come and says when to ask again.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable
from math import inf
from typing import Generic, Protocol, TypeVar

_log = logging.getLogger(__name__)

_TICKS_PER_SECOND = 20

Result = TypeVar("Result")


class Expiring(Protocol):
    """Something with a deadline. ``look_at`` belongs to ``Deadlines``; it begins as infinity."""

    look_at: float

    def expire(self, now: float) -> float:
        """Do what is due and return when to ask again; infinity for never."""

    def give_up(self) -> None:
        """End at once: the sender is closing."""


class Deadlines:
    """A wheel of 50 ms. Items come due up to that much late, never early; nothing ticks while nothing waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self._loop = loop
        self._now = now
        self._buckets: dict[int, list[Expiring]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_tick = 0

    def add(self, item: Expiring, at: float) -> None:
        """Ask ``item`` at ``at`` seconds of monotonic time, or where it stands already if that is earlier."""
        if item.look_at <= at:
            return
        item.look_at = at
        tick = int(at * _TICKS_PER_SECOND) + 1
        bucket = self._buckets.get(tick)
        if bucket is not None:
            bucket.append(item)
            return
        self._buckets[tick] = [item]
        heapq.heappush(self._ticks, tick)
        if self._timer is None or tick < self._timer_tick:
            self._arm()

    def close(self) -> None:
        """Let everything that waits give up. What is added later is still served."""
        waiting, self._buckets, self._ticks = self._buckets, {}, []
        for bucket in waiting.values():
            for item in bucket:
                if item.look_at < inf:
                    item.look_at = inf
                    item.give_up()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ticks:
            self._timer_tick = self._ticks[0]
            delay = self._timer_tick / _TICKS_PER_SECOND - self._now()
            self._timer = self._loop.call_later(max(0.0, delay), self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._now()
        current = int(now * _TICKS_PER_SECOND)
        try:
            while self._ticks and self._ticks[0] <= current:
                self._ask(heapq.heappop(self._ticks), now)
        finally:
            self._arm()

    def _ask(self, tick: int, now: float) -> None:
        for item in self._buckets.pop(tick, ()):
            if item.look_at > now:
                continue
            item.look_at = inf
            try:
                again = item.expire(now)
            except Exception:  # noqa: BLE001 - the others' deadlines must not depend on one item's bug
                _log.exception("a deadline could not be seen to because of a bug")
                continue
            if again < inf:
                self.add(item, again)


class Waiter(Generic[Result]):
    """A future that is given a stand-in for its result when its deadline passes."""

    __slots__ = ("_at", "_if_late", "_on_long", "_on_long_at", "future", "look_at")

    def __init__(
        self,
        future: asyncio.Future[Result],
        at: float,
        if_late: Callable[[], Result],
        on_long_at: float = inf,
        on_long: Callable[[], None] | None = None,
    ) -> None:
        self.future = future
        self.look_at = inf
        self._at = at
        self._if_late = if_late
        self._on_long_at = on_long_at
        self._on_long = on_long

    def expire(self, now: float) -> float:
        """Settle the future, or tell once that it takes long."""
        if self.future.done():
            return inf
        if now >= self._at:
            self.give_up()
            return inf
        if self._on_long is not None and now >= self._on_long_at:
            self._on_long()
            self._on_long = None
        return self._at

    def give_up(self) -> None:
        """Settle the future as late."""
        if not self.future.done():
            self.future.set_result(self._if_late())
