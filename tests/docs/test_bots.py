"""The echo bots of docs/whatsapp.md run as they stand on the page: they verify, and answer once through Meta's API."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.docs.pages import DOCS, page
from tests.graph.server import GraphServer
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port
from whatsync.model.envelope import make_body
from whatsync.model.request import attempt_head
from whatsync.model.signature import Signer

SECRET = "whsec_" + "ZWNoby1ib3RzLXNlY3JldD4+Pz8/"
FOLDER = DOCS / "bots"
BOTS = ("echo.js", "echo.py", "echo.php")
NUMBER = "106540352242922"


def request(event: str, event_id: str, data: bytes) -> tuple[dict[str, str], bytes]:
    """A request as the server makes it."""
    body = make_body(event, event_id, "2023-06-15T14:22:33Z", data)
    signatures = Signer(SECRET, [SECRET]).sign(event_id, 1_700_000_000, body)
    head = attempt_head(event, event_id, "dlv_1", 1, 1_700_000_000, signatures, len(body), NUMBER)
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
    return {**headers, "Content-Type": "application/json"}, body


def message(text: str) -> bytes:
    return ('{"from":"+491700000001","to":"+15550100200","text":' + text + ',"media":null,"timestamp":null}').encode()


async def connected(port: int) -> None:
    """Return when somebody listens."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)  # nothing tells from outside that a process listens


@pytest.mark.parametrize("bot", BOTS)
async def test_it_answers_each_text_once(bot: str, node: str, tmp_path: Path) -> None:
    sent: asyncio.Queue[tuple[str, str, Any]] = asyncio.Queue()

    async def messages(asked: Request) -> JSONResponse:
        sent.put_nowait((asked.path_params["number"], asked.headers["authorization"], await asked.json()))
        return JSONResponse({"messages": [{"id": "wamid.answer"}]})

    port = free_port()
    php = ["php", "-S", f"127.0.0.1:{port}", bot]
    command = {"echo.js": [node, bot], "echo.py": [sys.executable, bot], "echo.php": php}[bot]
    async with GraphServer([Route("/v25.0/{number}/messages", messages, methods=["POST"])]) as graph:
        environment = {
            "PATH": os.environ["PATH"],
            "WEBHOOK_SECRET": SECRET,
            "ACCESS_TOKEN": "EAAtoken",
            "GRAPH_URL": f"{graph.url}/v25.0",
            "PORT": str(port),
            "TMPDIR": str(tmp_path),
        }
        process = await asyncio.create_subprocess_exec(*command, cwd=FOLDER, env=environment)
        try:
            await connected(port)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client:
                headers, body = request("message.incoming", "msg_1", message('"grüße 👋"'))
                for _ in range(2):
                    assert (await client.post("/", content=body, headers=headers)).status_code == 200
                async with asyncio.timeout(PATIENCE_SECONDS):
                    number, authorization, said = await sent.get()
                assert (number, authorization) == (NUMBER, "Bearer EAAtoken")
                assert (said["to"], said["text"]["body"]) == ("+491700000001", "grüße 👋")
                silent = [
                    request("message.incoming", "msg_2", message("null")),
                    request("message.status", "status_1", b'{"messageId":"msg_1","status":"read","timestamp":null}'),
                ]
                for headers, body in silent:
                    assert (await client.post("/", content=body, headers=headers)).status_code == 200
                forged = {**headers, "X-Whatsync-Signature": "0" * 64, "X-WhatsSync-Signature": "0" * 64}
                assert (await client.post("/", content=body, headers=forged)).status_code == 401
                headers, body = request("message.incoming", "msg_3", message('"last"'))
                assert (await client.post("/", content=body, headers=headers)).status_code == 200
                async with asyncio.timeout(PATIENCE_SECONDS):
                    _, _, said = await sent.get()
                assert said["text"]["body"] == "last"
                assert sent.empty()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.mark.parametrize("bot", BOTS)
def test_the_page_shows_the_bot_as_it_runs(bot: str) -> None:
    assert (FOLDER / bot).read_text("utf-8").rstrip() in page("whatsapp.md")
