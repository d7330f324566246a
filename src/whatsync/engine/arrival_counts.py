"""Counts of what sources bring, by quarters of an hour: gathered in memory, written down every few seconds.

A crash loses the last seconds of them and nothing else. Knows no payload.
"""

import logging

from whatsync.model import limits
from whatsync.ports.arrivals import Count
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.store import Store, StoreUnavailable

WEBHOOK, UPDATE, DUPLICATE, ASIDE, REJECTED = "webhook", "update", "duplicate", "set_aside", "rejected"
SAMPLE = "sample"
"""A webhook that is Meta's own test."""
_SLOT_MS = limits.ARRIVAL_SLOT_SECONDS * 1000

logger = logging.getLogger(__name__)

Key = tuple[int, str, int, str]


class ArrivalCounts:
    """All counts since the last time they were written, and a way to ask for all."""

    def __init__(self, store: Store, history: History, clock: Clock) -> None:
        self._store = store
        self._history = history
        self._clock = clock
        self._waiting: dict[Key, Count] = {}
        self._writing: dict[Key, Count] = {}

    def add(self, source: int, what: str, number: str = "", count: int = 1) -> None:
        """Count something that happens now."""
        if count:
            now_ms = self._clock.now_ms()
            key = (source, number, now_ms - now_ms % _SLOT_MS, what)
            self._waiting[key] = merged(self._waiting.get(key), Count(*key, count, now_ms, now_ms))

    async def flush(self) -> None:
        """Write down what waits. Called again and again; what the store can't take now waits on."""
        if not self._waiting:
            return
        self._writing, self._waiting = self._waiting, {}
        try:
            await self._store.count_arrivals(list(self._writing.values()))
        except StoreUnavailable as problem:
            logger.warning("counts of sources will be written later: %s", problem)
            for key, one in self._writing.items():
                self._waiting[key] = merged(self._waiting.get(key), one)
        finally:
            self._writing = {}

    async def between(self, source: int, since_ms: int, until_ms: int, number: str | None = "") -> list[Count]:
        """Counts of a source in slots that began within a time, oldest first; ``number`` empty: of the source itself,
        ``None``: all.
        """
        found: dict[Key, Count] = {}
        held = [*self._writing.values(), *self._waiting.values()]
        stored = await self._history.arrivals(source, number, since_ms, until_ms)
        for one in (*stored, *held):
            wanted = one.source == source and (number is None or one.number == number)
            if wanted and since_ms <= one.start_ms < until_ms:
                key = (one.source, one.number, one.start_ms, one.what)
                found[key] = merged(found.get(key), one)
        return sorted(found.values(), key=lambda one: (one.start_ms, one.number, one.what))


def merged(known: Count | None, one: Count) -> Count:
    """Two counts of one slot as one."""
    if known is None:
        return one
    first, last = min(known.first_ms, one.first_ms), max(known.last_ms, one.last_ms)
    return Count(one.source, one.number, one.start_ms, one.what, known.count + one.count, first, last)
