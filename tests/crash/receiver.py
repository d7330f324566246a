"""A receiver that notes everything it gets and answers as its moods have it: mostly 200, else an error or nothing.
Checks signatures at once; every other law is the checker's."""

import asyncio
import hashlib
import hmac
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import standardwebhooks

ERROR = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PEACE_REQUESTS = 25
"""Between two failures lie at least so many successes, more than are under way at once: an endpoint that fails time
and again counts as down, and then its waiting retries come forward at its next success."""


@dataclass(frozen=True)
class Arrival:
    """One request. ``life`` is the server's life in which its connection was opened."""

    at_ms: int
    life: int
    event_id: str
    delivery: str
    attempt: int
    body: bytes
    answered: int | None

    @property
    def taken(self) -> bool:
        """Whether it was answered with success."""
        return self.answered == 200


@dataclass
class Receiver:
    """Listens on loopback; ``arrivals`` has one entry per request, in the order of coming."""

    name: str
    life: Callable[[], int]
    moody: bool = False
    source: random.Random = field(default_factory=lambda: random.Random(7))
    secret: str = ""
    arrivals: list[Arrival] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    url: str = ""
    _peace: int = 0
    _server: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{self.name}"

    def stop(self) -> None:
        """Stop listening and close all connections."""
        assert self._server is not None
        self._server.close()
        for writer in self._connections:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        life = self.life()
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                pairs = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
                headers = {name.lower(): value for name, _, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
                answer = self._take(headers, body, life)
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._connections.discard(writer)
            writer.close()

    def _take(self, headers: dict[str, str], body: bytes, life: int) -> bytes:
        event_id = headers["webhook-id"]
        if not self._signed(headers, body):
            self.forged.append(event_id)
        answer = self._mood()
        answered = int(answer[9:12]) if answer else None
        delivery, attempt = headers["x-whatssync-delivery"], int(headers["x-whatssync-attempt"])
        now_ms = time.time_ns() // 1_000_000
        self.arrivals.append(Arrival(now_ms, life, event_id, delivery, attempt, body, answered))
        return answer

    def _signed(self, headers: dict[str, str], body: bytes) -> bool:
        expected = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        try:
            standardwebhooks.Webhook(self.secret).verify(body, headers)
        except standardwebhooks.WebhookVerificationError:
            return False
        return hmac.compare_digest(expected, headers["x-whatsync-signature"])

    def _mood(self) -> bytes:
        self._peace += 1
        if not self.moody or self._peace <= PEACE_REQUESTS or self.source.random() > 0.3:
            return TAKEN
        self._peace = 0
        return self.source.choice([ERROR, b""])
