"""Brings outcomes to the store in group commits, never drops one, and closes the gate while they can't be written.

Knows the store, not the lanes: whoever hands in an outcome is called back when it is on disk.
"""

import asyncio
import logging
from collections.abc import Callable

from whatsync.model import limits
from whatsync.model.health import Health
from whatsync.ports.clock import Clock
from whatsync.ports.store import AttemptRow, HealthRow, Recorded, Store, StoreUnavailable

logger = logging.getLogger(__name__)

Recorded1 = Callable[[bool], None]
"""Called once per outcome when it is on disk; the argument says whether its claim still held."""

_PAUSE_SECONDS_FIRST = 0.2
_PAUSE_SECONDS_MAX = 5.0


class Recorder:
    """Collects finished attempts while a commit is under way and writes them as the next one."""

    def __init__(
        self, store: Store, clock: Clock, on_forwarded: Callable[[int], None], on_gate: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_forwarded = on_forwarded
        self._on_gate = on_gate
        self._rows: list[AttemptRow] = []
        self._callbacks: list[Recorded1] = []
        self._health: dict[int, Health] = {}
        self._task: asyncio.Task[None] | None = None
        self._writing = 0
        self._failing = False
        self.gate_open = True
        """Whether a new attempt may start: not while outcomes can't be written, so that a broken disk repeats nothing.
        """
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def unrecorded(self) -> int:
        """Finished attempts that are not on disk yet."""
        return len(self._rows) + self._writing

    def add(self, row: AttemptRow, recorded: Recorded1, health: Health | None = None) -> None:
        """Take one outcome; ``health`` where the endpoint's health changed with it."""
        rows = self._rows
        rows.append(row)
        self._callbacks.append(recorded)
        if health is not None:
            self._health[row.endpoint] = health
        if len(rows) + self._writing >= limits.OUTCOMES_UNRECORDED_MAX:
            self.gate_open = False
        if self._task is None:
            self._idle.clear()
            self._task = asyncio.get_running_loop().create_task(self._write())

    def keep_health(self, endpoint: int, health: Health) -> None:
        """Write an endpoint's health that no attempt brings along, behind everything handed in before."""
        self._health[endpoint] = health
        if self._task is None:
            self._idle.clear()
            self._task = asyncio.get_running_loop().create_task(self._write())

    async def drained(self) -> None:
        """Return when everything handed in is on disk."""
        await self._idle.wait()

    async def _write(self) -> None:
        try:
            while self._rows or self._health:
                rows, callbacks, health = self._rows, self._callbacks, self._health
                self._rows, self._callbacks, self._health = [], [], {}
                self._writing = len(rows)
                result = await self._persist(rows, [HealthRow(row, value) for row, value in health.items()])
                self._written(rows, callbacks, result)
        finally:
            self._task = None
            self._idle.set()

    async def _persist(self, rows: list[AttemptRow], health: list[HealthRow]) -> Recorded:
        """Write until it is written: an outcome is never given up."""
        pause = _PAUSE_SECONDS_FIRST
        while True:
            try:
                return await self._store.record(rows, health)
            except StoreUnavailable as problem:
                self._close_gate(problem)
                await self._clock.sleep(pause)
                pause = min(pause * 2, _PAUSE_SECONDS_MAX)
            except Exception:
                logger.exception("%d outcomes can't be written together", len(rows))
                return await self._persist_apart(rows, health)

    async def _persist_apart(self, rows: list[AttemptRow], health: list[HealthRow]) -> Recorded:
        """One outcome that can't be written, a bug of ours, costs no other; it is repeated at the next start."""
        if len(rows) <= 1:
            return Recorded(tuple(row.delivery for row in rows))
        middle = len(rows) // 2
        first = await self._persist(rows[:middle], health)
        second = await self._persist(rows[middle:], [])
        return Recorded((*first.stale, *second.stale), (*first.forwarded, *second.forwarded))

    def _close_gate(self, problem: StoreUnavailable) -> None:
        if not self._failing:
            logger.error("outcomes can't be written, no new attempt starts: %s", problem.reason)
        self._failing = True
        self.gate_open = False

    def _written(self, rows: list[AttemptRow], callbacks: list[Recorded1], result: Recorded) -> None:
        was_closed = not self.gate_open
        self._writing = 0
        self._failing = False
        self.gate_open = len(self._rows) < limits.OUTCOMES_UNRECORDED_MAX
        stale = set(result.stale)
        for row, recorded in zip(rows, callbacks, strict=True):
            recorded(row.delivery not in stale)
        for endpoint in result.forwarded:
            self._on_forwarded(endpoint)
        if was_closed:
            self._on_gate()
