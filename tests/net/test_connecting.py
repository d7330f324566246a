"""The way to a connection: refused, swallowed, several addresses, blocked ones in every spelling, too few sockets."""

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from tests.net.conftest import MakeReceiver, MakeSender
from tests.net.names import knowing
from tests.net.receivers import OK, Peer, answering, post, silence, until
from tests.net.test_exchange import answer_of, failure_of
from tests.ports import free_port
from whatsync.model.url import Target, parse_url
from whatsync.net.address_guard import AddressGuard
from whatsync.net.sender_limits import SenderLimits

STRICT = AddressGuard()


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full: further ones get no answer at all."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        filling = []
        for _ in range(4):
            opened = socket.socket()
            opened.setblocking(False)
            opened.connect_ex(listening.getsockname())
            filling.append(opened)
        yield listening.getsockname()[1]
        for opened in filling:
            opened.close()


def at(port: int, host: str = "127.0.0.1", scheme: str = "http") -> Target:
    return Target("https" if scheme == "https" else "http", host, port, "/", host)


async def test_a_closed_port_refuses(make_sender: MakeSender) -> None:
    failure = failure_of(await make_sender().send(post(at(free_port()))))
    assert (failure.code, failure.detail) == ("connection_refused", "connection refused (127.0.0.1)")
    assert (failure.address, failure.timing.first_byte_us) == ("127.0.0.1", None)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_black_hole_takes_no_longer_than_the_connect_timeout(
    make_sender: MakeSender, receive: MakeReceiver, black_hole: int, scheme: str
) -> None:
    receiver = await receive(answering(OK))
    sender = make_sender()
    swallowed = [
        asyncio.create_task(sender.send(post(at(black_hole, scheme=scheme), connect_timeout=1.5))) for _ in range(50)
    ]
    for _ in range(20):
        answer_of(await sender.send(post(receiver.target())))
    assert not any(task.done() for task in swallowed), "a black hole holds up nobody else"
    for failure in map(failure_of, await asyncio.gather(*swallowed)):
        assert failure.code == "connection_timeout"
        assert 1_500_000 <= failure.timing.total_us < 3_000_000


async def test_the_total_timeout_bounds_connecting_too(make_sender: MakeSender, black_hole: int) -> None:
    failure = failure_of(await make_sender().send(post(at(black_hole), connect_timeout=5, timeout=0.2)))
    assert failure.code == "connection_timeout"
    assert failure.timing.total_us < 2_000_000


async def test_cancelling_while_connecting_leaves_nothing(make_sender: MakeSender, black_hole: int) -> None:
    sender = make_sender()
    for scheme in ("http", "https"):
        sending = asyncio.create_task(sender.send(post(at(black_hole, scheme=scheme))))
        await until(lambda: sender.stats()["open_sockets"] > 0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert sender.stats()["open_sockets"] == 0


async def test_closing_while_connecting(make_sender: MakeSender, black_hole: int) -> None:
    sender = make_sender()
    sending = asyncio.create_task(sender.send(post(at(black_hole))))
    await until(lambda: sender.stats()["open_sockets"] > 0)
    await sender.close()
    assert failure_of(await sending).code == "internal_error"


async def test_a_dead_address_is_passed_over(make_sender: MakeSender, receive: MakeReceiver) -> None:
    receiver = await receive(answering(OK))
    sender = make_sender(resolver=knowing(two=["127.0.0.9", "::1", "127.0.0.1"]))
    answer = answer_of(await sender.send(post(receiver.target("two.test"))))
    assert answer.address == "127.0.0.1"


async def test_a_silent_address_is_raced_after_a_moment(
    make_sender: MakeSender, receive: MakeReceiver, black_hole: int
) -> None:
    receiver = await receive(
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        host="127.0.0.2",
        port=black_hole,
    )
    limits = SenderLimits(stagger_seconds=0.5)
    sender = make_sender(resolver=knowing(two=["127.0.0.1", "127.0.0.2"]), limits=limits)
    answer = answer_of(await sender.send(post(receiver.target("two.test"))))
    assert answer.address == "127.0.0.2"
    assert answer.timing.connect_us is not None
    assert answer.timing.connect_us >= 500_000
    assert sender.stats()["open_sockets"] == 0, "the loser of the race is closed"
    again = answer_of(await sender.send(post(receiver.target("two.test"))))
    assert again.timing.connect_us is not None
    assert again.timing.connect_us < 500_000, "the address that worked is tried first the next time"


async def test_all_addresses_fail_and_the_most_telling_is_shown(make_sender: MakeSender, black_hole: int) -> None:
    sender = make_sender(resolver=knowing(two=["127.0.0.1", "127.0.0.2"]), limits=SenderLimits(stagger_seconds=0.05))
    failure = failure_of(await sender.send(post(at(black_hole, "two.test"), connect_timeout=0.3)))
    assert (failure.code, failure.address) == ("connection_refused", "127.0.0.2")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "0", "0.0.0.0", "[::1]", "[::]",
        "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "10.0.0.1", "169.254.169.254",
        "[fe80::1]", "[fd00:ec2::254]", "100.64.0.1", "224.0.0.1", "192.0.2.1", "198.18.0.1", "255.255.255.255",
        "１２７.0.0.1",
    ],
)  # fmt: skip
async def test_blocked_addresses_in_every_spelling(make_sender: MakeSender, receive: MakeReceiver, host: str) -> None:
    receiver = await receive(answering(OK))
    target = parse_url(f"http://{host}:{receiver.port}/")
    assert isinstance(target, Target)
    sender = make_sender(guard=STRICT)
    failure = failure_of(await sender.send(post(target)))
    assert failure.code == "blocked_address"
    assert "WHATSYNC_ALLOW_ADDRESSES=" in failure.detail
    checked = await sender.check(target, 1.0)
    assert checked is not None
    assert (checked.code, checked.detail) == ("blocked_address", failure.detail)
    assert receiver.connections == 0


