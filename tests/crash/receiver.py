"""A receiver that notes everything it gets and answers as moods have it: mostly 200, else an error or nothing."""

import asyncio
import hashlib
import hmac
import random
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Receiver:
    """Listens on loopback; ``log`` has one entry per request."""

    secret: str = ""
    moody: bool = True
    source: random.Random = field(default_factory=lambda: random.Random(7))
    seen: Counter[str] = field(default_factory=Counter)
    """Requests by event id."""
    taken: Counter[str] = field(default_factory=Counter)
    """Requests answered 200 in full, by event id."""
    forged: list[str] = field(default_factory=list)
    _server: asyncio.Server | None = None

    async def start(self) -> str:
        """Begin to listen; returns the URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])
                }
                body = await reader.readexactly(int(headers["content-length"]))
                if not self._answer(headers, body, writer):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> bool:
        event_id = headers["webhook-id"]
        self.seen[event_id] += 1
        expected = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, headers["x-whatsync-signature"]):
            self.forged.append(event_id)
        mood = self.source.random() if self.moody else 1.0
        if mood < 0.05:
            return False
        if mood < 0.15:
            writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            return True
        self.taken[event_id] += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True
