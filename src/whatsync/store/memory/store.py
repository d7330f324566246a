"""The writing side: calls wait in one queue, and everything that waits becomes one commit.

Commits go through a hook, so that a simulator can delay, fail or crash each of them, before or after its effect.
Knows no file, clock or thread.
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from typing import TypeVar

import msgspec

from whatsync.model.delivery import WAITING, State
from whatsync.ports.arrivals import Count
from whatsync.ports.media import MediaClaim, MediaOutcome
from whatsync.ports.rows import Waiting
from whatsync.ports.store import (
    AcceptResult,
    Admission,
    AttemptRow,
    Backlog,
    Change,
    ChangeConflict,
    Changed,
    Claims,
    HealthRow,
    Intake,
    IntakeResult,
    Opened,
    Pruned,
    Recorded,
    Settled,
    Settlement,
    StoreState,
    StoreUnavailable,
)
from whatsync.store.memory.arrivals import MemoryArrivals
from whatsync.store.memory.disk import Disk
from whatsync.store.memory.history import MemoryHistory
from whatsync.store.memory.steps import Steps

Result = TypeVar("Result")
Commit = Callable[[str], Awaitable[None]]
"""Awaited around each commit: with ``before accept record`` when nothing is written yet (the verbs in it stand behind),
with ``after accept record`` when it is on disk and nobody has been answered. Raising StoreUnavailable ``before`` fails
all its calls; raising it ``after`` leaves the commit's fate unknown, so it is tried again and nobody is answered yet.
Never returning is a crash."""


async def at_once(_stage: str) -> None:
    """A disk that neither delays nor fails."""


class _Call(msgspec.Struct):
    """One call waiting for its commit."""

    verb: str
    step: Callable[[], object]
    answer: "Future[object]"
    result: object = None
    problem: Exception | None = None


class MemoryStore(Steps, MemoryArrivals, MemoryHistory):
    """Implements ``ports.store.Store`` and ``ports.history.History`` over a ``Disk``, which outlives it.

    Opening the disk again takes it away from the store that had it: what that one has not committed is lost.
    """

    def __init__(self, disk: Disk | None = None, commit: Commit = at_once) -> None:
        super().__init__(disk or Disk())
        self.backups: dict[str, Disk] = {}
        self._commit = commit
        self._waiting: list[_Call] = []
        self._task: asyncio.Task[None] | None = None

    # Opening and closing

    async def open(self, now_ms: int, version: str) -> Opened:
        """Take the disk over and the claims of earlier runs back."""
        self.disk.owner = self
        return await self._call("open", lambda: self.apply_open(now_ms, version))

    def apply_open(self, now_ms: int, version: str) -> Opened:
        """Begin a new run."""
        self.disk.runs.append(version)
        for delivery in self.disk.deliveries.values():
            if delivery.in_flight:
                delivery.in_flight = False
                delivery.due_ms = now_ms
        self.take_back_media(now_ms)
        return self.opened()

    def opened(self) -> Opened:
        """What the disk holds."""
        disk = self.disk
        return Opened(
            run=len(disk.runs),
            floor=disk.top,
            documents=tuple(sorted(disk.documents.values(), key=lambda document: document.row)),
            versions=dict(disk.versions),
            backlog=tuple(self.backlog(endpoint) for endpoint, rows in sorted(disk.open_of_endpoint.items()) if rows),
            health=tuple(HealthRow(endpoint, health) for endpoint, health in sorted(disk.health.items())),
        )

    def backlog(self, endpoint: int) -> Backlog:
        """What waits for an endpoint."""
        rows = list(self.disk.open_deliveries(endpoint))
        waiting = [delivery.due_ms or 0 for delivery in rows if delivery.state in WAITING]
        held = sum(1 for delivery in rows if delivery.state is State.HELD)
        return Backlog(endpoint, rows[0].row.account, len(waiting), held, min(waiting, default=None))

    async def close(self) -> None:
        """Write what waits, then let go of the disk."""
        while self._task is not None:
            await asyncio.shield(self._task)
        if self.disk.owner is self:
            self.disk.owner = None

    # Verbs

    def accept(self, admission: Admission) -> "Future[AcceptResult]":
        """Write events and deliveries."""
        return self._enqueue("accept", lambda: self.apply_accept(admission))

    def record(self, attempts: Sequence[AttemptRow], health: Sequence[HealthRow] = ()) -> "Future[Recorded]":
        """Write attempts and the states they lead to."""
        return self._enqueue("record", lambda: self.apply_record(attempts, health))

    async def claim(self, endpoint: int, now_ms: int, limit: int, early: bool = False) -> Claims:
        """Take deliveries to attempt."""
        return await self._call("claim", lambda: self.apply_claim(endpoint, now_ms, limit, early))

    async def give_back(self, claims: Sequence[tuple[int, int]], due_ms: int) -> None:
        """Give up claims that were not attempted."""
        await self._call("give_back", lambda: self.apply_give_back(claims, due_ms))

    async def replan(self, endpoint: int, now_ms: int, after: tuple[int, int], limit: int) -> tuple[int, int] | None:
        """Bring forward what a later clock had planned."""
        return await self._call("replan", lambda: self.apply_replan(endpoint, now_ms, after, limit))

    async def settle(self, settlement: Settlement) -> tuple[Settled, ...]:
        """Change states without an attempt."""
        return await self._call("settle", lambda: self.apply_settle(settlement))

    async def change(self, change: Change) -> Changed | ChangeConflict:
        """Change configuration."""
        return await self._call("change", lambda: self.apply_change(change))

    async def prune(self, account: int, before_ms: int, after_seq: int, limit: int, now_ms: int) -> Pruned:
        """Remove old events."""
        return await self._call("prune", lambda: self.apply_prune(account, before_ms, after_seq, limit, now_ms))

    async def erase(self, account: int, event: int, body: bytes, keys_kept: Sequence[str]) -> None:
        """Take one event's personal content away."""
        await self._call("erase", lambda: self.apply_erase(account, event, body, keys_kept))

    async def claim_media(
        self, now_ms: int, until_ms: int, free: int, held: Mapping[int, int], after: int = 0
    ) -> MediaClaim:
        """Take media that are due."""
        return await self._call("claim_media", lambda: self.apply_claim_media(now_ms, until_ms, free, held, after))

    async def replan_media(self, now_ms: int, after: tuple[int, str], limit: int) -> tuple[int, str] | None:
        """Bring media forward that a later clock had planned."""
        return await self._call("replan_media", lambda: self.apply_replan_media(now_ms, after, limit))

    async def record_media(self, outcomes: Sequence[MediaOutcome]) -> tuple[str, ...]:
        """Write what became of claimed media."""
        return await self._call("record_media", lambda: self.apply_record_media(outcomes))

    async def remove_media(self, account: int, names: Sequence[str], reason: str, now_ms: int) -> None:
        """End media whose bytes have to go."""
        await self._call("remove_media", lambda: self.apply_remove_media(account, names, reason, now_ms))

    def take_in(self, intake: Intake) -> "Future[IntakeResult]":
        """Write a source's body and all that follows from it."""
        return self._enqueue("take_in", lambda: self.apply_take_in(intake))

    async def count_waiting(self, samples: Sequence[Waiting]) -> None:
        """Add to the rollups how long what is oldest has waited."""
        await self._call("count_waiting", lambda: self.apply_count_waiting(samples))

    async def count_arrivals(self, counts: Sequence[Count]) -> None:
        """Add to the counts."""
        await self._call("count_arrivals", lambda: self.apply_count_arrivals(counts))

    async def prune_arrivals(self, source: int, before_ms: int, limit: int) -> bool:
        """Remove old raw bodies and counts."""
        return await self._call("prune_arrivals", lambda: self.apply_prune_arrivals(source, before_ms, limit))

    async def erase_body(self, seq: int, body: bytes) -> None:
        """Put other bytes in a raw body's place."""
        await self._call("erase_body", lambda: self.apply_erase_body(seq, body))

    async def forget_contacts(self, account: int, contacts: Sequence[str], limit: int) -> int:
        """Remove contacts."""
        return await self._call("forget_contacts", lambda: self.apply_forget_contacts(account, contacts, limit))

    async def backup(self, path: str) -> None:
        """Keep a copy under ``path`` in ``backups``; a store can be opened on it."""
        copied = {id(self.disk.owner): None}
        self.backups[path] = deepcopy(self.disk, copied)

    def state(self) -> StoreState:
        """Cheap facts for health checks."""
        owned = self.disk.owner is self
        return StoreState(
            writable=owned,
            reason=None if owned else _CLOSED,
            commits=self.disk.commits,
            operations=self.disk.operations,
            queued=len(self._waiting),
            wal_bytes=0,
            free_bytes=1 << 40,
            last_commit_seconds=0.0,
        )

    # Commits

    async def _call(self, verb: str, step: Callable[[], Result]) -> Result:
        return await self._enqueue(verb, step)

    def _enqueue(self, verb: str, step: Callable[[], Result]) -> "Future[Result]":
        loop = asyncio.get_running_loop()
        answer: Future[Result] = loop.create_future()
        self._waiting.append(_Call(verb, step, answer))  # type: ignore[arg-type]  # a future of some result
        if self._task is None:
            self._task = loop.create_task(self._write())
        return answer

    async def _write(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                await self._write_group(group)
        finally:
            self._task = None

    async def _write_group(self, group: list[_Call]) -> None:
        verbs = " ".join(dict.fromkeys(call.verb for call in group))
        try:
            await self._commit(f"before {verbs}")
            self.check_owner()
        except StoreUnavailable as problem:
            for call in group:
                call.problem = problem
        else:
            self.apply_group(group)
            await self._until_known(f"after {verbs}")
        for call in group:
            if call.answer.done():
                continue
            if call.problem is not None:
                call.answer.set_exception(call.problem)
            else:
                call.answer.set_result(call.result)

    def check_owner(self) -> None:
        """Whether this store may still write. Raises StoreUnavailable."""
        if self.disk.owner is not self:
            raise StoreUnavailable(_CLOSED)

    def apply_group(self, group: Sequence[_Call]) -> None:
        """Commit: everything in the group is on disk at once."""
        for call in group:
            try:
                call.result = call.step()
            except Exception as problem:  # noqa: BLE001 - the caller gets it
                call.problem = problem
        self.disk.commits += 1
        self.disk.operations += len(group)

    async def _until_known(self, stage: str) -> None:
        while True:
            try:
                await self._commit(stage)
                return
            except StoreUnavailable:
                await asyncio.sleep(0)


_CLOSED = "The store is closed, or another one has opened its disk."
