"""What we ask of a client for other people's web servers: Meta's API and files to download. One request at a time; what
went wrong is a value.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

Sink = Callable[[bytes], Awaitable[None]]
"""Takes the next piece of a body. What it raises ends the request and reaches the caller."""


class WebRequest(msgspec.Struct, frozen=True):
    """One request. ``url`` is checked like an endpoint's: http or https, no user name, a vetted address."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    body: bytes = b""
    timeout_seconds: float = 15.0
    """For all of it, up to the last byte of the answer."""
    body_bytes_max: int = 1_048_576
    """Of the answer's body; a longer one is ``Trouble`` ``too_large``."""
    redirects_max: int = 0
    """How many redirects of a GET to follow. Each hop is vetted, and none gets ``Authorization`` or a cookie."""


class WebAnswer(msgspec.Struct, frozen=True):
    """An answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of several with one name the last."""
    body: bytes
    """Empty where it went to a sink."""


class WebTrouble(msgspec.Struct, frozen=True):
    """There was no answer, or not all of it. ``code`` is one of the sender's network codes or ``too_large``,
    ``bad_url``; ``detail`` a short phrase without personal data.
    """

    code: str
    detail: str


class WebClient(Protocol):
    """Asks web servers. Nothing private is reached, whatever a URL or a redirect says."""

    async def ask(self, request: WebRequest) -> WebAnswer | WebTrouble:
        """Send once and take the whole answer."""

    async def download(self, request: WebRequest, sink: Sink) -> WebAnswer | WebTrouble:
        """Send once; the body of a 200 or 206 goes to ``sink`` piece by piece, of any other answer its beginning is
        in ``body``.
        """
