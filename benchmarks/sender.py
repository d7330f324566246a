"""Measures the sender alone against a receiver in a process of its own: requests per second and CPU per request.

Run ``python benchmarks/sender.py``; it ends by itself after some seconds. Sender and receiver get a core each where
there are two, so figures compare only with those of the same machine and an otherwise idle one.
"""

import argparse
import asyncio
import multiprocessing
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import trustme
import uvloop

from whatsync.model.url import Target
from whatsync.net.address_guard import AddressGuard
from whatsync.net.http_sender import HttpSender
from whatsync.net.sender_limits import SenderLimits
from whatsync.net.system import SystemClock
from whatsync.ports.sender import Answer, Request

HEAD = (
    b"POST /webhooks HTTP/1.1\r\nHost: localhost\r\nUser-Agent: WhatsSync/bench\r\nContent-Type: application/json\r\n"
    b"Accept: */*\r\nX-WhatsSync-Event: message.incoming\r\nX-WhatsSync-Signature: " + b"a" * 64 + b"\r\n"
    b"webhook-id: msg_abcdefghijklmnopqrstuvwxyz\r\nwebhook-timestamp: 1700000000\r\n"
    b"webhook-signature: v1," + b"b" * 44 + b"\r\nContent-Length: 500\r\n\r\n"
)
BODY = b"x" * 500
KEEP = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nDate: Thu, 01 Jan 1970 00:00:00\r\n\r\nok"
CLOSE = KEEP.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class Receiver(asyncio.Protocol):
    """Answers every request of the known size; the cheapest receiver there can be."""

    closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        size = len(HEAD) + len(BODY)
        while self.received >= size:
            self.received -= size
            self.transport.write(CLOSE if self.closing else KEEP)
            if self.closing:
                self.transport.close()


class ClosingReceiver(Receiver):
    closing = True


async def receive(pipe: Pipe, certificate: str) -> None:
    """Listen on four ports, tell which, and stop when told."""
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    servers = [
        await loop.create_server(kind, "127.0.0.1", 0, ssl=tls, backlog=1024)
        for kind in (Receiver, ClosingReceiver)
        for tls in (None, context)
    ]
    pipe.send([server.sockets[0].getsockname()[1] for server in servers])
    await loop.run_in_executor(None, pipe.recv)


def run_receiver(pipe: Pipe, certificate: str) -> None:
    pin(1)
    uvloop.run(receive(pipe, certificate))


def pin(core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[core]})


@contextmanager
def receiver(certificate: str) -> Iterator[list[int]]:
    """A receiver in a process of its own, as its ports: plain, TLS, plain and TLS that close after each answer."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_receiver, args=(theirs, certificate), daemon=True)
    process.start()
    try:
        yield ours.recv()
        ours.send(None)
        process.join(5)
    finally:
        process.kill()


async def heartbeat(holds: list[float]) -> None:
    """Record the CPU time used from one millisecond's wait to the next: how long the loop was held by its own work.

    CPU time and not lateness, since other processes of the machine make every loop late.
    """
    while True:
        before = time.thread_time()
        await asyncio.sleep(0.001)
        holds.append(time.thread_time() - before)


async def measure(name: str, target: Target, ca_file: str, workers: int, seconds: float, sessions_max: int) -> None:
    """Let ``workers`` send one after the other for a while, and print a line."""
    sender = HttpSender(
        guard=AddressGuard(allow_loopback=lambda: True),
        clock=SystemClock(),
        limits=SenderLimits(tls_sessions_max=sessions_max, idle_per_origin=1024),
        extra_ca_file=ca_file,
    )
    request = Request(target, HEAD, BODY, 5.0, 15.0)
    for answer in await asyncio.gather(*(sender.send(request) for _ in range(workers))):
        assert isinstance(answer, Answer), answer
    sent = 0
    failed = 0
    end = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal sent, failed
        while time.perf_counter() < end:
            result = await sender.send(request)
            sent += 1
            failed += not isinstance(result, Answer)

    before = sender.stats()
    holds: list[float] = []
    beat = asyncio.create_task(heartbeat(holds))
    began, began_cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(workers)))
    took, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    beat.cancel()
    stats = sender.stats()
    handshakes, resumed = (stats[counter] - before[counter] for counter in ("handshakes", "handshakes_resumed"))
    print(
        f"{name:<34} {workers:>4} {sent / took:>9,.0f} {cpu / sent * 1e6:>9.1f} {failed:>6} {handshakes:>9,}"
        f" {resumed:>9,} {max(holds, default=0.0) * 1000:>9.1f} {stats['handshake_longest_us']:>9,}",
        flush=True,
    )
    await sender.close()


async def measure_all(ports: list[int], ca_file: str, seconds: float) -> None:
    plain, tls, plain_closing, tls_closing = ports
    print(
        f"{'what':<34} {'at':>4} {'req/s':>9} {'CPU µs':>9} {'failed':>6}"
        f" {'handsh.':>9} {'resumed':>9} {'held ms':>9} {'step µs':>9}"
    )
    for workers in (64, 512):
        for name, scheme, port, sessions_max in (
            ("plain, kept alive", "http", plain, 0),
            ("TLS, kept alive", "https", tls, 5000),
            ("plain, new connection each", "http", plain_closing, 0),
            ("TLS, new connection each", "https", tls_closing, 0),
            ("TLS, new connection each, resumed", "https", tls_closing, 5000),
        ):
            target = Target("https" if scheme == "https" else "http", "localhost", port, "/webhooks", "localhost")
            await measure(name, target, ca_file, workers, seconds, sessions_max)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each line of the table")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("this benchmark pins processes to cores and runs on Linux only")
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        ca_file, certificate = str(Path(folder) / "ca.pem"), str(Path(folder) / "server.pem")
        authority.cert_pem.write_to_path(ca_file)
        authority.issue_cert("localhost", key_type=trustme.KeyType.RSA).private_key_and_cert_chain_pem.write_to_path(
            certificate
        )
        with receiver(certificate) as ports:
            pin(0)
            uvloop.run(measure_all(ports, ca_file, arguments.seconds))


if __name__ == "__main__":
    main()
