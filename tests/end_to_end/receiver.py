"""A plain receiver on the loopback interface: keeps each request as it came and answers as a script says.
Verifies nothing itself; the tests do."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.patience import PATIENCE_SECONDS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Arrival:
    """One request, and when its last byte had come (monotonic seconds)."""

    at: float
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        """The id of its event."""
        return self.headers["webhook-id"]


Reaction = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What to answer: bytes as they are, or a habit that writes them."""


def status(code: int, *headers: str) -> bytes:
    """An answer with a status and no body."""
    lines = [f"HTTP/1.1 {code} Told", "Content-Length: 0", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass
class Receiver:
    """What came, and what the next answers will be; ``always`` when the script has ended."""

    script: deque[Reaction] = field(default_factory=deque)
    always: Reaction = OK
    arrivals: list[Arrival] = field(default_factory=list)
    url: str = ""
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def first(self, count: int, seconds: float = PATIENCE_SECONDS) -> list[Arrival]:
        """Wait for the first ``count`` requests."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.arrivals) < count:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"{len(self.arrivals)} of {count} requests came") from None
        return self.arrivals[:count]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request after the other."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                pairs = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
                headers = {name.lower(): value for name, _, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
                self.arrivals.append(Arrival(time.monotonic(), headers, body))
                self._came.set()
                reaction = self.script.popleft() if self.script else self.always
                if isinstance(reaction, bytes):
                    writer.write(reaction)
                else:
                    await reaction(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def receiving(*script: Reaction, always: Reaction = OK) -> AsyncIterator[Receiver]:
    """A receiver that listens while the block runs."""
    receiver = Receiver(deque(script), always)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        task.add_done_callback(connections.discard)
        # The stream's own callback takes a cancelled task for a mistake.
        with suppress(asyncio.CancelledError):
            await receiver.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
