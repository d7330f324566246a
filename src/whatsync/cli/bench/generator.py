"""A load generator as cheap as Python allows: keep-alive connections that post documented events with random ids.

Run as a process of its own (``python -m whatsync.cli.bench.generator``) with its orders as one line of JSON on standard
input; writes one line of JSON at the end. Closed loop, or open loop at a rate with latency from the scheduled time.
"""

import asyncio
import json
import os
import sys
import time
from array import array
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any, cast

import httptools
import uvloop

from whatsync.cli.bench.courtesy import step_aside


class Orders:
    """What to do, with the unchanging parts of requests made once."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self.host: str = orders["host"]
        self.port: int = orders["port"]
        self.keys: list[str] = orders["keys"]
        self.connections: int = orders["connections"]
        self.seconds: float = orders["seconds"]
        self.events: int | None = orders.get("events")
        self.rate: float | None = orders.get("rate")
        self.array: int = orders.get("array", 1)
        pad = "x" * orders.get("pad", 120)
        self.event: str = (
            '{"event":"message.incoming","id":"%s","data":{"from":"+4915112345678","to":"+4930123456","text":"%020d '
            + pad
            + '","media":null,"timestamp":"2026-01-01T00:00:00Z"}}'
        )
        sample = self.body(0, "0" * 32)
        head = (
            "POST /v1/events HTTP/1.1\r\nHost: {}:{}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n"
        )
        length = f"Content-Length: {len(sample)}\r\n\r\n"
        self.heads = [(head.format(self.host, self.port, key) + length).encode() for key in self.keys]

    def body(self, now_ns: int, token: str) -> bytes:
        """One request body; ids are random, of one length."""
        if self.array == 1:
            return (self.event % (token, now_ns)).encode()
        return (
            "[" + ",".join([self.event % (f"{token[:26]}{at:06d}", now_ns) for at in range(self.array)]) + "]"
        ).encode()


class Load:
    """The state all connections share."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.times_us = array("q")
        self.statuses: dict[int, int] = {}
        self.sent = 0
        self.ending = False
        self.idle: deque[Connection] = deque()
        self.due: deque[int] = deque()
        self.under_way = 0
        self.done = asyncio.Event()
        self.enough = asyncio.Event()

    @property
    def all_sent(self) -> bool:
        """Whether nothing more is to be sent."""
        return self.ending or (self.orders.events is not None and self.sent >= self.orders.events)

    def finished(self, status: int, sent_ns: int, now_ns: int) -> None:
        """One answer came."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.times_us.append((now_ns - sent_ns) // 1000)
        self.under_way -= 1
        if self.ending and self.under_way == 0:
            self.done.set()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._sent_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are not derived from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def send(self, sent_ns: int) -> None:
        """Post the next event; its latency counts from ``sent_ns``."""
        load = self._load
        orders = load.orders
        self._sent_ns = sent_ns
        token = os.urandom(16)
        head = orders.heads[int.from_bytes(token[:4], "big") % len(orders.heads)]
        load.sent += orders.array
        load.under_way += 1
        self._transport.write(head + orders.body(sent_ns, token.hex()))

    def on_message_complete(self) -> None:
        """Note the answer and go on."""
        load = self._load
        now = time.monotonic_ns()
        load.finished(self._parser.get_status_code(), self._sent_ns, now)
        if load.orders.rate is None:
            if not load.all_sent:
                self.send(now)
            else:
                load.enough.set()
        elif load.due:
            self.send(load.due.popleft())
        else:
            load.idle.append(self)


async def _pace(load: Load, rate: float, seconds: float) -> None:
    """Open loop: requests are due at fixed times, whether or not a connection is free."""
    start = time.monotonic_ns()
    end = start + int(seconds * 1e9)
    step = 1e9 / rate
    count = 0
    while (now := time.monotonic_ns()) < end:
        while start + count * step <= now:
            due = int(start + count * step)
            count += 1
            if load.idle:
                load.idle.popleft().send(due)
            else:
                load.due.append(due)
        await asyncio.sleep(0.001)


def _given(protocol: Connection) -> Connection:
    return protocol


async def run(orders: Orders) -> dict[str, Any]:
    """Generate the load and say what was reached."""
    loop = asyncio.get_running_loop()
    load = Load(orders)
    connections = []
    for _ in range(orders.connections):
        protocol = Connection(load)
        await loop.create_connection(partial(_given, protocol), orders.host, orders.port)
        connections.append(protocol)
    start = time.monotonic_ns()
    if orders.rate is None:
        for protocol in connections:
            protocol.send(time.monotonic_ns())
        with suppress(TimeoutError):
            await asyncio.wait_for(load.enough.wait(), orders.seconds)
    else:
        load.idle.extend(connections)
        await _pace(load, orders.rate, orders.seconds)
    load.ending = True
    if load.under_way:
        async with asyncio.timeout(60):
            await load.done.wait()
    elapsed = (time.monotonic_ns() - start) / 1e9
    times = sorted(load.times_us)
    return {
        "sent": load.sent,
        "seconds": elapsed,
        "start_ns": start,
        "unsent": len(load.due),
        "statuses": load.statuses,
        **{f"p{share:g}": round(times[int(len(times) * share / 100)] / 1000, 2) for share in (50, 90, 99) if times},
    }


def main() -> None:
    """Entry of the process."""
    step_aside()
    print(json.dumps(uvloop.run(run(Orders(json.loads(sys.stdin.readline()))))), flush=True)


if __name__ == "__main__":
    main()
