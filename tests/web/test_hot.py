"""The short cut for accepting events: it answers every request exactly as the ordinary way does, within its limits."""

import asyncio
import re

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.running import Running
from whatsync.model import limits
from whatsync.web.hot import HotProtocol

EVENT = b'{"event":"message.status","data":{"messageId":"msg_1","status":"read"},"timestamp":"2023-06-15T14:23:45Z"'
GOOD = EVENT + b',"id":"status_1"}'


def request(body: bytes, *headers: bytes, key: str = "", path: bytes = b"/v1/events", method: bytes = b"POST") -> bytes:
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: x", b"X-Request-Id: same", *headers]
    if key:
        lines.append(b"Authorization: Bearer " + key.encode())
    if not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in lines):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def without_date(answer: bytes) -> bytes:
    return re.sub(rb"date: [^\r]*\r\n", b"", answer)


CLOSE = b"Connection: close"
CASES: dict[str, tuple[bytes, tuple[bytes, ...]]] = {
    "good": (GOOD, ()),
    "array": (b"[" + GOOD + b"," + EVENT + b',"id":"status_2"}]', ()),
    "empty array": (b"[]", ()),
    "with idempotency key": (GOOD, (b"Idempotency-Key: a",)),
    "bad idempotency key": (GOOD, (b"Idempotency-Key: " + b"x" * 300,)),
    "no body": (b"", ()),
    "not JSON": (b"{oops", ()),
    "not UTF-8": (b'{"event":"\xff\xfe"}', ()),
    "a number": (b"3", ()),
    "unknown type": (b'{"event":"no.such","data":{}}', ()),
    "unknown field": (b'{"event":"message.status","data":{"messageId":"m","status":"read"},"x":1}', ()),
    "wrong kind": (b'{"event":"message.status","data":{"messageId":"m","status":3}}', ()),
    "too deep": (b'{"event":"message.status","data":' + b"[" * 99 + b"]" * 99 + b"}", ()),
    "bad id": (EVENT + b',"id":"a b"}', ()),
    "declared too large": (b"", (b"Content-Length: 9000000",)),
    "chunked": (b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD), (b"Transfer-Encoding: chunked",)),
    "chunked twice": (
        b"5\r\n%b\r\n%x\r\n%b\r\n0\r\nX-Trailer: 1\r\n\r\n" % (GOOD[:5], len(GOOD) - 5, GOOD[5:]),
        (b"Transfer-Encoding: chunked",),
    ),
    "account named": (GOOD, (b"X-WhatsSync-Account: acc_nobody",)),
    "odd request id": (GOOD, (b"X-Request-Id: \xe4\xf6",)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.takes_apart
async def test_both_ways_answer_alike(web: Running, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body, headers = CASES[case]
    ask = request(body, CLOSE, *headers, key=web.account_key)
    hot = [await web.raw(ask), await web.raw(ask)]
    ordinary_calls = 0
    post = HotProtocol._begin_ordinary

    def count(protocol: HotProtocol, head: list[tuple[bytes, bytes]]) -> None:
        nonlocal ordinary_calls
        ordinary_calls += 1
        post(protocol, head)

    monkeypatch.setattr(HotProtocol, "_begin_ordinary", count)
    monkeypatch.setattr("whatsync.web.hot._PATH", b"/nowhere")
    fresh = ask.replace(b"status_", b"stbtus_").replace(b"Idempotency-Key: a", b"Idempotency-Key: b")
    ordinary = [await web.raw(fresh), await web.raw(fresh)]
    assert ordinary_calls == 2
    for first, second in zip(hot, ordinary, strict=True):
        expected = without_date(second).replace(b"stbtus_", b"status_")
        got = without_date(first)
        if case == "odd request id":
            got, expected = (re.sub(rb"req_\w+", b"req", answer) for answer in (got, expected))
        assert got == expected
        assert first.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    "authorization",
    [b"", b"Authorization: Basic abc", b"Authorization: Bearer wsk_wrong", b"Authorization: Bearer", b"Authorization:"],
)
async def test_both_ways_refuse_alike(web: Running, authorization: bytes) -> None:
    headers = [CLOSE, *([authorization] if authorization else [])]
    hot = await web.raw(request(GOOD, *headers))
    ordinary = await web.raw(request(GOOD, *headers, path=b"/v1/events?"))
    assert without_date(hot) == without_date(ordinary)
    assert hot.startswith(b"HTTP/1.1 401 ")
    assert b"www-authenticate: Bearer" in hot


async def test_a_new_event_is_accepted_and_a_known_one_answered_with_its_first_result(web: Running) -> None:
    first = await web.call("POST", "/v1/events", json={"event": "message.status", "id": "s1", "data": status()})
    again = await web.call("POST", "/v1/events", json={"event": "message.status", "id": "s1", "data": status()})
    other = await web.call("POST", "/v1/events", json={"event": "message.status", "id": "s1", "data": status("sent")})
    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 409)
    assert first.json() == again.json()
    assert first.json().keys() == {"id", "event", "timestamp", "deliveries"}
    assert "idempotent-replayed" not in again.headers


