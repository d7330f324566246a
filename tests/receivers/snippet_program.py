"""Runs one of the snippets that are offered, as a customer would: saved under its name, started with the command shown.
Knows nothing of deliveries: what the program gets, a test sends."""

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.ports import free_port
from whatsync.model.url import Target, parse_url
from whatsync.web.snippets.place import Place, place_of
from whatsync.web.snippets.snippet import Snippet

PATIENCE_SECONDS = 240.0
"""Go compiles its whole library where it is run for the first time."""
NODE_PACKAGES = Path(__file__).resolve().parent / "node_modules"
GO_CACHE = Path(sys.prefix) / "go-cache"


def place(path: str) -> Place:
    """A path as the snippets take it."""
    target = parse_url(f"http://127.0.0.1{path}")
    assert isinstance(target, Target)
    found = place_of(target)
    assert isinstance(found, Place), found
    return found


@contextmanager
def alone(snippet: Snippet) -> Iterator[None]:
    """Let tests that run at the same time wait for the one that has Go's library compiled."""
    if snippet.language != "Go":
        yield
        return
    GO_CACHE.mkdir(exist_ok=True)
    with (GO_CACHE / "whatsync-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class SnippetProgram:
    """A snippet that runs: its address, and what it has printed so far."""

    def __init__(self, snippet: Snippet, path: str, folder: Path, express: str = "express") -> None:
        self.snippet = snippet
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{path}"
        self.process: asyncio.subprocess.Process | None = None
        self._folder = folder
        self._output = folder / "output"
        (folder / "node_modules").mkdir(parents=True)
        for name, package in (("express", express), ("standardwebhooks", "standardwebhooks")):
            (folder / "node_modules" / name).symlink_to(NODE_PACKAGES / package)
        (folder / snippet.file).write_text(snippet.code(place(path), self.port), encoding="utf-8")

    def printed(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def count(self, words: str) -> int:
        """How many lines it has printed with these words."""
        return sum(words in line for line in self.printed().splitlines())

    async def start(self, node: str, secret: str) -> bool:
        """Run the command that is offered; whether it listens in the end, or has ended before."""
        with alone(self.snippet):
            return await self._start(node, secret)

    async def _start(self, node: str, secret: str) -> bool:
        programs = [str(Path(sys.executable).parent), str(Path(node).parent), os.environ["PATH"]]
        environment = {
            "PATH": os.pathsep.join(programs),
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "WEBHOOK_SECRET": secret,
            "PYTHONDONTWRITEBYTECODE": "1",
            # Nothing is fetched, and an unoptimised library is compiled in half the time.
            "GOFLAGS": "-mod=mod -gcflags=all=-N -ldflags=-w",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
            "GOCACHE": str(GO_CACHE),
        }
        with self._output.open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.snippet.run(self.port).split(),
                cwd=self._folder,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return True
                # Another program's port tells nothing by itself; asking is the only way.
                await asyncio.sleep(0.05)
        return False

    async def end(self) -> None:
        """Kill it and what it started (``go run`` starts the program it has made)."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()


@asynccontextmanager
async def running(program: SnippetProgram, node: str, secret: str) -> AsyncIterator[SnippetProgram]:
    """Run a snippet until the block ends."""
    try:
        assert await program.start(node, secret), f"{program.snippet.name} has ended:\n{program.printed()}"
        yield program
    finally:
        await program.end()
