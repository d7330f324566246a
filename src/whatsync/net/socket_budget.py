"""How many sockets the sender may have open, and who gets the next one when they run short.

Origins that are slow, or have not yet answered at all, share at most half; one of them gets an eighth of that half.
"""

import asyncio
import resource
from collections import deque
from collections.abc import Callable

from whatsync.net.deadlines import Deadlines, Waiter
from whatsync.net.origin import Origin

_SOCKETS_MAX = 100_000
_SLOW_PER_ORIGIN_MIN = 8
_WAITERS_LOOKED_AT = 64


def sockets_of_process() -> int:
    """Three quarters of the files this process may open; the rest is for the store, the web and lookups."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _SOCKETS_MAX
    return max(16, min(_SOCKETS_MAX, soft * 3 // 4))


class SocketBudget:
    """Counts sockets per origin and lets the quick go first.

    ``evict`` closes the connection that has been idle longest, of the slow origins' if asked so, and tells whether
    there was one.
    """

    def __init__(
        self,
        sockets_max: int,
        *,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        evict: Callable[[bool], bool],
        quick_answers_to_trust: int,
    ) -> None:
        self.sockets_max = sockets_max
        self.slow_max = max(1, sockets_max // 2)
        self.slow_per_origin_max = max(_SLOW_PER_ORIGIN_MIN, self.slow_max // 8)
        self.in_use = 0
        self.waiting = 0
        self.slow_in_use = 0
        self._loop = loop
        self._deadlines = deadlines
        self._evict = evict
        self._quick_answers_to_trust = quick_answers_to_trust
        self._quick_waiting: deque[tuple[Origin, asyncio.Future[bool]]] = deque()
        self._slow_waiting: deque[tuple[Origin, asyncio.Future[bool]]] = deque()

    def take(self, origin: Origin) -> bool:
        """Take one socket at once, at the cost of an idle connection if need be."""
        if origin.slow and origin.sockets >= self.slow_per_origin_max:
            return False
        while origin.slow and self.slow_in_use >= self.slow_max:
            if not self._evict(True):
                return False
        while self.in_use >= self.sockets_max:
            if not self._evict(False):
                return False
        self._count(origin, 1)
        return True

    async def take_within(self, origin: Origin, until: float) -> bool:
        """Take one socket, waiting for others to be given back until ``until`` (monotonic seconds)."""
        if self.take(origin):
            return True
        future: asyncio.Future[bool] = self._loop.create_future()
        (self._slow_waiting if origin.slow else self._quick_waiting).append((origin, future))
        self._deadlines.add(Waiter(future, until, lambda: False), until)
        self.waiting += 1
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.result():
                self.give_back(origin)
            raise
        finally:
            self.waiting -= 1

    def give_back(self, origin: Origin) -> None:
        """Return one socket, to be had by the first that waits and may have it."""
        self._count(origin, -1)
        if self.waiting:
            self._serve_all()

    def mark_slow(self, origin: Origin) -> None:
        """The origin keeps a request waiting: from now on its sockets count in the slow half."""
        origin.quick_answers_needed = self._quick_answers_to_trust
        if not origin.slow:
            origin.slow = True
            self.slow_in_use += origin.sockets

    def mark_quick(self, origin: Origin) -> None:
        """A slow origin answered quickly; after enough of these in a row it is trusted again."""
        origin.quick_answers_needed -= 1
        if origin.slow and origin.quick_answers_needed <= 0:
            origin.slow = False
            self.slow_in_use -= origin.sockets
            if self.waiting:
                self._serve_all()

    def _count(self, origin: Origin, change: int) -> None:
        origin.sockets += change
        self.in_use += change
        if origin.slow:
            self.slow_in_use += change

    def _serve_all(self) -> None:
        """Hand out what there is; quick origins first, in the order they came."""
        while self._quick_waiting and self._serve(self._quick_waiting):
            pass
        while self._slow_waiting and self._serve(self._slow_waiting):
            pass

    def _serve(self, waiting: deque[tuple[Origin, asyncio.Future[bool]]]) -> bool:
        for _ in range(min(len(waiting), _WAITERS_LOOKED_AT)):
            origin, future = waiting.popleft()
            if future.done():
                continue
            if self.take(origin):
                future.set_result(True)
                return True
            waiting.append((origin, future))
        return False
