"""Where several nodes meet over one database in a test: each adapter for many nodes has a hall of its own. A lease ends
when the test says so, not when time has passed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncpg

from tests.conformance.clerk import START_MS
from tests.conformance.places import VERSION
from tests.store.postgres import databases
from whatsync.net.system import SystemClock
from whatsync.ports.cluster import Beat, Cluster, Role
from whatsync.ports.history import History
from whatsync.ports.store import Opened, Store
from whatsync.store.memory import Meeting, NodeStore
from whatsync.store.postgres.connection import Address, fetch_value
from whatsync.store.postgres.statements import numbered
from whatsync.store.postgres.store import PostgresStore

LEASE_SECONDS = 45.0


@dataclass
class Seat:
    """One node's place in a hall. Has what a ``Clerk`` needs of a place."""

    name: str
    store: Store
    history: History
    cluster: Cluster
    opened: Opened

    async def open(self, now_ms: int) -> None:
        self.opened = await self.store.open(now_ms, VERSION)

    async def close(self) -> None:
        await self.store.close()

    async def crash(self) -> None:
        raise AssertionError("the hall lets nodes die")

    async def tidy(self) -> None:
        """Nothing to do."""

    async def copy(self, folder: Path) -> "Seat":
        raise AssertionError("not asked for in a hall")

    async def beat(self, role: Role = Role.ALL, leaving: bool = False) -> Beat:
        """A heartbeat that must succeed."""
        answer = await self.cluster.beat(role, LEASE_SECONDS, leaving)
        assert isinstance(answer, Beat)
        return answer


class Hall(Protocol):
    """A database that several nodes share."""

    async def enter(self, name: str, now_ms: int = START_MS) -> Seat:
        """A node opens its store; its own clock shows ``now_ms``."""

    async def expire(self, seat: Seat) -> None:
        """Let the lease of a node's epoch run out; nobody has noticed yet."""

    async def now_ms(self) -> int:
        """The database's clock."""

    async def close(self) -> None:
        """Everyone leaves."""


class MemoryHall:
    """Stores in memory over one disk."""

    def __init__(self, _folder: Path) -> None:
        self._now_s = START_MS / 1000
        self._disk = Meeting(lambda: self._now_s)
        self._stores: list[NodeStore] = []

    async def enter(self, name: str, now_ms: int = START_MS) -> Seat:
        store = NodeStore(self._disk, node=name)
        self._stores.append(store)
        return Seat(name, store, store, store, await store.open(now_ms, VERSION))

    async def expire(self, seat: Seat) -> None:
        assert isinstance(seat.store, NodeStore)
        self._disk.epochs[seat.store.epoch].lease_until_s = self._now_s

    async def now_ms(self) -> int:
        return round(self._now_s * 1000)

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


class PostgresHall:
    """Stores over one database of a real server."""

    def __init__(self, _folder: Path) -> None:
        self._stores: list[PostgresStore] = []
        self._database = ""

    async def enter(self, name: str, now_ms: int = START_MS) -> Seat:
        self._database = self._database or await databases.borrow()
        address = Address(databases.url(self._database), unsafe_allowed=True)
        store = PostgresStore(address, clock=SystemClock(), name=name, label=name)
        self._stores.append(store)
        return Seat(name, store, store.history, store.cluster, await store.open(now_ms, VERSION))

    async def expire(self, seat: Seat) -> None:
        assert isinstance(seat.store, PostgresStore)
        await self._ask("UPDATE run SET lease_until = now() WHERE id = :run RETURNING 1", run=seat.store.node.run)

    async def now_ms(self) -> int:
        return await self._ask("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")

    async def _ask(self, text: str, **values: int) -> int:
        connection = await asyncpg.connect(databases.url(self._database))
        try:
            return int(await fetch_value(connection, numbered(text), **values))
        finally:
            await connection.close()

    async def close(self) -> None:
        for store in self._stores:
            await store.close()
        if self._database:
            databases.give_back(self._database)


HALLS: dict[str, Callable[[Path], Hall]] = {"memory": MemoryHall, "postgres": PostgresHall}
