"""Routes of events over real HTTP: the list, one event, its deliveries, the feed with its wait, and resending."""

import asyncio
import gzip
from typing import Any

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.following import deliveries, make_endpoint, make_message, read
from tests.web.receiver import receiving
from tests.web.running import Running

ON_DISK = True

DETAILS = {"number": "106540352242922", "wamid": "wamid.HBgL", "contactId": "contact_1"}


async def test_an_event_is_shown_as_it_was_accepted(web: Running) -> None:
    receipt = await make_message(web, "It's 😀", details=DETAILS, id="msg_own", timestamp="2023-06-15T14:22:33Z")
    event = await read(web, f"/v1/events/{receipt['id']}")
    assert event.pop("acceptedAt").endswith("Z")
    details = event.pop("details")
    assert {name: value for name, value in details.items() if value is not None} == DETAILS
    assert event == {
        "id": "msg_own",
        "event": "message.incoming",
        "timestamp": "2023-06-15T14:22:33Z",
        "data": {
            "from": "+1234567890",
            "to": "+0987654321",
            "text": "It's 😀",
            "media": None,
            "timestamp": "2023-06-15T14:22:33Z",
        },
        "number": "106540352242922",
        "wamid": "wamid.HBgL",
        "contact": "+1234567890",
        "deliveries": 0,
        "test": False,
    }
    missing = await web.call("GET", "/v1/events/msg_unknown")
    assert (missing.status_code, missing.json()["code"]) == (404, "event_not_found")


