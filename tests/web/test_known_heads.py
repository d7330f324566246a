"""Requests whose head is recognised are answered as if it had been read; nothing else is taken for one of them."""

import asyncio
import re
from collections.abc import Callable

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.running import Running
from whatsync.model import limits
from whatsync.web.hot import HotProtocol
from whatsync.web.known_heads import KnownHeads

HEAD = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nAuthorization: Bearer %b\r\n%b\r\n"
EVENT = b'{"event":"message.status","data":{"messageId":"msg_1","status":"read"},"id":"%b"}'


def request(key: str, body: bytes, *headers: bytes) -> bytes:
    return HEAD % (len(body), key.encode(), b"".join(line + b"\r\n" for line in headers)) + body


async def answer_to(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = re.search(rb"content-length: (\d+)", head)
    assert size is not None
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(size[1]))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def test_a_clients_next_requests_are_not_parsed_and_answered_alike(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = 0
    begin = HotProtocol.on_message_begin

    def count(protocol: HotProtocol) -> None:
        nonlocal parsed
        parsed += 1
        begin(protocol)

    monkeypatch.setattr(HotProtocol, "on_message_begin", count)
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    bodies = [EVENT % b"status_1", EVENT % b"status_22", EVENT % b"status_1", b"{oops", EVENT % b"status_333"]
    answers = []
    for body in bodies:
        writer.write(request(web.account_key, body))
        answers.append(await answer_to(reader))
    assert parsed == 1
    assert [status for status, _ in answers] == [202, 202, 200, 400, 202]
    assert b'"id":"status_22"' in answers[1][1]
    assert answers[2][1] == answers[0][1]
    writer.close()


async def test_a_known_head_in_pieces_or_with_another_behind_it_is_parsed(web: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    ask = [request(web.account_key, EVENT % (b"status_%d" % at)) for at in range(8)]
    writer.write(ask[0])
    await answer_to(reader)
    for piece in (ask[1][:40], ask[1][40:-5], ask[1][-5:], ask[2] + ask[3], ask[4] + ask[5][:30], ask[5][30:], ask[6]):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)
    answers = [await answer_to(reader) for _ in range(6)]
    assert [status for status, _ in answers] == [202] * 6
    assert [b"status_%d" % at in body for at, (_, body) in enumerate(answers, start=1)] == [True] * 6
    writer.close()


async def test_a_revoked_key_opens_nothing_though_its_head_is_known(web: Running) -> None:
    made = await web.call("POST", "/v1/keys", json={"name": "short", "scopes": ["events:write"]})
    secret, name = made.json()["key"], made.json()["id"]
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    statuses = []
    for at in range(3):
        if at == 2:
            assert (await web.call("DELETE", f"/v1/keys/{name}")).status_code < 300
        writer.write(request(secret, EVENT % (b"status_%d" % at)))
        statuses.append((await answer_to(reader))[0])
    assert statuses == [202, 202, 401]
    writer.close()


async def test_headers_of_one_request_are_read_each_time(web: Running) -> None:
    for header in (b"Idempotency-Key: one", b"X-Request-Id: mine", b"Connection: close"):
        head = request(web.account_key, b"", header).replace(b"Content-Length: 0", b"Content-Length: 5")
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(request(web.account_key, b"{oops", header))
        await answer_to(reader)
        writer.close()
        assert web.server.door.known_heads.find(head + b"{oops") is None


def test_only_whole_heads_of_the_very_same_form_are_known() -> None:
    known = KnownHeads()
    good = request("wsk_1", b"12345")
    known.learn(good, {b"content-length": b"5", b"authorization": b"Bearer wsk_1"})
    found = known.find(request("wsk_1", b"1234567890"))
    assert found is not None
    assert found[1] == b"1234567890"
    others = [
        good[:-1],
        good + b"6",
        good.replace(b"wsk_1", b"wsk_2"),
        good.replace(b": 5", b": +5"),
        good.replace(b": 5", b":  5"),
        good.replace(b": 5", b": 5 "),
        good.replace(b"Host: x", b"Host: x\r\nX-Strength: 5"),
        good.replace(b"POST", b"PUT"),
        b"",
        b"\r\n\r\n",
    ]
    assert [known.find(other) for other in others] == [None] * len(others)


def test_a_length_that_is_no_content_length_is_not_learnt() -> None:
    known = KnownHeads()
    ask = request("wsk_1", b"12345").replace(b"Host: x", b"X-Content-Length: 5")
    known.learn(ask, {b"content-length": b"5"})
    assert known.find(ask) is None


def test_the_number_of_known_heads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KNOWN_HEADS_MAX", 3)
    known = KnownHeads()
    asks = [request(f"wsk_{at}", b"1") for at in range(10)]
    for ask in asks:
        known.learn(ask, {b"content-length": b"1"})
    assert known.find(asks[-1]) is not None
    assert sum(known.find(ask) is not None for ask in asks) <= 3


async def test_bodies_that_arrive_take_bounded_room(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = web.server.services.tally
    monkeypatch.setattr(limits, "ARRIVING_BYTES_MAX", 100_000)
    body = b" " * 60_000 + EVENT % b"status_1"
    for path in (b"/v1/events", b"/v1/events?"):
        slow_reader, slow = await asyncio.open_connection("127.0.0.1", web.port)
        whole = request(web.account_key, body).replace(b"/v1/events", path, 1)
        slow.write(whole[:60_000])
        await until(lambda: tally.arriving_bytes >= 50_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(whole)
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in head
        slow.write(whole[60_000:])
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await answer_to(slow_reader))[0] in {200, 202}
        for one in (writer, slow):
            one.close()
        await until(lambda: tally.arriving_bytes == 0)


async def test_a_body_that_is_never_finished_gives_its_room_back(web: Running) -> None:
    tally = web.server.services.tally
    for path in (b"/v1/events", b"/v1/endpoints"):
        _, writer = await asyncio.open_connection("127.0.0.1", web.port)
        whole = request(web.account_key, b" " * 50_000).replace(b"/v1/events", path, 1)
        writer.write(whole[:30_000])
        await until(lambda: tally.arriving_bytes > 0)
        writer.transport.abort()
        await until(lambda: tally.arriving_bytes == 0)


async def test_a_body_that_comes_too_slowly_ends_on_the_ordinary_way_too(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUEST_ARRIVAL_SECONDS_MAX", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(request(web.account_key, b" " * 50_000).replace(b"/v1/events", b"/v1/endpoints", 1)[:30_000])
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert web.server.services.tally.arriving_bytes == 0
