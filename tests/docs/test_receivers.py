"""The quickstart's receivers run as they stand on the page: they verify, handle each id once and answer 200."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import DOCS, page
from tests.ports import free_port
from whatsync.model.envelope import make_body
from whatsync.model.request import attempt_head
from whatsync.model.signature import Signer

SECRET = "whsec_" + "ZG9jcy1yZWNlaXZlci1zZWNyZXQ+Pz8/"
FOLDER = DOCS / "receivers"
START_SECONDS = 60.0
PROGRAMS = ("receiver.js", "receiver.py", "receiver.php")


def request(text: str) -> tuple[dict[str, str], bytes]:
    """A request as the server makes it."""
    data = ('{"from":"+1234567890","to":"+0987654321","text":"' + text + '","media":null,"timestamp":null}').encode()
    body = make_body("message.incoming", "msg_docs", "2023-06-15T14:22:33Z", data)
    signatures = Signer(SECRET, [SECRET]).sign("msg_docs", 1_700_000_000, body)
    head = attempt_head("message.incoming", "msg_docs", "dlv_docs", 1, 1_700_000_000, signatures, len(body))
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
    return {**headers, "Content-Type": "application/json"}, body


@asynccontextmanager
async def running(
    program: str, node: str, folder: Path, secret: str = SECRET
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Run one of the programs until the block ends."""
    port = free_port()
    command = {
        "receiver.js": [node, program],
        "receiver.py": [sys.executable, program],
        "receiver.php": ["php", "-S", f"127.0.0.1:{port}", program],
    }[program]
    environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": secret, "PORT": str(port), "TMPDIR": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=FOLDER, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                # Another program's port tells nothing by itself; asking is the only way.
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}/webhook", process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.parametrize("program", PROGRAMS)
async def test_it_verifies_handles_once_and_answers(program: str, node: str, tmp_path: Path) -> None:
    async with running(program, node, tmp_path) as (url, process), httpx.AsyncClient() as client:
        headers, body = request("grüße 👋")
        assert (await client.post(url, content=body, headers=headers)).status_code == 200
        assert (await client.post(url, content=body, headers=headers)).status_code == 200
        forged = {**headers, "X-Whatsync-Signature": "0" * 64, "X-WhatsSync-Signature": "0" * 64}
        assert (await client.post(url, content=body, headers=forged)).status_code == 401
        odd = {**headers, "X-Whatsync-Signature": "é" * 64, "X-WhatsSync-Signature": "é" * 64}
        raw = [
            (name.encode(), value.encode()) for name, value in odd.items()
        ]  # as UTF-8, in which a letter is not a byte
        assert (await client.post(url, content=body, headers=raw)).status_code == 401
        missing = {name: value for name, value in headers.items() if "signature" not in name.lower()}
        assert (await client.post(url, content=body, headers=missing)).status_code == 401
        process.kill()
        assert process.stdout is not None
        printed = (await process.stdout.read()).decode()
    assert sum("message.incoming" in line for line in printed.splitlines()) == 1


@pytest.mark.parametrize("program", PROGRAMS)
async def test_without_a_secret_nothing_is_taken(program: str, node: str, tmp_path: Path) -> None:
    """Whoever signs with an empty key must not be believed."""
    if program != "receiver.php":
        command = [node if program.endswith("js") else sys.executable, program]
        environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": "", "PORT": "0"}
        process = await asyncio.create_subprocess_exec(
            *command, cwd=FOLDER, env=environment, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(START_SECONDS):
            _, said = await process.communicate()
        assert process.returncode == 1
        assert b"set WEBHOOK_SECRET" in said
        return
    async with running(program, node, tmp_path, secret="") as (url, _), httpx.AsyncClient() as client:
        assert (await client.post(url, content=b"{}", headers={"X-WhatsSync-Signature": "0" * 64})).status_code == 500


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_page_shows_the_program_as_it_runs(program: str) -> None:
    text = (FOLDER / program).read_text(encoding="utf-8").rstrip()
    assert text in page("quickstart.md")
    assert len(text.splitlines()) <= 28
