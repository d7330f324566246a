"""What a connection writes to, encrypted or not."""

from typing import Final, Protocol


class Stream(Protocol):
    """What a connection writes to: asyncio's transport or our TLS over it."""

    def write(self, data: bytes) -> None:
        """Send, or queue what the socket does not take."""

    def close(self) -> None:
        """Send what is queued, then close."""

    def abort(self) -> None:
        """Close at once."""


class _Nowhere:
    """The stream of a connection that has none yet."""

    def write(self, data: bytes) -> None:
        raise AssertionError("a request was sent before there was a connection")

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


NOWHERE: Final = _Nowhere()
"""Where a connection writes before it has a stream."""
