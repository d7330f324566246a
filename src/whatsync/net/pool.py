"""The idle connections: which one a request may reuse, how many are kept, and which goes first when room is needed.

Knows no bytes; a connection tells when it is free or gone.
"""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

from whatsync.net.connection import Connection
from whatsync.net.deadlines import Deadlines
from whatsync.net.origin import Origin
from whatsync.net.sender_limits import SenderLimits
from whatsync.net.socket_budget import SocketBudget
from whatsync.net.statistics import SenderStatistics

_LOOKED_AT = 100


class Pool:
    """Keeps connections alive between requests, at most so many for one origin, and closes the oldest when asked."""

    def __init__(
        self,
        *,
        limits: SenderLimits,
        now: Callable[[], float],
        deadlines: Deadlines,
        statistics: SenderStatistics,
    ) -> None:
        self.limits = limits
        self.now = now
        self.deadlines = deadlines
        self.statistics = statistics
        self.budget: SocketBudget
        self.closed = False
        self._plain: OrderedDict[Connection, None] = OrderedDict()
        self._encrypted: OrderedDict[Connection, None] = OrderedDict()

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._plain) + len(self._encrypted)

    def take(self, origin: Origin) -> Connection:
        """The connection of ``origin`` that was used last; there must be one."""
        connection: Connection = origin.idle.pop()
        del (self._encrypted if origin.secure else self._plain)[connection]
        return connection

    def put(self, connection: Connection) -> bool:
        """Keep a connection for the next request, if need be instead of another; ``False``: better close it."""
        origin = connection.origin
        idle = origin.idle
        if self.budget.waiting or self.closed or len(idle) >= self.limits.idle_per_origin:
            return False
        if origin.secure:
            kept, kept_max = self._encrypted, self.limits.idle_encrypted_max
        else:
            kept, kept_max = self._plain, self.limits.idle_max
        idle.append(connection)
        kept[connection] = None
        if len(kept) > kept_max:
            self._close_idle(next(iter(kept)))
        return True

    def forget(self, connection: Connection) -> None:
        """An idle connection is gone."""
        origin = connection.origin
        origin.idle.remove(connection)
        del (self._encrypted if origin.secure else self._plain)[connection]

    def evict(self, slow_only: bool) -> bool:
        """Close the connection that has been idle longest; ``False`` where none is idle.

        ``slow_only`` takes one of a slow origin, if there is one among those that have been idle longest.
        """
        oldest = [
            connection
            for kept in (self._plain, self._encrypted)
            for connection in islice(kept, _LOOKED_AT if slow_only else 1)
            if connection.origin.slow or not slow_only
        ]
        if not oldest:
            return False
        self._close_idle(min(oldest, key=lambda connection: connection.idle_until))
        return True

    def _close_idle(self, connection: Connection) -> None:
        self.statistics.connections_evicted += 1
        connection.close()
