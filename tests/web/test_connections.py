"""The bound on client connections: who rests makes place, who works stays, who comes in vain is told so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.running import Running, running
from whatsync.model import limits
from whatsync.web.listener import Listener, bind

MOST = 4
GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
BEGUN = b"POST /v1/events HTTP/1.1\r\nhost: x\r\n"


@asynccontextmanager
async def narrow(folder: Path) -> AsyncIterator[tuple[Running, int]]:
    """A server with a second door that takes few connections, and that door's port."""
    async with running(folder) as web:
        socket = bind("127.0.0.1", 0)
        listener = Listener(web.server.metrics_application, web.server.metrics_door, connections_max=MOST)
        await listener.start([socket])
        try:
            yield web, socket.getsockname()[1]
        finally:
            for connection in list(web.server.metrics_door.connections):
                connection.transport.abort()
            await asyncio.wait_for(listener.stop(), PATIENCE_SECONDS)


async def opened(port: int, begin: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which something was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)
    await writer.drain()
    return reader, writer


async def held(web: Running, count: int) -> None:
    """Wait until the door has so many connections."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(web.server.metrics_door.connections) != count:  # noqa: ASYNC110 - nothing tells of connections
            await asyncio.sleep(0.005)


async def test_a_newcomer_is_told_when_all_are_at_work(tmp_path: Path) -> None:
    async with narrow(tmp_path) as (web, port):
        working = [await opened(port, BEGUN) for _ in range(MOST)]
        await held(web, MOST)
        reader, writer = await opened(port, b"")
        answer = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        assert b"too_many_connections" in answer
        writer.close()
        for _, one in working[:1]:
            one.close()
        await held(web, MOST - 1)
        reader, _ = await opened(port, GET)
        assert (await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)).startswith(b"HTTP/1.1 200 ")


async def test_one_that_rests_makes_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONNECTION_REST_SECONDS_MIN", -1.0)
    async with narrow(tmp_path) as (web, port):
        resting, _ = await opened(port, GET)
        assert (await asyncio.wait_for(resting.readline(), PATIENCE_SECONDS)).startswith(b"HTTP/1.1 200 ")
        working = [await opened(port, BEGUN) for _ in range(MOST - 1)]
        await held(web, MOST)
        reader, _ = await opened(port, GET)
        assert (await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)).startswith(b"HTTP/1.1 200 ")
        await asyncio.wait_for(resting.read(), PATIENCE_SECONDS)
        assert resting.at_eof()
        await held(web, len(working) + 1)


async def test_far_beyond_the_bound_nothing_is_answered_and_nothing_held(tmp_path: Path) -> None:
    async with narrow(tmp_path) as (web, port):
        working = [await opened(port, BEGUN) for _ in range(MOST)]
        await held(web, len(working))
        crowd = await asyncio.gather(*[opened(port, b"") for _ in range(20)])
        assert len(web.server.metrics_door.connections) <= MOST + MOST // 8 + 1
        ended = await asyncio.gather(
            *[asyncio.wait_for(reader.read(), PATIENCE_SECONDS) for reader, _ in crowd], return_exceptions=True
        )
        refused = [one for one in ended if isinstance(one, bytes) and b" 503 " in one]
        assert refused
        assert len(refused) < len(crowd)
