"""From a signed body of Meta's to a receiver, with the server killed again and again in between: nothing is lost."""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.crash.server import Server, serving, until
from tests.end_to_end.receiver import receiving
from tests.receivers.node_receiver import running
from tests.sources.whatsapp.cloud import (
    NUMBER,
    SECRET,
    card,
    escaped,
    incoming,
    message,
    signed,
    status,
    statuses,
)
from whatsync.model.ids import message_id

BODIES = 90
BATCH = 4


def bodies() -> list[bytes]:
    """Batches of messages of few people."""
    made = []
    for at in range(BODIES):
        people = [f"4917000000{(at + one) % 10:02}" for one in range(BATCH)]
        messages = [message(f"wamid.{at}.{one}", person=people[one]) for one in range(BATCH)]
        made.append(escaped(incoming(*messages, contacts=[card(person) for person in dict.fromkeys(people)])))
    return made


async def never(writer: asyncio.StreamWriter) -> None:
    """Take the request and say nothing until the connection ends."""
    await asyncio.Event().wait()


async def connect(server: Server, client: httpx.AsyncClient) -> str:
    """A source with a number of the first account; the callback's path."""
    token = (server.folder / "cli-token").read_text().strip()
    operator = {"Authorization": f"Bearer {token}"}
    account = (await client.get("/v1/account")).json()["id"]
    form = {"name": "App", "appSecret": SECRET, "account": account}
    source = (await client.post("/v1/sources", json=form, headers=operator)).raise_for_status().json()["id"]
    number = {"phoneNumberId": NUMBER, "source": source, "account": account}
    (await client.post("/v1/numbers", json=number, headers=operator)).raise_for_status()
    return f"/sources/whatsapp/{source}"


async def deliver(client: httpx.AsyncClient, path: str, waiting: list[bytes]) -> None:
    """As Meta does: each body again and again until it is answered with 200."""
    while waiting:
        raw = waiting.pop(0)
        try:
            answer = await client.post(path, content=raw, headers=signed(raw))
        except httpx.HTTPError:
            waiting.append(raw)
            await asyncio.sleep(0.05)  # the server is dead for the moment
            continue
        if answer.status_code != 200:
            waiting.append(raw)


@pytest.mark.slow
async def test_bodies_that_meta_repeats_through_crashes_arrive_once_each(tmp_path: Path) -> None:
    chance = random.Random(4)
    async with serving(tmp_path / "data") as (server, client), receiving() as receiver:
        form = {"url": receiver.url, "events": ["message.incoming"]}
        (await client.post("/v1/endpoints", json=form)).raise_for_status()
        path = await connect(server, client)
        waiting = bodies()
        waiting += chance.sample(waiting, 20)
        senders = [asyncio.ensure_future(deliver(client, path, waiting)) for _ in range(6)]
        for _ in range(3):
            await asyncio.sleep(0.15 + chance.random() * 0.3)
            await server.kill()
            await server.start()
        async with asyncio.timeout(60):
            await asyncio.gather(*senders)
        expected = {message_id(NUMBER, f"wamid.{at}.{one}") for at in range(BODIES) for one in range(BATCH)}
        page = "/v1/deliveries?state=pending,retrying&limit=1"
        await until(client, page, lambda found: not found["items"], 60)
        assert {arrival.event_id for arrival in receiver.arrivals} == expected
        seen = (await client.get("/v1/events?event=contact.update&limit=200")).json()["items"]
        assert len(seen) == len({event["data"]["contactId"] for event in seen}) == 10


async def test_from_metas_signed_body_to_the_documents_own_example_with_a_crash_in_between(
    node: str, tmp_path: Path
) -> None:
    # However late the new address comes, the next try is near.
    settings = {"RETRY_SCHEDULE": ",".join(["2s"] * 30)}
    async with serving(tmp_path / "data", **settings) as (server, client), AsyncExitStack() as stack:
        secret = (await client.get("/v1/account/secret")).json()["secret"]
        example = await stack.enter_async_context(running(node, "express_example.js", secret))
        async with receiving(always=never) as down:
            # Whoever is called says nothing until the server is dead, so each event is on its way just then.
            form = {"url": down.url, "events": ["message.incoming", "message.status", "contact.update"]}
            endpoint = (await client.post("/v1/endpoints", json=form)).raise_for_status().json()["id"]
            path = await connect(server, client)
            both = [incoming(message("wamid.in"), contacts=[card()]), statuses(status("wamid.out", "read"))]
            for raw in map(escaped, both):
                assert (await client.post(path, content=raw, headers=signed(raw))).status_code == 200
            await down.first(1)
            await server.kill()
        await server.start()
        change = await client.patch(f"/v1/endpoints/{endpoint}", json={"url": example.url})
        change.raise_for_status()
        for raw in map(escaped, both):
            assert (await client.post(path, content=raw, headers=signed(raw))).status_code == 200, "as Meta repeats"
        await until(client, "/v1/deliveries?state=succeeded", lambda page: len(page["items"]) == 3, 60)
        page = (await client.get("/v1/deliveries")).json()["items"]
        assert sorted(one["event"] for one in page) == ["contact.update", "message.incoming", "message.status"]
        shown = 0
        while shown < 3:
            line = await example.line()
            assert line, "the example has ended"
            shown += line == "Received valid webhook: {"
