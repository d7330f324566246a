"""Reaches the first that answers of several vetted addresses. Each further one is tried when another failed or is late.

Connects to numeric addresses only, exactly as given: nothing is looked up again between check and connection.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from math import inf

from whatsync.net.address_guard import AddressGuard
from whatsync.net.deadlines import Deadlines
from whatsync.net.origin import Origin
from whatsync.net.socket_budget import SocketBudget
from whatsync.net.trouble import Trouble, most_telling, trouble_of

Dialled = tuple[socket.socket, str]


class Dial:
    """One attempt at one origin. Begins with one socket taken from the budget and ends holding one, or none."""

    __slots__ = (
        "_addresses", "_budget", "_deadlines", "_future", "_guard", "_loop", "_next_at", "_now", "_origin",
        "_slow_at", "_sockets", "_stagger_seconds", "_taken", "_tried", "_troubles", "_until", "look_at",
    )  # fmt: skip

    def __init__(
        self,
        origin: Origin,
        addresses: Sequence[str],
        *,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        deadlines: Deadlines,
        budget: SocketBudget,
        guard: AddressGuard,
        stagger_seconds: float,
    ) -> None:
        self.look_at = inf
        self._origin = origin
        self._addresses = list(addresses)
        self._loop = loop
        self._now = now
        self._deadlines = deadlines
        self._budget = budget
        self._guard = guard
        self._stagger_seconds = stagger_seconds
        self._future: asyncio.Future[Dialled | Trouble] = loop.create_future()
        self._sockets: dict[socket.socket, str] = {}
        self._taken = 1
        self._tried: list[str] = []
        self._troubles: list[Trouble] = []
        self._until = self._next_at = self._slow_at = inf

    async def reach(self, until: float, slow_at: float) -> Dialled | Trouble:
        """Connect before ``until``; an attempt that lasts to ``slow_at`` marks the origin as slow."""
        self._until = until
        self._slow_at = slow_at
        try:
            self._try_next()
            if not self._future.done():
                self._deadlines.add(self, self._next_look())
            return await self._future
        except asyncio.CancelledError:
            self._abandon()
            raise

    def expire(self, now: float) -> float:
        """Try a further address, or give up."""
        if self._future.done():
            return inf
        if now >= self._until:
            self.give_up()
            return inf
        if now >= self._slow_at:
            self._slow_at = inf
            self._budget.mark_slow(self._origin)
        if now >= self._next_at:
            self._try_next()
        return inf if self._future.done() else self._next_look()

    def give_up(self) -> None:
        """End without a connection."""
        if self._future.done():
            return
        where = ", ".join(self._tried[:3])
        late = Trouble(
            "connection_timeout", f"no connection in time ({where})", self._tried[0] if self._tried else None
        )
        self._settle(most_telling([*self._troubles, late]))

    def _next_look(self) -> float:
        return min(self._until, self._slow_at, self._next_at)

    def _try_next(self) -> None:
        """Begin with the next address that does not fail at once; without any left, wait for those begun."""
        while self._addresses:
            if len(self._sockets) >= self._taken:
                if not self._budget.take(self._origin):
                    self._next_at = self._now() + self._stagger_seconds
                    return
                self._taken += 1
            if self._begin(self._addresses.pop(0)):
                self._next_at = self._now() + self._stagger_seconds if self._addresses else inf
                return
        self._next_at = inf
        if not self._sockets and not self._future.done():
            self._settle(most_telling(self._troubles))

    def _begin(self, address: str) -> bool:
        """Start to connect; ``False`` if it failed at once."""
        self._tried.append(address)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            self._troubles.append(trouble_of(error.errno or 0, address))
            return False
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = opened.connect_ex((address, self._origin.port))
        except OSError as error:
            number = error.errno or errno.ECONNABORTED
        if number not in (0, errno.EINPROGRESS):
            self._troubles.append(trouble_of(number, address))
            opened.close()
            return False
        self._sockets[opened] = address
        self._loop.add_writer(opened, self._connected, opened)
        return True

    def _connected(self, opened: socket.socket) -> None:
        """A socket is connected, or failed to."""
        self._loop.remove_writer(opened)
        address = self._sockets.pop(opened)
        if self._future.done():  # cancelled, and the task has not run yet
            opened.close()
            return
        number = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        trouble = trouble_of(number, address) if number else self._met_ourselves(opened, address)
        if trouble is None:
            self._settle((opened, address))
            return
        opened.close()
        self._troubles.append(trouble)
        self._try_next()

    def _met_ourselves(self, opened: socket.socket, address: str) -> Trouble | None:
        try:
            refusal = self._guard.check_connected(opened.getsockname()[0], address, self._origin.port)
        except OSError as error:
            return trouble_of(error.errno or 0, address)
        return Trouble("blocked_address", refusal.sentence, address) if refusal is not None else None

    def _settle(self, result: Dialled | Trouble) -> None:
        keep = 0 if isinstance(result, Trouble) else 1
        self._close_all(keep)
        if not self._future.done():
            self._future.set_result(result)

    def _abandon(self) -> None:
        """The caller was cancelled: hold nothing."""
        if self._future.done() and not self._future.cancelled():
            result = self._future.result()
            if not isinstance(result, Trouble):
                result[0].close()
        self._close_all(0)

    def _close_all(self, keep: int) -> None:
        for opened in self._sockets:
            self._loop.remove_writer(opened)
            opened.close()
        self._sockets.clear()
        for _ in range(self._taken - keep):
            self._budget.give_back(self._origin)
        self._taken = keep
