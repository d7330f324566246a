"""What the sender remembers of one scheme, host and port: its idle connections and whether it answers quickly.

Holds no policy about sockets; ``SocketBudget`` reads ``slow`` and counts ``sockets``.
"""

from typing import Any

Key = tuple[str, str, int]


class Origin:
    """One place requests go to. A new one counts as slow until its first quick answer: it has proven nothing yet."""

    __slots__ = ("address", "host", "idle", "port", "quick_answers_needed", "secure", "slow", "sockets")

    def __init__(self, key: Key) -> None:
        scheme, self.host, self.port = key
        self.secure = scheme == "https"
        self.idle: list[Any] = []
        """Its connections that wait for a request, kept by ``Pool``; the one used last stands last."""
        self.sockets = 0
        self.slow = True
        self.quick_answers_needed = 1
        self.address: str | None = None
        """The address that was reached last; it is tried first the next time."""

    @property
    def unused(self) -> bool:
        """Whether it can be forgotten without harm."""
        return self.sockets == 0 and not self.idle
