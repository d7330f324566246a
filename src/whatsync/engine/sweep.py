"""Settles what an endpoint's change means for its open deliveries, in small steps: hold, cancel, release.

The change itself is already durable; each step here is too, so a restart goes on where it stopped.
"""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import ENDPOINT, Directory, RunningEndpoint
from whatsync.engine.dispatch import Dispatcher
from whatsync.model.delivery import Happening
from whatsync.model.endpoint import Release
from whatsync.model.errors import Problem
from whatsync.ports.clock import Clock
from whatsync.ports.store import Backlog, Change, Put, Settlement, Store, StoreUnavailable

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0


class Sweep:
    """A queue of endpoint rows to look at, worked off by one task."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        configuration: Configuration,
        dispatcher: Dispatcher,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._store = store
        self._configuration = configuration
        self._dispatcher = dispatcher
        self._clock = clock
        self._accounts: dict[int, int] = {}
        self._waiting: dict[int, None] = {}
        self._wakeup = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def load(self, backlog: Sequence[Backlog]) -> None:
        """Take up what a crash or stop left half done."""
        self._accounts = {row: running.account.row for row, running in self._directory.endpoints.items()}
        for waiting in backlog:
            self._accounts[waiting.endpoint] = waiting.account
            known = self._directory.endpoints.get(waiting.endpoint)
            if known is None or not known.endpoint.enabled or known.endpoint.release is not None:
                self.look(waiting.endpoint)

    def look(self, endpoint: int) -> None:
        """The endpoint changed: see what its deliveries need."""
        running = self._directory.endpoints.get(endpoint)
        if running is not None:
            self._accounts[endpoint] = running.account.row
        self._waiting[endpoint] = None
        self._idle.clear()
        self._wakeup.set()

    def look_all(self) -> None:
        """Look at every endpoint that may need it: this node has just begun to do this work."""
        for row, running in self._directory.endpoints.items():
            if not running.endpoint.enabled or running.endpoint.release is not None:
                self.look(row)

    def look_gone(self, endpoint: int, account: int) -> None:
        """An endpoint that is no more has open deliveries."""
        self._accounts[endpoint] = account
        self.look(endpoint)

    async def settled(self) -> None:
        """Return when nothing is left to settle."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work the queue off, for ever."""
        while True:
            while self._waiting:
                endpoint = next(iter(self._waiting))
                try:
                    if await self._step(endpoint):
                        self._waiting.pop(endpoint, None)
                except (StoreUnavailable, Problem) as problem:
                    logger.warning("settling an endpoint's deliveries will be tried again: %s", problem)
                    await self._clock.sleep(_PAUSE_SECONDS)
            self._idle.set()
            self._wakeup.clear()
            await self._wakeup.wait()

    async def _step(self, endpoint: int) -> bool:
        """Do one step; true when the endpoint needs nothing more."""
        running = self._directory.endpoints.get(endpoint)
        account = self._accounts.get(endpoint)
        if account is None:
            return True
        if running is None:
            return await self._settle(account, endpoint, Happening.DELETED, "endpoint deleted")
        if not running.endpoint.enabled:
            return await self._settle(account, endpoint, Happening.DISABLED, "endpoint disabled")
        if running.endpoint.release in (Release.SEND, Release.DROP):
            return await self._release(running)
        return True

    async def _settle(
        self, account: int, endpoint: int, happening: Happening, reason: str | None, until: int | None = None
    ) -> bool:
        running = self._directory.endpoints.get(endpoint)
        settlement = Settlement(
            account,
            happening,
            self._clock.now_ms(),
            endpoint=endpoint,
            until=until,
            reason=reason,
            version=0 if running is None else running.version,
        )
        return len(await self._store.settle(settlement)) < settlement.limit

    async def _release(self, running: RunningEndpoint) -> bool:
        policy = running.endpoint
        sending = policy.release is Release.SEND
        happening = Happening.RELEASED if sending else Happening.DROPPED
        reason = None if sending else "dropped when the endpoint was enabled"
        done = await self._settle(running.account.row, running.row, happening, reason, policy.release_until)
        if sending:
            self._dispatcher.wake(running.row)
        if done:
            body = msgspec.json.encode(msgspec.structs.replace(policy, release=None, release_until=None))
            put = Put(ENDPOINT, policy.id, running.account.row, body, running.document.version)
            await self._configuration.change(Change(running.account.row, (put,)))
        return done
