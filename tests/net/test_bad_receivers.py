"""Receivers that drip, never end, lie, reset, speak another language or nothing: each ends as it should, in time."""

import asyncio

import pytest

from tests.net.conftest import MakeReceiver, MakeSender
from tests.net.receivers import OK, Peer, answering, answering_once, post, silence, until
from tests.net.test_exchange import answer_of, failure_of
from whatsync.net.sender_limits import SenderLimits

HEAD_200 = b"HTTP/1.1 200 OK\r\n"
QUICK = SenderLimits(body_seconds=0.5)


async def test_no_answer_is_a_timeout(make_sender: MakeSender, receive: MakeReceiver) -> None:
    receiver = await receive(silence)
    sender = make_sender()
    failure = failure_of(await sender.send(post(receiver.target(), timeout=0.2)))
    assert (failure.code, failure.detail) == ("timeout", "no answer within 0.2 s")
    assert (failure.address, failure.timing.first_byte_us) == ("127.0.0.1", None)
    assert failure.timing.total_us >= 200_000
    assert sender.failures()["timeout"] == 1


async def test_a_timeout_on_a_kept_connection_is_not_repeated(make_sender: MakeSender, receive: MakeReceiver) -> None:
    requests = 0

    async def handle(peer: Peer) -> None:
        nonlocal requests
        await peer.request()
        await peer.say(OK)
        await peer.request()
        requests += 1
        await peer.gone()

    receiver = await receive(handle)
    sender = make_sender()
    answer_of(await sender.send(post(receiver.target())))
    failure = failure_of(await sender.send(post(receiver.target(), timeout=0.2)))
    await until(lambda: requests > 0)
    assert (failure.code, failure.reused, requests, receiver.connections) == ("timeout", True, 1, 1)


async def test_headers_that_drip_are_a_timeout(make_sender: MakeSender, receive: MakeReceiver) -> None:
    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(HEAD_200)
        while True:
            await peer.say(b"X-Drip: 1\r\n")
            await asyncio.sleep(0.02)

    receiver = await receive(handle)
    failure = failure_of(await make_sender().send(post(receiver.target(), timeout=1.0)))
    assert (failure.code, failure.detail) == ("timeout", "only part of the answer's headers within 1 s")


async def test_interim_answers_without_end_are_a_timeout_or_too_large(
    make_sender: MakeSender, receive: MakeReceiver
) -> None:
    async def handle(peer: Peer) -> None:
        await peer.request()
        while True:
            await peer.say(b"HTTP/1.1 102 Processing\r\n\r\n")

    receiver = await receive(handle)
    assert failure_of(await make_sender().send(post(receiver.target()))).code == "headers_too_large"


@pytest.mark.parametrize(
    "beginning",
    [
        HEAD_200 + b"\r\n",
        HEAD_200 + b"Content-Length: 100\r\n\r\n",
        HEAD_200 + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n",
    ],
)
async def test_a_body_that_drips_for_ever_is_cut(
    make_sender: MakeSender, receive: MakeReceiver, beginning: bytes
) -> None:
    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(beginning)
        for _ in range(99):
            await peer.say(b".")
            await asyncio.sleep(0.02)

    receiver = await receive(handle)
    sender = make_sender(limits=QUICK)
    answer = answer_of(await sender.send(post(receiver.target())))
    assert (answer.status, answer.truncated) == (200, True)
    assert set(answer.body) == {ord(".")}
    assert answer.timing.download_us is not None
    assert answer.timing.download_us >= 490_000
    assert sender.stats()["open_sockets"] == 0


