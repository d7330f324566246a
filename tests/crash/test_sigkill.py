"""The server is killed again and again under load, over the same data: nothing acknowledged may be lost."""

import asyncio
import random
from pathlib import Path

import httpx
import pytest

from tests.crash.receiver import Receiver
from tests.crash.server import Server

ROUNDS = 100
CLIENTS = 8
SETTLE_SECONDS = 90.0


class Client:
    """Posts events with ids of its own until each is acknowledged, across any number of crashes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.unsure: str | None = None
        self.acknowledged: list[str] = []

    async def post(self, server: Server) -> None:
        """Post until the server dies."""
        async with server.client() as http:
            while True:
                event_id = self.unsure or f"{self.name}-{self.count}"
                if self.unsure is None:
                    self.count += 1
                    self.unsure = event_id
                event = {
                    "event": "message.incoming",
                    "id": event_id,
                    "data": {"from": "+491", "to": "+492", "text": "hi"},
                }
                try:
                    answer = await http.post("/v1/events", json=event)
                except httpx.HTTPError:
                    return
                if answer.status_code in (200, 202):
                    self.acknowledged.append(event_id)
                    self.unsure = None


async def open_deliveries(http: httpx.AsyncClient) -> int:
    """How many deliveries still wait (at most a page of each state)."""
    count = 0
    for state in ("pending", "retrying"):
        answer = await http.get("/v1/deliveries", params={"state": state})
        answer.raise_for_status()
        count += len(answer.json()["items"])
    return count


async def all_final(server: Server) -> None:
    """Wait until every delivery has ended."""
    async with asyncio.timeout(SETTLE_SECONDS), server.client() as http:
        while await open_deliveries(http):  # noqa: ASYNC110 - another process tells nothing by itself
            await asyncio.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    source = random.Random(20260101)
    receiver = Receiver()
    url = await receiver.start()
    server = Server(tmp_path / "data")
    await server.start()
    async with server.client() as http:
        (await http.post("/v1/endpoints", json={"url": url, "events": ["*"]})).raise_for_status()
        receiver.secret = (await http.get("/v1/account/secret")).json()["secret"]
    clients = [Client(f"c{number}") for number in range(CLIENTS)]
    for round_number in range(ROUNDS):
        if round_number:
            await server.start()
        posting = [asyncio.create_task(client.post(server)) for client in clients]
        await asyncio.sleep(source.random() ** 2 * 0.6)
        await server.kill()
        await asyncio.gather(*posting)
    receiver.moody = False
    await server.start()
    await all_final(server)
    acknowledged = [event_id for client in clients for event_id in client.acknowledged]
    assert len(acknowledged) > ROUNDS, "the load was too small to prove anything"
    lost = [event_id for event_id in acknowledged if receiver.taken[event_id] == 0]
    assert lost == []
    assert receiver.forged == []
    assert len(set(acknowledged)) == len(acknowledged)
    # A crash repeats at most what was under way: far fewer requests than there were events, not one per event.
    extra = sum(count - 1 for count in receiver.taken.values() if count > 1)
    assert extra < ROUNDS * 60
    assert await server.stop() == 0
