"""Keeps the server's loops alive and its periodic work going; says which of them is dead. Decides nothing else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from whatsync.ports.clock import Clock
from whatsync.ports.store import StoreUnavailable

logger = logging.getLogger(__name__)

_BACK_OFF_SECONDS_FIRST = 0.5
_BACK_OFF_SECONDS_MAX = 30.0
_STORE_PAUSE_SECONDS = 2.0
_TRIAL_SECONDS = 5.0
"""A loop that was started again counts as dead for this long still."""
_WELL_SECONDS = 60.0
"""A loop that ran this long before it died begins its back-off anew."""


class Runner:
    """Supervises named loops. A loop that ends or raises was broken by a bug: it is logged and started again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loops: dict[str, Callable[[], Awaitable[object]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._died: dict[str, tuple[float, str]] = {}
        self.restarts = 0
        self.ready = False
        """Everything is loaded and nothing is shutting down."""

    @property
    def dead(self) -> dict[str, str]:
        """Loops that died and have not been well since, with the last error."""
        now = self._clock.monotonic()
        return {name: problem for name, (until, problem) in self._died.items() if now < until}

    def add(self, name: str, loop: Callable[[], Awaitable[object]]) -> None:
        """A loop that runs for ever."""
        self._loops[name] = loop

    def add_every(self, name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        """Work to be done again and again with a pause between."""

        async def again() -> None:
            while True:
                await self._clock.sleep(seconds)
                await work()

        self._loops[name] = again

    def start(self) -> None:
        """Start everything that was added."""
        for name, loop in self._loops.items():
            self._tasks.append(asyncio.get_running_loop().create_task(self._keep(name, loop), name=name))
        self.ready = True

    async def stop(self) -> None:
        """Cancel all loops and wait for their end."""
        self.ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: str, loop: Callable[[], Awaitable[object]]) -> None:
        pause = _BACK_OFF_SECONDS_FIRST
        while True:
            started = self._clock.monotonic()
            try:
                await loop()
                problem = "it ended"
            except StoreUnavailable as reason:
                # Not a bug: the store says by itself what is wrong, and the loop goes on when it is over.
                logger.warning("the loop %s waits for the store: %s", name, reason.reason)
                await self._clock.sleep(_STORE_PAUSE_SECONDS)
                continue
            except Exception as bug:
                problem = type(bug).__name__
                logger.exception("the loop %s died and is started again in %.1f s", name, pause)
            else:
                logger.error("the loop %s ended and is started again in %.1f s", name, pause)
            self.restarts += 1
            now = self._clock.monotonic()
            if now - started > _WELL_SECONDS:
                pause = _BACK_OFF_SECONDS_FIRST
            self._died[name] = (now + pause + _TRIAL_SECONDS, problem)
            await self._clock.sleep(pause)
            pause = min(pause * 2, _BACK_OFF_SECONDS_MAX)
