"""The writing side on SQLite, as the event loop sees it: each verb is handed to the writer's thread and answered after
its commit.

Knows no SQL; the verbs stand in the files beside this one.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apsw

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
    StoreState,
    StoreUnavailable,
)
from whatsync.store.keyed_hash import Hash, keyed_hash
from whatsync.store.sqlite import arrivals, documents, media, opening, retention, rollup
from whatsync.store.sqlite.calls import (
    AbandonCall,
    AcceptCall,
    BackupCall,
    CloseCall,
    RecordCall,
    Step,
    StepCall,
    TakeInCall,
)
from whatsync.store.sqlite.claim import claim, give_back, replan
from whatsync.store.sqlite.connection import open_writer, refusal
from whatsync.store.sqlite.disk import Disk, free_bytes_of
from whatsync.store.sqlite.folder_lock import FolderLock
from whatsync.store.sqlite.history import SqliteHistory
from whatsync.store.sqlite.lookup import Recent
from whatsync.store.sqlite.schema import migrate
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.settle import settle
from whatsync.store.sqlite.writer import Writer, fold_all

_CLOSED = "the store is closed"


class SqliteStore:
    """Implements ``ports.store.Store`` on one database file.

    ``owner`` is told to a second server that wants the same file (its address, say). ``vfs`` names an apsw VFS;
    ``make_hash`` and ``free_bytes`` are for tests that need collisions or a full disk.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        free_bytes_min: int = 0,
        owner: str = "",
        vfs: str | None = None,
        make_hash: Callable[[bytes], Hash] = keyed_hash,
        free_bytes: Callable[[Path], int] = free_bytes_of,
    ) -> None:
        self.path = path
        self.recent = Recent()
        """What readers have to ask beside the tables; see ``lookup.py``."""
        self.history = SqliteHistory(path, self.recent, vfs=vfs, make_hash=make_hash)
        """The reading side; opened and closed with the store."""
        self._owner = owner
        self._vfs = vfs
        self._make_hash = make_hash
        self._disk = Disk(path, clock.monotonic, free_bytes_min, free_bytes)
        self._lock: FolderLock | None = None
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def hash_of(self) -> Hash:
        """The hash of this installation, once open."""
        return self._running().session.hash_of

    # Opening and closing

    async def open(self, now_ms: int, version: str) -> Opened:
        """Open, migrate, take back the claims of earlier runs. Raises StoreRefused."""
        self._loop = asyncio.get_running_loop()
        self._lock = FolderLock(self.path, self._owner)
        self._writer = Writer(self._loop, self._disk, self._open_session)
        answer: Future[Opened] = self._loop.create_future()
        self._writer.start(StepCall(answer, step=lambda session: opening.begin_run(session, now_ms, version)))
        try:
            opened = await answer
            await self.history.open()
        except BaseException:
            await self._end(CloseCall(self._loop.create_future()))
            raise
        return opened

    def _open_session(self) -> Session:
        """In the writer's thread."""
        db = open_writer(self.path, self._vfs)
        try:
            migrate(db, self.path)
            session = Session(db, self.recent, self._make_hash)
            session.load()
        except apsw.Error as problem:
            db.close(True)
            raise refusal(self.path, problem) from None
        except BaseException:
            db.close(True)
            raise
        return session

    async def close(self) -> None:
        """Write what waits, then let go of the files."""
        await self.history.close()
        await self._end(CloseCall(asyncio.get_running_loop().create_future()))

    async def abandon(self) -> None:
        """Let go of the files as a crash would: nothing is folded, the log stays as it is. For tests."""
        await self.history.close()
        await self._end(AbandonCall(asyncio.get_running_loop().create_future()))

    async def add_counts(self) -> None:
        """Add all that was counted to the rollups now, as is done from time to time."""
        await self._step(rollup.add_pending)

    async def tidy(self) -> None:
        """Do now what the writer does for itself in quiet moments: enter everything into the indexes."""
        writer = self._running()
        await self._step(fold_all)
        await self._step(lambda session: writer.upkeep.want())
        while writer.busy():
            await self._step(fold_all)

    async def _end(self, call: CloseCall) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop_waiting()
            if writer.alive:
                writer.put(call)
            await asyncio.to_thread(writer.join)
        if self._lock is not None:
            self._lock.release()

    # Verbs

    def accept(self, admission: Admission) -> "Future[AcceptResult]":
        """Write events and deliveries."""
        writer, loop = self._with_room()
        answer: Future[AcceptResult] = loop.create_future()
        writer.put(AcceptCall(answer, admission=admission))
        return answer

    def _with_room(self) -> tuple[Writer, asyncio.AbstractEventLoop]:
        """The writer, if the disk takes more. Raises StoreUnavailable."""
        writer, loop = self._writer, self._loop
        if writer is None or loop is None:
            raise StoreUnavailable(_CLOSED)
        reason = self._disk.reason or self._disk.room_reason
        if reason is not None:
            raise StoreUnavailable(reason)
        return writer, loop

    def record(self, attempts: Sequence[AttemptRow], health: Sequence[HealthRow] = ()) -> "Future[Recorded]":
        """Write attempts and the states they lead to."""
        writer, loop = self._writer, self._loop
        if writer is None or loop is None:
            raise StoreUnavailable(_CLOSED)
        answer: Future[Recorded] = loop.create_future()
        writer.put(RecordCall(answer, outcomes=(attempts, health)))
        return answer

    async def claim(self, endpoint: int, now_ms: int, limit: int, early: bool = False) -> Claims:
        """Take deliveries to attempt."""
        return await self._step(lambda session: claim(session, endpoint, now_ms, limit, early))  # type: ignore[no-any-return]

    async def give_back(self, claims: Sequence[tuple[int, int]], due_ms: int) -> None:
        """Give up claims that were not attempted."""
        await self._step(lambda session: give_back(session, claims, due_ms))

    async def replan(self, endpoint: int, now_ms: int, after: tuple[int, int], limit: int) -> tuple[int, int] | None:
        """Bring forward what a later clock had planned."""
        return await self._step(lambda session: replan(session, endpoint, now_ms, after, limit))  # type: ignore[no-any-return]

    async def settle(self, settlement: Settlement) -> tuple[Settled, ...]:
        """Change states without an attempt."""
        return await self._step(lambda session: settle(session, settlement))  # type: ignore[no-any-return]

    async def change(self, change: Change) -> Changed | ChangeConflict:
        """Change configuration."""
        return await self._step(lambda session: documents.change(session, change))  # type: ignore[no-any-return]

    async def prune(self, account: int, before_ms: int, after_seq: int, limit: int, now_ms: int) -> Pruned:
        """Remove old events."""
        writer = self._running()

        def step(session: Session) -> Pruned:
            return retention.Pruning(session, writer.upkeep.lookups, account, before_ms, now_ms).step(after_seq, limit)

        return await self._step(step)  # type: ignore[no-any-return]

    async def erase(self, account: int, event: int, body: bytes, keys_kept: Sequence[str]) -> None:
        """Take one event's personal content away."""
        await self._step(lambda session: retention.erase(session, account, event, body, keys_kept))

    async def claim_media(
        self, now_ms: int, until_ms: int, free: int, held: Mapping[int, int], after: int = 0
    ) -> MediaClaim:
        """Take media that are due."""
        step = partial(media.claim, now_ms=now_ms, until_ms=until_ms, free=free, held=held, after=after)
        return await self._step(step)  # type: ignore[no-any-return]

    async def replan_media(self, now_ms: int, after: tuple[int, str], limit: int) -> tuple[int, str] | None:
        """Bring media forward that a later clock had planned."""
        return await self._step(lambda session: media.replan(session, now_ms, after, limit))  # type: ignore[no-any-return]

    async def record_media(self, outcomes: Sequence[MediaOutcome]) -> tuple[str, ...]:
        """Write what became of claimed media."""
        return await self._step(lambda session: media.record(session, outcomes))  # type: ignore[no-any-return]

    async def remove_media(self, account: int, names: Sequence[str], reason: str, now_ms: int) -> None:
        """End media whose bytes have to go."""
        await self._step(lambda session: media.remove(session, account, names, reason, now_ms))

    def take_in(self, intake: Intake) -> "Future[IntakeResult]":
        """Write a source's body and all that follows from it."""
        writer, loop = self._with_room()
        answer: Future[IntakeResult] = loop.create_future()
        writer.put(TakeInCall(answer, intake=intake))
        return answer

    async def count_waiting(self, samples: Sequence[Waiting]) -> None:
        """Add to the rollups how long what is oldest has waited."""
        await self._step(lambda session: rollup.count_waiting(session, samples))

    async def count_arrivals(self, counts: Sequence[Count]) -> None:
        """Add to the counts."""
        await self._step(lambda session: arrivals.count(session, counts))

    async def prune_arrivals(self, source: int, before_ms: int, limit: int) -> bool:
        """Remove old raw bodies and counts."""
        return await self._step(lambda session: arrivals.prune(session, source, before_ms, limit))  # type: ignore[no-any-return]

    async def erase_body(self, seq: int, body: bytes) -> None:
        """Put other bytes in a raw body's place."""
        await self._step(lambda session: arrivals.erase_body(session, seq, body))

    async def forget_contacts(self, account: int, contacts: Sequence[str], limit: int) -> int:
        """Remove contacts."""
        return await self._step(  # type: ignore[no-any-return]
            lambda session: arrivals.forget_contacts(session, account, contacts, limit)
        )

    async def backup(self, path: str) -> None:
        """Write a consistent copy while running."""
        answer: Future[None] = asyncio.get_running_loop().create_future()
        self._running().put(BackupCall(answer, path=path))
        await answer

    def state(self) -> StoreState:
        """Cheap facts for health checks."""
        writer, disk = self._writer, self._disk
        reason = _CLOSED if writer is None else disk.reason or disk.room_reason
        return StoreState(
            writable=reason is None,
            reason=reason,
            commits=0 if writer is None else writer.commits,
            operations=0 if writer is None else writer.operations,
            queued=0 if writer is None else writer.queued,
            wal_bytes=disk.wal_bytes,
            free_bytes=disk.free_bytes,
            last_commit_seconds=disk.last_commit_seconds,
        )

    def _running(self) -> Writer:
        if self._writer is None:
            raise StoreUnavailable(_CLOSED)
        return self._writer

    async def _step(self, step: Step) -> Any:
        answer: Future[Any] = asyncio.get_running_loop().create_future()
        self._running().put(StepCall(answer, step=step))
        return await answer