async def test_an_idempotency_key_replays(web: Running) -> None:
    ask = {"event": "message.status", "data": status()}
    headers = {"idempotency-key": "k1"}
    first = await web.call("POST", "/v1/events", json=ask, headers=headers)
    again = await web.call("POST", "/v1/events", json=ask, headers=headers)
    other = await web.call("POST", "/v1/events", json={**ask, "contact": "x"}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 422)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json() == again.json()
    assert other.json()["code"] == "idempotency_key_reused"


def status(word: str = "read") -> dict[str, str]:
    return {"messageId": "msg_1", "status": word, "timestamp": "2023-06-15T14:23:45Z"}


async def test_pipelined_requests_are_answered_in_their_order(web: Running) -> None:
    asks = []
    for number in range(150):
        named = EVENT + b',"id":"n%d"}' % number
        if number % 7 == 3:
            asks.append(request(b"", path=b"/healthz", method=b"GET"))
        elif number % 11 == 5:
            asks.append(request(b"{", key=web.account_key))
        else:
            asks.append(request(named, key=web.account_key))
    asks.append(request(EVENT + b',"id":"last"}', CLOSE, key=web.account_key))
    answers = re.findall(rb"HTTP/1.1 (\d+)|\"id\":\"(\w+)\"", await web.raw(b"".join(asks)))
    got = iter([one or two for one, two in answers])
    for number in range(150):
        if number % 7 == 3:
            assert next(got) == b"200"
        elif number % 11 == 5:
            assert next(got) == b"400"
        else:
            assert (next(got), next(got)) == (b"202", b"n%d" % number)
    assert (next(got), next(got)) == (b"202", b"last")


async def test_a_client_that_expects_100_continue_is_told_to(web: Running) -> None:
    head, _, body = request(GOOD, b"Expect: 100-continue", CLOSE, key=web.account_key).partition(b"\r\n\r\n")
    answer = await web.raw(head + b"\r\n\r\n", body)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n")


async def test_a_client_without_a_key_is_not_told_to_continue(web: Running) -> None:
    head = request(GOOD, b"Expect: 100-continue", CLOSE).partition(b"\r\n\r\n")[0]
    assert (await web.raw(head + b"\r\n\r\n")).startswith(b"HTTP/1.1 401 ")


async def test_requests_in_small_pieces_arrive_whole(web: Running) -> None:
    ask = request(GOOD, CLOSE, key=web.account_key)
    pieces = [ask[at : at + 9] for at in range(0, len(ask), 9)]
    assert (await web.raw(pieces[0], *pieces[1:])).startswith(b"HTTP/1.1 202 ")


