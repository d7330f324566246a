"""Host names to addresses, as the engine asks for them when somebody types a URL. Judges no address."""

from typing import Protocol

import msgspec


class Addresses(msgspec.Struct, frozen=True):
    """What a name led to."""

    found: tuple[str, ...]
    """Numeric addresses, none where there is a problem."""
    problem: str = ""
    """Why there are none, as a clause: ``the name does not exist``."""


class Names(Protocol):
    """Looks host names up."""

    async def addresses(self, host: str, seconds: float) -> Addresses:
        """Look up ``host``, a name or an address, waiting no longer than ``seconds``."""
