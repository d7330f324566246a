"""The idle connections: which one a request may reuse, how many are kept, and which goes first when room is needed.

Knows no bytes; a connection tells when it is free or gone.
"""

from collections import OrderedDict
from collections.abc import Callable

from whatsync.net.connection import Connection
from whatsync.net.deadlines import Deadlines
from whatsync.net.origin import Origin
from whatsync.net.sender_limits import SenderLimits
from whatsync.net.socket_budget import SocketBudget
from whatsync.net.statistics import SenderStatistics


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
        self._idle: OrderedDict[Connection, None] = OrderedDict()

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    def take(self, origin: Origin) -> Connection:
        """The connection of ``origin`` that was used last; there must be one."""
        connection: Connection = origin.idle.pop()
        del self._idle[connection]
        return connection

    def put(self, connection: Connection) -> bool:
        """Keep a connection for the next request; ``False`` where it is better closed."""
        idle = connection.origin.idle
        if self.budget.waiting or self.closed or len(idle) >= self.limits.idle_per_origin:
            return False
        idle.append(connection)
        self._idle[connection] = None
        return True

    def forget(self, connection: Connection) -> None:
        """An idle connection is gone."""
        connection.origin.idle.remove(connection)
        del self._idle[connection]

    def evict(self) -> bool:
        """Close the connection that has been idle longest; ``False`` where none is idle."""
        if not self._idle:
            return False
        self.statistics.connections_evicted += 1
        next(iter(self._idle)).close()
        return True
