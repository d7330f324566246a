"""Lookups against a little DNS server of our own: what is found, remembered, shared, refused, and given up in time."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.net.conftest import MakeReceiver, MakeSender
from tests.net.names import REFUSED, SERVER_FAILURE, DnsServer
from tests.net.receivers import OK, answering, post, until
from tests.net.test_exchange import answer_of, failure_of
from tests.net.turning_clock import TurningClock
from tests.patience import PATIENCE_SECONDS
from whatsync.net.deadlines import Deadlines
from whatsync.net.resolver import DnsResolver, Lookup
from whatsync.net.sender_limits import ResolverLimits
from whatsync.net.system import SystemClock

Ask = Callable[..., Awaitable[Lookup]]
HOME = socket.inet_aton("127.0.0.1")
HOME_6 = socket.inet_pton(socket.AF_INET6, "::1")
now = SystemClock.monotonic


@pytest.fixture(autouse=True)
def by_the_turns(clock: TurningClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it goes by the turns of the loop."""
    monkeypatch.setattr(sys.modules[__name__], "now", clock.monotonic)


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        DnsServer, local_addr=("127.0.0.1", 0)
    )
    yield protocol
    transport.close()


@pytest.fixture
async def make_resolver(server: DnsServer) -> AsyncIterator[Callable[..., DnsResolver]]:
    made: list[DnsResolver] = []

    def make(nameserver: str | None = None, hosts_file: bool = False, **limits: float) -> DnsResolver:
        resolver = DnsResolver(
            now=now,
            deadlines=Deadlines(asyncio.get_running_loop(), now),
            limits=ResolverLimits(**limits),  # type: ignore[arg-type]
            nameservers=[nameserver or server.address],
            hosts_file=hosts_file,
        )
        made.append(resolver)
        return resolver

    yield make
    for resolver in made:
        await resolver.close()


MakeResolver = Callable[..., DnsResolver]


def soon() -> float:
    return now() + 5.0


async def test_both_kinds_of_addresses_in_turns(server: DnsServer, make_resolver: MakeResolver) -> None:
    server.records["two.example"] = [HOME, socket.inet_aton("127.0.0.2"), HOME_6]
    lookup = await make_resolver().resolve("two.example", soon())
    assert lookup.problem == ""
    assert set(lookup.addresses) == {"127.0.0.1", "127.0.0.2", "::1"}
    assert lookup.addresses.index("::1") < 2, "the only IPv6 address stands first or second"


async def test_fifty_callers_share_one_lookup(server: DnsServer, make_resolver: MakeResolver) -> None:
    server.records["busy.example"] = [HOME]
    server.held = asyncio.Event()
    resolver = make_resolver()
    callers = [asyncio.create_task(resolver.resolve("busy.example", soon())) for _ in range(50)]
    await asyncio.sleep(0)
    callers[7].cancel()
    server.held.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results.pop(7), asyncio.CancelledError)
    assert {result.addresses for result in results if isinstance(result, Lookup)} == {("127.0.0.1",)}
    assert (resolver.lookups, server.asked("busy.example")) == (1, 1)


async def test_an_answer_is_remembered_as_long_as_it_says(server: DnsServer, make_resolver: MakeResolver) -> None:
    server.records["short.example"] = server.records["long.example"] = [HOME]
    server.ttl_seconds = 0
    resolver = make_resolver(ttl_seconds_min=0.5, ttl_seconds_max=200.0)
    first = await resolver.resolve("short.example", soon())
    assert await resolver.resolve("short.example", soon()) is first
    await until(lambda: now() >= first.until)
    assert await resolver.resolve("short.example", soon()) is not first
    assert resolver.lookups == 2
    server.ttl_seconds = 100_000
    lookup = await resolver.resolve("long.example", soon())
    assert 190 < lookup.until - now() <= 200


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dead.example", "does not exist"),
        ("empty.example", "no address"),
        ("broken.example", "SERVFAIL"),
        ("refused.example", "refused"),
        ("a..b", "not a valid host name"),
        ("x" * 64 + ".example", "not a valid host name"),
    ],
)
async def test_what_is_not_found_and_why(server: DnsServer, make_resolver: MakeResolver, name: str, words: str) -> None:
    server.records["empty.example"] = []
    server.records["broken.example"] = server.records["refused.example"] = [HOME]
    server.codes |= {"broken.example": SERVER_FAILURE, "refused.example": REFUSED}
    resolver = make_resolver()
    lookup = await resolver.resolve(name, soon())
    assert lookup.addresses == ()
    assert words in lookup.problem
    assert 0 < lookup.until - now() <= 5
    assert await resolver.resolve(name, soon()) is lookup, "a failure is believed for a little while"


