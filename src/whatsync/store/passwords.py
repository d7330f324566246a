"""Passwords at rest: argon2id, worked out in a thread of its own so that the event loop goes on. Knows no user."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from whatsync.model import limits
from whatsync.model.errors import Unavailable
from whatsync.ports.randomness import Randomness

Result = TypeVar("Result")

_SALT_BYTES = 16
_TIME_COST = 3
_MEMORY_KIB = 32 * 1024


class Argon2Passwords:
    """Implements ``ports.passwords.Passwords``. One at a time: a flood takes one core and 32 MiB at most."""

    def __init__(self, randomness: Randomness) -> None:
        self._hasher = PasswordHasher(time_cost=_TIME_COST, memory_cost=_MEMORY_KIB, parallelism=1)
        self._randomness = randomness
        self._thread: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """Hash under a fresh salt. Raises Unavailable."""
        return await self._work(self._hash, password)

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Check one; without a hash a made-up one is checked, so that nobody learns who is known here."""
        return await self._work(self._matches, password, hashed)

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self, work: Callable[..., Result], *arguments: object) -> Result:
        if self._waiting >= limits.PASSWORDS_WAITING_MAX:
            raise Unavailable("busy", "too many people are signing in at this moment; try again", 2)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "passwords")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        finally:
            self._waiting -= 1

    def _hash(self, password: str) -> str:
        return self._hasher.hash(password, salt=self._randomness.token(_SALT_BYTES))

    def _matches(self, password: str, hashed: str | None) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hash("")
        try:
            self._hasher.verify(self._nobodys if hashed is None else hashed, password)
        except (VerificationError, InvalidHashError):
            return False
        return hashed is not None
