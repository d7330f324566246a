"""The sending process: the same answers as without it, its death and end, the leave for loopback, cancelling."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.net.conftest import MakeReceiver
from tests.net.receivers import OK, Peer, answering, post, silence, until
from tests.patience import PATIENCE_SECONDS
from whatsync.net.frames import Frames, Setting
from whatsync.net.remote_sender import RemoteSender
from whatsync.net.system import SystemClock
from whatsync.ports.sender import Answer, Failure

pytestmark = pytest.mark.slow

SETTING = Setting(allow_networks=[], own_addresses=["127.0.0.1"], own_ports=[1], level=30)
Start = Callable[..., Awaitable[RemoteSender]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Sending processes, ended with the test."""
    senders: list[RemoteSender] = []

    async def begin(allow_loopback: Callable[[], bool] = lambda: True) -> RemoteSender:
        sender = RemoteSender(SETTING, SystemClock(), allow_loopback)
        senders.append(sender)
        await sender.start()
        return sender

    yield begin
    for sender in senders:
        await sender.close()
        assert sender._process is not None
        assert sender._process.returncode == 0


async def test_requests_are_answered_as_by_the_sender_itself(start: Start, receive: MakeReceiver) -> None:
    receiver = await receive(answering(b"HTTP/1.1 404 Not Found\r\nRetry-After: 7\r\nContent-Length: 3\r\n\r\nabc"))
    sender = await start()
    answers = await asyncio.gather(*(sender.send(post(receiver.target(), b"x" * 50_000)) for _ in range(50)))
    for answer in answers:
        assert isinstance(answer, Answer)
        assert (answer.status, answer.body, answer.retry_after, answer.address) == (404, b"abc", "7", "127.0.0.1")
        assert answer.timing.total_us > 0
    kept = await sender.send(post(receiver.target()))
    assert isinstance(kept, Answer)
    assert kept.reused
    await until(lambda: sender.stats().get("requests", 0) == 51)


async def test_failures_come_back_with_their_code(start: Start, receive: MakeReceiver) -> None:
    receiver = await receive(silence)
    sender = await start()
    refused, late, blocked = await asyncio.gather(
        sender.send(post(receiver.target(), timeout=1.0)),
        sender.send(post(receiver.target("10.1.2.3"))),
        sender.send(post(receiver.target("169.254.169.254"))),
    )
    codes = [failure.code for failure in (refused, late, blocked) if isinstance(failure, Failure)]
    assert codes == ["timeout", "blocked_address", "blocked_address"]


async def test_the_leave_for_loopback_can_end(start: Start, receive: MakeReceiver) -> None:
    receiver = await receive(answering(OK))
    allowed = True
    sender = await start(lambda: allowed)
    assert isinstance(await sender.send(post(receiver.target())), Answer)
    allowed = False
    await sender.send(post(receiver.target()))
    other = await receive(answering(OK))
    refused = await sender.send(post(other.target()))
    assert isinstance(refused, Failure)
    assert refused.code == "blocked_address"


async def test_a_cancelled_request_closes_its_connection(start: Start, receive: MakeReceiver) -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        came.set()
        await peer.gone()
        gone.set()

    receiver = await receive(handle)
    sender = await start()
    sending = asyncio.create_task(sender.send(post(receiver.target())))
    await came.wait()
    sending.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await gone.wait()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_process_that_dies_fails_what_it_had_and_is_replaced(start: Start, receive: MakeReceiver) -> None:
    came = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        came.set()
        await peer.gone()

    waiting, good = await receive(handle), await receive(answering(OK))
    sender = await start()
    sending = asyncio.create_task(sender.send(post(waiting.target())))
    await came.wait()
    assert sender._process is not None
    os.kill(sender._process.pid, signal.SIGKILL)
    lost = await asyncio.wait_for(sending, PATIENCE_SECONDS)
    assert isinstance(lost, Failure)
    assert lost.code == "internal_error"
    again = await sender.send(post(good.target(), connect_timeout=PATIENCE_SECONDS, timeout=PATIENCE_SECONDS))
    assert isinstance(again, Answer)
    assert sender.stats()["process_restarts"] == 1


async def test_signals_meant_for_the_server_do_not_end_it(start: Start, receive: MakeReceiver) -> None:
    receiver = await receive(answering(OK))
    sender = await start()
    assert isinstance(await sender.send(post(receiver.target())), Answer)
    assert sender._process is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(sender._process.pid, number)
    assert isinstance(await sender.send(post(receiver.target())), Answer)


async def test_closing_ends_what_is_under_way(start: Start, receive: MakeReceiver) -> None:
    came = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        came.set()
        await peer.gone()

    receiver = await receive(handle)
    sender = await start()
    sending = asyncio.create_task(sender.send(post(receiver.target())))
    await came.wait()
    await sender.close()
    ended = await sending
    assert isinstance(ended, Failure)
    late = await sender.send(post(receiver.target(), timeout=0.1))
    assert isinstance(late, Failure)


def test_frames_survive_any_cut() -> None:
    payloads = [b"", b"x", b"y" * 70_000, b"z" * 3]
    sent = b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads)
    for size in (1, 2, 3, 7, 4096, len(sent)):
        got: list[bytes] = []
        frames = Frames(got.append, lambda: None)
        for at in range(0, len(sent), size):
            frames.data_received(sent[at : at + size])
        assert got == payloads
