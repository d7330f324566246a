"""Randomness as the engine sees it. Only ``net/system.py`` and the simulator implement it."""

from typing import Protocol


class Randomness(Protocol):
    """Unpredictable bytes for secrets and ids, and cheap fractions for jitter."""

    def token(self, size_bytes: int) -> bytes:
        """Return ``size_bytes`` cryptographically strong random bytes."""

    def fraction(self) -> float:
        """Return a uniformly distributed number in [0, 1)."""
