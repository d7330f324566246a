"""The database as the meeting place of nodes: implements ``ports.cluster.Cluster``."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from whatsync.model.health import Health
from whatsync.ports.clock import Clock
from whatsync.ports.cluster import Beat, Gone, News, Over, Role, Signal, Waiting
from whatsync.store.postgres import documents, epochs
from whatsync.store.postgres.coding import text_of
from whatsync.store.postgres.connection import fetch, fetch_value, run
from whatsync.store.postgres.database import Database, Transaction
from whatsync.store.postgres.ear import Ear
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.statements import statements

_SQL = statements("cluster.sql")
_SESSION = statements("session.sql")
_decode_health = msgspec.json.Decoder(Health).decode


class PostgresCluster:
    """One node's place. ``answered`` returns when all that the store began before has been answered, and keeps it from
    beginning more until the given work is done.
    """

    def __init__(
        self,
        database: Database,
        node: Node,
        clock: Clock,
        answered: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
    ) -> None:
        self._database = database
        self._node = node
        self._clock = clock
        self._answered = answered
        self.ear = Ear(database.address, clock)

    # Epochs

    async def beat(self, role: Role, lease_seconds: float, leaving: bool = False) -> Beat | Over:
        """Renew the lease, end runs whose lease is over."""
        if self._node.over:
            return Over()
        seen = await epochs.renew(self._database, self._node, role, lease_seconds, leaving)
        if seen is None:
            self._node.over = True
            return Over()
        if seen.overdue:
            await epochs.end_overdue(self._database, self._node)
            seen = await epochs.look(self._database, self._node)
        return epochs.beat_of(self._node, seen)

    async def rejoin(self, role: Role, lease_seconds: float) -> Beat:
        """End this node's runs and begin another."""
        await self._answered(lambda: self._begin_again(role, lease_seconds))
        return epochs.beat_of(self._node, await epochs.look(self._database, self._node))

    async def _begin_again(self, role: Role, lease_seconds: float) -> None:
        node = self._node
        await epochs.end_own(self._database, node, self._clock)
        await epochs.end_overdue(self._database, node)
        node.run = await self._database.transact(
            lambda transaction: epochs.begin(transaction, node, node.version, role, lease_seconds)
        )
        node.over = False

    async def leave(self) -> None:
        """End the run, tell everybody."""
        await self._answered(self._end)
        await self.ear.tell(Signal(everything=True))

    async def _end(self) -> None:
        self._node.over = True
        await epochs.end_own(self._database, self._node, self._clock)

    # Posts

    async def take(self, posts: Sequence[str]) -> frozenset[str]:
        """Take free posts."""
        values = {"names": list(posts), "run": self._node.run}

        async def work(transaction: Transaction) -> frozenset[str]:
            await run(transaction.connection, _SQL["take"], **values)
            return frozenset([name for (name,) in await fetch(transaction.connection, _SQL["held"], **values)])

        return await self._database.transact(work, run=self._node.run)

    async def give_up(self, posts: Sequence[str]) -> None:
        """Free posts."""
        values = {"names": list(posts), "run": self._node.run}
        await self._database.transact(
            lambda transaction: run(transaction.connection, _SQL["give_up"], **values), run=self._node.run
        )

    # News and work

    async def news(self, cursor: int) -> News:
        """What changed behind a cursor."""

        async def read(connection: Any) -> News:
            await run(connection, _SQL["one_moment"])
            number = await fetch_value(connection, _SQL["changes"])
            found = await fetch(connection, _SQL["documents"], cursor=cursor)
            gone = await fetch(connection, _SQL["gone"], cursor=cursor)
            versions = await fetch(connection, _SQL["versions"], cursor=cursor)
            await run(connection, _SESSION["commit"])
            return News(
                cursor=number,
                documents=tuple([documents.read(row) for row in found]),
                gone=tuple([Gone(kind, text_of(id_), row) for kind, id_, row in gone]),
                versions=dict(versions),
            )

        return await self._database.ask(read)

    async def waiting(self) -> tuple[Waiting, ...]:
        """Endpoints with open deliveries."""
        rows = await self._database.ask(lambda connection: fetch(connection, _SQL["waiting"]))
        return tuple(
            [
                Waiting(endpoint, account, due_ms, None if body is None else _decode_health(body))
                for endpoint, account, due_ms, body in rows
            ]
        )

    # Signals

    async def tell(self, signal: Signal) -> None:
        """Call out to the others."""
        await self.ear.tell(signal)

    async def hear(self) -> Signal:
        """Wait for what others call out."""
        return await self.ear.hear()
