"""What the sender counts about itself. Plain numbers, written by one thread and read by whoever shows metrics."""

from whatsync.model.outcome import NETWORK_CODES


class SenderStatistics:
    """Counters since the start, except ``open_sockets``, which is how many there are now."""

    __slots__ = (
        "connections_evicted",
        "connections_opened",
        "connections_reused",
        "connections_stale",
        "failures",
        "handshake_longest_us",
        "handshake_turn_longest_cpu_us",
        "handshake_turn_longest_us",
        "handshakes",
        "handshakes_resumed",
        "requests",
    )

    def __init__(self) -> None:
        self.requests = 0
        """Requests ended, with an answer or without."""
        self.connections_opened = 0
        self.connections_reused = 0
        """Requests sent on a connection that had carried one before."""
        self.connections_stale = 0
        """Of these, how many were repeated because the peer had closed the connection meanwhile."""
        self.connections_evicted = 0
        self.handshakes = 0
        """TLS handshakes completed, resumed ones included."""
        self.handshakes_resumed = 0
        self.handshake_longest_us = 0
        """The longest single step of a handshake."""
        self.handshake_turn_longest_us = 0
        """The longest that handshakes held the event loop at a stretch."""
        self.handshake_turn_longest_cpu_us = 0
        """The most processor time they took at a stretch; what is missing to the above is waiting for a core."""
        self.failures: dict[str, int] = dict.fromkeys(NETWORK_CODES, 0)

    def as_dict(self) -> dict[str, int]:
        """All counters by name, except ``failures``, which has counters of its own."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "failures"}
