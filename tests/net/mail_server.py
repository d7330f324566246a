"""A small mail server on the loopback interface."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class MailServer:
    """Speaks as much SMTP as a client needs. ``answers`` replaces its answer to a verb."""

    def __init__(self, tls: ssl.SSLContext | None = None, offers_tls: bool = False) -> None:
        self.tls = tls
        self.offers_tls = offers_tls
        self.answers: dict[str, str] = {}
        self.verbs: list[str] = []
        self.mails: list[bytes] = []
        self.encrypted = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say(writer, "220 here")
        while line := await reader.readline():
            verb = line.decode().split()[0].upper()
            self.verbs.append(verb)
            if verb == "EHLO":
                words = ["here", "AUTH PLAIN", *(["STARTTLS"] if self.offers_tls and not self.encrypted else [])]
                lines = [f"250{' ' if at == len(words) - 1 else '-'}{word}" for at, word in enumerate(words)]
                await self._say(writer, "\r\n".join(lines))
                continue
            await self._say(writer, self.answers.get(verb, self._usual(verb)))
            if verb == "STARTTLS":
                assert self.tls is not None
                await writer.start_tls(self.tls)
                self.encrypted = True
            if verb == "DATA" and verb not in self.answers:
                self.mails.append((await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n", b"\n"))
                await self._say(writer, "250 taken")
            if verb == "QUIT":
                return

    def _usual(self, verb: str) -> str:
        return {"DATA": "354 go on", "QUIT": "221 bye", "AUTH": "235 welcome", "STARTTLS": "220 go on"}.get(
            verb, "250 fine"
        )

    async def _say(self, writer: asyncio.StreamWriter, text: str) -> None:
        writer.write(text.encode() + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def listening(server: MailServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The server's port while the block runs."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    async with listener:
        port: int = listener.sockets[0].getsockname()[1]
        yield port
