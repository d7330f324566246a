"""Copies a database from beside the server that writes it: one moment of it, pinned by one read transaction.

For the command line; a running server copies through its writer, see ``backup.py``.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw

STEP_PAGES = 4_096


def copy_database(source: apsw.Connection, target: Path, tell: Callable[[float], None]) -> int:
    """Copy what ``source`` sees now to a file that only its owner can read; returns its size in bytes.

    ``tell`` hears of the share that is done. The log of a running server grows while this goes on. What is written
    appears under its name when it is complete and safe on disk. Raises apsw errors and OSError.
    """
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        source.execute("BEGIN")
        # A transaction begins to see with its first read: from here on the copy is of this moment.
        source.execute("PRAGMA user_version").fetchall()
        source.execute("PRAGMA schema_version").fetchall()
        try:
            _copy(source, part, tell)
        finally:
            source.execute("ROLLBACK")
        os.replace(part, target)
        _sync_folder(target.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return target.stat().st_size


def _copy(source: apsw.Connection, part: Path, tell: Callable[[float], None]) -> None:
    target = apsw.Connection(str(part))
    try:
        with target.backup("main", source, "main") as copy:
            while not copy.step(STEP_PAGES):
                tell(1 - copy.remaining / max(copy.page_count, 1))
    finally:
        target.close()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
