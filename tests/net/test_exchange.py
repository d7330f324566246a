"""One request and its answer over real sockets, where the receiver behaves: framing, keep-alive, limits."""

import asyncio

import pytest

from tests.net.conftest import MakeReceiver, MakeSender
from tests.net.receivers import OK, Peer, answering, answering_once, post, until
from tests.patience import PATIENCE_SECONDS
from whatsync.net.sender_limits import SenderLimits
from whatsync.ports.sender import Answer, Failure


def answer_of(result: Answer | Failure) -> Answer:
    assert isinstance(result, Answer), result
    return result


def failure_of(result: Answer | Failure) -> Failure:
    assert isinstance(result, Failure), result
    return result


async def test_the_receiver_gets_the_bytes_as_given(make_sender: MakeSender, receive: MakeReceiver) -> None:
    received: list[bytes] = []

    async def handle(peer: Peer) -> None:
        received.append(await peer.request())
        await peer.say(OK)
        await peer.gone()

    receiver = await receive(handle)
    request = post(receiver.target(), "…".encode() * 40_000)
    answer = answer_of(await make_sender().send(request))
    assert received == [request.head + request.body]
    assert (answer.status, answer.headers, answer.body) == (200, b"Content-Length: 2", b"ok")
    assert (answer.truncated, answer.reused, answer.address) == (False, False, "127.0.0.1")


async def test_timing_tells_what_happened(make_sender: MakeSender, receive: MakeReceiver) -> None:
    receiver = await receive(answering(OK))
    sender = make_sender()
    fresh = answer_of(await sender.send(post(receiver.target("localhost")))).timing
    reused = answer_of(await sender.send(post(receiver.target("localhost")))).timing
    for timing in (fresh, reused):
        assert timing.first_byte_us is not None
        assert timing.download_us is not None
        assert 0 < timing.first_byte_us + timing.download_us <= timing.total_us < 5_000_000
    assert fresh.dns_us is not None
    assert fresh.connect_us is not None
    assert fresh.dns_us + fresh.connect_us <= fresh.total_us
    assert (reused.dns_us, reused.connect_us, reused.tls_us, fresh.tls_us) == (None, None, None, None)


async def test_a_connection_is_kept_and_used_again(make_sender: MakeSender, receive: MakeReceiver) -> None:
    receiver = await receive(answering(OK))
    sender = make_sender()
    for number in range(5):
        assert answer_of(await sender.send(post(receiver.target()))).reused == (number > 0)
    assert receiver.connections == 1
    stats = sender.stats()
    assert (stats["requests"], stats["connections_opened"], stats["connections_reused"]) == (5, 1, 4)
    assert (stats["open_sockets"], stats["idle_connections"], stats["open_sockets_slow"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nT: x\r\n\r\n",
            b"abcde",
        ),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK, b"ok"),
        (b"\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    ],
)
async def test_framings_that_keep_the_connection(
    make_sender: MakeSender, receive: MakeReceiver, answer: bytes, body: bytes
) -> None:
    receiver = await receive(answering(answer, OK))
    sender = make_sender()
    first = answer_of(await sender.send(post(receiver.target())))
    assert (first.body, first.truncated) == (body, False)
    second = answer_of(await sender.send(post(receiver.target())))
    assert (second.body, second.reused) == (b"ok", True)


@pytest.mark.parametrize("at_once", [1, 7])
async def test_an_answer_in_pieces(make_sender: MakeSender, receive: MakeReceiver, at_once: int) -> None:
    text = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nRetry-After: 17\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n"
    )

    async def handle(peer: Peer) -> None:
        while True:
            await peer.request()
            for at in range(0, len(text), at_once):
                await peer.say(text[at : at + at_once])
                await asyncio.sleep(0)

    receiver = await receive(handle)
    sender = make_sender()
    for reused in (False, True):
        answer = answer_of(await sender.send(post(receiver.target())))
        assert (answer.status, answer.body, answer.retry_after, answer.reused) == (503, b"hello", "17", reused)
        assert answer.headers == b"Retry-After: 17\r\nTransfer-Encoding: chunked"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nuntil the end",
    ],
)
async def test_an_answer_that_ends_with_its_connection(
    make_sender: MakeSender, receive: MakeReceiver, answer: bytes
) -> None:
    receiver = await receive(answering_once(answer))
    sender = make_sender()
    for _ in range(2):
        result = answer_of(await sender.send(post(receiver.target())))
        assert (result.status, result.body, result.truncated) == (200, b"until the end", False)
    assert receiver.connections == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_never_followed(
    make_sender: MakeSender, receive: MakeReceiver, status: int
) -> None:
    tempting = await receive(answering(OK))
    location = f"http://127.0.0.1:{tempting.port}/"
    text = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    receiver = await receive(answering(text))
    answer = answer_of(await make_sender().send(post(receiver.target())))
    assert (answer.status, location.encode() in answer.headers) == (status, True)
    assert tempting.connections == 0


@pytest.mark.parametrize(("size", "truncated"), [(16_384, False), (16_385, True), (70_000, True)])
async def test_a_long_body_is_cut_and_the_connection_saved(
    make_sender: MakeSender, receive: MakeReceiver, size: int, truncated: bool
) -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    receiver = await receive(answering(long, OK))
    sender = make_sender()
    answer = answer_of(await sender.send(post(receiver.target())))
    assert (answer.body, answer.truncated) == (b"x" * min(size, 16_384), truncated)
    await until(lambda: sender.stats()["idle_connections"] > 0)  # the rest is still being drained
    again = answer_of(await sender.send(post(receiver.target())))
    assert (again.reused, again.truncated, again.body) == (True, False, b"ok")


