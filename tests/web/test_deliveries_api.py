"""Routes of deliveries over real HTTP: the history, what was sent and what came back, retry, cancel, bulk resend."""

import asyncio
import hashlib
import hmac

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.following import deliveries, make_endpoint, make_message, read, read_until
from tests.web.receiver import receiving
from tests.web.running import Running
from whatsync.model.request import MASK

ON_DISK = True


async def test_an_attempt_tells_everything(web: Running) -> None:
    async with receiving() as receiver:
        endpoint = await make_endpoint(web, receiver.url, headers={"Authorization": "Bearer hunter2"})
        secret = (await read(web, "/v1/account/secret"))["secret"]
        await make_message(web, "It's me")
        (item,) = await deliveries(web, 1, "succeeded")
        (attempt,) = (await read(web, f"/v1/deliveries/{item['id']}/attempts"))["items"]
        (body,) = receiver.bodies
        assert (attempt["number"], attempt["status"], attempt["code"], attempt["late"]) == (1, 200, None, False)
        assert attempt["explanation"] is None
        assert attempt["address"].startswith("127.0.0.1")
        assert attempt["timing"]["totalMs"] >= attempt["timing"]["connectMs"] >= 0
        assert attempt["timing"]["tlsMs"] is None
        request = attempt["request"]
        assert (request["method"], request["url"], request["body"]) == ("POST", receiver.url, body.decode())
        headers = dict(request["headers"])
        assert headers["Authorization"] == MASK
        assert headers["X-WhatsSync-Signature"] == hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        sent = dict(line.split(": ", 1) for line in receiver.heads[0].split("\r\n")[1:] if line)
        # The store under test was opened under another version's name.
        assert {**headers, "Authorization": "Bearer hunter2", "User-Agent": sent["User-Agent"]} == sent
        assert request["curl"].startswith(f"curl -X POST {receiver.url} ")
        assert "hunter2" not in str(attempt)
        response = attempt["response"]
        assert (response["status"], response["body"], response["bodyBase64"]) == (200, "OK", None)
        assert ["Content-Length", "2"] in response["headers"]
        shown = await read(web, f"/v1/deliveries/{item['id']}")
        assert shown == item
        assert shown["endpoint"]["id"] == endpoint["id"]


async def test_a_failure_is_explained(web: Running) -> None:
    async with receiving() as receiver:
        receiver.status = 500
        await make_endpoint(web, receiver.url, retrySchedule=[])
        await make_message(web)
        (item,) = await deliveries(web, 1, "failed", "&code=http_500")
        assert "500" in item["explanation"]["sentence"]
        assert item["explanation"]["nextStep"]
        assert item["finishedAt"] is not None
        (attempt,) = (await read(web, f"/v1/deliveries/{item['id']}/attempts"))["items"]
        assert (attempt["state"], attempt["nextTryAt"]) == ("failed", None)


async def test_filters_and_pages(web: Running) -> None:
    async with receiving() as receiver:
        endpoint = await make_endpoint(web, receiver.url)
        made = [(await make_message(web, text))["id"] for text in ("alpha", "beta")]
        newest, oldest = await deliveries(web, 2, "succeeded")
        first = await read(web, "/v1/deliveries?limit=1")
        rest = await read(web, f"/v1/deliveries?limit=1&cursor={first['nextCursor']}")
        assert [item["id"] for item in first["items"] + rest["items"]] == [newest["id"], oldest["id"]]
        for query, count in (
            (f"endpoint={endpoint['id']}", 2),
            (f"eventId={made[0]}", 1),
            ("event=message.incoming&state=succeeded,failed", 2),
            ("state=failed&state=held", 0),
            ("test=true", 0),
            ("test=false", 2),
            ("q=alpha", 1),
            (f"q={newest['id']}", 1),
            ("q=%2B1234567890", 2),
            ("since=2099-01-01T00:00:00Z", 0),
            ("until=2001-01-01T00:00:00Z", 0),
            ("number=1", 0),
            ("code=timeout", 0),
        ):
            assert len((await read(web, f"/v1/deliveries?{query}"))["items"]) == count, query


