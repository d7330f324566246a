"""A network between server and database that can be cut, stall, or swallow the answer to a COMMIT. Knows only bytes."""

import asyncio
from contextlib import suppress

COMMIT = b"COMMIT\x00"


class Proxy:
    """Forwards connections to a port of this machine."""

    def __init__(self, port: int) -> None:
        self.to = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.swallow_commits = 0
        """So many COMMITs still reach the database, and their connection is cut before the answer."""
        self.refusing = False
        self.delay_seconds = 0.0
        """Before each piece that passes."""
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all of it."""
        assert self._server is not None
        self._server.close()
        self.cut()
        self._flowing.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Cut every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def stall(self) -> None:
        """Let nothing through, and close nothing."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything through again."""
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.refusing:
                raise ConnectionRefusedError
            back, there = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there}
        for source, sink, asks in ((reader, there, True), (back, writer, False)):
            task = asyncio.get_running_loop().create_task(self._forward(source, sink, writer, asks))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter, asks: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self._flowing.wait()
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if asks and COMMIT in data and self.swallow_commits > 0:
                    self.swallow_commits -= 1
                    # Gone before the database has answered; the database gets it all the same.
                    client.transport.abort()
                sink.write(data)
                await sink.drain()
        sink.close()
