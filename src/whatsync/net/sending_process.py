"""The sending process: an ``HttpSender`` on a core of its own, with orders coming in over a socket.

Run as ``python -m whatsync.net.sending_process FD``. Ends when the server's end of the socket is closed, however that
came about; signals meant for the server are left to the server. Knows no event, endpoint or store.
"""

import asyncio
import logging
import signal
import socket
import sys
from functools import partial
from ipaddress import ip_network

import msgspec
import uvloop

from whatsync.net.address_guard import AddressGuard
from whatsync.net.frames import Frames, Orders, Reports, Setting
from whatsync.net.garbage import Garbage, look_briefly
from whatsync.net.http_sender import HttpSender
from whatsync.net.system import SystemClock
from whatsync.ports.sender import Answer, Failure, UnderWay

logger = logging.getLogger(__name__)

_STATISTICS_SECONDS = 1.0


class SendingProcess:
    """Carries out orders; what came of them is reported together, once a turn of the loop."""

    def __init__(self, setting: Setting) -> None:
        self._allow_loopback = False
        guard = AddressGuard(
            [ip_network(text) for text in setting.allow_networks],
            allow_loopback=lambda: self._allow_loopback,
            own_addresses=setting.own_addresses,
            own_ports=setting.own_ports,
        )
        self._sender = HttpSender(guard=guard, clock=SystemClock())
        self._loop = asyncio.get_running_loop()
        self._decoder = msgspec.msgpack.Decoder(Orders)
        self._encoder = msgspec.msgpack.Encoder()
        self._under_way: dict[int, UnderWay] = {}
        self._answers: list[tuple[int, Answer]] = []
        self._failures: list[tuple[int, Failure]] = []
        self._told: dict[str, int] | None = None
        self.ended = asyncio.Event()
        self.frames = Frames(self._take, self.ended.set)

    def _take(self, payload: bytes) -> None:
        orders = self._decoder.decode(payload)
        self._allow_loopback = orders.allow_loopback
        for number in orders.cancelled:
            exchange = self._under_way.pop(number, None)
            if exchange is not None:
                exchange.cancel()
        for number, request in orders.requests:
            self._under_way[number] = self._sender.begin(request, partial(self._done, number))

    def _done(self, number: int, result: Answer | Failure) -> None:
        self._under_way.pop(number, None)
        if not self._answers and not self._failures:
            self._loop.call_soon(self._report)
        if isinstance(result, Answer):
            self._answers.append((number, result))
        else:
            self._failures.append((number, result))

    def _report(self) -> None:
        answers, failures = self._answers, self._failures
        self._answers, self._failures = [], []
        self.frames.write(self._encoder.encode(Reports(answers, failures, None)))

    def at_work(self) -> bool:
        """Whether anything is under way."""
        return bool(self._under_way)

    async def count(self) -> None:
        """Tell the counters when they have changed, for ever."""
        while True:
            counters = self._sender.stats()
            if counters != self._told:
                self._told = counters
                self.frames.write(self._encoder.encode(Reports([], [], counters)))
            await asyncio.sleep(_STATISTICS_SECONDS)

    async def close(self) -> None:
        """Give up what is under way."""
        for exchange in self._under_way.values():
            exchange.cancel()
        await self._sender.close()


async def work(handle: int, setting: Setting) -> None:
    """Serve the socket until it ends."""
    loop = asyncio.get_running_loop()
    process = SendingProcess(setting)
    await loop.create_connection(lambda: process.frames, sock=socket.socket(fileno=handle))
    counting = loop.create_task(process.count())
    collecting = loop.create_task(Garbage(SystemClock(), process.at_work).run())
    look_briefly()
    await process.ended.wait()
    counting.cancel()
    collecting.cancel()
    await process.close()


def main() -> None:
    """Run one sending process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    setting = msgspec.json.decode(sys.stdin.buffer.readline(), type=Setting)
    logging.basicConfig(level=setting.level)
    uvloop.run(work(int(sys.argv[1]), setting))


if __name__ == "__main__":
    main()
