"""The way to a new connection, straight through: look up, check, take a socket, connect, and agree on TLS.

Every step ends in a value; nothing is left behind when the caller is cancelled in between.
"""

import asyncio
import ssl
from collections.abc import Callable

from whatsync.net.address_guard import AddressGuard
from whatsync.net.connection import Connection
from whatsync.net.deadlines import Deadlines, Waiter
from whatsync.net.dial import Dial, Dialled
from whatsync.net.handshakes import HandshakeQueue
from whatsync.net.origin import Origin
from whatsync.net.pace import Pace
from whatsync.net.pool import Pool
from whatsync.net.resolver import Resolver
from whatsync.net.tls import SessionCache, tls_problem
from whatsync.net.tls_stream import TlsStream
from whatsync.net.trouble import Trouble
from whatsync.ports.sender import Timing

_LATE_HANDSHAKE = TimeoutError("the TLS handshake did not finish in time")


class Way:
    """How far one opening has come, in monotonic seconds; what it took is shown in the history."""

    __slots__ = ("begun_at", "connect_us", "dns_us", "tls_us")

    def __init__(self, begun_at: float) -> None:
        self.begun_at = begun_at
        self.dns_us: int | None = None
        self.connect_us: int | None = None
        self.tls_us: int | None = None

    def timing(self, total_us: int) -> Timing:
        """As it is told to the engine when there is no more to tell."""
        return Timing(self.dns_us, self.connect_us, self.tls_us, None, None, total_us)


class Opener:
    """Opens connections to origins; one for the whole sender."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        deadlines: Deadlines,
        resolver: Resolver,
        guard: AddressGuard,
        pool: Pool,
        tls: ssl.SSLContext,
        sessions: SessionCache,
        handshakes: HandshakeQueue,
    ) -> None:
        self._loop = loop
        self._now = now
        self._deadlines = deadlines
        self._resolver = resolver
        self._guard = guard
        self._pool = pool
        self._tls = tls
        self._sessions = sessions
        self._handshakes = handshakes
        self._pace = Pace(loop=loop, per_turn=pool.limits.begun_per_turn)

    async def open(self, origin: Origin, until: float, way: Way) -> Connection | Trouble:
        """Open a connection before ``until`` (monotonic seconds)."""
        addresses = await self.addresses(origin, until, way)
        if isinstance(addresses, Trouble):
            return addresses
        wait_until = min(until, self._now() + self._pool.limits.socket_wait_seconds)
        await self._pace.wait()
        if not await self._pool.budget.take_within(origin, wait_until):
            return Trouble("no_sockets", "all connections this server may hold were in use")
        dialled = await self._dial(origin, addresses, until, way)
        if isinstance(dialled, Trouble):
            return dialled
        origin.address = dialled[1]
        self._pool.statistics.connections_opened += 1
        return await (self._encrypt if origin.secure else self._plain)(origin, dialled, until, way)

    async def addresses(self, origin: Origin, until: float, way: Way) -> list[str] | Trouble:
        """The addresses of an origin that may be reached, in the order to try them."""
        host = origin.host
        found: tuple[str, ...]
        if ":" in host or host.rpartition(".")[2].isdigit():  # only an address ends in a number, see model.url
            found = (host,)
        else:
            lookup = await self._resolver.resolve(host, until)
            way.dns_us = int((self._now() - way.begun_at) * 1e6)
            if lookup.problem:
                return Trouble("dns_error", f"{host}: {lookup.problem}")
            found = lookup.addresses
        verdicts = {address: self._guard.check(address, origin.port) for address in found}
        allowed = [address for address, refusal in verdicts.items() if refusal is None]
        if not allowed:
            address, refusal = next(iter(verdicts.items()))
            return Trouble("blocked_address", refusal.sentence if refusal is not None else "", address)
        if origin.address in allowed:
            allowed.remove(origin.address)
            allowed.insert(0, origin.address)
        return allowed

    async def _dial(self, origin: Origin, addresses: list[str], until: float, way: Way) -> Dialled | Trouble:
        began = self._now()
        dial = Dial(
            origin,
            addresses,
            loop=self._loop,
            now=self._now,
            deadlines=self._deadlines,
            budget=self._pool.budget,
            guard=self._guard,
            stagger_seconds=self._pool.limits.stagger_seconds,
        )
        result = await dial.reach(until, began + self._pool.limits.slow_seconds)
        way.connect_us = int((self._now() - began) * 1e6)
        return result

    async def _plain(self, origin: Origin, dialled: Dialled, until: float, way: Way) -> Connection | Trouble:
        opened, address = dialled
        connection = Connection(self._pool, origin, address, self._loop)
        made = False
        try:
            await self._loop.create_connection(lambda: connection, sock=opened)
            made = True
        except OSError as error:
            return Trouble("connection_failed", str(error.strerror or error), address)
        finally:
            if not made:
                connection.abort()
                opened.close()
        return self._told(connection, way)

    async def _encrypt(self, origin: Origin, dialled: Dialled, until: float, way: Way) -> Connection | Trouble:
        opened, address = dialled
        began = self._now()
        stream: TlsStream | None = None
        connection: Connection | None = None
        error: Exception | None
        try:
            stream = self._stream(origin)
            await self._loop.create_connection(lambda: stream, sock=opened)
            self._watch(stream.ready, origin, began, until)
            error = await stream.ready
            if error is None:
                way.tls_us = int((self._now() - began) * 1e6)
                self._count(stream)
                connection = self._told(Connection(self._pool, origin, address, self._loop), way)
                stream.attach(connection)
                return connection
        except (OSError, ValueError) as raised:
            error = raised
        finally:
            if connection is None:
                self._pool.budget.give_back(origin)
                if stream is not None:
                    stream.abort()
                opened.close()
        if error is _LATE_HANDSHAKE:
            return Trouble("connection_timeout", str(error), address)
        return Trouble("tls_error", tls_problem(error), address)

    def _stream(self, origin: Origin) -> TlsStream:
        ready: asyncio.Future[Exception | None] = self._loop.create_future()
        key = ("https", origin.host, origin.port)
        return TlsStream(self._tls, key, sessions=self._sessions, handshakes=self._handshakes, ready=ready)

    def _watch(self, ready: "asyncio.Future[Exception | None]", origin: Origin, began: float, until: float) -> None:
        slow_at = began + self._pool.limits.slow_seconds
        waiter = Waiter(ready, until, lambda: _LATE_HANDSHAKE, slow_at, lambda: self._pool.budget.mark_slow(origin))
        self._deadlines.add(waiter, min(until, slow_at))

    def _count(self, stream: TlsStream) -> None:
        self._pool.statistics.handshakes += 1
        if stream.resumed:
            self._pool.statistics.handshakes_resumed += 1

    @staticmethod
    def _told(connection: Connection, way: Way) -> Connection:
        connection.dns_us, connection.connect_us, connection.tls_us = way.dns_us, way.connect_us, way.tls_us
        return connection
