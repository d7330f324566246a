"""A whole server over real sockets on a free port, on the store in memory, with its first keys; and a raw client."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from tests.patience import PATIENCE_SECONDS
from whatsync.compose.opening import open_server
from whatsync.compose.places import Disk, Outside
from whatsync.compose.server import Server
from whatsync.config import read
from whatsync.engine.bootstrap import FirstKeys, bootstrap
from whatsync.engine.journal import Spans, Write
from whatsync.model.source import GRAPH_URL
from whatsync.net.system import SystemClock, SystemRandomness
from whatsync.ports.cluster import Cluster
from whatsync.ports.history import History
from whatsync.ports.store import Opened, Store
from whatsync.store.memory import MemoryStore, NodeStore
from whatsync.web.listener import Listener, bind

TOKEN = "wsl_" + "0" * 64


@dataclass(frozen=True)
class Running:
    """The server and what is needed to speak to it."""

    server: Server
    port: int
    first: FirstKeys
    client: httpx.AsyncClient

    @property
    def account_key(self) -> str:
        return self.first.account_key.secret

    @property
    def operator_key(self) -> str:
        return self.first.operator_key.secret

    async def call(
        self, method: str, path: str, *, key: str | None = None, json: object = None, **more: object
    ) -> httpx.Response:
        """One request with the account's key, or another."""
        headers = {"authorization": f"Bearer {key or self.account_key}", **dict(more.pop("headers", {}))}  # type: ignore[call-overload]
        return await self.client.request(method, path, headers=headers, json=json, **more)  # type: ignore[arg-type]

    async def raw(self, data: bytes, *parts: bytes) -> bytes:
        """Send bytes as they are on a connection of their own; all that comes back until it closes or goes quiet."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        for part in parts:
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(part)
        got = bytearray()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while chunk := await reader.read(65_536):
                    got += chunk
        finally:
            writer.close()
        return bytes(got)


class InMemory:
    """A disk that is gone with the test."""

    def __init__(self, store: MemoryStore) -> None:
        self._memory = store
        self.store: Store = store
        self.history: History = store
        self.cluster: Cluster | None = store if isinstance(store, NodeStore) else None

    async def open(self, now_ms: int) -> Opened:
        return await self._memory.open(now_ms, "test")

    async def close(self) -> None:
        await self._memory.close()


@asynccontextmanager
async def running(
    folder: Path,
    write_line: Write | None = None,
    disk: Disk | None = None,
    in_memory: bool = True,
    spans: Spans | None = None,
    graph_url: str = GRAPH_URL,
    role: str = "all",
    keys: FirstKeys | None = None,
    **settings: str,
) -> AsyncIterator[Running]:
    """Start a server, stop it at the end. Where nothing is said about its disk, it works in memory; ``keys`` are those
    of another server over the same disk.
    """
    if disk is None and in_memory:
        disk = InMemory(MemoryStore())
    bound: socket.socket = bind("127.0.0.1", 0)
    port: int = bound.getsockname()[1]
    config = read({"WHATSYNC_DATA_DIR": str(folder), "WHATSYNC_PORT": str(port), **settings})
    config = msgspec.structs.replace(config, role=role)
    outside = Outside(SystemClock(), SystemRandomness(), write_line, spans, TOKEN, disk, graph_url)
    server = await open_server(config, outside)
    services = server.services
    first = await bootstrap(services.directory, services.accounts, services.keys) or keys
    assert first is not None
    listener = Listener(server.application, server.door)
    server.start()
    await listener.start([bound])
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client:
            yield Running(server, port, first, client)
    finally:
        services.runner.ready = False
        services.feed.stop()
        await listener.stop()
        await server.stop(drain_seconds=1)
