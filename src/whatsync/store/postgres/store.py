"""The store on PostgreSQL: each verb one durable transaction, accepts and records many to a transaction.

Knows which verbs go together and in which order; what they write stands in the modules beside it.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from whatsync.ports.arrivals import Count
from whatsync.ports.clock import Clock
from whatsync.ports.media import MediaClaim, MediaOutcome
from whatsync.ports.rows import Waiting
from whatsync.ports.store import (
    AcceptResult,
    Admission,
    AttemptRow,
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
    StoreRefused,
    StoreState,
    StoreUnavailable,
)
from whatsync.store.postgres import arrivals, documents, epochs, media, retention, rollup
from whatsync.store.postgres.accept import accept_all
from whatsync.store.postgres.batches import SLOW, Batches
from whatsync.store.postgres.claim import claim, give_back, replan
from whatsync.store.postgres.cluster import PostgresCluster
from whatsync.store.postgres.connection import Address, connect
from whatsync.store.postgres.database import CLOSED, OVER, Database, Transaction
from whatsync.store.postgres.history import PostgresHistory
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.opening import begin_run
from whatsync.store.postgres.record import Outcomes, record_all
from whatsync.store.postgres.schema import migrate
from whatsync.store.postgres.settle import settle
from whatsync.store.postgres.trouble import out_of_reach, sentence, shown
from whatsync.store.postgres.upkeep import Upkeep

Result = TypeVar("Result")
BATCHES_AT_ONCE = 2
"""Of accepts, and of records."""
BATCH_ROWS_MAX = 1_000
"""Rows that one batch takes in before what still waits is left to the next."""
RELEASE_PAUSE_SECONDS = 1.0
NO_BACKUP = (
    "PostgreSQL is backed up by its own tools, which copy one moment of a running server: "
    "pg_dump --format=custom --file=whatsync.dump URL"
)

logger = logging.getLogger(__name__)


class PostgresStore:
    """Implements ``ports.store.Store``; ``history`` is the reading side.

    ``name`` is who this node is, over restarts; ``label`` names it to people; ``folder`` is where its files lie, whose
    free space is told (the database's own disk can't be seen from here).
    """

    def __init__(self, address: Address, *, clock: Clock, name: str, label: str, folder: Path | None = None) -> None:
        self.address = address
        self.database = Database(address, clock)
        self._clock = clock
        self.node = Node(name, label)
        self.history = PostgresHistory(self.database, self.node, clock)
        self.upkeep = Upkeep(self.database, clock, folder)
        self.cluster = PostgresCluster(self.database, self.node, clock, self._answered)
        self._accepts: Batches[Admission | Intake, Any] = Batches(
            self._accept_all, BATCHES_AT_ONCE, BATCH_ROWS_MAX, _may_be_repeated, self._release
        )
        self._records: Batches[Outcomes, Recorded] = Batches(self._record_all, BATCHES_AT_ONCE, BATCH_ROWS_MAX)
        self._steps = asyncio.Lock()
        self._changes = 0
        self._open = False
        self._joining = False
        self._claiming: set[asyncio.Task[Claims]] = set()
        self._releasing: set[asyncio.Task[None]] = set()
        self.database.on_over = self._over

    # Opening and closing

    async def open(self, now_ms: int, version: str) -> Opened:
        """Migrate, take back the claims of runs that are over, this node's earlier ones among them, and begin a run.
        Raises StoreRefused.
        """
        try:
            await self._migrate()
            await epochs.end_own(self.database, self.node, self._clock)
            await epochs.end_overdue(self.database, self.node)
            opened = await self.database.transact(
                lambda transaction: begin_run(transaction, self.node, now_ms, version)
            )
            await self.upkeep.begin(now_ms)
        except StoreUnavailable as problem:
            await self.database.close()
            raise StoreRefused(f"the database {shown(self.address.url)} can't be used: {problem.reason}") from None
        except BaseException:
            await self.database.close()
            raise
        self._open = True
        return opened

    async def _migrate(self) -> None:
        try:
            connection = await connect(self.address)
            try:
                await migrate(connection)
            finally:
                await connection.close(timeout=1.0)
        except StoreRefused as refused:
            raise StoreRefused(f"{shown(self.address.url)}: {refused.reason}") from None
        except Exception as problem:
            if not out_of_reach(problem):
                raise
            raise StoreUnavailable(sentence(problem)) from None

    async def close(self) -> None:
        """Write what waits, say that this run is over, and close the connections."""
        if not self._open:
            return
        self._open = False
        await self._accepts.drained()
        await self._records.drained()
        for task in self._releasing:
            task.cancel()
        await self.upkeep.stop()
        if not self.node.over:
            try:
                await epochs.say_over(self.database, self.node)
            except StoreUnavailable:
                logger.warning("the end of this node could not be written; its lease runs out by itself")
        await self.cluster.ear.close()
        await self.database.close()

    async def abandon(self) -> None:
        """Drop everything as a crash of this process would: nothing is written, nobody is told."""
        self._open = False
        self._accepts.cancel()
        self._records.cancel()
        for task in self._releasing:
            task.cancel()
        await self.upkeep.stop()
        self.cluster.ear.cut()
        self.database.cut()

    async def tidy(self) -> None:
        """Do now what upkeep does from time to time."""
        await self.upkeep.fold()

    # Verbs

    def accept(self, admission: Admission) -> "Future[AcceptResult]":
        """Write events and deliveries."""
        problem = self._problem() or self._slowness(admission)
        if problem is not None:
            return _failed(problem)
        return self._accepts.put(admission, 1 + len(admission.events) + len(admission.deliveries))

    def record(self, attempts: Sequence[AttemptRow], health: Sequence[HealthRow] = ()) -> "Future[Recorded]":
        """Write attempts and the states they lead to."""
        problem = self._problem()
        if problem is not None:
            return _failed(problem)
        return self._records.put((attempts, health), 1 + len(attempts))

    async def claim(self, endpoint: int, now_ms: int, limit: int, early: bool = False) -> Claims:
        """Take deliveries to attempt."""
        self._check()
        task = asyncio.ensure_future(claim(self.database, self.node, endpoint, now_ms, limit, early=early))
        self._claiming.add(task)
        task.add_done_callback(self._claiming.discard)
        return await task

    async def give_back(self, claims: Sequence[tuple[int, int]], due_ms: int) -> None:
        """Give up claims that were not attempted."""
        await self._step(lambda transaction: give_back(transaction, claims, due_ms))

    async def replan(self, endpoint: int, now_ms: int, after: tuple[int, int], limit: int) -> tuple[int, int] | None:
        """Bring forward what a later clock had planned."""
        return await self._step(lambda transaction: replan(transaction, endpoint, now_ms, after, limit))

    async def settle(self, settlement: Settlement) -> tuple[Settled, ...]:
        """Change states without an attempt."""
        self._check()
        await documents.learn_reason(self.database, settlement.reason)
        return await self._step(lambda transaction: settle(transaction, self.database.words, settlement))

    async def change(self, change: Change) -> Changed | ChangeConflict:
        """Change configuration. What is accepted behind it waits until it is known how it ended."""
        self._check()
        self._changes += 1
        self._accepts.hold()
        try:
            async with self._steps:
                return await documents.change(self.database, self.node, change)
        finally:
            self._changes -= 1
            if self._changes == 0:
                self._accepts.go_on()

    async def prune(self, account: int, before_ms: int, after_seq: int, limit: int, now_ms: int) -> Pruned:
        """Remove old events."""
        step = retention.Pruning(account, before_ms, after_seq, limit, now_ms)
        pruned = await self._step(lambda transaction: retention.prune(transaction, self.database, self.node, step))
        if pruned.cursor is None:
            await self.upkeep.drop_days(now_ms)
        return pruned

    # Sources and media

    def take_in(self, intake: Intake) -> "Future[IntakeResult]":
        """Write a source's body and all that follows from it."""
        problem = self._problem() or self._slowness(intake)
        if problem is not None:
            return _failed(problem)
        rows = sum(len(one.events) + len(one.deliveries) for one in intake.admissions)
        return self._accepts.put(intake, 1 + rows)

    async def count_waiting(self, samples: Sequence[Waiting]) -> None:
        """Add to the rollups how long what is oldest has waited."""
        await rollup.count_waiting(self.database, samples)

    async def count_arrivals(self, counts: Sequence[Count]) -> None:
        """Add to the counts."""
        await self._step(lambda transaction: arrivals.count(transaction, counts))

    async def prune_arrivals(self, source: int, before_ms: int, limit: int) -> bool:
        """Remove old raw bodies of a source."""
        return await self._step(lambda transaction: arrivals.prune(transaction, source, before_ms, limit))

    async def erase_body(self, seq: int, body: bytes) -> None:
        """Put other bytes in a raw body's place."""
        await self._step(lambda transaction: arrivals.erase_body(transaction, seq, body))

    async def forget_contacts(self, account: int, contacts: Sequence[str], limit: int) -> int:
        """Remove contacts of an account."""
        return await self._step(lambda transaction: arrivals.forget_contacts(transaction, account, contacts, limit))

    async def claim_media(
        self, now_ms: int, until_ms: int, free: int, held: Mapping[int, int], after: int = 0
    ) -> MediaClaim:
        """Take media that are due."""
        places = media.Places(self.node.run, until_ms, free, held)
        return await self._step(lambda transaction: media.claim(transaction, places, now_ms, after))

    async def replan_media(self, now_ms: int, after: tuple[int, str], limit: int) -> tuple[int, str] | None:
        """Bring media forward that a later clock had planned."""
        return await self._step(lambda transaction: media.replan(transaction, now_ms, after, limit))

    async def record_media(self, outcomes: Sequence[MediaOutcome]) -> tuple[str, ...]:
        """Write what became of claimed media."""
        return await self._step(lambda transaction: media.record(transaction, outcomes))

    async def remove_media(self, account: int, names: Sequence[str], reason: str, now_ms: int) -> None:
        """End media whose bytes have to go."""
        await self._step(lambda transaction: media.remove(transaction, account, names, reason, now_ms))

    async def erase(self, account: int, event: int, body: bytes, keys_kept: Sequence[str]) -> None:
        """Take one event's personal content away."""
        await self._step(lambda transaction: retention.erase(transaction, self.node, account, event, body, keys_kept))

    async def backup(self, path: str) -> None:
        """Not done here. Raises StoreRefused, which names the tool that does it."""
        raise StoreRefused(NO_BACKUP)

    def state(self) -> StoreState:
        """Cheap facts for health checks."""
        problem = self._problem() or (SLOW if self._accepts.slow else None)
        return StoreState(
            writable=problem is None,
            reason=None if problem is None else problem.reason,
            commits=self.database.commits,
            operations=sum(batches.operations for batches in (self._accepts, self._records)),
            queued=sum(batches.queued for batches in (self._accepts, self._records)),
            wal_bytes=0,
            free_bytes=self.upkeep.free_bytes,
            last_commit_seconds=self.database.last_commit_seconds,
        )

    # Inside

    def _problem(self) -> StoreUnavailable | None:
        if not self._open:
            return StoreUnavailable(CLOSED)
        if self.node.over or self._joining:
            return StoreUnavailable(OVER)
        if self.database.trouble is not None:
            return StoreUnavailable(self.database.trouble)
        return None

    def _slowness(self, item: Admission | Intake) -> StoreUnavailable | None:
        return SLOW if self._accepts.slow and _may_be_repeated(item) else None

    def _check(self) -> None:
        problem = self._problem()
        if problem is not None:
            raise problem

    async def _step(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        self._check()
        async with self._steps:
            return await self.database.transact(work, run=self.node.run)

    def _over(self) -> None:
        self.node.over = True

    async def _answered(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin nothing more, wait until all is answered that was begun, and do ``work`` then."""
        if not self._open:
            raise StoreUnavailable(CLOSED)
        self._joining = True
        try:
            await self._accepts.drained()
            await self._records.drained()
            while self._claiming:
                await asyncio.wait(set(self._claiming))
            async with self._steps:
                await work()
        finally:
            self._joining = False

    async def _accept_all(self, items: Sequence[Admission | Intake]) -> Sequence[Any]:
        """In the order they came: what follows each other and is of one kind goes together."""
        answers: list[Any] = []
        for kind, group in groupby(items, type):
            some: Sequence[Any] = list(group)
            write = accept_all if kind is Admission else arrivals.take_in_all
            try:
                answers += await write(self.database, self.node, some)
            except StoreUnavailable as problem:
                answers += [problem] * len(some)
        return answers

    def _release(self, item: Admission | Intake) -> None:
        """It was written when nobody waited for it any more: what it claimed is for whoever looks."""
        admissions = item.admissions if isinstance(item, Intake) else (item,)
        claims = [(row.id, 1) for one in admissions for row in one.deliveries if row.claimed]
        if claims and self._open:
            task = asyncio.get_running_loop().create_task(self._give_back_at_last(claims))
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)

    async def _give_back_at_last(self, claims: Sequence[tuple[int, int]]) -> None:
        while self._open and not self.node.over:
            try:
                return await self.give_back(claims, self._clock.now_ms())
            except StoreUnavailable:
                await self._clock.sleep(RELEASE_PAUSE_SECONDS)

    async def _record_all(self, calls: Sequence[Outcomes]) -> Sequence[Recorded]:
        return await record_all(self.database, self.node, calls)


def _may_be_repeated(item: Admission | Intake) -> bool:
    """Whether the same again meets what was written the first time: events do, by their ids; resending does not."""
    return isinstance(item, Intake) or bool(item.events)


def _failed(problem: StoreUnavailable) -> "Future[Any]":
    answer: Future[Any] = asyncio.get_running_loop().create_future()
    answer.set_exception(problem)
    return answer
