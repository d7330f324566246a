"""Bodies on their way in: what has arrived in part counts as memory, for each request and for all of them together."""

from whatsync.engine.tally import Tally
from whatsync.model import limits
from whatsync.model.errors import TooLarge, Unavailable


class Arriving:
    """The parts of one body. ``take`` has to follow, whatever becomes of the request."""

    __slots__ = ("_parts", "_size", "_tally")

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        """Keep a part. Raises TooLarge, or Unavailable where all bodies that arrive take too much room."""
        size, tally = len(part), self._tally
        if self._size + size > limits.REQUEST_BYTES_MAX:
            raise body_too_large()
        if tally.arriving_bytes + size > limits.ARRIVING_BYTES_MAX:
            raise overloaded()
        self._parts.append(part)
        self._size += size
        tally.arriving_bytes += size

    def take(self) -> bytes:
        """Hand out what has arrived: from now on it counts no more. The second time there is nothing."""
        parts, self._parts = self._parts, []
        self._tally.arriving_bytes -= self._size
        self._size = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)


def body_too_large(most: int = limits.REQUEST_BYTES_MAX) -> TooLarge:
    """The problem of a request over its limit."""
    return TooLarge("request_too_large", f"a request may have at most {most:,} bytes; send less at a time")


def overloaded() -> Unavailable:
    """The problem of a request for which there is no room in memory."""
    return Unavailable("overloaded", "too many requests are under way; try again", retry_after_seconds=1)
