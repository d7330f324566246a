"""The server is killed in the middle of ordinary work, and the receivers notice nothing but a repeated request."""

import asyncio
from pathlib import Path

from tests.crash.server import serving, until
from tests.end_to_end.documented import EVENTS, verify
from tests.end_to_end.receiver import receiving, status


async def never(writer: asyncio.StreamWriter) -> None:
    """Take the request and say nothing until the connection ends."""
    await asyncio.Event().wait()


async def test_a_request_under_way_when_the_server_dies_is_repeated_with_the_same_id(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as (server, client), receiving(never) as receiver:
        secret = (await client.get("/v1/account/secret")).json()["secret"]
        (await client.post("/v1/endpoints", json={"url": receiver.url, "events": ["*"]})).raise_for_status()
        (await client.post("/v1/events", json=EVENTS[0])).raise_for_status()
        await receiver.first(1)
        await server.kill()
        await server.start()
        first, second = await receiver.first(2)
        assert first.body == second.body
        assert first.headers["x-whatssync-delivery"] == second.headers["x-whatssync-delivery"]
        verify(second, secret)
        await until(client, "/v1/deliveries?state=succeeded", lambda page: len(page["items"]) == 1)
        assert len(receiver.arrivals) == 2


async def test_a_retry_that_waits_survives_the_crash_and_keeps_its_time(tmp_path: Path) -> None:
    async with (
        # Longer than a machine stands still: the crash has to come before the retry.
        serving(tmp_path / "data", RETRY_SCHEDULE="10s") as (server, client),
        receiving(status(500)) as receiver,
    ):
        (await client.post("/v1/endpoints", json={"url": receiver.url, "events": ["*"]})).raise_for_status()
        (await client.post("/v1/events", json=EVENTS[2])).raise_for_status()
        await until(client, "/v1/deliveries?state=retrying", lambda page: len(page["items"]) == 1)
        await server.kill()
        await server.start()
        first, second = await receiver.first(2)
        assert second.at - first.at > 7.99
        assert second.headers["x-whatssync-attempt"] == "2"


async def test_the_same_request_after_a_crash_is_known_and_answered_as_before(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as (server, client), receiving() as receiver:
        (await client.post("/v1/endpoints", json={"url": receiver.url, "events": ["*"]})).raise_for_status()
        key = {"Idempotency-Key": "the same"}
        without_id = {name: value for name, value in EVENTS[0].items() if name != "id"}
        first = await client.post("/v1/events", json=without_id, headers=key)
        assert first.status_code == 202
        named = await client.post("/v1/events", json=EVENTS[1])
        await server.kill()
        await server.start()
        again = await client.post("/v1/events", json=without_id, headers=key)
        assert (again.status_code, again.json()) == (200, first.json())
        assert (await client.post("/v1/events", json=EVENTS[1])).json() == named.json()
        other = {**EVENTS[1], "data": {"messageId": "msg_other", "status": "read"}}
        assert (await client.post("/v1/events", json=other)).status_code == 409
        await until(client, "/v1/deliveries?state=succeeded", lambda page: len(page["items"]) == 2)
        assert len({arrival.event_id for arrival in receiver.arrivals}) == 2
