"""The feed of events for those who poll: oldest first, a cursor that never skips an event, and a wait for the next.

Reads only; many readers of one account may wait at once. Knows no HTTP.
"""

import asyncio

import msgspec

from whatsync.engine.directory import RunningAccount
from whatsync.engine.ingest import Ingest
from whatsync.model import limits
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.store import EventRow


class FeedPage(msgspec.Struct, frozen=True):
    """Events after the cursor, tests left out, and the cursor to go on from; it may move on without any event."""

    items: tuple[EventRow, ...]
    cursor: int


class CursorExpired(msgspec.Struct, frozen=True):
    """Retention has removed events that lie behind the cursor. ``oldest`` is the cursor before all that are left."""

    oldest: int


class Feed:
    """The feeds of all accounts."""

    def __init__(self, *, history: History, ingest: Ingest, clock: Clock, look_seconds: float | None = None) -> None:
        self._look_seconds = look_seconds
        self._history = history
        self._ingest = ingest
        self._clock = clock
        self._stopped = False

    async def read(
        self,
        account: RunningAccount,
        after: int | None = None,
        types: tuple[str, ...] = (),
        limit: int = limits.PAGE_ITEMS_DEFAULT,
        wait_seconds: float = 0,
    ) -> FeedPage | CursorExpired:
        """Read what comes after ``after`` (``None``: from the oldest kept). With nothing there, wait for it."""
        oldest, newest = await self._history.feed_bounds(account.row)
        cursor = oldest if after is None else after
        if cursor < oldest:
            return CursorExpired(oldest)
        cursor = min(cursor, newest)  # A cursor from before a restore must not wait for events that are passed already.
        ends = self._clock.monotonic() + min(wait_seconds, limits.FEED_WAIT_SECONDS_MAX)
        while True:
            # Listening begins before looking: an event that comes between the two is not slept through.
            arrived = self._ingest.listeners.setdefault(account.row, asyncio.Event())
            page, at_end = await self._read_on(account, cursor, types, limit)
            cursor = page.cursor
            left = ends - self._clock.monotonic()
            if page.items or left <= 0 or self._stopped or not at_end:
                return page
            try:
                async with asyncio.timeout(min(left, self._look_seconds or left)):
                    await arrived.wait()
            except TimeoutError:
                if self._look_seconds is not None and self._look_seconds < left:
                    continue
                return (await self._read_on(account, cursor, types, limit))[0]

    async def newest(self, account: RunningAccount) -> int:
        """The cursor behind everything accepted so far: where a reader begins who wants only what comes now."""
        return (await self._history.feed_bounds(account.row))[1]

    def stop(self) -> None:
        """Send waiting readers home: the server is about to stop."""
        self._stopped = True
        for arrived in self._ingest.listeners.values():
            arrived.set()

    async def _read_on(
        self, account: RunningAccount, cursor: int, types: tuple[str, ...], limit: int
    ) -> tuple[FeedPage, bool]:
        """Pass over events of other types until there is one to give, the end is reached (then true), or enough was
        looked at for one call: the reader goes on from the cursor.
        """
        items: tuple[EventRow, ...] = ()
        for _ in range(limits.FEED_PAGES_EXAMINED_MAX):
            items, following = await self._history.feed(account.row, cursor, types, limit)
            if items or following == cursor:
                return FeedPage(items, following), True
            cursor = following
        return FeedPage(items, cursor), False