@pytest.mark.parametrize(
    ("query", "field"),
    [("state=lost", "state[0]"), ("endpoint=ep_none", "endpoint"), ("test=perhaps", "test"), ("page=2", "page")],
)
async def test_nonsense_is_named(web: Running, query: str, field: str) -> None:
    answer = await web.call("GET", f"/v1/deliveries?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_retry_and_cancel(web: Running) -> None:
    async with receiving() as receiver:
        receiver.status = 503
        await make_endpoint(web, receiver.url, retrySchedule=[3600])
        await make_message(web)
        await make_message(web)
        one, two = await deliveries(web, 2, "retrying")
        receiver.status = 200
        promise = (await web.call("POST", f"/v1/deliveries/{one['id']}/retry")).json()
        assert (promise["id"], promise["code"]) == (one["id"], "will_be_sent")
        await deliveries(web, 1, "succeeded")
        again = await web.call("POST", f"/v1/deliveries/{one['id']}/retry")
        assert (again.status_code, again.json()["code"]) == (409, "delivery_final")
        cancelled = await web.call("POST", f"/v1/deliveries/{two['id']}/cancel")
        assert cancelled.status_code in (200, 409), "it may have come forward when the endpoint was well again"
        for action in ("retry", "cancel", "attempts"):
            method = "GET" if action == "attempts" else "POST"
            assert (await web.call(method, f"/v1/deliveries/dlv_nonsense/{action}")).status_code == 404


async def test_resending_in_bulk(web: Running) -> None:
    async with receiving() as receiver:
        receiver.status = 500
        await make_endpoint(web, receiver.url, retrySchedule=[])
        for _ in range(3):
            await make_message(web)
        await deliveries(web, 3, "failed")
        receiver.status = 200
        form = {"filter": {"state": ["failed"], "since": "2023-06-15T14:22:33Z"}}
        preview = await web.call("POST", "/v1/deliveries/resend", json={**form, "dryRun": True})
        assert (preview.status_code, preview.json()) == (
            200,
            {"would": 3, "skipped": 0, "skippedBecause": {}, "examined": 3, "complete": True},
        )
        started = await web.call("POST", "/v1/deliveries/resend", json=form)
        assert started.status_code == 202
        assert started.json()["parameters"] == {"filter": {"since": "2023-06-15T14:22:33.000Z", "state": ["failed"]}}
        path = f"/v1/jobs/{started.json()['id']}"
        job = await read_until(web, path, lambda job: job["state"] != "running")
        assert (job["state"], job["done"]) == ("done", 3)
        await deliveries(web, 3, "succeeded")
        wrong: list[object] = [{}, {"filter": {}}, {"filter": {"test": True}}, {"filter": {"state": ["lost"]}}]
        for bad in wrong:
            assert (await web.call("POST", "/v1/deliveries/resend", json=bad)).status_code == 422, bad


async def test_an_attempt_that_fails_after_its_delivery_was_cancelled_promises_no_other(web: Running) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await answer.wait()
        writer.write(b"HTTP/1.1 500 Told\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(PATIENCE_SECONDS):
        await make_endpoint(web, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await make_message(web)
        await asked.wait()
        delivery = (await read(web, "/v1/deliveries"))["items"][0]["id"]
        cancelled = await web.call("POST", f"/v1/deliveries/{delivery}/cancel")
        assert cancelled.json()["code"] == "cancelled_under_way"
        answer.set()
        path = f"/v1/deliveries/{delivery}/attempts"
        (attempt,) = (await read_until(web, path, lambda page: bool(page["items"])))["items"]
    assert (attempt["status"], attempt["late"], attempt["nextTryAt"]) == (500, True, None)


@pytest.mark.parametrize("query", ["event=message.incoming,message.status", "code=timeout,http_500"])
async def test_two_values_where_one_is_taken_are_refused(web: Running, query: str) -> None:
    answer = await web.call("GET", f"/v1/deliveries?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [query.partition("=")[0]]
