"""The writer's thread: takes everything that waits, writes it as one transaction, commits, then answers everybody at
once.

One bad call never fails its neighbours; a failing disk fails all of them and is tried again; a commit whose fate is
unknown is looked up and replayed before anybody is answered. Knows no verb's SQL.
"""

import logging
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

import apsw

from whatsync.ports.store import StoreRefused, StoreUnavailable
from whatsync.store.sqlite import rollup
from whatsync.store.sqlite.accept import Accepting
from whatsync.store.sqlite.backup import Backup
from whatsync.store.sqlite.calls import (
    AbandonCall,
    AdmittingCall,
    BackupCall,
    Call,
    CloseCall,
    RecordCall,
    StepCall,
    resolve_all,
)
from whatsync.store.sqlite.connection import refusal
from whatsync.store.sqlite.disk import DISK_ERRORS, Disk
from whatsync.store.sqlite.fold import fold
from whatsync.store.sqlite.record import record_all
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements
from whatsync.store.sqlite.upkeep import SPARE_ROWS, Upkeep

GROUP_ROWS_MAX = 4_000
"""Rows one transaction takes in before what still waits is left to the next."""
GATHER_SECONDS = 0.003
"""How long outcomes wait for a commit to share. A commit has a price of its own, however little it holds."""
QUIET_SECONDS = 1.0
"""Without work for so long, the writer tidies up; while the disk fails, it tries again as often."""
PAUSE_SECONDS = 0.02
"""Without work for so long, it goes on with the upkeep that is under way."""
_SQL = statements("session.sql")
_COMMIT = "COMMIT"

logger = logging.getLogger(__name__)


