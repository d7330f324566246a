"""Three servers over one PostgreSQL as processes of their own, and clients that go from one to another."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.crash.clients import Sender
from tests.crash.receiver import Receiver
from tests.crash.server import KEY, Server
from tests.patience import PATIENCE_SECONDS
from tests.store.postgres.cluster import Cluster

ENCRYPTION_KEY = "a key that all nodes of the tests share"
ARRIVED_SECONDS = 0.1
"""After this nothing of a killed process is on its way to a receiver of this process any more."""


class NodeReceiver(Receiver):
    """Notes the life in which each request came, not its connection: connections of other nodes outlive a kill."""

    def _take(self, headers: dict[str, str], body: bytes, life: int) -> bytes:
        return super()._take(headers, body, self.life())


class SlowReceiver:
    """Takes its time with every answer, other times with the first, and notes how many requests were open at once."""

    def __init__(self, seconds: float, first: Sequence[float] = ()) -> None:
        self.seconds = seconds
        self.first = list(first)
        self.deliveries: list[str] = []
        self.open = 0
        self.open_most = 0
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/slow"

    def stop(self) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                pairs = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
                headers = {name.lower(): value for name, _, value in pairs}
                await reader.readexactly(int(headers["content-length"]))
                self.deliveries.append(headers["x-whatssync-delivery"])
                self.open += 1
                self.open_most = max(self.open_most, self.open)
                # The endpoint's own slowness is what is tested.
                await asyncio.sleep(self.first.pop(0) if self.first else self.seconds)
                self.open -= 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


class Nodes:
    """Servers over one database. ``clients`` has an API client for each; ``urls`` are the ways that they take to the
    database, where that is not the straight one.
    """

    def __init__(
        self,
        folder: Path,
        cluster: Cluster,
        database: str,
        count: int = 3,
        urls: Sequence[str] = (),
        tablespace: str = "pg_default",
        **settings: str,
    ) -> None:
        cluster.sql(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8' TABLESPACE {tablespace}")
        self.cluster = cluster
        self.database = database
        self.servers = [
            Server(
                folder / f"node{number}",
                DATABASE_URL=urls[number] if urls else cluster.url(database),
                ENCRYPTION_KEY=ENCRYPTION_KEY,
                RETRY_SCHEDULE=",".join(["4s"] * 30),
                **settings,
            )
            for number in range(count)
        ]
        self.lives = 1
        self.clients: list[httpx.AsyncClient] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(server.start() for server in self.servers))
        limits = httpx.Limits(max_connections=None)
        for server in self.servers:
            headers = {"Authorization": f"Bearer {KEY}"}
            client = httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20, limits=limits)
            self.clients.append(await self._stack.enter_async_context(client))
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _problem: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        await asyncio.gather(*(server.kill() for server in self.servers if server.process is not None))

    async def kill(self, number: int) -> None:
        """Kill one. What it had sent has arrived when this returns."""
        await self.servers[number].kill()
        await asyncio.sleep(ARRIVED_SECONDS)
        self.lives += 1

    async def add_endpoint(self, url: str, node: int = 0, **further: Any) -> dict[str, Any]:
        """Make an endpoint through one node."""
        form = {"url": url, "events": ["message.incoming"], **further}
        made: dict[str, Any] = (await self.clients[node].post("/v1/endpoints", json=form)).raise_for_status().json()
        return made

    async def settings_of(self, receiver: Receiver) -> None:
        """Let a receiver check signatures."""
        receiver.secret = (await self.clients[0].get("/v1/account/secret")).raise_for_status().json()["secret"]

    def owner(self) -> int | None:
        """Which node has the one endpoint that has an owner."""
        found = self.cluster.sql(
            "SELECT r.label FROM post AS p JOIN run AS r ON r.id = p.run WHERE p.name LIKE 'endpoint:%'", self.database
        )
        ports = [_port(server) for server in self.servers]
        return next((ports.index(line.rpartition(":")[2]) for line in found.splitlines()), None)

    def expire(self, number: int) -> None:
        """Let a node's lease run out now."""
        named = f"WHERE NOT ended AND label LIKE '%:{_port(self.servers[number])}'"
        self.cluster.sql(f"UPDATE run SET lease_until = now() {named}", self.database)

    async def over(self, number: int) -> None:
        """Return when another node has noticed that a node's lease has run out."""
        named = f"WHERE NOT ended AND label LIKE '%:{_port(self.servers[number])}'"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.cluster.sql(f"SELECT 1 FROM run {named}", self.database):  # noqa: ASYNC110 - it only answers
                await asyncio.sleep(0.1)

    def lease_left(self, number: int) -> float:
        """How much longer a node's lease is to last, in seconds."""
        named = f"WHERE NOT ended AND label LIKE '%:{_port(self.servers[number])}'"
        left = "SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM run"
        return float(self.cluster.sql(f"{left} {named}", self.database))

    async def roam(
        self, source: random.Random, going: Callable[[], bool], work: Callable[[httpx.AsyncClient], Awaitable[Any]]
    ) -> None:
        """Do something at one node after the other, for as long as it goes."""
        while going():
            if not await work(source.choice(self.clients)):
                await asyncio.sleep(0.05)

    async def finish(self, senders: Sequence[Sender]) -> None:
        """Let clients have their answers."""
        for sender in senders:
            while sender.unsure is not None:
                assert await sender.submit(self.clients[0])


async def submit_all(nodes: Nodes, name: str, count: int, by: int | None = None) -> list[str]:
    """Events accepted by all nodes in turn, or ``by`` one."""
    made: list[str] = []
    for number in range(count):
        sender = Sender(f"{name}-{number}")
        while not sender.acknowledged:
            assert await sender.submit(nodes.clients[number % len(nodes.clients) if by is None else by])
        made += sender.acknowledged
    return made


async def unready(http: httpx.AsyncClient, words: str) -> None:
    """Wait until `/readyz` says so."""
    ends, said = time.monotonic() + PATIENCE_SECONDS, ""
    while words not in said:
        assert time.monotonic() < ends, said
        answer = await http.get("/readyz")
        said = answer.text if answer.status_code == 503 else ""
        await asyncio.sleep(0.05)


def _port(server: Server) -> str:
    return server.url.rpartition(":")[2]
