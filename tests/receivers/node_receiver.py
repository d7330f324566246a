"""Starts one of this folder's Node.js programs on a free loopback port and stops it again.
Knows nothing of WhatsSync: what the receivers get, a test sends."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.patience import PATIENCE_SECONDS

FOLDER = Path(__file__).resolve().parent


class NodeReceiver:
    """A running receiver: its address, and the lines it printed after its port."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}/webhook"

    async def line(self) -> str:
        """Wait for the next line the receiver prints; an empty one when it has ended."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE_SECONDS)
        return line.decode().rstrip("\n")


@asynccontextmanager
async def running(
    node: str, program: str, secret: str, express_package: str = "express"
) -> AsyncIterator[NodeReceiver]:
    """Run ``program`` (a file of this folder) with ``secret`` until the block ends."""
    environment = {
        "PATH": os.environ["PATH"],
        "WEBHOOK_SECRET": secret,
        "EXPRESS_PACKAGE": express_package,
        "NODE_DISABLE_COLORS": "1",
    }
    process = await asyncio.create_subprocess_exec(
        node, program, cwd=FOLDER, env=environment, stdout=asyncio.subprocess.PIPE, limit=1 << 20
    )
    try:
        assert process.stdout is not None
        port = await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)
        assert port.strip().isdigit(), f"{program} did not start: {port!r}"
        yield NodeReceiver(process, int(port))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
