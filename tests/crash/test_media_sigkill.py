"""The real server is killed while it fetches and takes in files: each is there once, whole, with one event."""

import asyncio
import contextlib
import os
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.crash.server import Server, until
from tests.graph.server import TOKEN, GraphServer
from tests.sources.whatsapp.cloud import NUMBER, SECRET, escaped, incoming, message, signed

ROUNDS = 3
FILES_PER_ROUND = 8
BYTES = 600_000


class Sender:
    """Sends pictures by webhook and by upload, and remembers what was acknowledged."""

    def __init__(self, graph: GraphServer, source: str, seed: int) -> None:
        self.graph = graph
        self.source = source
        self.random = random.Random(seed)
        self.numbers = iter(range(1_000_000))
        self.received: dict[str, bytes] = {}
        """Bytes by wamid of webhooks that were answered 200."""
        self.uploaded: dict[str, bytes] = {}
        """Bytes by URL of uploads that were answered 201 or 200."""
        self._answered = 0
        self._some = asyncio.Event()

    async def answers(self, count: int) -> None:
        """Return when so many more requests have been answered."""
        wanted = self._answered + count
        async with asyncio.timeout(60):
            while self._answered < wanted:
                self._some.clear()
                await self._some.wait()

    def _note(self) -> None:
        self._answered += 1
        self._some.set()

    def _data(self) -> bytes:
        return b"\xff\xd8\xff\xe0" + self.random.randbytes(BYTES)

    async def webhook(self, client: httpx.AsyncClient) -> None:
        name, data = f"m{next(self.numbers)}", self._data()
        file = self.graph.put(name, data)
        if self.random.random() < 0.3:
            file.getting.append("broken")
        image = {"id": name, "mime_type": "image/jpeg", "sha256": file.base64}
        raw = escaped(incoming(message(f"wamid.{name}", "image", image=image)))
        answer = await client.post(f"/sources/whatsapp/{self.source}", content=raw, headers=signed(raw))
        self._note()
        if answer.status_code == 200:
            self.received[f"wamid.{name}"] = data

    async def upload(self, client: httpx.AsyncClient) -> None:
        data = self._data()
        files = {"file": ("a.jpg", data, "image/jpeg")}
        answer = await client.post("/v1/media", files=files, headers={"Idempotency-Key": f"k{next(self.numbers)}"})
        self._note()
        if answer.status_code in (200, 201):
            self.uploaded[answer.json()["mediaUrl"]] = data

    async def send(self, client: httpx.AsyncClient) -> None:
        """Send until the server is gone."""
        with contextlib.suppress(httpx.HTTPError):
            for _ in range(FILES_PER_ROUND):
                await asyncio.gather(self.webhook(client), self.upload(client))


async def source_of(server: Server, client: httpx.AsyncClient) -> str:
    """A source with a number of the first account."""
    token = (server.folder / "cli-token").read_text().strip()
    operator = {"Authorization": f"Bearer {token}"}
    account = (await client.get("/v1/account")).json()["id"]
    form = {"name": "App", "appSecret": SECRET, "accessToken": TOKEN, "account": account}
    made = (await client.post("/v1/sources", json=form, headers=operator)).json()["id"]
    number = {"phoneNumberId": NUMBER, "source": made, "account": account}
    assert (await client.post("/v1/numbers", json=number, headers=operator)).status_code == 201
    return str(made)


async def all_events(client: httpx.AsyncClient, kind: str) -> list[Any]:
    found: list[Any] = []
    cursor = ""
    while True:
        page = (await client.get(f"/v1/events?event={kind}&limit=200{cursor}")).json()
        found += page["items"]
        if page["nextCursor"] is None:
            return found
        cursor = f"&cursor={page['nextCursor']}"


@pytest.mark.slow
async def test_files_survive_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with GraphServer() as graph:
        monkeypatch.setenv("TESTS_GRAPH_URL", graph.url)
        server = Server(tmp_path / "data")
        server.program = (str(Path(__file__).with_name("beside_graph.py")),)
        monkeypatch.setenv("PYTHONPATH", os.getcwd())
        try:
            await server.start()
            async with server.client() as client:
                sender = Sender(graph, await source_of(server, client), seed=7)
            for _ in range(ROUNDS):
                async with server.client() as client:
                    sending = asyncio.ensure_future(sender.send(client))
                    await sender.answers(sender.random.randrange(2, 2 * FILES_PER_ROUND - 2))
                    await asyncio.sleep(sender.random.uniform(0, 0.05))
                    await server.kill()
                    await sending
                await server.start()
            async with server.client() as client:
                await look(sender, client)
            nothing_half(tmp_path / "data")
        finally:
            await server.kill()


async def look(sender: Sender, client: httpx.AsyncClient) -> None:
    """All that was acknowledged comes, once, whole."""
    messages = {event["wamid"]: event for event in await all_events(client, "message.incoming")}
    assert set(sender.received) <= set(messages)
    assert len(sender.received) > 3
    assert len(sender.uploaded) > 3
    wanted = {event["id"] for event in messages.values()}

    def told(page: Any) -> bool:
        return {event["data"]["messageId"] for event in page["items"]} - {None} == wanted

    await until(client, "/v1/events?event=media.upload&limit=200", told)
    uploads = await all_events(client, "media.upload")
    of_messages = [event["data"]["messageId"] for event in uploads if event["data"]["messageId"] is not None]
    assert len(of_messages) == len(set(of_messages)) == len(wanted)
    for wamid, data in sender.received.items():
        url = messages[wamid]["data"]["media"]["mediaUrl"]
        assert (await client.get("/media/" + url.rpartition("/")[2])).content == data
    for url, data in sender.uploaded.items():
        assert (await client.get("/media/" + url.rpartition("/")[2])).content == data
    assert {event["data"]["mediaUrl"] for event in uploads} >= set(sender.uploaded)


def nothing_half(folder: Path) -> None:
    """Nothing half stands under a name."""
    for path in (folder / "media").glob("*/??/*"):
        assert path.stat().st_size == BYTES + 4, path
