"""The application's manners: every error is a problem document, methods, bodies, queries, names of requests."""

import asyncio
import logging

import pytest

from tests.web.running import Running
from whatsync.model import limits
from whatsync.model.errors import LimitExceeded, Unavailable
from whatsync.ports.store import StoreUnavailable

PROBLEM = {"type", "title", "status", "detail", "code", "errors"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "no_such_path"),
        ("GET", "/v1/nothing", 404, "no_such_path"),
        ("GET", "/v1/endpoints/", 404, "no_such_path"),
        ("GET", "/v1/endpoints/ep_none", 404, "endpoint_not_found"),
        ("PUT", "/v1/endpoints", 405, "method_not_allowed"),
        ("GET", "/v1/endpoints?limt=3", 422, "invalid"),
        ("GET", "/v1/endpoints?limit=0", 422, "invalid"),
        ("GET", "/v1/endpoints?limit=x", 422, "invalid"),
        ("GET", "/v1/endpoints?limit=3&limit=4", 422, "invalid"),
        ("GET", "/v1/endpoints?cursor=nonsense", 422, "invalid"),
        ("GET", "/v1/account?x=1", 422, "invalid"),
        ("POST", "/v1/endpoints", 400, "empty_body"),
    ],
)
async def test_every_error_is_a_problem(web: Running, method: str, path: str, status: int, code: str) -> None:
    answer = await web.call(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem.keys() == PROBLEM
    assert (problem["status"], problem["code"]) == (status, code)
    if status == 422:
        assert problem["errors"][0]["field"] in {"limt", "limit", "cursor", "x"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, None),
        (b'"text"', 422, ""),
        (b"[]", 422, ""),
        (b"{}", 422, "url"),
        (b'{"url":"https://example.com","events":["*"],"colour":1}', 422, "colour"),
        (b'{"url":3,"events":["*"]}', 422, "url"),
        (b'{"url":"https://example.com","events":[3]}', 422, "events[0]"),
        (b"\xff", 400, None),
        (b"[" * 100_000, 422, ""),
    ],
)
async def test_a_bad_body_is_told_by_its_field(web: Running, body: bytes, status: int, field: str | None) -> None:
    answer = await web.call("POST", "/v1/endpoints", content=body)
    assert answer.status_code == status, answer.text
    if field is not None:
        assert answer.json()["errors"][0]["field"] == field


async def test_methods_are_listed_where_one_is_not_allowed(web: Running) -> None:
    refused = await web.call("PUT", "/v1/endpoints")
    options = await web.client.options("/v1/endpoints")
    assert refused.headers["allow"] == options.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (options.status_code, options.content) == (204, b"")


async def test_head_is_get_without_a_body(web: Running) -> None:
    get, head = await web.client.get("/openapi.json"), await web.client.head("/openapi.json")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))


async def test_a_body_over_the_limit_is_refused_before_it_is_read(web: Running) -> None:
    head = b"POST /v1/endpoints HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
    length = b"Content-Length: %d\r\n\r\n" % (limits.REQUEST_BYTES_MAX + 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(head % web.account_key.encode() + length)
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    endless = head % web.account_key.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 9 + b"0\r\n\r\n"
    after = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await web.raw(endless + after)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"HTTP/1.1 200 OK" in answer


@pytest.mark.takes_apart
async def test_a_bug_is_answered_with_the_name_that_stands_in_the_log(
    web: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(type(web.server.services.endpoints), "page", broken)
    monkeypatch.setattr(type(web.server.services.ingest), "begin", broken)
    event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
    with caplog.at_level(logging.ERROR):
        answers = [
            await web.call("GET", "/v1/endpoints"),
            await web.call("POST", "/v1/events", json=event),
            await web.call("POST", "/v1/events?", json=event),
        ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "secret" not in answer.text
        name = answer.headers["x-request-id"]
        assert name in answer.json()["detail"]
        assert any(name in record.getMessage() and record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    ("problem", "status", "seconds"),
    [
        (LimitExceeded("events_per_second", "too fast", 7), 429, "7"),
        (Unavailable("store_unavailable", "disk"), 503, "5"),
    ],
)
@pytest.mark.takes_apart
async def test_who_must_wait_is_told_how_long(
    web: Running, monkeypatch: pytest.MonkeyPatch, problem: Exception, status: int, seconds: str
) -> None:
    def refuse(*_: object) -> None:
        raise problem

    monkeypatch.setattr(type(web.server.services.quota), "admit", refuse)
    event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
    for path in ("/v1/events", "/v1/events?"):
        answer = await web.call("POST", path, json=event)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, seconds)
    assert web.server.services.tally.refused == {status: 2}


async def test_a_store_that_can_not_write_is_a_503_and_loses_nothing(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> "asyncio.Future[object]":
        raise StoreUnavailable("the disk is full")

    event = {"event": "message.status", "id": "again", "data": {"messageId": "m", "status": "read"}}
    with monkeypatch.context() as broken:
        broken.setattr(type(web.server.services.store), "accept", full)
        for path in ("/v1/events", "/v1/events?"):
            answer = await web.call("POST", path, json=event)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert answer.headers["retry-after"]
    assert (await web.call("POST", "/v1/events", json=event)).status_code == 202


async def test_requests_have_names(web: Running) -> None:
    given = await web.client.get("/healthz", headers={"x-request-id": "my-name.1"})
    strange = await web.client.get("/healthz", headers={"x-request-id": "a b<>"})
    assert given.headers["x-request-id"] == "my-name.1"
    assert strange.headers["x-request-id"].startswith("req_")
    assert "server" not in given.headers
    assert given.headers["x-content-type-options"] == "nosniff"


async def test_too_much_under_way_is_refused_for_a_second(web: Running) -> None:
    tally = web.server.services.tally
    tally.accepting_bytes = limits.ACCEPTING_BYTES_MAX + 1
    event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
    answer = await web.call("POST", "/v1/events", json=event)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    tally.accepting_bytes = 0
    assert (await web.call("POST", "/v1/events", json=event)).status_code == 202
