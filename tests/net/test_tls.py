"""TLS against real servers with certificates made on the spot: names, faults, resumption, stalls and floods."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.net.certificates import Authority
from tests.net.conftest import MakeReceiver, MakeSender
from tests.net.names import knowing
from tests.net.receivers import OK, Peer, answering, answering_once, post, silence, until
from tests.net.test_exchange import answer_of, failure_of
from tests.patience import PATIENCE_SECONDS
from whatsync.model.url import Target
from whatsync.net.http_sender import HttpSender
from whatsync.net.sender_limits import SenderLimits
from whatsync.net.tls import SessionCache, client_context

NAME = "hook.test"
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def make_trusting(make_sender: MakeSender, authority: Authority) -> Callable[..., HttpSender]:
    """Senders that trust our authority and know ``hook.test`` and ``other.test``."""
    names = knowing(hook=["127.0.0.1"], other=["127.0.0.1"])

    def make(limits: SenderLimits | None = None) -> HttpSender:
        return make_sender(limits=limits, resolver=names, extra_ca_file=authority.ca_file)

    return make


Make = Callable[..., HttpSender]


@asynccontextmanager
async def alerting(context: ssl.SSLContext) -> AsyncIterator[Target]:
    """A server on plain blocking sockets for one connection: unlike asyncio's it says by an alert why it ends one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_SECONDS)

        def serve() -> None:
            opened, _ = listening.accept()
            opened.settimeout(PATIENCE_SECONDS)
            tls = context.wrap_socket(opened, server_side=True, do_handshake_on_connect=False)
            with contextlib.suppress(OSError):
                tls.do_handshake()
            with socket.socket(fileno=tls.detach()) as raw, contextlib.suppress(OSError):
                raw.settimeout(PATIENCE_SECONDS)
                while raw.recv(65_536):  # closing at once would turn what the client still sends into a RST
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield Target("https", NAME, listening.getsockname()[1], "/", NAME)
        await asyncio.to_thread(thread.join, PATIENCE_SECONDS)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_request_over_tls(
    make_trusting: Make, receive: MakeReceiver, authority: Authority, version: ssl.TLSVersion
) -> None:
    shown: list[object] = []
    received: list[bytes] = []

    async def handle(peer: Peer) -> None:
        tls = peer.writer.get_extra_info("ssl_object")
        shown.append((tls.version(), tls.selected_alpn_protocol()))
        while True:
            received.append(await peer.request())
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"y" * 70_000)

    context = authority.context(NAME, version=version)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.sni_callback = lambda _tls, name, _context: shown.append(name)
    receiver = await receive(handle, tls=context)
    sender = make_trusting()
    requests = [post(receiver.target(NAME), b"x" * 300_000), post(receiver.target(NAME))]
    first = answer_of(await sender.send(requests[0]))
    assert (first.status, first.body, first.truncated, first.address) == (200, b"y" * 16_384, True, "127.0.0.1")
    assert first.timing.tls_us is not None
    await until(lambda: sender.stats()["idle_connections"] > 0)
    assert answer_of(await sender.send(requests[1])).reused
    assert received == [request.head + request.body for request in requests]
    assert shown == [NAME, (version.name.replace("TLSv1_", "TLSv1."), "http/1.1")]
    assert (sender.stats()["handshakes"], sender.stats()["handshakes_resumed"]) == (1, 0)


async def test_an_ip_literal_is_checked_against_the_certificates_addresses(
    make_trusting: Make, receive: MakeReceiver, authority: Authority
) -> None:
    names: list[object] = []
    good = authority.context("127.0.0.1")
    good.sni_callback = lambda _tls, name, _context: names.append(name)
    receiver = await receive(answering(OK), tls=good)
    sender = make_trusting()
    answer_of(await sender.send(post(receiver.target("127.0.0.1"))))
    assert names == [None], "an address is no server name"
    wrong = await receive(answering(OK), tls=authority.context(NAME))
    failure = failure_of(await sender.send(post(wrong.target("127.0.0.1"))))
    assert (failure.code, failure.detail) == ("tls_error", "the certificate is not for this IP address")


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("expired", "the certificate has expired"),
        ("not_yet_valid", "the certificate is not valid yet"),
        ("self_signed", "the certificate is self-signed"),
        ("unknown_issuer", "the certificate's issuer is not known; perhaps an intermediate certificate is missing"),
    ],
)
async def test_bad_certificates(
    make_trusting: Make, receive: MakeReceiver, authority: Authority, kind: str, detail: str
) -> None:
    receiver = await receive(silence, tls=getattr(authority, kind)(NAME))
    sender = make_trusting()
    failure = failure_of(await sender.send(post(receiver.target(NAME))))
    assert (failure.code, failure.detail, failure.address) == ("tls_error", detail, "127.0.0.1")
    assert sender.stats()["handshakes"] == 0


