"""The SQLite file that is moved: no server may use it meanwhile. Nothing in it is changed but what each start of a
server changes: claims are taken back, counts are added up.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import apsw.ext

from whatsync.ports.clock import Clock
from whatsync.store.moving.statements import statements
from whatsync.store.sqlite.connection import open_reader, refusal
from whatsync.store.sqlite.folder_lock import FolderLock
from whatsync.store.sqlite.store import SqliteStore

_SQL = statements("source.sql")
OWNER = "whatsync migrate"


async def settle(path: Path, clock: Clock, version: str) -> None:
    """Open the file as a server would, so that nothing is claimed or uncounted. Raises StoreRefused."""
    store = SqliteStore(path, clock=clock, owner=OWNER)
    await store.open(clock.now_ms(), version)
    try:
        await store.add_counts()
    finally:
        await store.close()


class Source:
    """The file, locked and open for reading. Raises StoreRefused where a server runs."""

    def __init__(self, path: Path) -> None:
        self._lock = FolderLock(path, OWNER)
        try:
            self._db = open_reader(path)
        except apsw.Error as problem:
            self._lock.release()
            raise refusal(path, problem) from None
        except BaseException:
            self._lock.release()
            raise

    @property
    def hash_key(self) -> bytes:
        """What the installation's hashes are made with."""
        return bytes(self._value("hash_key"))

    @property
    def runs(self) -> int:
        """How often it was opened."""
        return int(self._value("runs"))

    def days(self) -> list[int]:
        """The days its rows lie in."""
        return sorted(day for (day,) in self._db.execute(_SQL["days"]))

    def highest(self) -> dict[str, int]:
        """The highest rows given out."""
        return dict(self._db.execute(_SQL["highest"]))

    def columns(self, table: str) -> Sequence[str]:
        """The columns of a table's rows."""
        return [column[0] for column in apsw.ext.query_info(self._db, _SQL[table]).description]

    def count(self, table: str) -> int:
        """How many rows there are."""
        return int(next(self._db.execute(_SQL["count"].format(rows=_SQL[table])))[0])

    def rows(self, table: str, passed: int = 0) -> Iterator[Sequence[Any]]:
        """A table's rows behind the first ``passed`` ones."""
        yield from self._db.execute(_SQL[table] + " LIMIT -1 OFFSET ?", (passed,))

    def _value(self, name: str) -> Any:
        return next(self._db.execute(_SQL[name]))[0]

    def close(self) -> None:
        """Let others at it."""
        self._db.close()
        self._lock.release()
