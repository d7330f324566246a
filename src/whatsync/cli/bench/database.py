"""The PostgreSQL database under measurement, seen from outside: how large it is, and what processor time its server has
used, where that server runs on this machine.

Asks PostgreSQL and ``/proc``; knows nothing of what is stored.
"""

import asyncio
import os
from pathlib import Path

import asyncpg

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM = 1, 11, 12, 13, 14
"""Places in ``/proc/<pid>/stat`` behind the program's name."""

_ENDED = _CHILDREN_USER, _CHILDREN_SYSTEM
"""What children used that have ended: it counts with the parent that waited for them."""

_LOOKS = 20
"""How often a family of processes is looked at until nobody left it meanwhile."""


class Database:
    """One database of a PostgreSQL server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._server = asyncio.run(self._find_server())

    def size_bytes(self) -> int:
        """Bytes the database has on its server's disk, without the write-ahead log."""
        size: int = asyncio.run(self._ask("SELECT pg_database_size(current_database())"))
        return size

    def cpu_seconds(self) -> float | None:
        """Processor time of the database's server so far, with all its processes; ``None`` where it is not here."""
        if self._server is None:
            return None
        return family_seconds(self._server)

    async def _find_server(self) -> int | None:
        """The process that started the one that serves us, if the latter is one of this machine's."""
        connection = await asyncpg.connect(self.url)
        try:
            backend, name = await connection.fetchrow("SELECT pg_backend_pid(), current_database()")
            try:
                title = (_PROC / str(backend) / "cmdline").read_bytes()
            except OSError:
                return None
            fields = _stat(backend)
            # Elsewhere the same number may belong to anybody; PostgreSQL writes into its title whom it serves.
            ours = title.startswith(b"postgres:") and name.encode() in title
            return int(fields[_PARENT]) if ours and fields is not None else None
        finally:
            await connection.close()

    async def _ask(self, question: str) -> int:
        connection = await asyncpg.connect(self.url)
        try:
            answer: int = await connection.fetchval(question)
            return answer
        finally:
            await connection.close()


def family_seconds(parent: int) -> float | None:
    """Processor time of a process and its children so far, those that have ended included; ``None`` where it has ended.

    Who ends while the family is looked at would count twice or not at all: then it is looked at again.
    """
    fields, alive = _stat(parent), 0
    for _ in range(_LOOKS):
        alive = sum(_ticks(own, _USER, _SYSTEM) for own in map(_stat, _children(parent)) if own is not None)
        before, fields = fields, _stat(parent)
        if before is None or fields is None or _ticks(before, *_ENDED) == _ticks(fields, *_ENDED):
            break
    return None if fields is None else (alive + _ticks(fields, _USER, _SYSTEM, *_ENDED)) / _TICKS


def _ticks(fields: list[str], *places: int) -> int:
    return sum(int(fields[place]) for place in places)


def _stat(process: int) -> list[str] | None:
    """What the system counts about a process; ``None`` where it has ended."""
    try:
        return (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in (_PROC / str(process) / "task" / str(process) / "children").read_text().split()]
    except OSError:
        return []
