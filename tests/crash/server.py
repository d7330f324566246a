"""The real server as a process of its own on a real data folder, to be started, killed and started again."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import httpx

KEY = "wsk_" + "k" * 43
START_SECONDS = 30.0


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """``whatsync serve`` over one data folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder.parent / f"{folder.name}.log"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("WHATSYNC_")}
        self.environment |= {
            "WHATSYNC_DATA_DIR": str(folder),
            "WHATSYNC_PORT": str(self.port),
            "WHATSYNC_BOOTSTRAP_API_KEY": KEY,
            "WHATSYNC_RETRY_SCHEDULE": ",".join(["1s"] * 30),
            "WHATSYNC_MIN_FREE_DISK": "1",
            **{f"WHATSYNC_{name}": value for name, value in settings.items()},
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "whatsync", "serve", env=self.environment, stdout=log, stderr=log
            )
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(base_url=self.url) as client:
            while True:
                assert self.process.returncode is None, self.log.read_text()[-4000:]
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get("/readyz", timeout=2)).status_code == 200:
                        return
                # Nothing tells from outside that a process listens; asking is the only way.
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End it as a power switch would end a process."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it as an operator does; returns the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(60):
            return await self.process.wait()

    def client(self) -> httpx.AsyncClient:
        """An API client of the first account."""
        return httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=10)
