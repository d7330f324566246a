"""Looks from time to time for files without a row (a crash came between the two) and removes them.

Knows rows and files, nothing of where they come from.
"""

import logging
from collections.abc import Set as AbstractSet

from whatsync.engine.media import Media
from whatsync.model import limits
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.media_store import MediaUnavailable

logger = logging.getLogger(__name__)

_FILES_PER_TURN = 200
_PAUSE_SECONDS = 0.1
_FIRST_SECONDS = 600.0


class MediaSweep:
    """One pass over all files, asked for again and again."""

    def __init__(self, *, media: Media, history: History, clock: Clock, keeping: AbstractSet[str]) -> None:
        self._media = media
        self._history = history
        self._clock = clock
        self._keeping = keeping

    async def run(self) -> None:
        """Pass over all files every few hours, for ever; the first time when the start is well over."""
        await self._clock.sleep(_FIRST_SECONDS)
        while True:
            try:
                await self.pass_once()
            except MediaUnavailable as problem:
                logger.warning("media files can't be swept now: %s", problem.reason)
            await self._clock.sleep(limits.MEDIA_SWEEP_SECONDS)

    async def pass_once(self) -> int:
        """Pass over all files once; returns how many were removed. Raises MediaUnavailable."""
        now_ms = self._clock.now_ms()
        await self._media.files.sweep(now_ms)
        before_ms = now_ms - limits.MEDIA_ORPHAN_SECONDS * 1000
        removed = examined = 0
        async for kept in self._media.files.files():
            examined += 1
            if examined % _FILES_PER_TURN == 0:
                await self._clock.sleep(_PAUSE_SECONDS)
            if kept.modified_ms < before_ms and await self._is_orphan(kept.name):
                await self._media.files.remove(kept.name)
                removed += 1
        self._media.tally.orphans += removed
        if removed:
            logger.info("media files without a row were removed", extra={"files": removed})
        return removed

    async def _is_orphan(self, name: str) -> bool:
        return name not in self._keeping and await self._history.media(name) is None and name not in self._keeping
