"""The sender: a request in, an answer or a failure out. Implements ``ports.sender.Sender`` over real sockets.

Reads top to bottom: a kept connection if there is one, else a new one; everything else is said by those two.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable

from whatsync.net.address_guard import AddressGuard
from whatsync.net.connection import STALE, Connection, Result, Stale
from whatsync.net.deadlines import Deadlines
from whatsync.net.handshakes import HandshakeQueue
from whatsync.net.opener import Opener, Way
from whatsync.net.origin import Key, Origin
from whatsync.net.pool import Pool
from whatsync.net.resolver import DnsResolver, Resolver
from whatsync.net.sender_limits import SenderLimits
from whatsync.net.socket_budget import SocketBudget, sockets_of_process
from whatsync.net.statistics import SenderStatistics
from whatsync.net.tls import SessionCache, client_context
from whatsync.net.trouble import Trouble
from whatsync.ports.clock import Clock
from whatsync.ports.sender import Answer, Failure, Request, Target, Timing, UnderWay

logger = logging.getLogger(__name__)

_CLOSING_TURNS_MAX = 100
_SHUTTING_DOWN = "WhatsSync was shutting down"


class HttpSender:
    """Sends over HTTP/1.1 and keeps connections. Made inside the event loop it works in; for one loop and thread.

    ``extra_ca_file`` adds authorities to the system's; raises what ``net.tls.client_context`` raises for a bad one.
    ``resolver`` is for tests and for who has one already.
    """

    def __init__(
        self,
        *,
        guard: AddressGuard,
        clock: Clock,
        limits: SenderLimits | None = None,
        extra_ca_file: str | None = None,
        resolver: Callable[[Deadlines], Resolver] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._limits = limits = limits or SenderLimits()
        self._now = now = clock.monotonic
        self._origins: dict[Key, Origin] = {}
        self._closed = False
        self._statistics = SenderStatistics()
        self._deadlines = Deadlines(loop, now)
        self._pool = Pool(limits=limits, now=now, deadlines=self._deadlines, statistics=self._statistics)
        self._budget = self._pool.budget = SocketBudget(
            limits.sockets_max or sockets_of_process(),
            loop=loop,
            deadlines=self._deadlines,
            evict=self._pool.evict,
            quick_answers_to_trust=limits.quick_answers_to_trust,
        )
        self._resolver = (
            DnsResolver(now=now, deadlines=self._deadlines) if resolver is None else resolver(self._deadlines)
        )
        self._opener = self._make_opener(loop, guard, client_context(extra_ca_file))

    def _make_opener(self, loop: asyncio.AbstractEventLoop, guard: AddressGuard, tls: ssl.SSLContext) -> Opener:
        handshakes = HandshakeQueue(
            loop=loop,
            now=self._now,
            turn_seconds=self._limits.handshake_turn_seconds,
            statistics=self._statistics,
        )
        return Opener(
            loop=loop,
            now=self._now,
            deadlines=self._deadlines,
            resolver=self._resolver,
            guard=guard,
            pool=self._pool,
            tls=tls,
            sessions=SessionCache(self._limits.tls_sessions_max, self._now),
            handshakes=handshakes,
        )

    async def send(self, request: Request) -> Answer | Failure:
        """Send once and return what happened. Cancelling it closes the connection."""
        started_at = self._now()
        connection = self._kept(request.target)
        if connection is not None:
            until = started_at + request.timeout_seconds
            future = connection.begin(request.head + request.body, started_at, started_at, until)
            try:
                result = await future
            except asyncio.CancelledError:
                connection.abort()
                raise
            if result is not STALE:
                return result  # type: ignore[return-value] # there is but one STALE
        return await self.send_fresh(request, started_at)

    def begin(self, request: Request, done: Callable[[Answer | Failure], None]) -> UnderWay:
        """Send once and call ``done`` with what happened; without a task where a kept connection takes the request."""
        started_at = self._now()
        connection = self._kept(request.target)
        exchange = Exchange(self, request, started_at, done, connection)
        if connection is None:
            exchange.begin_fresh()
        else:
            until = started_at + request.timeout_seconds
            connection.send(request.head + request.body, started_at, started_at, until, exchange.settle)
        return exchange

    def _kept(self, target: Target) -> Connection | None:
        origin = self._origins.get((target.scheme, target.host, target.port))
        return self._pool.take(origin) if origin is not None and origin.idle and not self._closed else None

    async def check(self, target: Target, timeout_seconds: float) -> Failure | None:
        """Say whether ``target`` could be reached as far as names and addresses go; nothing is connected to.

        For the moment a URL is saved. It decides nothing: each request is checked again.
        """
        way = Way(self._now())
        origin = Origin((target.scheme, target.host, target.port))
        found = await self._opener.addresses(origin, way.begun_at + timeout_seconds, way)
        if not isinstance(found, Trouble):
            return None
        return Failure(found.code, found.detail, way.timing(self._elapsed_us(way.begun_at)), found.address)

    async def close(self) -> None:
        """Close every connection; requests under way end as failures. Safe to call twice."""
        self._closed = self._pool.closed = True
        self._deadlines.close()
        await self._resolver.close()
        for _ in range(_CLOSING_TURNS_MAX):
            if self._budget.in_use == 0:
                break
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # transports close their sockets one turn of the loop after they are told to

    def stats(self) -> dict[str, int]:
        """All counters, and how many sockets are open and idle now; failures by code are in ``failures``."""
        return self._statistics.as_dict() | {
            "open_sockets": self._budget.in_use,
            "open_sockets_slow": self._budget.slow_in_use,
            "idle_connections": self._pool.idle,
            "sockets_max": self._budget.sockets_max,
        }

    def failures(self) -> dict[str, int]:
        """How many requests failed with each network code."""
        return dict(self._statistics.failures)

    async def send_fresh(self, request: Request, started_at: float) -> Answer | Failure:
        """Send on a new connection."""
        way = Way(self._now())
        until = started_at + request.timeout_seconds
        origin = self._origin_of(request.target)
        opened: Connection | Trouble
        if self._closed:
            opened = Trouble("internal_error", _SHUTTING_DOWN)
        else:
            opened = await self._opener.open(origin, min(until, way.begun_at + request.connect_timeout_seconds), way)
        if isinstance(opened, Trouble):
            return self._failed(opened, way, started_at)
        return await self._first_exchange(opened, request, started_at, until)

    async def _first_exchange(
        self, connection: Connection, request: Request, started_at: float, until: float
    ) -> Answer | Failure:
        future = connection.begin_first(request.head + request.body, started_at, self._now(), until)
        try:
            result: Result = await future
        except asyncio.CancelledError:
            connection.abort()
            raise
        assert isinstance(result, Answer | Failure), "only a used connection can be stale"
        return result

    def _failed(self, trouble: Trouble, way: Way, started_at: float) -> Failure:
        if self._closed:
            trouble = Trouble("internal_error", _SHUTTING_DOWN, trouble.address)
        self._statistics.requests += 1
        self._statistics.failures[trouble.code] += 1
        return Failure(trouble.code, trouble.detail, way.timing(self._elapsed_us(started_at)), trouble.address)

    def _elapsed_us(self, since: float) -> int:
        return int((self._now() - since) * 1e6)

    def _origin_of(self, target: Target) -> Origin:
        key = (target.scheme, target.host, target.port)
        origin = self._origins.get(key)
        if origin is None:
            if len(self._origins) >= self._limits.origins_max:
                self._forget_unused()
            origin = self._origins[key] = Origin(key)
        return origin

    def _forget_unused(self) -> None:
        """Make room: the older half of the origins goes, except those with a connection."""
        for key in [key for key, origin in self._origins.items() if origin.unused][: len(self._origins) // 2]:
            del self._origins[key]


class Exchange:
    """One request on its way without a task of its own, as long as a kept connection carries it."""

    __slots__ = ("connection", "done", "request", "sender", "started_at", "task")

    def __init__(
        self,
        sender: HttpSender,
        request: Request,
        started_at: float,
        done: Callable[[Answer | Failure], None],
        connection: Connection | None,
    ) -> None:
        self.sender = sender
        self.request = request
        self.started_at = started_at
        self.done = done
        self.connection = connection
        self.task: asyncio.Task[Answer | Failure] | None = None

    def settle(self, result: Result) -> None:
        """The kept connection has carried it, or has turned out to be closed already."""
        if isinstance(result, Stale):
            self.begin_fresh()
        else:
            self.done(result)

    def begin_fresh(self) -> None:
        """Send it on a new connection."""
        self.connection = None
        work = self.sender.send_fresh(self.request, self.started_at)
        self.task = asyncio.get_running_loop().create_task(work)
        self.task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Answer | Failure]") -> None:
        if task.cancelled():
            return
        bug = task.exception()
        if bug is None:
            self.done(task.result())
        else:
            logger.error("the sender raised", exc_info=bug)
            self.done(Failure("internal_error", "the sender raised; see the server's log", Timing()))

    def cancel(self) -> None:
        """Nobody waits any more: close the connection."""
        if self.connection is not None:
            self.connection.cancel()
        if self.task is not None:
            self.task.cancel()
