"""A name for each request: the caller's own where it is harmless, else a made one. Random bytes are given in."""

import re
from itertools import count

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Names that no other run of the server gives: a random part made once, and a number that rises."""

    def __init__(self, token: bytes) -> None:
        self._prefix = f"req_{token.hex()}_"
        self._next = count(1).__next__

    def name(self, given: bytes | None) -> str:
        """The name of a request that came with ``X-Request-Id: given``."""
        if given is not None and _HARMLESS.fullmatch(given):
            return given.decode("ascii")
        return self.new()

    def new(self) -> str:
        """The name of a request that came without."""
        return f"{self._prefix}{self._next():x}"