async def test_a_name_that_leads_to_a_blocked_address(make_sender: MakeSender, receive: MakeReceiver) -> None:
    receiver = await receive(answering(OK))
    sender = make_sender(guard=STRICT, resolver=knowing(rebound=["127.0.0.1", "::1"]))
    failure = failure_of(await sender.send(post(receiver.target("rebound.test"))))
    assert (failure.code, failure.address) == ("blocked_address", "127.0.0.1")
    assert "127.0.0.1 is a loopback address" in failure.detail
    assert receiver.connections == 0


async def test_of_a_mixed_name_only_the_allowed_addresses_are_tried(
    make_sender: MakeSender, receive: MakeReceiver
) -> None:
    port = free_port()
    blocked = await receive(answering(OK), host="127.0.0.2", port=port)
    allowed = await receive(answering(OK), host="127.0.0.3", port=port)
    guard = AddressGuard([ip_network("127.0.0.3/32")])
    sender = make_sender(guard=guard, resolver=knowing(mixed=["127.0.0.2", "127.0.0.3"]))
    assert await sender.check(allowed.target("mixed.test"), 1.0) is None
    assert answer_of(await sender.send(post(allowed.target("mixed.test")))).address == "127.0.0.3"
    assert (blocked.connections, allowed.connections) == (0, 1)


