"""Copies the database while it is being written to, a few pages between two commits.

Read through the writing connection, so that what is committed meanwhile goes into the copy too and no reader's
transaction holds up the log.
"""

import os
from contextlib import suppress
from pathlib import Path

import apsw

from whatsync.store.sqlite.calls import BackupCall

STEP_PAGES = 512


class Backup:
    """One copy under way. Raises apsw errors and OSError."""

    def __init__(self, call: BackupCall, source: apsw.Connection) -> None:
        self.call = call
        self._path = Path(call.path)
        self._part = self._path.with_name(self._path.name + ".part")
        self._part.unlink(missing_ok=True)
        os.close(os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._target = apsw.Connection(str(self._part))
        self._copy = self._target.backup("main", source, "main")

    def step(self) -> bool:
        """Copy some pages; true when the copy is complete and safe under its name."""
        try:
            done = self._copy.step(STEP_PAGES)
        except (apsw.BusyError, apsw.LockedError):
            return False
        if not done:
            return False
        self._copy.finish()
        self._target.close()
        os.replace(self._part, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True

    def abandon(self) -> None:
        """Remove what was copied."""
        with suppress(apsw.Error, OSError):
            self._copy.close(True)
            self._target.close(True)
        with suppress(OSError):
            self._part.unlink(missing_ok=True)
