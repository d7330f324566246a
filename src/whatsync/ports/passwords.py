"""Passwords as the engine asks for them: hashed and checked slowly, on purpose, beside the event loop."""

from typing import Protocol


class Passwords(Protocol):
    """Turns passwords into hashes that are dear to guess. Both calls raise Unavailable while too many wait."""

    async def hash(self, password: str) -> str:
        """Hash a new password; the text says how it was made."""

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether it is the password of ``hashed``. ``None`` takes as long and is never right."""
