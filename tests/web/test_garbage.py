"""Nothing that is done per event, attempt or question leaves a cycle behind. The collector would find it; but it stops
the whole server while it looks, for 70 ms where it was measured.
"""

import asyncio
import gc
import inspect
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import FrameType, FunctionType, MethodType
from typing import Any

import pytest

from tests.net.certificates import Authority
from tests.ports import free_port
from tests.sources.whatsapp.cloud import NUMBER, SECRET, escaped, incoming, message, signed
from tests.web.running import Running, running

TIMES = 60
"""How often each is done; a cycle each would be so many, and more, objects."""
LEFT_MAX = TIMES // 4
"""Objects that may be left in all: what is done once a second or once a minute is allowed."""
ANSWER = b"HTTP/1.1 %d Told\r\nContent-Length: 2\r\n%s\r\nOK"


class Peer:
    """A receiver that answers with a status, closes after each answer, resets, or says nothing."""

    def __init__(self, manner: str) -> None:
        self.manner = manner
        self.got = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(int(line[16:]) for line in head.split("\r\n") if line.startswith("Content-Length: "))
                await reader.readexactly(length)
                self.got += 1
                if self.manner == "silent":
                    await reader.read()
                if self.manner in ("silent", "resets"):
                    break
                status = 500 if self.manner == "fails" else 200
                writer.write(ANSWER % (status, b"Connection: close\r\n" if self.manner == "closes" else b""))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Its URL, while the block runs."""
        if self.manner == "refuses":
            yield f"http://127.0.0.1:{free_port()}/hook"
            return
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"{'https' if context else 'http'}://127.0.0.1:{port}/hook"
        finally:
            server.close()


def ours(thing: object) -> str | None:
    """What of ours a piece of garbage is: an instance, a function, or the frame of one at rest."""
    if isinstance(thing, MethodType):
        thing = thing.__func__
    if isinstance(thing, FunctionType):
        module, name = thing.__module__ or "", thing.__qualname__
    elif inspect.iscoroutine(thing) or isinstance(thing, FrameType):
        code = thing.f_code if isinstance(thing, FrameType) else thing.cr_code
        module, name = code.co_filename.rpartition("/src/")[2], code.co_qualname
    else:
        module, name = type(thing).__module__, type(thing).__qualname__
    return f"{module}:{name}" if module.startswith("whatsync") else None


async def left_by(work: Callable[[], Awaitable[None]]) -> Counter[str]:
    """What of ours only the collector can free after ``work`` was done many times."""
    for _ in range(3):
        await work()
    await asyncio.sleep(0.3)
    gc.collect()
    gc.disable()
    gc.garbage.clear()
    try:
        for _ in range(TIMES):
            await work()
        await asyncio.sleep(0.3)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return Counter(filter(None, map(ours, gc.garbage)))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def delivering(folder: Path) -> AbstractAsyncContextManager[Running]:
    """A server on SQLite that may deliver to this machine."""
    return running(folder, in_memory=False, ALLOW_ADDRESSES="127.0.0.0/8")


async def endpoint(web: Running, url: str, **more: Any) -> None:
    form = {"url": url, "events": ["message.incoming"], "timeoutSeconds": 1, **more}
    made = await web.call("POST", "/v1/endpoints", json=form)
    assert made.status_code == 201, made.text


async def post(web: Running, events: int = 1) -> None:
    """Post one event or an array, on a connection that is kept."""
    one = {"event": "message.incoming", "data": {"from": "+4915112345678", "to": "+4930123456", "text": "Hello"}}
    answer = await web.call("POST", "/v1/events", json=one if events == 1 else [one] * events)
    assert answer.status_code == 202, answer.text


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Who vouches for the receivers of HTTPS."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", made.ca_file)
    return made


MANNERS = ("answers", "closes", "fails", "resets", "silent", "refuses", "tls", "tls closes", "tls bad")


@pytest.mark.parametrize("manner", MANNERS)
async def test_events_and_attempts(tmp_path: Path, authority: Authority, manner: str) -> None:
    scheme, _, how = manner.rpartition(" ")
    context = None
    if manner.startswith("tls"):
        context = authority.self_signed("127.0.0.1") if how == "bad" else authority.context("127.0.0.1")
    peer = Peer(how or scheme)
    async with delivering(tmp_path) as web, peer.listening(context) as url:
        await endpoint(web, url, ordering="none")

        async def work() -> None:
            await post(web)
            await asyncio.sleep(0.03)

        left = await left_by(work)
    assert left.total() <= LEFT_MAX, left


async def test_arrays(tmp_path: Path) -> None:
    async with delivering(tmp_path) as web, Peer("answers").listening() as url:
        await endpoint(web, url)
        left = await left_by(lambda: post(web, 20))
    assert left.total() <= LEFT_MAX, left


async def test_bodies_of_whatsapp(tmp_path: Path) -> None:
    async with running(tmp_path, in_memory=False) as web:
        account = web.first.account.account.id
        form = {"name": "App", "appSecret": SECRET, "account": account}
        source = (await web.call("POST", "/v1/sources", key=web.operator_key, json=form)).json()["id"]
        known = {"phoneNumberId": NUMBER, "source": source, "account": account}
        await web.call("POST", "/v1/numbers", key=web.operator_key, json=known)
        count = 0

        async def work() -> None:
            nonlocal count
            count += 1
            raw = escaped(incoming(message(f"wamid.{count}")))
            answer = await web.client.post(f"/sources/whatsapp/{source}", content=raw, headers=signed(raw))
            assert answer.status_code == 200

        left = await left_by(work)
    assert left.total() <= LEFT_MAX, left


READS = ("/v1/events", "/v1/deliveries", "/v1/endpoints", "/v1/messages?id=none", "/healthz", "/nowhere")


async def test_reading_the_api(tmp_path: Path) -> None:
    async with running(tmp_path, in_memory=False) as web:
        count = 0

        async def work() -> None:
            nonlocal count
            count += 1
            await web.call("GET", READS[count % len(READS)])

        left = await left_by(work)
    assert left.total() <= LEFT_MAX, left
