"""The lock that lets one server use a data folder: a locked file beside the database that names its owner.

The system frees the lock when the process ends in whatever way. Knows no database.
"""

import fcntl
import os
from pathlib import Path

from whatsync.ports.store import StoreRefused


class FolderLock:
    """Held from construction until ``release``. Raises StoreRefused where another server holds it."""

    def __init__(self, database: Path, owner: str) -> None:
        self.path = database.with_name(database.name + ".lock")
        try:
            database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise StoreRefused(f"the data folder {database.parent} can't be used: {problem.strerror}") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            first = os.pread(self._handle, 1024, 0).decode("utf-8", "replace").strip()
            os.close(self._handle)
            raise StoreRefused(
                f"another server ({first or 'unknown'}) uses {database}; stop it first, or give this one its own "
                "folder with WHATSYNC_DATA_DIR"
            ) from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"process {os.getpid()}{', ' if owner else ''}{owner}\n".encode(), 0)

    def release(self) -> None:
        """Let the next server in. The file stays: removing it would race with a server that is starting."""
        if self._handle >= 0:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1
