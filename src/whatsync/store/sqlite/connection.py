"""Opens connections: the one that writes and any number that read. Settings of SQLite that durability and speed hang on
stand here and nowhere else.
"""

import os
from pathlib import Path

import apsw

from whatsync.ports.store import StoreRefused

APPLICATION_ID = 0x57535953
"""Marks the file as ours, for ``file`` and for us."""
READ_CACHE_KIB = 8_192
WRITE_CACHE_KIB = 65_536
CHECKPOINT_PAGES = 4_000
READ_WAIT_MS = 5_000
_VARIABLES_MAX = 32_766
_ONE_THREAD = apsw.SQLITE_OPEN_NOMUTEX
"""Only the writer's thread uses its connection, so SQLite need not lock it for each of the sixty values of an event."""


def open_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the one connection that writes and checkpoints. Raises StoreRefused where it is no such file."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its side files the mode of the database, so that none is ever readable by others.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = _connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | _ONE_THREAD, vfs)
    except OSError as problem:
        raise StoreRefused(f"the database {path} can't be opened: {problem.strerror}") from None
    except apsw.Error as problem:
        raise refusal(path, problem) from None
    try:
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        _set(db, synchronous="FULL", wal_autocheckpoint=CHECKPOINT_PAGES, cache_size=-WRITE_CACHE_KIB)
        # What retention and erasure remove is overwritten, not only let go of.
        _set(db, secure_delete="ON")
        _set(db, foreign_keys="OFF", trusted_schema="OFF")
        # One writer and its own readers: SQLite never has to wait for another writer's lock.
        db.set_busy_timeout(READ_WAIT_MS)
    except apsw.Error as problem:
        db.close()
        raise refusal(path, problem) from None
    return db


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open a connection that can only read. Use it in one thread at a time, in short transactions."""
    db = _connect(path, apsw.SQLITE_OPEN_READWRITE, vfs)
    _set(db, query_only="ON", cache_size=-READ_CACHE_KIB)
    db.set_busy_timeout(READ_WAIT_MS)
    return db


def refusal(path: Path, problem: apsw.Error) -> StoreRefused:
    """Why the file can't be used, in words that say what to do."""
    if isinstance(problem, apsw.NotADBError):
        return StoreRefused(f"{path} is no SQLite database; move it away, or name the right file")
    if isinstance(problem, apsw.CorruptError):
        return StoreRefused(f"the database {path} is damaged; restore it from a backup ({problem})")
    if isinstance(problem, apsw.BusyError | apsw.LockedError):
        return StoreRefused(f"another program is using the database {path}; stop it first")
    return StoreRefused(f"the database {path} can't be opened: {problem}")


def _connect(path: Path, flags: int, vfs: str | None) -> apsw.Connection:
    db = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=512)
    db.limit(apsw.SQLITE_LIMIT_VARIABLE_NUMBER, _VARIABLES_MAX)
    _set(db, temp_store="MEMORY")
    return db


def _set(db: apsw.Connection, **settings: str | int) -> None:
    for name, value in settings.items():
        db.execute(f"PRAGMA {name} = {value}").fetchall()
