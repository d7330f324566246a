"""A receiver's good and bad days, with the whole server as a process: it fails, is slow, asks for patience, sends us
elsewhere, answers without end, is switched off for a while."""

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.crash.server import serving, until
from tests.end_to_end.documented import EVENTS, verify
from tests.end_to_end.receiver import Receiver, receiving, status

_ids = itertools.count(1)


async def make_endpoint(client: httpx.AsyncClient, receiver: Receiver, **fields: Any) -> str:
    """An endpoint at a receiver; its id."""
    answer = await client.post("/v1/endpoints", json={"url": receiver.url, "events": ["*"], **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def submit(client: httpx.AsyncClient) -> str:
    """Submit a documented event under an id of its own; the id."""
    event = {**EVENTS[0], "id": f"msg_day_{next(_ids)}"}
    answer = await client.post("/v1/events", json=event)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def delivery(client: httpx.AsyncClient, event_id: str, state: str) -> dict[str, Any]:
    """Wait until the one delivery of an event is in ``state``."""
    page = await until(
        client, f"/v1/events/{event_id}/deliveries", lambda page: [item["state"] for item in page["items"]] == [state]
    )
    return dict(page["items"][0])


async def attempts(client: httpx.AsyncClient, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The attempts of a delivery, first to last."""
    answer = await client.get(f"/v1/deliveries/{found['id']}/attempts")
    return list(answer.raise_for_status().json()["items"])


async def test_an_endpoint_that_fails_twice_recovers_and_its_history_tells_all(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "data", RETRY_SCHEDULE="1s,1s,1s") as (_, client),
        receiving(status(500), status(503)) as receiver,
    ):
        secret = (await client.get("/v1/account/secret")).json()["secret"]
        await make_endpoint(client, receiver)
        event_id = await submit(client)
        arrivals = await receiver.first(3)
        found = await delivery(client, event_id, "succeeded")
        story = await attempts(client, found)
        assert [one["status"] for one in story] == [500, 503, 200]
        assert [one["state"] for one in story] == ["retrying", "retrying", "succeeded"]
        assert [one["code"] for one in story] == ["http_500", "http_503", None]
        for arrival, one in zip(arrivals, story, strict=True):
            verify(arrival, secret)
            assert arrival.event_id == event_id
            assert arrival.headers["x-whatssync-attempt"] == str(one["number"])
            assert one["request"]["body"].encode() == arrival.body
        for before, after in itertools.pairwise(arrivals):
            assert after.at - before.at > 0.79
        assert len(receiver.arrivals) == 3


async def test_retry_after_lengthens_the_wait(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "data", RETRY_SCHEDULE="1s,1s") as (_, client),
        receiving(status(429, "Retry-After: 3"), status(503, "Retry-After: 0")) as receiver,
    ):
        await make_endpoint(client, receiver)
        event_id = await submit(client)
        first, second, third = await receiver.first(3)
        assert second.at - first.at > 2.9
        assert third.at - second.at > 0.79, "Retry-After must never shorten a wait"
        await delivery(client, event_id, "succeeded")


async def test_a_redirect_is_never_followed(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as (_, client), receiving() as private:
        for code in (301, 302, 303, 307, 308):
            async with receiving(always=status(code, f"Location: {private.url}")) as receiver:
                endpoint = await make_endpoint(client, receiver, retrySchedule=[])
                found = await delivery(client, await submit(client), "failed")
                assert found["code"] == f"http_{code}"
                assert "redirect" in found["explanation"]["sentence"]
                (await client.delete(f"/v1/endpoints/{endpoint}")).raise_for_status()
        assert private.arrivals == []


async def test_a_private_address_is_not_connected_to(tmp_path: Path) -> None:
    """With a public URL set, this is no first try any more: loopback is private like everything else."""
    async with receiving() as private:
        async with serving(tmp_path / "data") as (server, client):
            await make_endpoint(client, private, retrySchedule=[])
            await server.stop()
            await server.start(PUBLIC_URL="https://hooks.example.com")
            found = await delivery(client, await submit(client), "failed")
            assert found["code"] == "blocked_address"
            refused = await client.post("/v1/endpoints", json={"url": private.url, "events": ["*"]})
            assert refused.status_code == 422
            assert "WHATSYNC_ALLOW_ADDRESSES" in refused.text
        assert private.arrivals == []


async def endless(writer: asyncio.StreamWriter) -> None:
    """Answer 200 and never stop talking."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    with suppress(ConnectionError):
        while True:
            writer.write(b"and on and on " * 500)
            await writer.drain()
    raise ConnectionResetError


async def dripping(writer: asyncio.StreamWriter) -> None:
    """Answer one byte of the head every now and then, for ever."""
    with suppress(ConnectionError):
        for byte in itertools.cycle(b"HTTP/1.1 200 OK\r\nX-Long: aaaaaaaaaaaaaa"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)
    raise ConnectionResetError


async def test_an_endless_answer_is_a_success_that_is_cut_short(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as (_, client), receiving(always=endless) as receiver:
        await make_endpoint(client, receiver)
        found = await delivery(client, await submit(client), "succeeded")
        (one,) = await attempts(client, found)
        assert one["response"]["truncated"] is True
        assert len(one["response"]["body"]) == 16 * 1024
        assert one["timing"]["totalMs"] < 10_000


async def silent(writer: asyncio.StreamWriter) -> None:
    """Take the request and say nothing until the connection ends."""
    await asyncio.Event().wait()


async def test_a_dripping_answer_ends_with_the_timeout(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as (_, client), receiving(always=dripping) as receiver:
        await make_endpoint(client, receiver, retrySchedule=[], timeoutSeconds=1)
        found = await delivery(client, await submit(client), "failed")
        assert found["code"] == "timeout"
        assert 900 < found["durationMs"] < 15_000


async def test_a_silent_endpoint_delays_nobody_else(tmp_path: Path) -> None:
    """All the healthy one's events arrive while the silent one's first requests are still open."""
    async with (
        serving(tmp_path / "data") as (_, client),
        receiving(always=silent) as mute,
        receiving() as healthy,
    ):
        bad = await make_endpoint(client, mute, retrySchedule=[], timeoutSeconds=30)
        good = await make_endpoint(client, healthy)
        for _ in range(60):
            await submit(client)
        await until(
            client, f"/v1/deliveries?endpoint={good}&state=succeeded&limit=200", lambda page: len(page["items"]) == 60
        )
        await mute.first(20)
        assert len(mute.arrivals) == 20, "the in-flight limit of one endpoint"
        answer = await client.get("/v1/deliveries", params={"endpoint": bad, "limit": "200"})
        assert {(item["state"], item["attempts"]) for item in answer.json()["items"]} == {("pending", 0)}


async def test_what_was_held_and_what_was_missed_while_disabled_can_both_be_had(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "data") as (_, client),
        receiving(status(500), status(500)) as receiver,
    ):
        secret = (await client.get("/v1/account/secret")).json()["secret"]
        endpoint = await make_endpoint(client, receiver, retrySchedule=[3600])
        path = f"/v1/endpoints/{endpoint}"
        waiting = [await submit(client), await submit(client)]
        for event_id in waiting:
            await delivery(client, event_id, "retrying")
        (await client.patch(path, json={"enabled": False})).raise_for_status()
        for event_id in waiting:
            await delivery(client, event_id, "held")
        missed = [await submit(client), await submit(client)]
        assert (await client.get(f"/v1/events/{missed[0]}/deliveries")).json()["items"] == []

        answer = (await client.patch(path, json={"enabled": True, "held": "send"})).raise_for_status().json()
        assert (answer["held"]["action"], answer["held"]["count"]) == ("send", 2)
        for event_id in waiting:
            await delivery(client, event_id, "succeeded")
        ask = {"since": "2020-01-01T00:00:00Z", "states": ["missing"]}
        preview = (await client.post(f"{path}/recover", json={**ask, "dryRun": True})).raise_for_status().json()
        assert preview["would"] == 2
        job = (await client.post(f"{path}/recover", json=ask)).raise_for_status().json()
        await until(client, f"/v1/jobs/{job['id']}", lambda job: job["state"] == "done")
        for event_id in missed:
            await delivery(client, event_id, "succeeded")
        got = [arrival.event_id for arrival in receiver.arrivals]
        assert sorted(got) == sorted([*waiting, *waiting, *missed])
        for arrival in receiver.arrivals:
            verify(arrival, secret)


async def test_when_an_endpoint_is_back_everything_that_waited_comes_at_once(tmp_path: Path) -> None:
    """The next scheduled try is an hour away; one retry by hand succeeds and brings all the others along."""
    async with (
        serving(tmp_path / "data") as (_, client),
        receiving(always=status(500)) as receiver,
    ):
        await make_endpoint(client, receiver, retrySchedule=[3600, 3600], maxInFlight=4)
        ids = [await submit(client) for _ in range(30)]
        for event_id in ids:
            await delivery(client, event_id, "retrying")
        receiver.always = b"HTTP/1.1 204 No Content\r\n\r\n"
        found = await delivery(client, ids[0], "retrying")
        (await client.post(f"/v1/deliveries/{found['id']}/retry")).raise_for_status()
        await receiver.first(60)
        for event_id in ids:
            await delivery(client, event_id, "succeeded")
        assert [arrival.event_id for arrival in receiver.arrivals[30:34]][:1] == ids[:1]


async def test_gone_disables_the_endpoint_and_holds_the_event(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "data") as (_, client),
        receiving(status(410)) as receiver,
        receiving() as owner,
    ):
        endpoint = await make_endpoint(client, receiver, events=["message.incoming"])
        await make_endpoint(client, owner, events=["endpoint.disabled"])
        event_id = await submit(client)
        await until(client, f"/v1/endpoints/{endpoint}", lambda one: one["disabledBy"] == "gone")
        await delivery(client, event_id, "held")
        (told,) = await owner.first(1)
        assert told.headers["x-whatssync-event"] == "endpoint.disabled"
        assert endpoint.encode() in told.body
