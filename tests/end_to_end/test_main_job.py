"""The main job on real input: a program submits the four documented events to a real server's first start, and
receivers that have never heard of it get them, verified."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from tests.crash.server import serving, until
from tests.end_to_end.documented import EVENTS, compact, verify
from tests.end_to_end.receiver import receiving
from tests.receivers.node_receiver import NodeReceiver, running

CAME = "Received valid webhook: {"


async def printed(receiver: NodeReceiver, count: int) -> list[str]:
    """Wait until the documented example has printed ``count`` events; the lines that name their types."""
    types: list[str] = []
    valid = 0
    while len(types) < count:
        line = await receiver.line()
        assert line, "the receiver has ended"
        valid += line == CAME
        if line.startswith("  event: "):
            types.append(line.split("'")[1])
    assert valid == count
    return types


async def all_succeeded(client: httpx.AsyncClient, count: int) -> None:
    """Wait until so many deliveries are recorded as succeeded, and see that nothing else is there."""
    await until(client, "/v1/deliveries?state=succeeded", lambda page: len(page["items"]) == count)
    everything = (await client.get("/v1/deliveries")).json()["items"]
    assert {item["state"] for item in everything} == {"succeeded"}
    assert {item["attempts"] for item in everything} == {1}


async def test_the_four_documented_events_reach_every_receiver_verified(tmp_path: Path, node: str) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        server, nobody = await enter(serving(tmp_path / "data", BOOTSTRAP_API_KEY=None))
        assert (await nobody.get("/v1/account")).status_code == 401
        server.key = server.first_keys()["API key"]
        client = await enter(server.client())
        secret = (await client.get("/v1/account/secret")).json()["secret"]
        examples = [
            await enter(running(node, "express_example.js", secret, package)) for package in ("express", "express-4")
        ]
        library = await enter(running(node, "standard_webhooks.js", secret))
        plain = await enter(receiving())
        for url in (*(example.url for example in examples), library.url, plain.url):
            (await client.post("/v1/endpoints", json={"url": url, "events": ["*"]})).raise_for_status()

        for event in EVENTS:
            answer = await client.post("/v1/events", json=event)
            assert answer.status_code == 202, answer.text
            receipt = {name: event[name] for name in ("id", "event", "timestamp")}
            assert answer.json() == {**receipt, "deliveries": 4}

        types = sorted(event["event"] for event in EVENTS)
        for example in examples:
            assert sorted(await printed(example, len(EVENTS))) == types
        lines = [await library.line() for _ in EVENTS]
        assert sorted(lines) == sorted(compact(event).decode() for event in EVENTS)
        arrivals = await plain.first(len(EVENTS))
        assert sorted(arrival.body for arrival in arrivals) == sorted(map(compact, EVENTS))
        for arrival in arrivals:
            verify(arrival, secret)
            assert arrival.headers["content-type"] == "application/json"
            assert arrival.headers["x-whatssync-attempt"] == "1"
        await all_succeeded(client, 4 * len(EVENTS))
        assert await server.stop() == 0


async def test_bodies_that_javascript_writes_differently_still_verify_in_the_documented_example(
    tmp_path: Path, node: str
) -> None:
    text = 'Zoë 👋 "quoted" \\ \u2028 \u0001 </script>'
    odd = (
        '{"id": "odd", "data": {"timestamp": "2023-06-15T14:22:30Z", "text": %s, "to": "+2", "media": null,'
        ' "from": "+1"}, "event": "message.incoming"}'
    )
    own = '{"event":"order.paid","id":"own","data":{"b":1.0,"2":1e21,"1":-0.0,"deep":{"10":[1E2,0.1e1],"9":"\\u00e9"}}}'
    async with serving(tmp_path / "data") as (_, client):
        secret = (await client.get("/v1/account/secret")).json()["secret"]
        kind = {"name": "order.paid", "description": "An order was paid"}
        (await client.post("/v1/event-types", json=kind)).raise_for_status()
        async with running(node, "express_example.js", secret) as example:
            (await client.post("/v1/endpoints", json={"url": example.url, "events": ["*"]})).raise_for_status()
            for body in (odd % httpx.Request("POST", "http://x", json=text).content.decode(), own):
                answer = await client.post("/v1/events", content=body, headers={"content-type": "application/json"})
                assert answer.status_code == 202, answer.text
            assert sorted(await printed(example, 2)) == ["message.incoming", "order.paid"]
            await all_succeeded(client, 2)


async def test_many_programs_at_once_each_event_arrives_once(tmp_path: Path) -> None:
    """Arrays and single events from several connections: what was acknowledged arrives, once, verified."""
    async with serving(tmp_path / "data") as (_, client), receiving() as plain:
        secret = (await client.get("/v1/account/secret")).json()["secret"]
        (await client.post("/v1/endpoints", json={"url": plain.url, "events": ["*"]})).raise_for_status()

        async def program(name: int) -> None:
            events = [{**event, "id": f"{event['id']}-{name}-{n}"} for n in range(10) for event in EVENTS]
            for event in events[:20]:
                assert (await client.post("/v1/events", json=event)).status_code == 202
            assert (await client.post("/v1/events", json=events[20:])).status_code == 202

        await asyncio.gather(*(program(name) for name in range(8)))
        arrivals = await plain.first(320)
        assert len({arrival.event_id for arrival in arrivals}) == 320
        for arrival in arrivals:
            verify(arrival, secret)
        await until(client, "/v1/deliveries?state=pending", lambda page: page["items"] == [])
        assert len(plain.arrivals) == 320


async def test_a_test_send_of_each_type_reaches_the_documented_example(tmp_path: Path, node: str) -> None:
    async with serving(tmp_path / "data") as (_, client):
        secret = (await client.get("/v1/account/secret")).json()["secret"]
        async with running(node, "express_example.js", secret) as example:
            made = await client.post("/v1/endpoints", json={"url": example.url, "events": ["*"]})
            for event in [documented["event"] for documented in EVENTS]:
                answer = await client.post(f"/v1/endpoints/{made.json()['id']}/test", json={"event": event})
                assert answer.json()["succeeded"] is True, answer.text
                assert answer.json()["attempt"]["response"]["body"] == "OK"
                assert await printed(example, 1) == [event]
