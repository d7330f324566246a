"""SQLite under the story: both sides of the store as one thing in virtual time, on a disk whose n-th operation fails.
Knows no verb."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from tests.failure.faults import Fault
from tests.failure.loop import ThreadedLoop
from whatsync.net.system import SystemClock
from whatsync.ports.store import Store, StoreUnavailable
from whatsync.store.sqlite.store import SqliteStore

PAUSE_SECONDS = 0.002
"""Of real time between two tries to open a disk that fails."""


class FailingDisk(apsw.VFS):
    """Passes everything on, except what the fault strikes: that raises ``error``, before or after its effect.

    A full disk strikes what is written to the log, nothing else. SQLite takes no notice of a checkpoint that finds no
    room, yet an exception from here would come out of the statement that had just been committed.
    """

    def __init__(self, name: str, fault: Fault, error: type[apsw.Error], late: bool) -> None:
        super().__init__(name, "")
        self.name = name
        self._fault = fault
        self._error = error
        self.is_full = error is apsw.FullError
        self._late = late

    def xOpen(self, name: "apsw.URIFilename | str | None", flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file."""
        return FailingFile(self, name, flags)

    def do(self, operation: Callable[[], None]) -> None:
        """Do one operation, or fail it."""
        strikes = self._fault.strikes()
        if strikes and not self._late:
            raise self._error("planted")
        operation()
        if strikes:
            raise self._error("planted")


class FailingFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, disk: FailingDisk, name: "apsw.URIFilename | str | None", flags: list[int]) -> None:
        super().__init__("", name, flags)
        concerned = not disk.is_full or flags[0] & apsw.SQLITE_OPEN_WAL
        self._write = disk.do if concerned else at_once
        self._do = at_once if disk.is_full else disk.do

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Write."""
        self._write(lambda: super(FailingFile, self).xWrite(data, offset))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        """Shorten."""
        self._do(lambda: super(FailingFile, self).xTruncate(newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Make safe; the real disk is left in peace."""
        self._do(lambda: None)


def at_once(operation: Callable[[], None]) -> None:
    """Do an operation that never fails."""
    operation()


class BothSides:
    """The store and its history as one. Whatever is awaited from their threads stops virtual time. ``fault`` refuses
    the n-th call of a verb of the writing side."""

    def __init__(self, loop: ThreadedLoop, folder: Path, vfs: str | None, fault: Fault) -> None:
        self._loop = loop
        self._fault = fault
        self.store = SqliteStore(folder / "whatsync.db", clock=SystemClock(), vfs=vfs)
        self.store._disk.pause_seconds = PAUSE_SECONDS

    def __getattr__(self, name: str) -> Any:
        if name == "state":
            return self.store.state
        if not hasattr(Store, name):
            return self._reading(getattr(self.store.history, name))
        return self._writing(getattr(self.store, name))

    def _reading(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        async def ask(*arguments: Any, **named: Any) -> Any:
            return await self._loop.expect(asyncio.ensure_future(verb(*arguments, **named)))

        return ask

    def _writing(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._fault.strikes():
                refused: asyncio.Future[Any] = self._loop.create_future()
                self._loop.call_later(0.5, refused.set_exception, StoreUnavailable("planted"))
                return refused
            answer = verb(*arguments, **named)
            if inspect.iscoroutine(answer):
                answer = self._loop.create_task(answer)
            return self._loop.expect(answer)

        return call
