"""Tells owners of changes of state: each notice becomes one operational event, and one alert where it was news.

Keeps a notice until it is on disk. Ids are derived, so a notice that is told twice is one event. Knows no HTTP.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice

from whatsync.engine.directory import Directory
from whatsync.engine.ingest import Receipt
from whatsync.engine.watch import Notice, standing_notices
from whatsync.model.errors import Conflict, Unavailable
from whatsync.model.health import Health
from whatsync.ports.clock import Clock

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0
_TOGETHER_MAX = 200
"""Notices emitted at once: one commit each would fall behind an endpoint whose deliveries all end."""
_RETOLD_MS = 7 * 86_400_000
"""States older than this are not told again at start-up: ids are remembered for eight days at least."""

Emit = Callable[[Notice], Awaitable[list[Receipt]]]


class Telling:
    """A queue of notices, worked off by one task."""

    def __init__(self, directory: Directory, clock: Clock, emit: Emit) -> None:
        self._directory = directory
        self._clock = clock
        self._emit = emit
        self.on_news: list[Callable[[Notice], None]] = []
        """Called with each notice that was not known before, once it is on disk."""
        self._waiting: deque[Notice] = deque()
        self._wakeup = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def tell(self, notice: Notice) -> None:
        """Take a notice; it is emitted as soon as the store can."""
        self._waiting.append(notice)
        self._idle.clear()
        self._wakeup.set()

    def retell(self, health: Callable[[int], Health]) -> None:
        """At start-up: tell again how endpoints stand, in case a crash came between a change and its notice."""
        now_ms = self._clock.now_ms()
        for running in list(self._directory.endpoints.values()):
            known = health(running.row)
            since = max(known.first_failure_ms or 0, running.endpoint.disabled_ms or 0)
            if since > now_ms - _RETOLD_MS:
                for notice in standing_notices(running, known, now_ms):
                    self.tell(notice)

    async def told(self) -> None:
        """Return when nothing waits to be told."""
        await self._idle.wait()

    async def run(self) -> None:
        """Emit what waits, for ever."""
        while True:
            while self._waiting:
                notices = list(islice(self._waiting, _TOGETHER_MAX))
                told = await asyncio.gather(*map(self._told, notices))
                for _ in notices:
                    self._waiting.popleft()
                left = [notice for notice, done in zip(notices, told, strict=True) if not done]
                self._waiting.extendleft(reversed(left))
                if not all(told):
                    await self._clock.sleep(_PAUSE_SECONDS)
            self._idle.set()
            self._wakeup.clear()
            await self._wakeup.wait()

    async def _told(self, notice: Notice) -> bool:
        """Emit one notice; false where the store could not take it now."""
        if notice.account not in self._directory.accounts:
            return True
        try:
            receipts = await self._emit(notice)
        except Unavailable:
            return False
        except Conflict:
            return True  # Told before, with the counts of then.
        except Exception:
            logger.exception("a notice could not be told", extra={"type": notice.type})
            return True
        if not receipts[0].repeated:
            for listener in self.on_news:
                listener(notice)
        return True