async def test_a_certificate_for_another_name(make_trusting: Make, receive: MakeReceiver, authority: Authority) -> None:
    receiver = await receive(silence, tls=authority.context("elsewhere.test"))
    failure = failure_of(await make_trusting().send(post(receiver.target(NAME))))
    assert (failure.code, failure.detail) == ("tls_error", "the certificate is for another host name")


async def test_our_authority_is_not_trusted_without_being_told(
    make_sender: MakeSender, receive: MakeReceiver, authority: Authority
) -> None:
    receiver = await receive(silence, tls=authority.context(NAME))
    sender = make_sender(resolver=knowing(hook=["127.0.0.1"]))
    assert failure_of(await sender.send(post(receiver.target(NAME)))).code == "tls_error"


async def test_an_authority_file_without_a_certificate_is_an_error(
    make_sender: MakeSender, authority: Authority
) -> None:
    with pytest.raises(ssl.SSLError):
        make_sender(extra_ca_file=authority.not_a_certificate)
    with pytest.raises(FileNotFoundError):
        make_sender(extra_ca_file=str(Path(authority.ca_file).parent / "missing.pem"))


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad\r\n\r\n", b"220 mail ESMTP\r\n", b"\x00" * 20])
async def test_a_server_without_tls(make_trusting: Make, receive: MakeReceiver, said: bytes) -> None:
    async def handle(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.say(said)
        await peer.gone()

    receiver = await receive(handle)
    target = Target("https", NAME, receiver.port, "/", NAME)
    failure = failure_of(await make_trusting().send(post(target)))
    assert failure.code == "tls_error"
    assert "does not speak TLS" in failure.detail or "TLS failed" in failure.detail


async def test_a_server_with_tls_asked_without(
    make_trusting: Make, receive: MakeReceiver, authority: Authority
) -> None:
    receiver = await receive(silence, tls=authority.context(NAME))
    failure = failure_of(await make_trusting().send(post(Target("http", NAME, receiver.port, "/", NAME))))
    assert failure.code in {"bad_response", "connection_reset"}


async def test_only_old_tls(make_trusting: Make, authority: Authority) -> None:
    context = authority.context(NAME)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with alerting(context) as target:
        failure = failure_of(await make_trusting().send(post(target)))
    assert (failure.code, failure.detail) == ("tls_error", "the server offers only TLS versions older than 1.2")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_asks_for_our_certificate(
    make_trusting: Make, authority: Authority, version: ssl.TLSVersion
) -> None:
    async with alerting(authority.wants_client_certificate(NAME, version)) as target:
        failure = failure_of(await make_trusting().send(post(target)))
    assert failure.code == "tls_error"
    assert "client certificate" in failure.detail


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_the_connection_ends_during_the_handshake(make_trusting: Make, receive: MakeReceiver, how: str) -> None:
    async def handle(peer: Peer) -> None:
        await peer.reader.read(1)
        if how == "reset":
            peer.reset()

    receiver = await receive(handle)
    target = Target("https", NAME, receiver.port, "/", NAME)
    failure = failure_of(await make_trusting().send(post(target)))
    assert (failure.code, failure.detail) == ("tls_error", "the connection ended during the TLS handshake")


async def test_a_stalled_handshake_ends_with_the_connect_timeout_and_holds_up_nobody(
    make_trusting: Make, receive: MakeReceiver, authority: Authority
) -> None:
    stalled = await receive(silence)
    receiver = await receive(answering(CLOSING), tls=authority.context(NAME))
    sender = make_trusting()
    target = Target("https", "other.test", stalled.port, "/", "other.test")
    waiting = [asyncio.create_task(sender.send(post(target, connect_timeout=2.0))) for _ in range(100)]
    await until(lambda: stalled.connections == 100)
    for _ in range(5):
        answer_of(await sender.send(post(receiver.target(NAME))))
    assert not any(task.done() for task in waiting)
    for failure in map(failure_of, await asyncio.gather(*waiting)):
        assert (failure.code, failure.detail) == ("connection_timeout", "the TLS handshake did not finish in time")


async def test_cancelling_within_a_handshake_leaves_nothing(make_trusting: Make, receive: MakeReceiver) -> None:
    stalled = await receive(silence)
    sender = make_trusting()
    sending = asyncio.create_task(sender.send(post(Target("https", NAME, stalled.port, "/", NAME))))
    await until(lambda: stalled.connections == 1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert sender.stats()["open_sockets"] == 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_sessions_are_resumed(
    make_trusting: Make, receive: MakeReceiver, authority: Authority, version: ssl.TLSVersion
) -> None:
    resumed: list[bool] = []

    async def handle(peer: Peer) -> None:
        resumed.append(peer.writer.get_extra_info("ssl_object").session_reused)
        await peer.request()
        await peer.say(CLOSING)

    context = authority.context(NAME, "other.test", version=version)
    receiver = await receive(handle, tls=context)
    sender = make_trusting()
    for _ in range(4):
        answer_of(await sender.send(post(receiver.target(NAME))))
    assert resumed == [False, True, True, True]
    answer_of(await sender.send(post(receiver.target("other.test"))))
    assert resumed[4] is False, "a session is offered only to the origin that gave it"
    assert (sender.stats()["handshakes"], sender.stats()["handshakes_resumed"]) == (5, 3)


async def test_a_session_the_server_forgot_costs_nothing_but_itself(
    make_trusting: Make, receive: MakeReceiver, authority: Authority
) -> None:
    receiver = await receive(answering_once(CLOSING), tls=authority.context(NAME))
    sender = make_trusting()
    answer_of(await sender.send(post(receiver.target(NAME))))
    await receiver.__aexit__()
    restarted = await receive(answering_once(CLOSING), tls=authority.context(NAME), port=receiver.port)
    for _ in range(2):
        answer_of(await sender.send(post(restarted.target(NAME))))
    assert (sender.stats()["handshakes"], sender.stats()["handshakes_resumed"]) == (3, 1)


async def test_a_kept_connection_over_tls_that_went_stale(
    make_trusting: Make, receive: MakeReceiver, authority: Authority
) -> None:
    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        if peer.number == 1:
            await peer.request()
            return
        await peer.gone()

    receiver = await receive(handle, tls=authority.context(NAME))
    sender = make_trusting()
    answer_of(await sender.send(post(receiver.target(NAME))))
    answer = answer_of(await sender.send(post(receiver.target(NAME))))
    assert (answer.reused, sender.stats()["connections_stale"]) == (False, 1)


@pytest.mark.parametrize("goodbye", [True, False])
async def test_an_answer_that_ends_with_its_connection_over_tls(
    make_trusting: Make, receive: MakeReceiver, authority: Authority, goodbye: bool
) -> None:
    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\nto the end")
        if not goodbye:
            await asyncio.sleep(0.05)  # a RST at once would take the bytes with it
            peer.reset()

    receiver = await receive(handle, tls=authority.context(NAME))
    answer = answer_of(await make_trusting().send(post(receiver.target(NAME))))
    assert (answer.status, answer.body) == (200, b"to the end")


async def test_many_handshakes_at_once_in_small_portions(
    make_trusting: Make, receive: MakeReceiver, authority: Authority
) -> None:
    receiver = await receive(answering(CLOSING), tls=authority.context(NAME))
    sender = make_trusting(SenderLimits(handshake_turn_seconds=0.0))
    results = await asyncio.gather(*(sender.send(post(receiver.target(NAME), timeout=9)) for _ in range(100)))
    assert {answer_of(result).status for result in results} == {200}
    assert sender.stats()["handshakes"] == 100


def test_the_session_cache_is_bounded_and_renews_now_and_then(authority: Authority) -> None:
    clock = [0.0]
    cache = SessionCache(2, lambda: clock[0])
    sessions = [_session(authority) for _ in range(3)]
    for number, session in enumerate(sessions):
        key = ("https", f"h{number}", 443)
        assert cache.wants(key, resumed=False)
        cache.put(key, session)
    assert len(cache) == 2
    assert cache.get(("https", "h0", 443)) is None
    assert cache.get(("https", "h1", 443)) is sessions[1]
    assert not cache.wants(("https", "h1", 443), resumed=True)
    assert cache.wants(("https", "h1", 443), resumed=False)
    clock[0] = 1_000.0
    assert cache.wants(("https", "h1", 443), resumed=True)
    cache.put(("https", "h3", 443), sessions[0])
    assert cache.get(("https", "h2", 443)) is None, "the one used longest ago goes first"
    cache.forget(("https", "h1", 443))
    assert cache.get(("https", "h1", 443)) is None


def _session(authority: Authority) -> ssl.SSLSession:
    """A session between a client and a server that exist in memory only."""
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    client = client_context(authority.ca_file).wrap_bio(pipes[0], pipes[1], server_hostname=NAME)
    context = authority.context(NAME, version=ssl.TLSVersion.TLSv1_2)
    server = context.wrap_bio(pipes[1], pipes[0], server_side=True)
    ended = [False, False]
    while not all(ended):
        for number, side in enumerate((client, server)):
            try:
                side.do_handshake()
                ended[number] = True
            except ssl.SSLWantReadError:
                pass
    session = client.session
    assert session is not None
    return session
