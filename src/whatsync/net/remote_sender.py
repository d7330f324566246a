"""The sender's near end, where sending has a process of its own (``--processes 2``). Implements the ``Sender`` port.

Requests of one turn of the loop leave together. When the process dies, what it had under way fails as an error of our
own, to be tried again, and a new one is started.
"""

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import msgspec

from whatsync.net.frames import Frames, Orders, Reports, Setting
from whatsync.ports.clock import Clock
from whatsync.ports.sender import Answer, Failure, Request, Timing, UnderWay

logger = logging.getLogger(__name__)

_PROGRAM = (
    "from whatsync import compiled; compiled.use(); from whatsync.net import sending_process; sending_process.main()"
)
_PAUSE_SECONDS_FIRST = 0.2
_PAUSE_SECONDS_MAX = 10.0
_END_SECONDS = 5.0
_GONE = Failure("internal_error", "the sending process ended; see the server's log", Timing())
_CLOSED = Failure("internal_error", "WhatsSync was shutting down", Timing())


class RemoteSender:
    """Sends through a process of its own, which ``start`` begins. ``allow_loopback`` is asked with each batch."""

    def __init__(self, setting: Setting, clock: Clock, allow_loopback: Callable[[], bool]) -> None:
        self._setting = setting
        self._clock = clock
        self._allow_loopback = allow_loopback
        self._loop = asyncio.get_running_loop()
        self._decoder = msgspec.msgpack.Decoder(Reports)
        self._encoder = msgspec.msgpack.Encoder()
        self._numbers = 0
        self._waiting: dict[int, Order] = {}
        self._requests: list[tuple[int, Request]] = []
        self._cancelled: list[int] = []
        self._frames: Frames | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.Event()
        self._up = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._closed = False
        self._statistics: dict[str, int] = {}
        self.restarts = 0

    async def start(self) -> None:
        """Start the process and keep it running."""
        await self._begin()
        self._keeping = self._loop.create_task(self._keep())

    async def send(self, request: Request) -> Answer | Failure:
        """Send once and return what happened. Cancelling it closes the connection."""
        answer: asyncio.Future[Answer | Failure] = self._loop.create_future()
        order = self.begin(request, partial(_settle, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            order.cancel()
            raise

    def begin(self, request: Request, done: Callable[[Answer | Failure], None]) -> UnderWay:
        """Send once and call ``done`` with what happened."""
        order = Order(self, request, done)
        if self._up.is_set():
            order.hand_over()
        else:
            order.wait_for_process()
        return order

    async def up(self, request: Request) -> Failure | None:
        """Wait, as long as the request may take, for the process to be there; says why it can't be sent."""
        if not self._up.is_set() and not await self._is_up_within(request.timeout_seconds):
            return _GONE
        return None

    def put(self, order: "Order", request: Request) -> int:
        """Give a request its number and send it off at the end of this turn of the loop."""
        number = self._numbers = self._numbers + 1
        self._waiting[number] = order
        self._soon()
        self._requests.append((number, request))
        if self._closed:
            self._loop.call_soon(self._resolve, number, _CLOSED)
        return number

    def take_back(self, number: int) -> None:
        """Nobody waits for a request any more."""
        if self._waiting.pop(number, None) is not None:
            self._soon()
            self._cancelled.append(number)

    async def close(self) -> None:
        """End the process; requests under way end as failures."""
        self._closed = True
        if self._keeping is not None:
            self._keeping.cancel()
        if self._frames is not None:
            self._frames.close()
        self._fail(_CLOSED)
        self._up.set()
        if self._process is not None:
            await self._loop.run_in_executor(None, self._reap, self._process)

    def stats(self) -> dict[str, int]:
        """The sending process's counters as last told."""
        return {**self._statistics, "process_restarts": self.restarts}

    # Writing and reading

    def _soon(self) -> None:
        if not self._requests and not self._cancelled:
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        orders = Orders(self._requests, self._cancelled, self._allow_loopback())
        self._requests, self._cancelled = [], []
        if self._frames is not None:
            self._frames.write(self._encoder.encode(orders))

    def _read(self, payload: bytes) -> None:
        reports = self._decoder.decode(payload)
        for number, answer in reports.answers:
            self._resolve(number, answer)
        for number, failure in reports.failures:
            self._resolve(number, failure)
        if reports.statistics is not None:
            self._statistics = reports.statistics

    def _resolve(self, number: int, result: Answer | Failure) -> None:
        order = self._waiting.pop(number, None)
        if order is not None:
            order.done(result)

    def _fail(self, failure: Failure) -> None:
        waiting, self._waiting = self._waiting, {}
        self._requests, self._cancelled = [], []
        for order in waiting.values():
            order.done(failure)

    # The process

    async def _begin(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(  # noqa: ASYNC220,S603 - takes a moment; all of it is our own
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )
        assert self._process.stdin is not None
        with self._process.stdin as setting:
            setting.write(msgspec.json.encode(self._setting) + b"\n")
        self._ended = asyncio.Event()
        self._frames = Frames(self._read, self._ended.set)
        frames = self._frames
        await self._loop.create_connection(lambda: frames, sock=ours)
        self._up.set()

    async def _keep(self) -> None:
        """Start a new process whenever one has ended, with a growing pause."""
        pause = _PAUSE_SECONDS_FIRST
        while True:
            begun = self._clock.monotonic()
            await self._ended.wait()
            self._up.clear()
            self._frames = None
            self._fail(_GONE)
            self.restarts += 1
            assert self._process is not None
            status = await self._loop.run_in_executor(None, self._reap, self._process)
            if self._clock.monotonic() - begun > _PAUSE_SECONDS_MAX:
                pause = _PAUSE_SECONDS_FIRST
            logger.error("the sending process ended with status %d and is started again in %.1f s", status, pause)
            await self._clock.sleep(pause)
            pause = min(2 * pause, _PAUSE_SECONDS_MAX)
            await self._begin()

    async def _is_up_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    @staticmethod
    def _reap(process: "subprocess.Popen[bytes]") -> int:
        try:
            return process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


class Order:
    """One request that is under way in the sending process, or waits for the process."""

    __slots__ = ("_number", "_request", "_sender", "_waiting", "done")

    def __init__(self, sender: RemoteSender, request: Request, done: Callable[[Answer | Failure], None]) -> None:
        self._sender = sender
        self._request = request
        self._number = 0
        self._waiting: asyncio.Task[None] | None = None
        self.done = done

    def hand_over(self) -> None:
        """The process is there: send it the request."""
        self._number = self._sender.put(self, self._request)

    def wait_for_process(self) -> None:
        """The process is being started."""
        self._waiting = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        failure = await self._sender.up(self._request)
        if failure is None:
            self.hand_over()
        else:
            self.done(failure)

    def cancel(self) -> None:
        """Nobody waits any more."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._sender.take_back(self._number)


def _settle(answer: "asyncio.Future[Answer | Failure]", result: Answer | Failure) -> None:
    if not answer.done():
        answer.set_result(result)
