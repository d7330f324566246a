"""How many client connections a listener holds at once, and what happens at the bound: one that rests makes place, else
the newcomer is told to come again. Also the protocol of listeners without the short cut.

Knows the protocol's state, not what is asked for.
"""

import logging
import resource
from asyncio import Transport
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from whatsync.model import limits
from whatsync.model.errors import Unavailable
from whatsync.web.hot import HotProtocol
from whatsync.web.slots import Door

logger = logging.getLogger(__name__)


def connections_of_process() -> int:
    """An eighth of the files this process may open: three quarters are the sender's, the rest the store's."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits.CLIENT_CONNECTIONS_MAX
    return max(limits.CLIENT_CONNECTIONS_MIN, min(limits.CLIENT_CONNECTIONS_MAX, soft // 8))


class Bound:
    """The bound of one listener, and when its reaching was last told."""

    def __init__(self, connections_max: int) -> None:
        self.connections_max = connections_max
        self.lingering_max = connections_max // 8 + 1
        """Connections beyond the bound that may be open for the moment in which they read why they are refused."""
        self._told_at: float | None = None

    def tell(self, now: float) -> None:
        """Log that the bound is reached, once in a while."""
        if self._told_at is None or now - self._told_at >= limits.CONNECTIONS_TOLD_SECONDS:
            self._told_at = now
            logger.warning("all %d client connections are in use; new ones are refused", self.connections_max)


class BoundedProtocol(HotProtocol):
    """One client connection of a bounded listener."""

    def __init__(self, bound: Bound, door: Door, *arguments: Any, **named: Any) -> None:
        super().__init__(door, *arguments, **named)
        self.bound = bound

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Take the connection in, or refuse it where the listener has as many as it may."""
        super().connection_made(transport)
        over = len(self.door.connections) - self.bound.connections_max
        if over <= 0:
            return
        resting = self._longest_resting()
        if resting is not None:
            resting.transport.close()
        elif over > self.bound.lingering_max:
            transport.abort()
        else:
            self.bound.tell(self.loop.time())
            self._refuse(Unavailable("too_many_connections", _BUSY, limits.CONNECTIONS_RETRY_SECONDS))

    def rested_since(self) -> float | None:
        """Since when nothing is under way here, in the loop's time; ``None`` while something is."""
        busy = self._in_message or self._slots or self._lingering or self._ordinary_busy()
        return None if busy or self.transport.is_closing() else self._since

    def _longest_resting(self) -> "BoundedProtocol | None":
        """One that rests: of the first few looked at, the one that does so longest."""
        before = self.loop.time() - limits.CONNECTION_REST_SECONDS_MIN
        found: BoundedProtocol | None = None
        for other in islice(self.door.connections, limits.CONNECTIONS_LOOKED_AT):
            if isinstance(other, BoundedProtocol):
                since = other.rested_since()
                if since is not None and since < before:
                    found, before = other, since
        return found


class PlainProtocol(BoundedProtocol):
    """A connection without the short cut: every request goes to the listener's own application."""

    def _begin_hot(self, headers: dict[bytes, bytes], source: str | None) -> None:
        self._begin_ordinary(list(headers.items()))


def bounded(door: Door, connections_max: int, short_cut: bool = True) -> Callable[..., BoundedProtocol]:
    """What makes the protocol of each connection of one listener."""
    return partial(BoundedProtocol if short_cut else PlainProtocol, Bound(connections_max), door)


_BUSY = "the server has as many connections as it may; use fewer and keep them open, or come again"