async def test_the_list_has_filters_and_pages(web: Running) -> None:
    made = [(await make_message(web, text))["id"] for text in ("alpha", "beta", "gamma")]
    status = await web.call(
        "POST",
        "/v1/events",
        json={"event": "message.status", "data": {"messageId": made[0], "status": "read"}, "details": DETAILS},
    )
    first = await read(web, "/v1/events?limit=2&event=message.incoming")
    rest = await read(web, f"/v1/events?limit=2&event=message.incoming&cursor={first['nextCursor']}")
    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
    assert rest["nextCursor"] is None
    for query, found in (
        ("q=alpha", made[:1]),
        (f"q={made[1]}", made[1:2]),
        ("wamid=wamid.HBgL", [status.json()["id"]]),
        ("number=106540352242922", [status.json()["id"]]),
        ("matched=true", []),
        ("matched=false&event=message.status", [status.json()["id"]]),
        ("since=2099-01-01T00:00:00Z", []),
        ("until=2001-01-01T00:00:00%2B02:00", []),
    ):
        assert [item["id"] for item in (await read(web, f"/v1/events?{query}"))["items"]] == found, query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=nonsense", "cursor"),
        ("matched=maybe", "matched"),
        ("since=yesterday", "since"),
        ("since=2023-06-15", "since"),
        ("colour=red", "colour"),
        (f"q={'x' * 513}", "q"),
    ],
)
async def test_nonsense_is_named(web: Running, query: str, field: str) -> None:
    answer = await web.call("GET", f"/v1/events?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_the_deliveries_of_an_event(web: Running) -> None:
    async with receiving() as receiver:
        endpoint = await make_endpoint(web, receiver.url)
        receipt = await make_message(web)
        assert receipt["deliveries"] == 1
        await deliveries(web, 1, "succeeded")
        (item,) = (await read(web, f"/v1/events/{receipt['id']}/deliveries"))["items"]
        assert item["endpoint"] == {"id": endpoint["id"], "url": receiver.url, "deleted": False}
        assert (item["state"], item["status"], item["attempts"], item["origin"]) == ("succeeded", 200, 1, "event")
    assert (await web.call("GET", "/v1/events/msg_unknown/deliveries")).status_code == 404


async def test_resending(web: Running) -> None:
    async with receiving() as receiver:
        endpoint = await make_endpoint(web, receiver.url)
        path = f"/v1/events/{(await make_message(web))['id']}/resend"
        await deliveries(web, 1, "succeeded")
        for body in (None, {}, {"endpointId": endpoint["id"]}):
            answer = await web.call("POST", path, json=body)
            assert answer.status_code == 202, answer.text
            (made,) = answer.json()["deliveries"]
            assert (made["state"], made["origin"], made["endpoint"]["id"]) == ("pending", "resend", endpoint["id"])
        await deliveries(web, 4, "succeeded")
        assert len(set(receiver.bodies)) == 1
        await web.call("PATCH", f"/v1/endpoints/{endpoint['id']}", json={"enabled": False})
        refused = await web.call("POST", path, json={"endpointId": endpoint["id"]})
        assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")
        assert '"enabled": true' in refused.json()["detail"]
        assert (await web.call("POST", path)).json()["code"] == "no_endpoint"
        assert (await web.call("POST", path, json={"endpointId": "ep_none"})).status_code == 404
        assert (await web.call("POST", path, json={"endpoint": "ep_none"})).status_code == 422


async def feed(web: Running, query: str = "") -> Any:
    return await read(web, f"/v1/events/feed?{query}")


async def test_the_feed_from_the_beginning_and_on(web: Running) -> None:
    made = [(await make_message(web))["id"] for _ in range(3)]
    first = await feed(web, "limit=2")
    rest = await feed(web, f"after={first['nextCursor']}")
    assert [item["id"] for item in first["items"] + rest["items"]] == made
    end = await feed(web, f"after={rest['nextCursor']}")
    assert (end["items"], end["nextCursor"]) == ([], rest["nextCursor"])
    assert (await feed(web, "event=message.status,media.upload"))["items"] == []
    assert len((await feed(web, "event=message.status&event=message.incoming"))["items"]) == 3


async def test_the_feed_waits_for_what_comes(web: Running) -> None:
    await make_message(web, "old")
    cursor = (await feed(web, "after=now"))["nextCursor"]
    waiting = [asyncio.ensure_future(feed(web, f"after={cursor}&wait=30")) for _ in range(3)]
    listeners = web.server.services.ingest.listeners
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not listeners:  # noqa: ASYNC110 - the server is not to be changed for this
            await asyncio.sleep(0.005)
    new = (await make_message(web, "new"))["id"]
    for body in await asyncio.gather(*waiting):
        assert [item["id"] for item in body["items"]] == [new]
    assert [item["id"] for item in (await feed(web, f"after={cursor}"))["items"]] == [new]


async def test_an_expired_cursor_is_gone_and_names_the_oldest(web: Running) -> None:
    await make_message(web, "old")
    cursor = (await feed(web))["nextCursor"]
    await make_message(web, "older than is kept, later")
    services = web.server.services
    now_ms = services.clock.now_ms() + 60_000
    account = services.directory.accounts_by_id[web.first.account.account.id]
    await services.store.prune(account.row, now_ms, 0, 500, now_ms)
    kept = (await make_message(web, "kept"))["id"]
    answer = await web.call("GET", f"/v1/events/feed?after={cursor}")
    assert answer.status_code == 410
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["code"], body["status"]) == ("cursor_expired", 410)
    assert [item["id"] for item in (await feed(web, f"after={body['oldestCursor']}"))["items"]] == [kept]


@pytest.mark.parametrize(("query", "field"), [("after=x", "after"), ("wait=31", "wait"), ("wait=-1", "wait")])
async def test_nonsense_to_the_feed_is_named(web: Running, query: str, field: str) -> None:
    answer = await web.call("GET", f"/v1/events/feed?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_compressed_body_is_named(web: Running) -> None:
    body = gzip.compress(b'{"event": "message.status", "data": {"messageId": "m", "status": "read"}}')
    answer = await web.call("POST", "/v1/events", content=body, headers={"content-encoding": "gzip"})
    assert (answer.status_code, "is compressed; send it as it is" in answer.json()["detail"]) == (400, True)


async def test_an_id_that_stands_twice_in_one_array_is_answered_with_the_same_result(web: Running) -> None:
    async with receiving() as receiver:
        await make_endpoint(web, receiver.url)
        event = {"event": "message.status", "id": "status_1", "data": {"messageId": "msg_1", "status": "read"}}
        once = {**event, "id": "status_2"}
        array = await web.call("POST", "/v1/events", json=[event, event, once, event])
        again = await web.call("POST", "/v1/events", json=[event, once])
    assert (array.status_code, again.status_code) == (202, 200)
    first, second, other, last = array.json()["items"]
    assert first == second == last
    assert (first["deliveries"], other["deliveries"]) == (1, 1)
    assert again.json()["items"] == [first, other]
