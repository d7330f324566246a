"""Stores on SQLite for tests that look behind the port: real files in a temporary folder, told time, faults at will."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.clerk import START_MS, Clerk
from tests.conformance.places import Place
from tests.store.sqlite.faulty_disk import FaultyDisk
from whatsync.ports.history import History
from whatsync.ports.store import Opened, Store
from whatsync.store.sqlite.store import SqliteStore


class ToldTime:
    """A clock that goes on when it is asked: each look is a second later."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def now_ms(self) -> int:
        return START_MS

    def monotonic(self) -> float:
        self._seconds += 1.0
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a store does not sleep")


class SqlitePlace:
    """A place of the conformance suite, with the store's own settings."""

    store: Store
    history: History
    opened: Opened

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.path = folder / "data" / "whatsync.db"
        self.settings = settings

    async def open(self, now_ms: int) -> None:
        self.sqlite = SqliteStore(self.path, clock=ToldTime(), **self.settings)
        self.opened = await self.sqlite.open(now_ms, "1.2.3")
        self.store, self.history = self.sqlite, self.sqlite.history

    async def close(self) -> None:
        await self.sqlite.close()

    async def crash(self) -> None:
        await self.sqlite.abandon()

    async def tidy(self) -> None:
        await self.sqlite.tidy()

    async def copy(self, folder: Path) -> Place:
        place = SqlitePlace(folder, **self.settings)
        place.path.parent.mkdir(parents=True)
        await self.sqlite.backup(str(place.path))
        return place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[SqlitePlace]:
    """An open store on a healthy disk."""
    place = SqlitePlace(tmp_path)
    await place.open(START_MS)
    yield place
    await place.close()


@pytest.fixture
def clerk(place: SqlitePlace) -> Clerk:
    """Somebody who works with it."""
    return Clerk(place)


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    """A disk that fails when told to."""
    disk = FaultyDisk()
    yield disk
    disk.close()


@pytest.fixture
async def make_clerk(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Open a store with settings of one's own; all are closed at the end."""
    places: list[SqlitePlace] = []

    async def make(**settings: Any) -> tuple[Clerk, SqlitePlace]:
        place = SqlitePlace(tmp_path / str(len(places)), **settings)
        await place.open(START_MS)
        places.append(place)
        return Clerk(place), place

    yield make
    for place in places:
        await place.close()
