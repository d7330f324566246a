"""Where a store keeps its things in a test: opened, closed, opened again, or dropped as a crash drops it.
One kind of place for each adapter; nothing else in the suite knows which one it talks to."""

import asyncio
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.store.postgres import databases
from whatsync.net.system import SystemClock
from whatsync.ports.history import History
from whatsync.ports.store import Opened, Store
from whatsync.store.memory import Disk, MemoryStore
from whatsync.store.postgres.connection import Address
from whatsync.store.postgres.store import PostgresStore
from whatsync.store.sqlite.store import SqliteStore

VERSION = "1.2.3"


class Place(Protocol):
    """A store on its disk."""

    store: Store
    history: History
    opened: Opened

    async def open(self, now_ms: int) -> None:
        """Open the store on whatever the disk holds."""

    async def close(self) -> None:
        """Close it in good order."""

    async def crash(self) -> None:
        """Drop it: what is not on the disk is gone. ``open`` comes next."""

    async def tidy(self) -> None:
        """Have the store do now whatever it does for itself in quiet moments."""

    async def copy(self, folder: Path) -> "Place":
        """Make a backup while the store runs; a place that can be opened on it."""


class MemoryPlace:
    """The store in memory."""

    store: Store
    history: History
    opened: Opened

    def __init__(self, _folder: Path) -> None:
        self._disk = Disk()
        self._memory: MemoryStore

    async def open(self, now_ms: int) -> None:
        self.store = self.history = self._memory = MemoryStore(self._disk)
        self.opened = await self.store.open(now_ms, VERSION)

    async def close(self) -> None:
        await self.store.close()

    async def crash(self) -> None:
        self._disk.owner = None

    async def tidy(self) -> None:
        """Nothing to do."""

    async def copy(self, folder: Path) -> "MemoryPlace":
        await self._memory.backup(str(folder))
        place = MemoryPlace(folder)
        place._disk = self._memory.backups[str(folder)]
        return place


class SqlitePlace:
    """The store on SQLite."""

    store: Store
    history: History
    opened: Opened

    def __init__(self, folder: Path) -> None:
        self._path = folder / "whatsync.db"

    async def open(self, now_ms: int) -> None:
        self.sqlite = SqliteStore(self._path, clock=SystemClock())
        self.opened = await self.sqlite.open(now_ms, VERSION)
        self.store, self.history = self.sqlite, self.sqlite.history

    async def close(self) -> None:
        await self.sqlite.close()

    async def crash(self) -> None:
        await self.sqlite.abandon()

    async def tidy(self) -> None:
        await self.sqlite.tidy()

    async def copy(self, folder: Path) -> "SqlitePlace":
        place = SqlitePlace(folder)
        folder.mkdir()  # noqa: ASYNC240
        await self.sqlite.backup(str(place._path))
        return place


class PostgresPlace:
    """The store on PostgreSQL."""

    store: Store
    history: History
    opened: Opened

    def __init__(self, _folder: Path, database: str = "") -> None:
        self.database = database

    async def open(self, now_ms: int) -> None:
        if not self.database:
            self.database = await databases.borrow()
            weakref.finalize(self, databases.give_back, self.database)
        address = Address(databases.url(self.database), unsafe_allowed=True)
        self.postgres = PostgresStore(address, clock=SystemClock(), name="one", label="a test")
        await databases.set_clock(self.database, now_ms)
        self.opened = await self.postgres.open(now_ms, VERSION)
        self.store, self.history = self.postgres, self.postgres.history

    async def close(self) -> None:
        await self.postgres.close()

    async def crash(self) -> None:
        await self.postgres.abandon()

    async def tidy(self) -> None:
        await self.postgres.tidy()

    async def copy(self, folder: Path) -> "PostgresPlace":
        """As the documentation tells to: by pg_dump."""
        await asyncio.to_thread(databases.dump, self.database, folder.parent.name[:40])
        return PostgresPlace(folder, folder.parent.name[:40])


PLACES: dict[str, Callable[[Path], Place]] = {"memory": MemoryPlace, "sqlite": SqlitePlace, "postgres": PostgresPlace}
