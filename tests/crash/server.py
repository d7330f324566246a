"""The real server as a process of its own on a real data folder, to be started, killed and started again.
Asks it only what any client can ask; knows nothing of its inside."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port

KEY = "wsk_" + "k" * 43
ARRIVING_TURNS = 50
"""Of the loop, in which receivers of this process take in what a dead one has sent: it lies in the system by then, and
is not to be counted as its next life's.
"""


class Server:
    """``whatsync serve`` over one data folder. A setting that is ``None`` is left to its default."""

    def __init__(self, folder: Path, **settings: str | None) -> None:
        self.folder = folder
        self.key = KEY
        self.log = folder.parent / f"{folder.name}.log"
        self.banner = folder.parent / f"{folder.name}.out"
        self.process: asyncio.subprocess.Process | None = None
        self.program: tuple[str, ...] = ("-m", "whatsync")
        """What Python runs."""
        self.world: dict[str, str] = {}
        """Further variables of the process's environment."""
        self._settings: dict[str, str | None] = {
            "DATA_DIR": str(folder),
            "PORT": str(free_port()),
            "BOOTSTRAP_API_KEY": KEY,
            "MIN_FREE_DISK": "1MB",
            **settings,
        }
        self.url = f"http://127.0.0.1:{self._settings['PORT']}"

    @property
    def environment(self) -> dict[str, str]:
        """What the process is told: nothing of the settings of whoever runs the tests."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WHATSYNC_")}
        return (
            kept
            | self.world
            | {f"WHATSYNC_{name}": value for name, value in self._settings.items() if value is not None}
        )

    async def begin(self, **settings: str | None) -> asyncio.subprocess.Process:
        """Start the process and wait for nothing."""
        self._settings |= settings
        with self.log.open("ab") as log, self.banner.open("ab") as banner:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *self.program, "serve",
                env=self.environment, cwd=self.folder.parent, stdout=banner, stderr=log,
            )  # fmt: skip
        return self.process

    async def start(self, **settings: str | None) -> None:
        """Start and wait until it is ready."""
        process = await self.begin(**settings)
        async with asyncio.timeout(PATIENCE_SECONDS), httpx.AsyncClient(base_url=self.url) as client:
            while True:
                assert process.returncode is None, self.log.read_text()[-4000:]
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get("/readyz", timeout=5)).status_code == 200:
                        return
                # Nothing tells from outside that a process listens; asking is the only way.
                await asyncio.sleep(0.02)

    async def refused(self, **settings: str | None) -> tuple[int, str]:
        """Start a server that is expected to end by itself: its exit code and what it logged."""
        before = self.log.stat().st_size if self.log.exists() else 0
        process = await self.begin(**settings)
        async with asyncio.timeout(PATIENCE_SECONDS):
            status = await process.wait()
        return status, self.log.read_text()[before:]

    def first_keys(self) -> dict[str, str]:
        """What the first start made, read where its banner says."""
        path = re.search(r"(\S+/first-keys\.txt)", self.banner.read_text())
        assert path, self.banner.read_text()
        lines = Path(path[1]).read_text().splitlines()
        return dict(line.rsplit(maxsplit=1) for line in lines)

    async def kill(self) -> None:
        """End it as a power switch would end a process. What it had sent has arrived when this returns."""
        await self._end(signal.SIGKILL)
        for _ in range(ARRIVING_TURNS):
            await asyncio.sleep(0)

    async def stop(self) -> int:
        """End it as an operator does; returns the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()

    def client(self) -> httpx.AsyncClient:
        """An API client of the first account."""
        return httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=20)


@asynccontextmanager
async def serving(folder: Path, **settings: str | None) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    """A ready server and a client of its first account; whatever runs at the end is killed."""
    server = Server(folder, **settings)
    try:
        await server.start()
        async with server.client() as client:
            yield server, client
    finally:
        if server.process is not None:
            await server.kill()


async def until(client: httpx.AsyncClient, path: str, wanted: Any, seconds: float = PATIENCE_SECONDS) -> Any:
    """Ask for ``path`` until ``wanted`` is true of the answer, and return it: another process tells nothing itself."""
    answer: Any = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = (await client.get(path)).raise_for_status().json()
                if wanted(answer):
                    return answer
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{path} still says {answer}") from None
