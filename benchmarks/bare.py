"""The floor for this machine: takes the same requests, makes two HMACs and passes them on, with no store and no rules.

    python benchmarks/bare.py [--clients 256] [--seconds 8]

Runs the bare forwarder and the real server one after the other, with the generator and receiver of ``whatsync bench``,
and prints both with their ratio: on a shared machine only figures of one run can be compared.
"""

import argparse
import asyncio
import hmac
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

from whatsync.cli.bench.installation import Receiver, free_port
from whatsync.cli.bench.measurement import Case, Result, measure, post_load, settle

_KEY = b"k" * 32
_ACCEPTED = b'HTTP/1.1 202 Accepted\r\ncontent-length: 21\r\n\r\n{"id":"aaaaaaaaaaaa"}'
_CONNECTIONS = 400


class Way(asyncio.Protocol):
    """One connection to the receiver."""

    def __init__(self, free: list["Way"]) -> None:
        self._free = free

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._free.append(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Free for the next."""
        self._free.append(self)


class Forwarder(asyncio.Protocol):
    """One client connection."""

    def __init__(self, free: list[Way]) -> None:
        self._free = free
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Collect."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Answer and pass on."""
        body, self._parts = b"".join(self._parts), []
        first = hmac.digest(_KEY, body, "sha256").hex()
        second = hmac.digest(_KEY, b"id.0." + body, "sha256").hex()
        self._transport.write(_ACCEPTED)
        if self._free:
            signed = f"X-A: {first}\r\nX-B: {second}\r\n"
            head = f"POST /hook HTTP/1.1\r\nHost: x\r\n{signed}Content-Length: {len(body)}\r\n\r\n"
            self._free.pop().transport.write(head.encode() + body)


async def forward(hosts: list[str], port: int, listen: int) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    free: list[Way] = []
    for number in range(_CONNECTIONS):
        await loop.create_connection(lambda: Way(free), hosts[number % len(hosts)], port)
    server = await loop.create_server(lambda: Forwarder(free), "127.0.0.1", listen)
    print("ready", flush=True)
    await server.serve_forever()


def measure_bare(case: Case) -> tuple[float, float]:
    """Requests a second and processor microseconds per request of the bare forwarder."""
    receiver, port = Receiver(case.endpoints), free_port()
    orders = json.dumps([receiver.hosts, receiver.port, port])
    with subprocess.Popen([sys.executable, __file__, "--forward", orders], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            before = _cpu_seconds(process.pid)
            made: dict[str, Any] = post_load(port, ["wsk_bare"], case)
            used = _cpu_seconds(process.pid) - before
            settle(receiver)
        finally:
            process.kill()
            receiver.stop()
    count = made["statuses"]["202"]
    return count / made["seconds"], used / count * 1e6


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--forward", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.forward:
        uvloop.run(forward(*json.loads(chosen.forward)))
        return
    case = Case(f"{chosen.clients} clients", clients=chosen.clients, seconds=chosen.seconds)
    bare_rate, bare_us = measure_bare(case)
    server: Result = measure(case)
    print(f"bare forwarder  {bare_rate:10,.0f}/s  {bare_us:6.0f} µs of processor per event")
    print(f"the server      {server.accepted:10,.0f}/s  {server.cpu_us:6.0f} µs of processor per event")
    print(f"ratio           {server.accepted / bare_rate:10.2f}    {server.cpu_us / bare_us:6.1f}")


if __name__ == "__main__":
    main()
