"""The real clock and the real randomness: the only file of the package that touches either; all else is given them."""

import asyncio
import os
import random
import threading
import time

_POOL_BYTES = 4_096

thread_seconds = time.thread_time
"""Processor time this thread has had: unlike the clock it stands while the thread waits for a core or a lock."""


class SystemClock:
    """The machine's clocks. Implements ``ports.clock.Clock``."""

    monotonic = staticmethod(time.monotonic)

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of monotonic time."""
        await asyncio.sleep(seconds)


class SystemRandomness:
    """The operating system's randomness, read ahead in blocks. Implements ``ports.randomness.Randomness``.

    Safe from several threads; the pool is thrown away in a forked child, so that no bytes are ever handed out twice.
    """

    fraction = staticmethod(random.random)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = b""
        self._at = 0
        os.register_at_fork(after_in_child=self._forget)

    def token(self, size_bytes: int) -> bytes:
        """Return ``size_bytes`` cryptographically strong random bytes, each handed out once."""
        if size_bytes > _POOL_BYTES // 4:
            return os.urandom(size_bytes)
        with self._lock:
            begin = self._at
            end = begin + size_bytes
            if end > len(self._pool):
                self._pool = os.urandom(_POOL_BYTES)
                begin, end = 0, size_bytes
            self._at = end
            return self._pool[begin:end]

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._pool = b""
        self._at = 0
