"""A secret is rotated while the server runs, as calmly as the documents promise: the public example keeps its old
secret until the switch, the official libraries may take the new one at once."""

from pathlib import Path

import httpx

from tests.crash.server import serving, until
from tests.end_to_end.documented import EVENTS, verify_standard
from tests.end_to_end.receiver import receiving
from tests.receivers.node_receiver import running


async def send_to(client: httpx.AsyncClient, url: str, event_id: str) -> dict[str, object]:
    """Submit an event for one endpoint alone, with one try; how its delivery ended."""
    made = await client.post("/v1/endpoints", json={"url": url, "events": ["message.status"], "retrySchedule": []})
    answer = await client.post("/v1/events", json={**EVENTS[1], "id": event_id})
    assert answer.status_code == 202
    page = await until(
        client,
        f"/v1/events/{event_id}/deliveries",
        lambda page: all(item["state"] in ("succeeded", "failed") for item in page["items"]),
    )
    (await client.delete(f"/v1/endpoints/{made.json()['id']}")).raise_for_status()
    (item,) = page["items"]
    return dict(item)


async def test_a_calm_rotation_never_breaks_a_receiver_that_follows_the_documents(tmp_path: Path, node: str) -> None:
    async with serving(tmp_path / "data") as (server, client):
        old = (await client.get("/v1/account/secret")).json()["secret"]
        async with (
            running(node, "express_example.js", old) as example,
            running(node, "standard_webhooks.js", old) as js,
        ):
            assert (await send_to(client, example.url, "before"))["state"] == "succeeded"
            rotated = (await client.post("/v1/account/secret/rotate", json={})).raise_for_status().json()
            new = rotated["secret"]
            assert rotated["previousSecret"] == old
            assert new != old
            assert (await send_to(client, example.url, "old-example"))["state"] == "succeeded"
            assert (await send_to(client, js.url, "old-library"))["state"] == "succeeded"
            await server.kill()
            await server.start()
            assert (await send_to(client, example.url, "old-after-crash"))["state"] == "succeeded"
        async with (
            running(node, "express_example.js", new) as example,
            running(node, "standard_webhooks.js", new) as js,
        ):
            assert (await send_to(client, js.url, "new-library"))["state"] == "succeeded"
            assert (await send_to(client, example.url, "too-soon"))["status"] == 401
            (await client.post("/v1/account/secret/switch")).raise_for_status()
            assert (await send_to(client, example.url, "new-example"))["state"] == "succeeded"
            assert (await send_to(client, js.url, "new-library-again"))["state"] == "succeeded"
        async with receiving() as plain:
            await send_to(client, plain.url, "both")
            verify_standard(plain.arrivals[0], old)
            verify_standard(plain.arrivals[0], new)


async def test_a_leaked_secret_ends_at_once(tmp_path: Path, node: str) -> None:
    async with serving(tmp_path / "data") as (_, client):
        old = (await client.get("/v1/account/secret")).json()["secret"]
        form = {"switchAt": "now", "overlapSeconds": 0}
        new = (await client.post("/v1/account/secret/rotate", json=form)).raise_for_status().json()["secret"]
        async with (
            running(node, "express_example.js", old) as example,
            running(node, "standard_webhooks.js", old) as js,
        ):
            assert (await send_to(client, example.url, "old-example"))["status"] == 401
            assert (await send_to(client, js.url, "old-library"))["status"] == 401
        async with running(node, "express_example.js", new) as example:
            assert (await send_to(client, example.url, "new-example"))["state"] == "succeeded"


async def test_an_endpoint_with_its_own_secret_is_signed_with_it_alone(tmp_path: Path, node: str) -> None:
    async with serving(tmp_path / "data") as (_, client):
        account = (await client.get("/v1/account/secret")).json()["secret"]
        async with running(node, "express_example.js", account) as example:
            form = {"url": example.url, "events": ["*"], "secret": "generate", "retrySchedule": []}
            made = (await client.post("/v1/endpoints", json=form)).raise_for_status().json()
            own = (await client.get(f"/v1/endpoints/{made['id']}/secret")).json()["secret"]
            tested = await client.post(f"/v1/endpoints/{made['id']}/test", json={})
            assert tested.json()["attempt"]["status"] == 401
        async with running(node, "express_example.js", own) as example:
            (await client.patch(f"/v1/endpoints/{made['id']}", json={"url": example.url})).raise_for_status()
            tested = await client.post(f"/v1/endpoints/{made['id']}/test", json={})
            assert tested.json()["attempt"]["status"] == 200
