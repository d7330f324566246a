"""One HTTP request to a customer, as the engine asks for it and as the outcome comes back.

Expected failures of the network are values, never exceptions: ``send`` raises only on a bug or when it is cancelled.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from whatsync.model.url import Target

__all__ = ["Answer", "Failure", "Request", "Sender", "Target", "TargetCheck", "Timing", "UnderWay"]


class Request(msgspec.Struct, frozen=True, gc=False):
    """One POST, ready to be written: ``head`` is the request line and all header lines including the empty line at the
    end.
    """

    target: Target
    head: bytes
    body: bytes
    connect_timeout_seconds: float
    timeout_seconds: float
    """In all, from the call to ``send`` until status line and headers have arrived."""


class Timing(msgspec.Struct, frozen=True, gc=False):
    """Microseconds each phase took; ``None`` where the phase did not happen (a reused connection has no DNS, connect or
    TLS).
    """

    dns_us: int | None = None
    connect_us: int | None = None
    tls_us: int | None = None
    first_byte_us: int | None = None
    """From the request being written to the first byte of the answer."""
    download_us: int | None = None
    total_us: int = 0


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A complete status line and header block arrived in time; the body is kept up to the limit."""

    status: int
    headers: bytes
    """Header lines as received, CRLF separated, without the status line and the final empty line."""
    body: bytes
    truncated: bool
    """The body was longer than what is kept, or did not end in time or properly."""
    address: str
    reused: bool
    timing: Timing
    retry_after: str | None = None
    """Raw value of ``Retry-After`` where the answer carried one."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """No usable answer. ``code`` is one of ``model.outcome.NETWORK_CODES``; ``detail`` is a short technical phrase for
    the history page.
    """

    code: str
    detail: str
    timing: Timing
    address: str | None = None
    reused: bool = False


class UnderWay(Protocol):
    """A request that was begun."""

    def cancel(self) -> object:
        """Nobody waits for it any more: close its connection. Nobody is told of an outcome."""


class Sender(Protocol):
    """Sends requests to vetted addresses only, each within its own time and byte limits."""

    async def send(self, request: Request) -> Answer | Failure:
        """Send once and return what happened. Cancelling it closes the connection."""

    def begin(self, request: Request, done: Callable[[Answer | Failure], None]) -> UnderWay:
        """The same without a task: ``done`` is called once, after this has returned, unless the request is cancelled.

        ``done`` must not raise.
        """

    async def close(self) -> None:
        """Close every connection; requests under way end as failures."""


class TargetCheck(Protocol):
    """Tells in advance whether a URL could be reached, for the moment it is saved. Each request is checked again."""

    async def check(self, target: Target, timeout_seconds: float) -> Failure | None:
        """Look the host up and judge its addresses; ``None`` if one may be reached. Nothing is connected to."""
