"""Processes raw bodies again: when a number gets its account, after an upgrade, or when somebody asks for it.

Events that exist are passed over, so nothing comes twice. Knows no payload: how one is read is given to it.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from whatsync.engine.directory import Directory
from whatsync.engine.intake import Reception, Taken, unpacked
from whatsync.engine.ownership import UNASSIGNED
from whatsync.engine.source_directory import RunningSource
from whatsync.model import limits
from whatsync.model.arrival import Reading
from whatsync.model.errors import NotFound, Problem
from whatsync.model.ids import ms_of
from whatsync.ports.arrivals import SetAsideQuery, SetAsideRow
from whatsync.ports.clock import Clock
from whatsync.ports.history import History

Read = Callable[[bytes, int], Reading]
"""Reads a raw body that came at a time."""

_LOOK_SECONDS = 60.0
_PAUSE_SECONDS = 0.02

logger = logging.getLogger(__name__)


class Again(msgspec.Struct, frozen=True):
    """What processing again came to. ``more``: there are more bodies; ask again."""

    bodies: int
    events: int
    set_aside: int
    more: bool


class Reprocessing:
    """Processes again what was kept."""

    def __init__(self, directory: Directory, history: History, reception: Reception, clock: Clock, read: Read) -> None:
        self._directory = directory
        self._history = history
        self._reception = reception
        self._clock = clock
        self._read = read
        self._numbers: dict[str, None] = {}
        self._wakeup = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def body(self, source: RunningSource, seq: int) -> Taken:
        """Process one body again. Raises NotFound, Unavailable."""
        found = await self._history.body(seq)
        if found is None or found.source != source.row:
            raise NotFound("body_not_found", "there is no such raw body; they are kept as long as events are")
        raw = unpacked(found.body)
        return await self._reception.take_in(source, raw, self._read(raw, ms_of(seq)), again=seq)

    async def set_aside(self, source: RunningSource) -> Again:
        """Process again some bodies of which something is set aside. Raises Unavailable."""
        query = SetAsideQuery(source.row, limit=limits.PAGE_ITEMS_MAX)
        rows = await self._history.set_aside(query)
        bodies = list(dict.fromkeys(row.body for row in rows))[: limits.BODIES_AGAIN_PER_STEP]
        taken = [await self.body(source, seq) for seq in bodies]
        more = len(rows) == limits.PAGE_ITEMS_MAX or len(bodies) == limits.BODIES_AGAIN_PER_STEP
        return Again(len(bodies), sum(one.events for one in taken), sum(one.set_aside for one in taken), more)

    # Numbers that got an account

    def look(self, number: str) -> None:
        """A number has got an account: process what came before."""
        self._numbers[number] = None
        self._idle.clear()
        self._wakeup.set()

    async def done(self) -> None:
        """Return when nothing waits to be processed again."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work the numbers off, for ever; look from time to time for what another server set aside meanwhile."""
        while True:
            await self._look_for_more()
            while self._numbers:
                number = next(iter(self._numbers))
                try:
                    await self._number(number)
                except Problem as problem:
                    logger.warning("what came for a number will be processed later: %s", problem.code)
                    await self._clock.sleep(1.0)
                else:
                    self._numbers.pop(number, None)
            self._idle.set()
            self._wakeup.clear()
            waking = asyncio.ensure_future(self._wakeup.wait())
            sleeping = asyncio.ensure_future(self._clock.sleep(_LOOK_SECONDS))
            try:
                await asyncio.wait({waking, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waking.cancel()
                sleeping.cancel()

    async def _look_for_more(self) -> None:
        rows = await self._history.set_aside(SetAsideQuery(reason=UNASSIGNED, limit=limits.PAGE_ITEMS_MAX))
        for row in rows:
            known = self._directory.whatsapp.numbers.get(row.number or "")
            if known is not None and known.account:
                self._numbers[known.number.id] = None

    async def _number(self, number: str) -> None:
        """Everything that waits for a number: oldest last, since events keep their own time."""
        tried: set[int] = set()
        while True:
            rows = [
                *await self._history.set_aside(SetAsideQuery(number=number, reason=UNASSIGNED, limit=200)),
                *await self._of_business(number),
            ]
            bodies = [seq for seq in dict.fromkeys(row.body for row in rows) if seq not in tried]
            if not bodies:
                return
            for seq in sorted(bodies):
                tried.add(seq)
                await self._one(seq)
                await self._clock.sleep(_PAUSE_SECONDS)

    async def _of_business(self, number: str) -> list[SetAsideRow]:
        """What came for a business account as a whole, while it had no number with an account."""
        running = self._directory.whatsapp.numbers.get(number)
        source = None if running is None else self._directory.whatsapp.sources.get(running.number.source)
        if source is None:
            return []
        query = SetAsideQuery(source.row, reason=UNASSIGNED, limit=200)
        return [row for row in await self._history.set_aside(query) if row.number is None]

    async def _one(self, seq: int) -> None:
        found = await self._history.body(seq)
        if found is None:
            return
        for source in self._directory.whatsapp.sources.values():
            if source.row == found.source:
                await self.body(source, seq)
                return
