"""Removes deleted accounts: events, deliveries and history in small steps, the account's own document last.

What is left to do is told by the documents alone, so a restart goes on where it stopped. Knows no HTTP.
"""

import asyncio
import logging

from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import ACCOUNT, Directory
from whatsync.model.errors import Problem
from whatsync.ports.clock import Clock
from whatsync.ports.history import EventQuery, History
from whatsync.ports.store import Change, Delete, Store, StoreUnavailable

logger = logging.getLogger(__name__)

_EVENTS_PER_STEP = 500
_PAUSE_SECONDS = 1.0
_AHEAD_MS = 60_000
"""Row numbers can run a little ahead of the clock; everything the account has is older than this from now."""


class Removal:
    """A queue of account rows to remove, worked off by one task."""

    def __init__(
        self, directory: Directory, store: Store, history: History, configuration: Configuration, clock: Clock
    ) -> None:
        self._directory = directory
        self._store = store
        self._history = history
        self._configuration = configuration
        self._clock = clock
        self._waiting: dict[int, None] = {}
        self._wakeup = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def load(self) -> None:
        """Take up what a crash or stop left half done."""
        for row, running in self._directory.accounts.items():
            if running.account.deleted_ms is not None:
                self.look(row)

    def look(self, account: int) -> None:
        """The account was deleted: remove what is left of it."""
        self._waiting[account] = None
        self._idle.clear()
        self._wakeup.set()

    async def removed(self) -> None:
        """Return when nothing is left to remove."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work the queue off, for ever."""
        while True:
            for account in list(self._waiting):
                if await self._remove(account):
                    del self._waiting[account]
            if self._waiting:
                # The deliveries of its endpoints are still being cancelled, or the store can't write.
                await self._clock.sleep(_PAUSE_SECONDS)
                continue
            self._idle.set()
            self._wakeup.clear()
            await self._wakeup.wait()

    async def _remove(self, account: int) -> bool:
        """Go through the account's events once; true when the account is gone."""
        running = self._directory.accounts.get(account)
        if running is None or running.account.deleted_ms is None:
            return True
        try:
            after: int | None = 0
            while after is not None:
                now_ms = self._clock.now_ms()
                pruned = await self._store.prune(account, now_ms + _AHEAD_MS, after, _EVENTS_PER_STEP, now_ms)
                after = pruned.cursor
            if (await self._history.events(EventQuery(account, limit=1))).items:
                return False
            while await self._store.forget_contacts(account, (), _EVENTS_PER_STEP):
                pass
            await self._configuration.change(Change(account, deletes=(Delete(ACCOUNT, running.account.id),)))
        except (StoreUnavailable, Problem) as problem:
            logger.warning("removing an account will be tried again: %s", problem)
            return False
        return True