async def test_a_body_may_outlast_the_timeout_of_its_headers(make_sender: MakeSender, receive: MakeReceiver) -> None:
    go_on = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(HEAD_200 + b"Content-Length: 4\r\n\r\nbo")
        await go_on.wait()
        await peer.say(b"dy")
        await peer.gone()

    receiver = await receive(handle)
    sender = make_sender(limits=SenderLimits(body_seconds=5.0))
    sending = asyncio.create_task(sender.send(post(receiver.target(), timeout=1.0)))
    asyncio.get_running_loop().call_later(1.5, go_on.set)
    answer = answer_of(await sending)
    assert (answer.body, answer.truncated) == (b"body", False)


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (HEAD_200 + b"Content-Length: 100\r\n\r\nonly this", b"only this"),
        (HEAD_200 + b"Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n", b"only this"),
        (HEAD_200 + b"Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nzz", b"only this"),
        (HEAD_200 + b"Content-Length: 3\r\n\r\n", b""),
    ],
)
async def test_a_body_that_breaks_off_is_still_an_answer(
    make_sender: MakeSender, receive: MakeReceiver, said: bytes, body: bytes
) -> None:
    receiver = await receive(answering_once(said))
    answer = answer_of(await make_sender().send(post(receiver.target())))
    assert (answer.status, answer.body, answer.truncated) == (200, body, True)


async def test_a_body_that_is_reset_is_still_an_answer(make_sender: MakeSender, receive: MakeReceiver) -> None:
    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(HEAD_200 + b"\r\npart")
        await asyncio.sleep(0.05)  # a RST at once would take the bytes with it
        peer.reset()

    receiver = await receive(handle)
    answer = answer_of(await make_sender().send(post(receiver.target())))
    assert (answer.status, answer.body, answer.truncated) == (200, b"part", True)


async def test_a_body_longer_than_announced_costs_the_connection(
    make_sender: MakeSender, receive: MakeReceiver
) -> None:
    receiver = await receive(answering(HEAD_200 + b"Content-Length: 2\r\n\r\nok and more", OK))
    sender = make_sender()
    for _ in range(2):
        answer = answer_of(await sender.send(post(receiver.target())))
        assert (answer.body, answer.reused) == (b"ok", False)


