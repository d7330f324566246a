"""Notices numbers that have gone quiet: nothing came at a time that, by the weeks before, is usually busy.

A number is measured against its own weekday and hour. Told once for each silence. Knows no payload.
"""

from collections.abc import Callable

from whatsync.engine.arrival_counts import UPDATE, ArrivalCounts
from whatsync.engine.directory import Directory
from whatsync.engine.source_directory import RunningNumber, RunningSource
from whatsync.engine.watch import Notice
from whatsync.model import limits
from whatsync.model.timestamp import format_time
from whatsync.ports.clock import Clock

_WEEK_MS = 7 * 86_400_000
_LOOK_BACK_MS = 3 * 86_400_000
_PAUSE_SECONDS = 0.02
_WORDS = (
    "Nothing has come from this number since then, though this time is usually busy. Check that the app is still "
    "subscribed to its business account, and that the source refuses no requests."
)


class Quiet:
    """Looks at all numbers from time to time."""

    def __init__(
        self, directory: Directory, counts: ArrivalCounts, clock: Clock, tell: Callable[[Notice], None]
    ) -> None:
        self._directory = directory
        self._counts = counts
        self._clock = clock
        self._tell = tell
        self._told: dict[str, int] = {}
        """By number: the silence that was told, by when it began."""
        self.standing: dict[str, int] = {}
        """By number: since when it is quiet, as of the last look."""

    async def look(self) -> None:
        """Look at every number that belongs to an account."""
        whatsapp = self._directory.whatsapp
        for running in list(whatsapp.numbers.values()):
            source = whatsapp.sources.get(running.number.source)
            if running.account and source is not None:
                await self._look_at(source, running)
                await self._clock.sleep(_PAUSE_SECONDS)

    async def silent(self, source: RunningSource, running: RunningNumber) -> tuple[int, int] | None:
        """Since when a number is quiet, and how many updates are usual in that time; ``None`` where it is not."""
        now_ms = self._clock.now_ms()
        number = running.number.id
        recent = await self._counts.between(source.row, now_ms - _LOOK_BACK_MS, now_ms + 1, number)
        last_ms = max((one.last_ms for one in recent if one.what == UPDATE), default=None)
        if last_ms is None or now_ms - last_ms < limits.QUIET_SECONDS_MIN * 1000:
            return None
        usual, weeks = 0, 0
        for week in range(1, limits.QUIET_WEEKS + 1):
            past_ms = week * _WEEK_MS
            counts = await self._counts.between(source.row, last_ms - past_ms, now_ms - past_ms, number)
            came = sum(one.count for one in counts if one.what == UPDATE)
            usual, weeks = usual + came, weeks + (came > 0)
        # One busy week is no habit.
        expected = usual // limits.QUIET_WEEKS
        return (last_ms, expected) if weeks >= 2 and expected >= limits.QUIET_EVENTS_MIN else None

    async def _look_at(self, source: RunningSource, running: RunningNumber) -> None:
        found = await self.silent(source, running)
        number = running.number
        if found is None:
            self.standing.pop(number.id, None)
            return
        since_ms, expected = found
        self.standing[number.id] = since_ms
        if self._told.get(number.id) == since_ms:
            return
        self._told[number.id] = since_ms
        data = {
            "number": number.id,
            "name": number.name or number.display,
            "lastEventAt": format_time(since_ms),
            "expectedEvents": expected,
            "error": _WORDS,
        }
        # The id is made of the silence, so that telling it again after a restart is the same event.
        self._tell(
            Notice(running.account, "number.quiet", f"evt_quiet_{running.document.row}_{since_ms // 1000}", data)
        )
