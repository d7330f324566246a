"""How the disk is doing: whether writes succeed, how much room is left, how long the last commit took.

Written by the writer's thread, read by the event loop's. Asks the file system at most once a second; knows no row.
"""

import os
from collections.abc import Callable
from pathlib import Path

import apsw

DISK_ERRORS = (
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
    apsw.BusyError,
    apsw.ProtocolError,
)
"""What SQLite says when it is the disk's fault, or another program's."""
WAL_BYTES_MAX = 64 * 1024 * 1024
"""From this size on the writer waits for readers to step aside, so that the log can begin anew."""
LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 0.2
_BUSY_MS = 500
_NORMAL_BUSY_MS = 5_000


def free_bytes_of(folder: Path) -> int:
    """Bytes that may still be written in a folder."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


class Disk:
    """The facts about one database's disk."""

    def __init__(
        self,
        path: Path,
        monotonic: Callable[[], float],
        free_bytes_min: int,
        measure: Callable[[Path], int] = free_bytes_of,
    ) -> None:
        self.path = path
        self.monotonic = monotonic
        self.pause_seconds = _PAUSE_SECONDS
        """Between two tries to open a database that failed."""
        self._free_bytes_min = free_bytes_min
        self._measure = measure
        self._looked = monotonic() - 2 * LOOK_SECONDS
        self.free_bytes = 0
        self.last_commit_seconds = 0.0
        self.reason: str | None = None
        """Why nothing can be written; ``None`` while the disk is well."""
        self.room_reason: str | None = None
        """Why nothing new is accepted though the disk is well."""
        self.must_reopen = False

    @property
    def well(self) -> bool:
        """Whether writes succeed."""
        return self.reason is None

    @property
    def fit(self) -> bool:
        """Whether new events may be accepted."""
        return self.reason is None and self.room_reason is None

    @property
    def wal_bytes(self) -> int:
        """Size of the write-ahead log."""
        try:
            return os.stat(f"{self.path}-wal").st_size
        except OSError:
            return 0

    def committed(self, db: apsw.Connection, seconds: float) -> None:
        """A commit has succeeded."""
        self.recovered()
        self.last_commit_seconds = seconds
        if self.monotonic() - self._looked >= LOOK_SECONDS:
            self.look()
            if self.wal_bytes > WAL_BYTES_MAX:
                _begin_log_anew(db)

    def recovered(self) -> None:
        """Writes succeed."""
        self.reason = None
        self.must_reopen = False

    def look(self) -> None:
        """See how much room is left."""
        self._looked = self.monotonic()
        try:
            self.free_bytes = self._measure(self.path.parent)
        except OSError as problem:
            self.room_reason = f"the disk of {self.path.parent} can't be asked for its free space: {problem.strerror}"
            return
        low = self.free_bytes < self._free_bytes_min
        self.room_reason = (
            f"the disk of {self.path.parent} has only {self.free_bytes >> 20} MiB left, less than the "
            f"{self._free_bytes_min >> 20} MiB of WHATSYNC_MIN_FREE_DISK: no new event is accepted until there is room"
            if low
            else None
        )

    def failed(self, problem: Exception) -> None:
        """A write has failed."""
        self.must_reopen = not isinstance(problem, apsw.FullError)
        if isinstance(problem, apsw.FullError):
            self.reason = f"the disk of {self.path.parent} is full: make room; writing is tried again by itself"
        elif isinstance(problem, apsw.CorruptError | apsw.NotADBError):
            self.reason = f"the database {self.path} is damaged ({problem}): stop the server and restore a backup"
        elif isinstance(problem, apsw.BusyError):
            self.reason = (
                f"another program holds the database {self.path} locked: end it; writing is tried again by itself"
            )
        elif isinstance(problem, apsw.ReadOnlyError):
            self.reason = f"the database {self.path} can't be written to any more ({problem}): check disk and rights"
        else:
            self.reason = f"the disk of {self.path.parent} fails ({problem}); writing is tried again by itself"


def _begin_log_anew(db: apsw.Connection) -> None:
    db.set_busy_timeout(_BUSY_MS)
    try:
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    except apsw.BusyError:
        # A reader took its time; the next look tries again.
        return
    finally:
        db.set_busy_timeout(_NORMAL_BUSY_MS)
