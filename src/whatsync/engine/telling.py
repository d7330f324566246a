"""Tells owners of changes of state: each notice becomes one operational event, and one alert where it was news.

Keeps a notice until it is on disk. Ids are derived, so a notice that is told twice is one event. Knows no HTTP.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

import msgspec

from whatsync.engine.directory import Directory, RunningEndpoint
from whatsync.engine.receipt import Receipt
from whatsync.engine.watch import Notice, exhausted_notice, standing_notices
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.model.errors import Conflict, Unavailable
from whatsync.model.health import Health
from whatsync.ports.clock import Clock
from whatsync.ports.history import DeliveryQuery, History

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0
_TOGETHER_MAX = 200
"""Notices emitted at once: one commit each would fall behind an endpoint whose deliveries all end."""
_RETOLD_MS = 7 * 86_400_000
"""States older than this are not told again at start-up: ids are remembered for eight days at least."""

Emit = Callable[[Notice], Awaitable[list[Receipt]]]


class Telling:
    """A queue of notices, worked off by one task."""

    def __init__(self, directory: Directory, clock: Clock, emit: Emit, history: History) -> None:
        self._directory = directory
        self._clock = clock
        self._emit = emit
        self._history = history
        self.on_news: list[Callable[[Notice], None]] = []
        """Called with each notice that was not known before, once it is on disk."""
        self._waiting: deque[Notice] = deque()
        self._about: Counter[int] = Counter()
        """How many of them are about each endpoint."""
        self._to_recall: dict[int, int] = {}
        """From when on the deliveries of endpoints that ended as failed have to be told again."""
        self._wakeup = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def tell(self, notice: Notice) -> None:
        """Take a notice; it is emitted as soon as the store can."""
        self._waiting.append(notice)
        if notice.not_to is not None:
            self._about[notice.not_to] += 1
        self._idle.clear()
        self._wakeup.set()

    def waits(self, endpoint: int) -> bool:
        """Whether something about this endpoint has still to be told."""
        return endpoint in self._about or endpoint in self._to_recall

    def retell(self, health: Callable[[int], Health]) -> None:
        """At start-up: tell again how endpoints stand, in case a crash came between a change and its notice."""
        now_ms = self._clock.now_ms()
        for running in list(self._directory.endpoints.values()):
            known = health(running.row)
            recovered_ms = 0 if known.recovered is None else known.recovered.at_ms
            since = max(known.first_failure_ms or 0, running.endpoint.disabled_ms or 0, recovered_ms)
            if since > now_ms - _RETOLD_MS:
                for notice in standing_notices(running, known, now_ms):
                    self.tell(notice)
            if known.exhausted_ms is not None and known.exhausted_ms > now_ms - _RETOLD_MS:
                self._to_recall[running.row] = known.exhausted_ms
                self._idle.clear()
                self._wakeup.set()

    async def told(self) -> None:
        """Return when nothing waits to be told."""
        await self._idle.wait()

    async def run(self) -> None:
        """Emit what waits, for ever."""
        while True:
            while self._waiting or self._to_recall:
                await self._recall()
                notices = list(islice(self._waiting, _TOGETHER_MAX))
                told = await asyncio.gather(*map(self._told, notices))
                for _ in notices:
                    self._waiting.popleft()
                self._uncount([notice for notice, done in zip(notices, told, strict=True) if done])
                left = [notice for notice, done in zip(notices, told, strict=True) if not done]
                self._waiting.extendleft(reversed(left))
                if not all(told):
                    await self._clock.sleep(_PAUSE_SECONDS)
            self._idle.set()
            self._wakeup.clear()
            await self._wakeup.wait()

    def _uncount(self, told: Sequence[Notice]) -> None:
        self._about.subtract(notice.not_to for notice in told if notice.not_to is not None)
        for endpoint in {notice.not_to for notice in told if notice.not_to is not None}:
            if self._about[endpoint] <= 0:
                del self._about[endpoint]

    async def _recall(self) -> None:
        """Tell again what ended as failed since the last time that all such notices were known to be on disk."""
        for row, since_ms in list(self._to_recall.items()):
            running = self._directory.endpoints.get(row)
            if running is not None:
                await self._recall_endpoint(running, since_ms)
            del self._to_recall[row]

    async def _recall_endpoint(self, endpoint: RunningEndpoint, since_ms: int) -> None:
        query = DeliveryQuery(endpoint.account.row, endpoint.row, states=(State.FAILED,), limit=limits.PAGE_ITEMS_MAX)
        while True:
            page = await self._history.deliveries(query)
            for view in page.items:
                if view.finished_ms is None or view.finished_ms >= since_ms:
                    notice = exhausted_notice(endpoint, view)
                    if notice is not None:
                        self.tell(notice)
            if page.next is None:
                return
            query = msgspec.structs.replace(query, before=page.next)
            await self._clock.sleep(limits.JOB_PAUSE_SECONDS)

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