async def test_the_address_is_pinned_although_the_name_moves(make_sender: MakeSender, receive: MakeReceiver) -> None:
    """Each lookup is judged anew, and what was judged is what is connected to."""
    receiver = await receive(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    addresses = ["127.0.0.1"]
    guard = AddressGuard([ip_network("127.0.0.1/32")])
    sender = make_sender(guard=guard, resolver=knowing(moving=addresses))
    answer_of(await sender.send(post(receiver.target("moving.test"))))
    addresses[:] = ["127.0.0.2"]
    assert failure_of(await sender.send(post(receiver.target("moving.test")))).code == "blocked_address"


async def test_never_our_own_port(make_sender: MakeSender, receive: MakeReceiver) -> None:
    receiver = await receive(answering(OK))
    guard = AddressGuard(
        [ip_network("127.0.0.0/8")], allow_loopback=lambda: True, own_addresses=["0.0.0.0"], own_ports=[receiver.port]
    )
    failure = failure_of(await make_sender(guard=guard).send(post(receiver.target())))
    assert (failure.code, receiver.connections) == ("blocked_address", 0)
    assert "WhatsSync itself" in failure.detail


async def test_check_of_a_dead_name(make_sender: MakeSender) -> None:
    failure = await make_sender(resolver=knowing()).check(at(80, "dead.test"), 1.0)
    assert failure is not None
    assert failure.code == "dns_error"


async def test_without_a_free_socket_there_is_a_short_wait_and_a_code(
    make_sender: MakeSender, receive: MakeReceiver
) -> None:
    receiver = await receive(silence)
    sender = make_sender(limits=SenderLimits(sockets_max=4, socket_wait_seconds=0.1))
    waiting = [asyncio.create_task(sender.send(post(receiver.target(), timeout=10))) for _ in range(2)]
    await until(lambda: receiver.connections == 2)
    failure = failure_of(await sender.send(post(receiver.target())))
    assert failure.code == "no_sockets"
    assert 100_000 <= failure.timing.total_us < 1_500_000
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_waits_for_a_socket_gets_the_next_free_one(make_sender: MakeSender, receive: MakeReceiver) -> None:
    go_on = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        await go_on.wait()
        await peer.say(OK)
        await peer.gone()

    receiver = await receive(handle)
    sender = make_sender(limits=SenderLimits(sockets_max=2, socket_wait_seconds=3.0))
    sending = [asyncio.create_task(sender.send(post(receiver.target()))) for _ in range(6)]
    await until(lambda: receiver.connections == 1)
    assert sender.stats()["open_sockets"] == 1, "an origin that has not answered yet may use half"
    go_on.set()
    for result in await asyncio.gather(*sending):
        answer_of(result)


async def test_idle_connections_make_room(make_sender: MakeSender, receive: MakeReceiver) -> None:
    receivers = [await receive(answering(OK)) for _ in range(5)]
    sender = make_sender(limits=SenderLimits(sockets_max=2))
    for _ in range(2):
        for receiver in receivers:
            answer_of(await sender.send(post(receiver.target())))
    assert sender.stats()["open_sockets"] == 2
    assert sender.stats()["connections_evicted"] == 8


async def test_slow_origins_leave_half_of_the_sockets_to_quick_ones(
    make_sender: MakeSender, receive: MakeReceiver
) -> None:
    slow, quick = await receive(silence), await receive(answering(OK))
    sender = make_sender(limits=SenderLimits(sockets_max=32, socket_wait_seconds=0.2))
    answer_of(await sender.send(post(quick.target())))
    waiting = [asyncio.create_task(sender.send(post(slow.target(), timeout=2.0))) for _ in range(64)]
    await until(lambda: sender.stats()["open_sockets_slow"] == 8)  # as many as one slow origin may have
    answers = await asyncio.gather(*(sender.send(post(quick.target())) for _ in range(20)))
    assert {answer_of(answer).status for answer in answers} == {200}
    codes = [failure_of(result).code for result in await asyncio.gather(*waiting)]
    assert (codes.count("timeout"), codes.count("no_sockets")) == (8, 56)


async def test_a_quick_origin_that_becomes_slow_and_quick_again(make_sender: MakeSender, receive: MakeReceiver) -> None:
    go_on = asyncio.Event()
    go_on.set()

    async def handle(peer: Peer) -> None:
        while True:
            await peer.request()
            await go_on.wait()
            await peer.say(OK)

    receiver = await receive(handle)
    sender = make_sender(limits=SenderLimits(slow_seconds=0.1))
    answer_of(await sender.send(post(receiver.target())))
    assert sender.stats()["open_sockets_slow"] == 0
    go_on.clear()
    sending = asyncio.create_task(sender.send(post(receiver.target())))
    await until(lambda: sender.stats()["open_sockets_slow"] > 0)
    go_on.set()
    answer_of(await sending)
    assert sender.stats()["open_sockets_slow"] == 1
    for slow in (1, 1, 0):
        answer_of(await sender.send(post(receiver.target())))
        assert sender.stats()["open_sockets_slow"] == slow


async def test_too_many_open_files_is_no_sockets(
    make_sender: MakeSender, receive: MakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await receive(answering(OK))
    sender = make_sender()

    def exhausted(*_: object, **__: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("whatsync.net.dial.socket.socket", exhausted)
        failure = failure_of(await sender.send(post(receiver.target())))
    assert (failure.code, failure.detail) == ("no_sockets", "too many open files (127.0.0.1)")
    answer_of(await sender.send(post(receiver.target())))


async def test_origins_are_forgotten_when_there_are_too_many(make_sender: MakeSender) -> None:
    sender = make_sender(limits=SenderLimits(origins_max=4), resolver=knowing())
    for number in range(50):
        failure_of(await sender.send(post(at(80, f"h{number}.test"))))
    assert len(sender._origins) <= 4