async def test_no_answer_ends_in_time_and_is_believed_for_a_while(
    server: DnsServer, make_resolver: MakeResolver
) -> None:
    server.silent.add("silent.example")
    server.records["other.example"] = [HOME]
    resolver = make_resolver(timeout_seconds=1.0)
    began, really = now(), SystemClock.monotonic()
    waiting = asyncio.create_task(resolver.resolve("silent.example", soon()))
    assert (await resolver.resolve("other.example", soon())).addresses == ("127.0.0.1",)
    assert not waiting.done(), "a name without an answer holds up no other"
    lookup = await waiting
    assert "did not answer in time" in lookup.problem
    assert SystemClock.monotonic() - really >= 1.0  # the library that asks goes by the machine's clock
    assert now() - began < 2.7
    began = now()
    assert (await resolver.resolve("silent.example", soon())).problem == lookup.problem
    assert now() - began < 0.9
    assert resolver.lookups == 2


async def test_an_impatient_caller_spoils_nothing(server: DnsServer, make_resolver: MakeResolver) -> None:
    server.records["late.example"] = [HOME]
    server.held = asyncio.Event()
    resolver = make_resolver()
    patient = asyncio.create_task(resolver.resolve("late.example", soon()))
    assert "in time" in (await resolver.resolve("late.example", now() + 0.1)).problem
    server.held.set()
    assert (await patient).addresses == ("127.0.0.1",)
    assert (await resolver.resolve("late.example", soon())).addresses == ("127.0.0.1",)
    assert resolver.lookups == 1


async def test_no_server_at_all(make_resolver: MakeResolver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{unused.getsockname()[1]}"
    lookup = await make_resolver(nowhere, timeout_seconds=4.0).resolve("some.example", soon())
    assert "DNS server" in lookup.problem


async def test_the_hosts_file_and_localhost_are_honoured(make_resolver: MakeResolver, server: DnsServer) -> None:
    lookup = await make_resolver(hosts_file=True).resolve("localhost", soon())
    assert "127.0.0.1" in lookup.addresses
    assert server.questions == []


async def test_memory_is_bounded(server: DnsServer, make_resolver: MakeResolver) -> None:
    for number in range(5):
        server.records[f"n{number}.example"] = [HOME]
    resolver = make_resolver(names_max=3)
    for number in range(5):
        await resolver.resolve(f"n{number}.example", soon())
    for number in (4, 3, 2):
        await resolver.resolve(f"n{number}.example", soon())
    assert resolver.lookups == 5
    await resolver.resolve("n0.example", soon())
    assert resolver.lookups == 6


async def test_closing_frees_who_waits(server: DnsServer, make_resolver: MakeResolver) -> None:
    server.silent.add("silent.example")
    resolver = make_resolver()
    waiting = asyncio.create_task(resolver.resolve("silent.example", soon()))
    await asyncio.sleep(0)
    await resolver.close()
    assert (await asyncio.wait_for(waiting, PATIENCE_SECONDS)).addresses == ()


async def test_the_sender_sends_by_name(
    make_sender: MakeSender, receive: MakeReceiver, server: DnsServer, make_resolver: MakeResolver
) -> None:
    server.records["receiver.example"] = [HOME]
    server.silent.add("silent.example")
    receiver = await receive(answering(OK))
    sender = make_sender(resolver=lambda deadlines: make_resolver(timeout_seconds=1.5))
    slow = asyncio.create_task(sender.send(post(receiver.target("silent.example"))))
    answer = answer_of(await sender.send(post(receiver.target("receiver.example"))))
    assert (answer.address, slow.done()) == ("127.0.0.1", False)
    failure = failure_of(await sender.send(post(receiver.target("dead.example"))))
    assert (failure.code, failure.detail) == ("dns_error", "dead.example: the name does not exist")
    assert failure.timing.dns_us is not None
    failure = failure_of(await slow)
    assert (failure.code, failure.detail) == ("dns_error", "silent.example: the DNS server did not answer in time")