async def test_a_body_too_long_to_drain_costs_the_connection(make_sender: MakeSender, receive: MakeReceiver) -> None:
    gone = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        try:
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                await peer.say(b"x" * 65_536)
        finally:
            gone.set()

    receiver = await receive(handle)
    answer = answer_of(await make_sender().send(post(receiver.target())))
    assert (answer.status, len(answer.body), answer.truncated) == (200, 16_384, True)
    await asyncio.wait_for(gone.wait(), PATIENCE_SECONDS)


async def test_an_answer_before_the_request_is_read(make_sender: MakeSender, receive: MakeReceiver) -> None:
    async def handle(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await peer.gone()

    receiver = await receive(handle)
    sender = make_sender()
    for _ in range(2):
        answer = answer_of(await sender.send(post(receiver.target(), b"x" * 20_000_000)))
        assert (answer.status, answer.body, answer.reused) == (413, b"big", False)
    assert receiver.connections == 2, "a connection with half a request in it can't be used again"


async def test_a_server_that_speaks_first(make_sender: MakeSender, receive: MakeReceiver) -> None:
    async def handle(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await peer.gone()

    receiver = await receive(handle)
    answer = answer_of(await make_sender().send(post(receiver.target())))
    assert answer.status == 503


async def test_bytes_nobody_asked_for_cost_the_connection(make_sender: MakeSender, receive: MakeReceiver) -> None:
    receiver = await receive(answering(OK + b"HTTP/1.1 500 Not yours\r\nContent-Length: 0\r\n\r\n", OK))
    sender = make_sender()
    for _ in range(3):
        answer = answer_of(await sender.send(post(receiver.target())))
        assert (answer.status, answer.reused) == (200, False)
    assert receiver.connections == 3


async def test_concurrent_requests_get_their_own_answers(make_sender: MakeSender, receive: MakeReceiver) -> None:
    async def echo(peer: Peer) -> None:
        while True:
            body = (await peer.request()).partition(b"\r\n\r\n")[2]
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    receiver = await receive(echo)
    sender = make_sender()

    async def one(number: int) -> None:
        for turn in range(10):
            body = b"%d-%d" % (number, turn)
            assert answer_of(await sender.send(post(receiver.target(), body))).body == body

    await asyncio.gather(*(one(number) for number in range(30)))
    assert receiver.connections == 30
    assert sender.stats()["requests"] == 300


async def test_idle_connections_are_closed_after_a_while(make_sender: MakeSender, receive: MakeReceiver) -> None:
    gone = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.gone()
        gone.set()

    receiver = await receive(handle)
    sender = make_sender(limits=SenderLimits(idle_seconds=0.1, slow_seconds=0.1))
    answer_of(await sender.send(post(receiver.target())))
    await asyncio.wait_for(gone.wait(), PATIENCE_SECONDS)
    assert (sender.stats()["open_sockets"], sender.stats()["idle_connections"]) == (0, 0)


async def test_no_more_idle_connections_than_allowed(make_sender: MakeSender, receive: MakeReceiver) -> None:
    all_there = asyncio.Barrier(6)

    async def handle(peer: Peer) -> None:
        await peer.request()
        await all_there.wait()
        await peer.say(OK)
        await peer.gone()

    receiver = await receive(handle)
    sender = make_sender(limits=SenderLimits(idle_per_origin=2))
    await asyncio.gather(*(sender.send(post(receiver.target())) for _ in range(6)))
    assert (sender.stats()["open_sockets"], sender.stats()["idle_connections"]) == (2, 2)


async def test_cancelling_closes_the_connection(make_sender: MakeSender, receive: MakeReceiver) -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await peer.say(OK)
            await peer.request()
        arrived.set()
        await peer.gone()
        gone.set()

    receiver = await receive(handle)
    sender = make_sender()
    answer_of(await sender.send(post(receiver.target())))
    for _ in ("reused", "fresh"):
        sending = asyncio.create_task(sender.send(post(receiver.target())))
        await asyncio.wait_for(arrived.wait(), PATIENCE_SECONDS)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(gone.wait(), PATIENCE_SECONDS)
        assert sender.stats()["open_sockets"] == 0
        arrived.clear()
        gone.clear()
    assert receiver.connections == 2


async def test_closing_ends_requests_as_failures(make_sender: MakeSender, receive: MakeReceiver) -> None:
    arrived = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        arrived.set()
        await peer.gone()

    receiver = await receive(handle)
    sender = make_sender()
    sending = asyncio.create_task(sender.send(post(receiver.target())))
    await asyncio.wait_for(arrived.wait(), PATIENCE_SECONDS)
    await sender.close()
    assert failure_of(await sending).code == "internal_error"
    assert failure_of(await sender.send(post(receiver.target()))).code == "internal_error"
    await sender.close()


async def test_a_server_that_speaks_first_and_hangs_up(make_sender: MakeSender, receive: MakeReceiver) -> None:
    async def handle(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 503 Full\r\nRetry-After: 5\r\n\r\nfull")

    receiver = await receive(handle)
    for _ in range(10):
        answer = answer_of(await make_sender().send(post(receiver.target())))
        assert (answer.status, answer.retry_after, answer.body) == (503, "5", b"full")