async def test_a_body_over_the_limit_is_refused_while_it_comes(web: Running) -> None:
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    ask = request(b"", b"Transfer-Encoding: chunked", key=web.account_key) + piece * 9
    answer = await web.raw(ask + b"0\r\n\r\n" + request(GOOD, CLOSE, key=web.account_key))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"request_too_large" in answer
    assert b"HTTP/1.1 202 " in answer


async def test_a_head_over_the_limit_is_refused(web: Running) -> None:
    endless = b"POST /v1/events HTTP/1.1\r\nX-Long: " + b"x" * (8 * limits.REQUEST_HEAD_BYTES_MAX)
    assert (await web.raw(endless)).startswith(b"HTTP/1.1 431 ")
    many = request(GOOD, *[b"X-%d: 1" % number for number in range(limits.REQUEST_HEADERS_MAX)])
    assert (await web.raw(many)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "nonsense",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"POST /v1/events HTTP/1.1\r\nA b: c\r\n\r\n"],
)
async def test_nonsense_is_answered_with_a_problem(web: Running, nonsense: bytes) -> None:
    answer = await web.raw(nonsense)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert b"malformed_request" in answer


async def test_nonsense_behind_a_request_does_not_cost_its_answer(web: Running) -> None:
    answer = await web.raw(request(GOOD, key=web.account_key) + b"\x00nonsense\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"202", b"400"]


async def test_two_lengths_are_refused(web: Running) -> None:
    ask = request(GOOD, b"Content-Length: %d" % len(GOOD), b"Transfer-Encoding: chunked", key=web.account_key)
    assert (await web.raw(ask)).startswith(b"HTTP/1.1 400 ")


async def test_a_slow_request_is_ended_and_a_resting_connection_closed(web: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(request(GOOD, key=web.account_key)[:-5])
    resting_reader, resting = await asyncio.open_connection("127.0.0.1", web.port)
    resting.write(request(GOOD, key=web.account_key))
    assert (await resting_reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202 ")
    for connection in web.server.door.connections:
        connection.check_age(connection.loop.time() + limits.REQUEST_ARRIVAL_SECONDS_MAX - 1)
    assert not reader.at_eof()
    for connection in list(web.server.door.connections):
        connection.check_age(connection.loop.time() + limits.KEEP_ALIVE_SECONDS + 1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        await resting_reader.read()
    writer.close()
    resting.close()


async def test_a_client_that_hangs_up_costs_nothing(web: Running) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(request(EVENT + b"}", key=web.account_key))
        writer.transport.abort()
    answer = await web.call("POST", "/v1/events", json={"event": "message.status", "data": status()})
    assert answer.status_code == 202
    assert web.server.services.tally.accepting_bytes == 0


@pytest.mark.parametrize("path", [b"/v1/events", b"/v1/endpoints", b"/v1/media", b"/v1/nothing"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_who_writes_all_before_reading_is_told_why_he_was_refused(
    web: Running, path: bytes, chunked: bool
) -> None:
    body = b"x" * 65_536
    count = 2 * limits.REQUEST_BYTES_MAX // len(body) - 10
    size = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (count * len(body))
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(request(b"", CLOSE, size, path=path))
    for _ in range(count):
        writer.write(b"%x\r\n%b\r\n" % (len(body), body) if chunked else body)
        await writer.drain()  # raises where the connection was reset under the request
    writer.write(b"0\r\n\r\n" if chunked else b"")
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
        await writer.drain()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404 " if path == b"/v1/nothing" else b"HTTP/1.1 401 ")
    assert b"connection: close\r\n" in answer


async def test_a_refused_request_that_never_ends_is_not_waited_for(web: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(request(b"x", CLOSE, b"Content-Length: 1000"))
    assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
    for connection in list(web.server.door.connections):
        connection.check_age(connection.loop.time() + limits.REQUEST_ARRIVAL_SECONDS_MAX + 1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while web.server.door.connections:  # noqa: ASYNC110 - seen from outside there is only asking
            await asyncio.sleep(0.01)
    writer.close()