class Writer:
    """Owns the session; everything but ``put``, ``start`` and the plain facts runs in its own thread."""

    def __init__(self, loop: AbstractEventLoop, disk: Disk, open_session: Callable[[], Session]) -> None:
        self._loop = loop
        self._disk = disk
        self._open_session = open_session
        self._handed: list[Call] = []
        self._queue: SimpleQueue[list[Call]] = SimpleQueue()
        self._session: Session | None = None
        self._upkeep: Upkeep | None = None
        self._backups: list[Backup] = []
        self._stopping = threading.Event()
        self._closing: Call | None = None
        self._commit_number = 0
        self.commits = 0
        self.operations = 0
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)

    @property
    def queued(self) -> int:
        """Calls that wait for a commit."""
        return len(self._handed) + self._queue.qsize()

    @property
    def session(self) -> Session:
        """The open session."""
        assert self._session is not None
        return self._session

    @property
    def upkeep(self) -> Upkeep:
        """What is done beside the calls."""
        assert self._upkeep is not None
        return self._upkeep

    def start(self, opening: StepCall) -> None:
        """Open the database in the thread and run ``opening`` as its first transaction."""
        self._opening = opening
        self._thread.start()

    def put(self, call: Call) -> None:
        """Hand a call over, in the loop's thread.

        What one turn of the loop hands over wakes the thread once: a wake-up each costs more than the work.
        """
        self._handed.append(call)
        if len(self._handed) == 1:
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        handed, self._handed = self._handed, []
        self._queue.put(handed)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def busy(self) -> bool:
        """Whether upkeep is under way."""
        return self._upkeep is not None and self._upkeep.busy

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    # The thread

    def _work(self) -> None:
        try:
            self._open()
            self._write([self._opening])
        except BaseException as problem:  # noqa: BLE001 - whoever opens the store gets it
            self._opening.problem = refusal(self._disk.path, problem) if isinstance(problem, apsw.Error) else problem
            self._let_go()
            self._answer([self._opening])
            return
        self._disk.look()
        self._answer([self._opening])
        while self._closing is None:
            try:
                self._turn()
            except Exception as problem:
                # Nobody would ever be answered again if this thread ended.
                logger.exception("the store's writer met a mistake of its own")
                self._disk.failed(problem)
        self._close(self._closing)

    def _turn(self) -> None:
        calls = self._take()
        if calls:
            self._write_group(calls)
        elif self._closing is None:
            self._tidy()
        for backup in list(self._backups):
            self._copy_on(backup)

    def _open(self) -> None:
        session = self._open_session()
        self._session = session
        self._upkeep = Upkeep(session, self._disk.monotonic)
        self._upkeep.lookups.load_dead()
        self._commit_number = fetch(session.db, _SQL["commit_number"])[0][0]

    def _take(self) -> list[Call]:
        """Wait for work and take all there is; an empty list after a while without."""
        try:
            handed = self._queue.get(block=not self._backups, timeout=self._patience())
        except Empty:
            return []
        calls: list[Call] = []
        weight = 0
        waited = False
        while True:
            for call in handed:
                if isinstance(call, CloseCall):
                    self._closing = call
                    return calls
                calls.append(call)
                weight += call.weight
            if weight >= GROUP_ROWS_MAX:
                return calls
            # What only outcomes wait for can wait a little for events to share the commit with.
            patient = not waited and len(calls) == 1 and type(calls[0]) is RecordCall and calls[0].patient
            waited = waited or patient
            try:
                handed = self._queue.get(block=patient, timeout=GATHER_SECONDS if patient else None)
            except Empty:
                return calls

    def _patience(self) -> float | None:
        """How long to wait for work before doing something else; ``None``: for ever."""
        if self._session is None or not self._disk.fit:
            return QUIET_SECONDS
        if self.busy():
            return PAUSE_SECONDS
        return QUIET_SECONDS if self.upkeep.untidy else None

    def _answer(self, calls: Sequence[Call]) -> None:
        # The loop may be gone when a process ends in a hurry.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(resolve_all, calls)

    # Groups

    def _write_group(self, calls: list[Call]) -> None:
        for copy in [call for call in calls if isinstance(call, BackupCall)]:
            calls.remove(copy)
            self._begin_copy(copy)
        if not calls:
            return
        try:
            if self._session is None and not self._reopen():
                raise StoreUnavailable(self._disk.reason or "the database could not be opened again")
            self._write(calls)
        except DISK_ERRORS as problem:
            self._fail(calls, problem)
        except StoreUnavailable as problem:
            for call in calls:
                call.problem = problem
        except Exception as problem:  # noqa: BLE001 - the guilty call's caller gets it
            self._roll_back()
            if len(calls) == 1:
                calls[0].problem = problem
            else:
                for call in calls:
                    self._write_group([call])
                return
        self._answer(calls)

    def _write(self, calls: Sequence[Call]) -> None:
        """Write calls as one transaction, until its fate is known. Raises whatever made it impossible."""
        unknown = False
        while True:
            try:
                self._try_to_write(calls)
                return
            except _UnknownFateError as problem:
                unknown = True
                self._disk.failed(problem.reason)
                if self._reopened_after(calls):
                    return
            except DISK_ERRORS as problem:
                if not unknown or self._stopping.is_set():
                    raise
                self._disk.failed(problem)
                if self._reopened_after(calls):
                    return

    def _try_to_write(self, calls: Sequence[Call]) -> None:
        session = self.session
        started = self._disk.monotonic()
        session.begin()
        self.upkeep.begin()
        self._apply(calls)
        self.upkeep.work()
        rollup.write_pending(session)
        session.db.execute(_SQL["count_commit"])
        try:
            session.db.execute(_COMMIT)
        except apsw.FullError:
            raise
        except apsw.Error as problem:
            # It may be on disk or not: a failed sync leaves whole frames behind.
            raise _UnknownFateError(problem) from problem
        session.committed()
        self._commit_number += 1
        self.commits += 1
        self.operations += len(calls)
        self._disk.committed(session.db, self._disk.monotonic() - started)

    def _apply(self, calls: Sequence[Call]) -> None:
        """Do the work in the order it was asked for; between two steps, accepts and records go together."""
        accepts: list[AdmittingCall] = []
        records: list[RecordCall] = []
        for call in calls:
            if isinstance(call, AdmittingCall):
                accepts.append(call)
            elif type(call) is RecordCall:
                records.append(call)
            elif type(call) is StepCall:
                self._apply_together(accepts, records)
                accepts, records = [], []
                call.result = call.step(self.session)
        self._apply_together(accepts, records)

    def _apply_together(self, accepts: Sequence[AdmittingCall], records: Sequence[RecordCall]) -> None:
        if accepts:
            session = self.session
            accepting = Accepting(session)
            for accept in accepts:
                accept.result = accept.admit(session, accepting)
            accepting.flush()
        if records:
            results = record_all(self.session, [call.outcomes for call in records])
            for call, result in zip(records, results, strict=True):
                call.result = result

    def _reopened_after(self, calls: Sequence[Call]) -> bool:
        """Open the database anew after a commit that nobody knows the fate of. True where it had taken effect."""
        expected = self._commit_number + 1
        while True:
            self._stopping.wait(self._disk.pause_seconds)
            if self._reopen() and (self._commit_number < expected or self._made_safe()):
                break
            if self._stopping.is_set():
                raise StoreUnavailable(
                    "the store was closed while its disk was failing; whether this was written shows "
                    "when it is opened again"
                )
        if self._commit_number < expected:
            return False
        self._disk.recovered()
        self.commits += 1
        self.operations += len(calls)
        return True

    def _made_safe(self) -> bool:
        """Bring what is only in the log into the database. After a sync that failed, a later one proves nothing about
        the pages of the first: they have to be written again.
        """
        try:
            self.session.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
        except apsw.Error as problem:
            self._disk.failed(problem)
            return False
        return True

    def _roll_back(self) -> None:
        if self._session is not None and not self._session.roll_back():
            self._reopen()

    def _fail(self, calls: Sequence[Call], problem: apsw.Error) -> None:
        """Nothing of the group is on disk: say so to everybody."""
        self._disk.failed(problem)
        self._roll_back()
        for call in calls:
            call.result, call.problem = None, StoreUnavailable(self._disk.reason or str(problem))

    # Without work

    def _tidy(self) -> None:
        """Go on with the upkeep, or see whether the disk is well again."""
        disk = self._disk
        if (self._session is None or disk.must_reopen) and not self._reopen():
            return
        if self.upkeep.untidy and not self.busy():
            self.upkeep.want(lookups=False)
        if not disk.well or self.busy():
            try:
                self._write([StepCall(None, step=self._more_upkeep)])
            except DISK_ERRORS as problem:
                disk.failed(problem)
                self._roll_back()
            except StoreUnavailable:
                return
            except Exception as problem:  # noqa: BLE001 - logged; all of it is made again at the next start
                self.upkeep.give_up(problem)
                self._roll_back()
        disk.look()

    def _more_upkeep(self, _session: Session) -> None:
        self.upkeep.work(SPARE_ROWS)

    def _reopen(self) -> bool:
        self._let_go()
        try:
            self._open()
        except (apsw.Error, OSError, StoreRefused) as problem:
            self._disk.failed(problem)
            return False
        return True

    # Copies

    def _begin_copy(self, call: BackupCall) -> None:
        try:
            self._backups.append(Backup(call, self.session.db))
        except (apsw.Error, OSError) as problem:
            call.problem = StoreUnavailable(f"the backup can't be written to {call.path}: {problem}")
            self._answer([call])

    def _copy_on(self, backup: Backup) -> None:
        try:
            if not backup.step():
                return
        except (apsw.Error, OSError) as problem:
            backup.abandon()
            backup.call.problem = StoreUnavailable(f"the backup to {backup.call.path} failed: {problem}")
        self._backups.remove(backup)
        self._answer([backup.call])

    # The end

    def stop_waiting(self) -> None:
        """Do not wait for a failing disk any longer; called before the last call is put."""
        self._stopping.set()

    def _close(self, call: Call) -> None:
        if self._session is None:
            pass
        elif isinstance(call, AbandonCall):
            with suppress(apsw.Error):
                self.session.db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        else:
            self._finish()
        self._let_go()
        self._answer([call])

    def _finish(self) -> None:
        while self._backups:
            for backup in list(self._backups):
                self._copy_on(backup)
        try:
            self.upkeep.want()
            while self.busy():
                self._write([StepCall(None, step=self._more_upkeep)])
        except (apsw.Error, StoreUnavailable):
            # All of it is made again at the next start.
            self._roll_back()
        except Exception as problem:  # noqa: BLE001 - logged; all of it is made again at the next start
            self.upkeep.give_up(problem)
            self._roll_back()

    def _let_go(self) -> None:
        for backup in self._backups:
            backup.abandon()
            backup.call.problem = StoreUnavailable("the database was closed before the backup was complete")
        self._answer([backup.call for backup in self._backups])
        self._backups = []
        if self._session is not None:
            with suppress(apsw.Error):
                self._session.db.close(True)
            self._session = None


class _UnknownFateError(Exception):
    """A commit failed in a way that does not tell whether it took effect."""

    def __init__(self, reason: apsw.Error) -> None:
        super().__init__(str(reason))
        self.reason = reason


def fold_all(session: Session) -> None:
    """Enter all events and deliveries into the indexes, and all counts into the rollups."""
    fold(session)
    rollup.write_pending(session)
    rollup.add_pending(session)
