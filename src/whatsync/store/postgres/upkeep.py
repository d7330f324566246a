"""What a node does for itself beside the verbs: makes days ahead, adds counts up, drops empty days."""

import asyncio
import logging
import shutil
from pathlib import Path

from whatsync.ports.clock import Clock
from whatsync.ports.store import StoreUnavailable
from whatsync.store.postgres import rollup
from whatsync.store.postgres.coding import DAY_MS
from whatsync.store.postgres.connection import fetch_value
from whatsync.store.postgres.database import Database
from whatsync.store.postgres.statements import statements

TURN_SECONDS = 3.0
FOLD_EVERY = 10
"""Turns between two foldings of the counts."""
DAYS_EVERY = 600
DAYS_AHEAD = 2
DAYS_KEPT = 2
"""Empty days that are left standing behind today."""
_NO_BOUND = 1 << 62

_SESSION = statements("session.sql")

logger = logging.getLogger(__name__)


class Upkeep:
    """One task per store."""

    def __init__(self, database: Database, clock: Clock, folder: Path | None) -> None:
        self._database = database
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._folder = folder
        self.free_bytes = _NO_BOUND
        """Free space where this node's files lie."""

    async def begin(self, now_ms: int) -> None:
        """Make the days that are needed now and keep going."""
        self._look()
        today = now_ms // DAY_MS
        missing = {today, today + 1} - set(await self._database.known_days())
        await self._database.make_days(missing)
        self._task = asyncio.get_running_loop().create_task(self._keep())

    def _look(self) -> None:
        if self._folder is not None:
            try:
                self.free_bytes = shutil.disk_usage(self._folder).free
            except OSError:
                self.free_bytes = 0

    async def stop(self) -> None:
        """Do nothing any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def fold(self) -> None:
        """Add what was counted to the rollups."""
        await self._database.transact(rollup.fold)

    async def drop_days(self, now_ms: int) -> None:
        """Drop days behind today in which nothing is left."""
        for day in await self._database.known_days():
            if day < now_ms // DAY_MS - DAYS_KEPT and await self._database.drop_day(day):
                logger.info("day %d is over: its partitions are dropped", day)

    async def _keep(self) -> None:
        turn = 0
        while True:
            await self._clock.sleep(TURN_SECONDS)
            turn += 1
            self._look()
            try:
                if turn % FOLD_EVERY == 0:
                    await self.fold()
                if turn % DAYS_EVERY == 1:
                    await self._make_days()
            except StoreUnavailable:
                continue
            except Exception:
                logger.exception("the database's upkeep met a mistake and goes on")

    async def _make_days(self) -> None:
        today = await self._database.ask(lambda connection: fetch_value(connection, _SESSION["today"]))
        wanted = set(range(today, today + DAYS_AHEAD + 1))
        await self._database.make_days(wanted - set(await self._database.known_days()))
