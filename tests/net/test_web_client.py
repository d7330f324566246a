"""Asking other people's servers: vetted addresses only, on every hop; bounded in bytes and time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.net.certificates import Authority
from tests.net.names import FixedResolver
from tests.net.receivers import OK, Peer, Receiver, answering, answering_once, silence
from tests.ports import free_port
from whatsync.net.address_guard import AddressGuard
from whatsync.net.system import SystemClock
from whatsync.net.web_client import GuardedWebClient
from whatsync.ports.web_client import WebAnswer, WebRequest, WebTrouble

NAMES = FixedResolver(
    {"files.test": ["127.0.0.1"], "inside.test": ["10.0.0.1"], "both.test": ["10.0.0.1", "127.0.0.1"]}
)


@asynccontextmanager
async def client(loopback: bool = True, **more: Any) -> AsyncIterator[GuardedWebClient]:
    guard = AddressGuard(allow_loopback=lambda: loopback, own_ports=[1])
    made = GuardedWebClient(guard=guard, clock=SystemClock(), resolver=NAMES, **more)
    yield made
    await made.close()


async def ask(url: str, loopback: bool = True, **fields: Any) -> WebAnswer | WebTrouble:
    async with client(loopback) as asking:
        return await asking.ask(WebRequest(url, **fields))


async def test_a_whole_answer_with_name_and_headers_of_ours() -> None:
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.say(b"HTTP/1.1 404 Not Found\r\nX-Way: a\r\nContent-Length: 4\r\n\r\ngone")

    async with Receiver(handle) as server:
        answer = await ask(
            f"http://files.test:{server.port}/a?b=c",
            method="POST",
            body=b"hello",
            headers={"Authorization": "Bearer x"},
        )
    assert answer == WebAnswer(404, {"x-way": "a", "content-length": "4"}, b"gone")
    head = seen[0].decode()
    assert head.startswith("POST /a?b=c HTTP/1.1\r\n")
    assert f"Host: files.test:{server.port}\r\n" in head
    assert "Authorization: Bearer x\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head
    assert head.endswith("\r\n\r\nhello")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://inside.test/", "blocked_address"),
        ("http://169.254.169.254/latest", "blocked_address"),
        ("http://[::ffff:10.0.0.1]/", "blocked_address"),
        ("http://2130706433/", "blocked_address"),
        ("http://127.0.0.1:1/", "blocked_address"),
        ("http://nobody.test/", "dns_error"),
        ("ftp://files.test/", "bad_url"),
        ("http://me:word@files.test/", "bad_url"),
    ],
)
async def test_where_nothing_is_asked(url: str, code: str) -> None:
    answer = await ask(url, loopback="127.0.0.1:1" in url)
    assert isinstance(answer, WebTrouble)
    assert answer.code == code


async def test_of_several_addresses_only_the_allowed_are_reached() -> None:
    async with Receiver(answering(OK)) as server:
        answer = await ask(f"http://both.test:{server.port}/")
    assert isinstance(answer, WebAnswer)
    assert answer.body == b"ok"


async def test_nobody_listens() -> None:
    answer = await ask(f"http://files.test:{free_port()}/")
    assert answer == WebTrouble("connection_refused", "connection refused")


def redirecting(to: Callable[[], str], seen: list[bytes]) -> Any:
    async def handle(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.say(f"HTTP/1.1 302 Found\r\nLocation: {to()}\r\nContent-Length: 0\r\n\r\n".encode())

    return handle


async def test_redirects_are_not_followed_unasked() -> None:
    async with Receiver(redirecting(lambda: "/b", [])) as server:
        answer = await ask(f"http://files.test:{server.port}/a")
    assert isinstance(answer, WebAnswer)
    assert answer.status == 302


async def test_a_redirect_gets_no_secret() -> None:
    seen: list[bytes] = []

    async def end(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.say(OK)

    async with Receiver(end) as last, Receiver(redirecting(lambda: f"http://files.test:{last.port}/b", seen)) as first:
        headers = {"Authorization": "Bearer x", "X-Other": "y"}
        answer = await ask(f"http://files.test:{first.port}/a", headers=headers, redirects_max=1)
    assert isinstance(answer, WebAnswer)
    assert answer.body == b"ok"
    assert b"Bearer x" in seen[0]
    assert b"Bearer" not in seen[1]
    assert b"X-Other: y" in seen[1]


async def test_a_redirect_is_vetted_like_any_url() -> None:
    async with Receiver(redirecting(lambda: "http://inside.test/", [])) as server:
        answer = await ask(f"http://files.test:{server.port}/a", redirects_max=3)
    assert isinstance(answer, WebTrouble)
    assert answer.code == "blocked_address"


async def test_a_circle_of_redirects_ends() -> None:
    seen: list[bytes] = []
    async with Receiver(redirecting(lambda: "/again", seen)) as server:
        answer = await ask(f"http://files.test:{server.port}/a", redirects_max=3)
    assert isinstance(answer, WebAnswer)
    assert (answer.status, len(seen)) == (302, 4)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100, "too_large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n", "too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nxx", "bad_response"),
        (b"SSH-2.0-OpenSSH\r\n", "bad_response"),
    ],
)
async def test_answers_that_are_not_taken(answer: bytes, code: str) -> None:
    async with Receiver(answering_once(answer)) as server:
        trouble = await ask(f"http://files.test:{server.port}/", body_bytes_max=99)
    assert isinstance(trouble, WebTrouble)
    assert trouble.code == code


async def test_time_is_bounded() -> None:
    async with Receiver(silence) as server:
        answer = await ask(f"http://files.test:{server.port}/", timeout_seconds=0.1)
    assert answer == WebTrouble("timeout", "no whole answer within 0.1 s")


async def test_a_download_is_handed_on_piece_by_piece() -> None:
    size = 3_000_000
    parts: list[int] = []

    async def sink(part: bytes) -> None:
        parts.append(len(part))

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))

    async with Receiver(handle) as server, client() as asking:
        url = f"http://files.test:{server.port}/"
        answer = await asking.download(WebRequest(url, body_bytes_max=size), sink)
    assert isinstance(answer, WebAnswer)
    assert (answer.status, answer.body, sum(parts)) == (200, b"", size)
    assert len(parts) > 10


async def test_what_is_no_download_never_reaches_the_sink() -> None:
    async def sink(part: bytes) -> None:
        raise AssertionError(part)

    async with (
        Receiver(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 50000\r\n\r\n" + b"e" * 50_000)) as server,
        client() as asking,
    ):
        answer = await asking.download(WebRequest(f"http://files.test:{server.port}/", body_bytes_max=10), sink)
    assert isinstance(answer, WebAnswer)
    assert (answer.status, answer.body) == (404, b"e" * 16_384)


async def test_a_sinks_own_trouble_reaches_the_caller() -> None:
    async def sink(part: bytes) -> None:
        raise OSError(28, "no room")

    async with Receiver(answering(OK)) as server, client() as asking:
        with pytest.raises(OSError, match="no room"):
            await asking.download(WebRequest(f"http://files.test:{server.port}/"), sink)


async def test_certificates_are_checked(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        Receiver(answering(OK), tls=authority.context("files.test")) as good,
        Receiver(answering(OK), tls=authority.context("others.test")) as other,
        client(extra_ca_file=authority.ca_file) as asking,
    ):
        answer = await asking.ask(WebRequest(f"https://files.test:{good.port}/"))
        assert isinstance(answer, WebAnswer)
        trouble = await asking.ask(WebRequest(f"https://files.test:{other.port}/"))
        assert isinstance(trouble, WebTrouble)
        assert (trouble.code, "another host name" in trouble.detail) == ("tls_error", True)


async def test_many_at_once() -> None:
    async with Receiver(answering(OK)) as server, client() as asking:
        url = f"http://files.test:{server.port}/"
        answers = await asyncio.gather(*(asking.ask(WebRequest(url)) for _ in range(100)))
    assert {answer.status for answer in answers if isinstance(answer, WebAnswer)} == {200}
    assert len(answers) == 100
