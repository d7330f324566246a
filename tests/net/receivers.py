"""Receivers that behave as badly as real ones: each runs a script per connection on a free port of the loopback."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Self

from tests.patience import PATIENCE_SECONDS
from whatsync.model.url import Target
from whatsync.ports.sender import Request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """The receiver's end of one connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        """Connections are numbered from 1 in the order they came."""
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Read one whole request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        return head + (await self.reader.readexactly(int(length[1])) if length else b"")

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the sender closes the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    def reset(self) -> None:
        """Close with a RST."""
        opened = self.writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


Handler = Callable[[Peer], Awaitable[None]]


class Receiver:
    """Runs ``handler`` for every connection, and no longer than ``PATIENCE_SECONDS``."""

    def __init__(
        self, handler: Handler, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._handler = handler
        self._tls = tls
        self._host = host
        self.port = port
        self.connections = 0
        self.failures: list[BaseException] = []
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        assert self.failures == []

    def target(self, host: str = "127.0.0.1") -> Target:
        scheme: str = "https" if self._tls else "http"
        return Target("https" if scheme == "https" else "http", host, self.port, "/hook?x=1", f"{host}:{self.port}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._handler(Peer(self.connections, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except BaseException as error:  # noqa: BLE001 - shown when the receiver ends
            self.failures.append(error)
        finally:
            self._running.discard(task)
            writer.close()


def post(target: Target, body: bytes = b"{}", *, connect_timeout: float = 5.0, timeout: float = 5.0) -> Request:
    """A request as the engine makes them."""
    head = (
        f"POST {target.request_target} HTTP/1.1\r\nHost: {target.host_header}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    return Request(target, head, body, connect_timeout, timeout)


def answering(*answers: bytes) -> Handler:
    """A receiver that gives each request of a connection the next answer, the last one for ever."""

    async def handle(peer: Peer) -> None:
        number = 0
        while True:
            await peer.request()
            await peer.say(answers[min(number, len(answers) - 1)])
            number += 1

    return handle


def answering_once(answer: bytes) -> Handler:
    """A receiver that answers one request and closes the connection in good order."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer)

    return handle


async def until(holds: Callable[[], bool]) -> None:
    """Go on as soon as ``holds()``, which must be within ``PATIENCE_SECONDS``."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for belongs to the sender, which sets no event for tests
            await asyncio.sleep(0.001)


async def silence(peer: Peer) -> None:
    """Takes everything and never answers."""
    await peer.gone()