@pytest.mark.parametrize(
    ("said", "code", "detail"),
    [
        (b"", "connection_reset", "closed before any answer"),
        (b"HTTP/1.1 20", "connection_reset", "in the middle of the answer's headers"),
        (HEAD_200 + b"X: y\r\n", "connection_reset", "in the middle of the answer's headers"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "connection_reset", "in the middle"),
        (b"220 mail.example ESMTP\r\n", "bad_response", "it begins with '220 mail.example ESMTP'"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "bad_response", "SSH-2.0"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "bad_response", "https://"),
        (b"\x00\x01\x02", "bad_response", "unprintable"),
        (b"HTTP/9 200\r\n\r\n", "bad_response", "malformed"),
        (b"HTTP/1.1 twohundred OK\r\n\r\n", "bad_response", "malformed"),
        (b"HTTP/1.1 042 Deep\r\nContent-Length: 0\r\n\r\n", "bad_response", "status 42"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "bad_response", "RTSP"),
        (HEAD_200 + b"Content-Length: many\r\n\r\n", "bad_response", "malformed"),
        (HEAD_200 + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", "bad_response", "malformed"),
        (HEAD_200 + b"Bad Name: 1\r\n\r\n", "bad_response", "malformed"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x81", "bad_response", "switched"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "bad_response", "switched"),
        (b"<html>oops</html>", "bad_response", "<html>"),
        (HEAD_200 + b"X: " + b"x" * 33_000 + b"\r\n\r\n", "headers_too_large", "32,768"),
        (HEAD_200 + b"X: y\r\n" * 6_000, "headers_too_large", "32,768"),
    ],
)
async def test_what_is_no_answer(
    make_sender: MakeSender, receive: MakeReceiver, said: bytes, code: str, detail: str
) -> None:
    receiver = await receive(answering_once(said))
    sender = make_sender()
    failure = failure_of(await sender.send(post(receiver.target())))
    assert (failure.code, failure.address) == (code, "127.0.0.1")
    assert detail in failure.detail
    assert sender.stats()["open_sockets"] == 0
    assert sender.failures()[code] == 1


@pytest.mark.parametrize("pieces", [1, 9])
async def test_headers_just_within_the_limit(make_sender: MakeSender, receive: MakeReceiver, pieces: int) -> None:
    headers = b"X: " + b"x" * (32_768 - 22) + b"\r\nContent-Length: 0"
    said = HEAD_200 + headers + b"\r\n\r\n"

    async def handle(peer: Peer) -> None:
        await peer.request()
        for at in range(0, len(said), len(said) // pieces + 1):
            await peer.say(said[at : at + len(said) // pieces + 1])
            await asyncio.sleep(0.005)

    receiver = await receive(handle)
    answer = answer_of(await make_sender().send(post(receiver.target())))
    assert len(answer.headers) == 32_768


async def test_a_reset_before_any_answer(make_sender: MakeSender, receive: MakeReceiver) -> None:
    async def handle(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    receiver = await receive(handle)
    failure = failure_of(await make_sender().send(post(receiver.target())))
    assert (failure.code, failure.detail) == ("connection_reset", "the connection was reset before any answer")


async def test_a_receiver_that_hangs_up_at_once(make_sender: MakeSender, receive: MakeReceiver) -> None:
    async def handle(peer: Peer) -> None:
        peer.reset()

    receiver = await receive(handle)
    failure = failure_of(await make_sender().send(post(receiver.target(), b"x" * 1_000_000)))
    assert failure.code == "connection_reset"


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_stale_connection_is_replaced_once(make_sender: MakeSender, receive: MakeReceiver, how: str) -> None:
    served: list[int] = []

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        served.append(peer.number)
        if peer.number == 1:  # it takes a further request and hangs up, as a server that is being restarted
            await peer.request()
            if how == "reset":
                peer.reset()
            return
        await peer.gone()

    receiver = await receive(handle)
    sender = make_sender()
    answer_of(await sender.send(post(receiver.target())))
    answer = answer_of(await sender.send(post(receiver.target())))
    assert (answer.status, answer.reused, served) == (200, False, [1, 2])
    assert (sender.stats()["connections_stale"], sender.stats()["requests"]) == (1, 2)


async def test_the_repeat_is_not_repeated(make_sender: MakeSender, receive: MakeReceiver) -> None:
    async def handle(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await peer.say(OK)
            await peer.request()

    receiver = await receive(handle)
    sender = make_sender()
    answer_of(await sender.send(post(receiver.target())))
    failure = failure_of(await sender.send(post(receiver.target())))
    assert (failure.code, failure.reused, receiver.connections) == ("connection_reset", False, 2)


async def test_a_kept_connection_that_breaks_within_an_answer_is_not_repeated(
    make_sender: MakeSender, receive: MakeReceiver
) -> None:
    receiver = await receive(answering_twice(OK, b"HTTP/1."))
    sender = make_sender()
    answer_of(await sender.send(post(receiver.target())))
    failure = failure_of(await sender.send(post(receiver.target())))
    assert (failure.code, failure.reused, receiver.connections) == ("connection_reset", True, 1)


def answering_twice(first: bytes, second: bytes):  # type: ignore[no-untyped-def]
    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(first)
        await peer.request()
        await peer.say(second)

    return handle


async def test_a_connection_the_peer_closed_while_idle_is_not_used(
    make_sender: MakeSender, receive: MakeReceiver
) -> None:
    receiver = await receive(answering_once(OK))
    sender = make_sender()
    for number in range(3):
        answer_of(await sender.send(post(receiver.target())))
        await until(lambda: sender.stats()["open_sockets"] == 0)
        assert receiver.connections == number + 1
    assert sender.stats()["connections_stale"] == 0


async def test_a_slow_receiver_does_not_hold_up_a_quick_one(make_sender: MakeSender, receive: MakeReceiver) -> None:
    slow, quick = await receive(silence), await receive(answering(OK))
    sender = make_sender()
    waiting = [asyncio.create_task(sender.send(post(slow.target(), timeout=2.0))) for _ in range(100)]
    for _ in range(50):
        answer_of(await sender.send(post(quick.target())))
    assert not any(task.done() for task in waiting)
    assert {failure_of(result).code for result in await asyncio.gather(*waiting)} == {"timeout"}
