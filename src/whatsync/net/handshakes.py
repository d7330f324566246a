"""The computing of TLS handshakes, in small portions, so that many at once never hold up the event loop.

A handshake that waits for its peer costs nothing here; only steps that can be done now stand in line.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from whatsync.net.statistics import SenderStatistics
from whatsync.net.system import thread_seconds


class Handshaking(Protocol):
    """One handshake under way. ``queued`` belongs to the queue."""

    queued: bool
    begun: bool

    def step(self) -> None:
        """Do what the bytes that arrived allow."""


class HandshakeQueue:
    """Runs steps in the order they become possible, those already begun first, for a while in each turn of the loop."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        turn_seconds: float,
        statistics: SenderStatistics,
        processor: Callable[[], float] = thread_seconds,
    ) -> None:
        self._loop = loop
        self._now = now
        self._processor = processor
        self._turn_seconds = turn_seconds
        self._statistics = statistics
        self._begun: deque[Handshaking] = deque()
        self._new: deque[Handshaking] = deque()
        self._running = False

    def put(self, handshake: Handshaking) -> None:
        """Let the handshake take its next step soon."""
        if handshake.queued:
            return
        handshake.queued = True
        (self._begun if handshake.begun else self._new).append(handshake)
        if not self._running:
            self._running = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        before = started = self._now()
        cpu_before = self._processor()
        longest = 0.0
        try:
            while queue := self._begun or self._new:
                handshake = queue.popleft()
                handshake.queued = False
                handshake.step()
                after = self._now()
                longest = max(longest, after - before)
                before = after
                if after - started >= self._turn_seconds:
                    break
        finally:
            statistics = self._statistics
            statistics.handshake_longest_us = max(statistics.handshake_longest_us, int(longest * 1_000_000))
            held_us = int((before - started) * 1_000_000)
            statistics.handshake_turn_longest_us = max(statistics.handshake_turn_longest_us, held_us)
            cpu_us = int((self._processor() - cpu_before) * 1_000_000)
            statistics.handshake_turn_longest_cpu_us = max(statistics.handshake_turn_longest_cpu_us, cpu_us)
            self._running = bool(self._begun or self._new)
            if self._running:
                self._loop.call_soon(self._turn)
