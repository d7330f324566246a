"""A connection to PostgreSQL as the store uses it: opened with checks that the database keeps what it acknowledges, and
asked by statement and named values. Knows no table.
"""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec

from whatsync.ports.store import StoreRefused
from whatsync.store.postgres.statements import Statement, statements

VERSION_MIN = 14
PORT = 5432
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 15.0
"""A statement that takes longer is given up, and its connection with it."""
STATEMENTS_KEPT = 200
_SQL = statements("session.sql")
_SETTINGS = {
    "application_name": "whatsync",
    "jit": "off",
    # Every statement here is a walk along an index towards few rows; a join that reads all of a table is never right.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "auto",
    # What is given up here is given up there, too.
    "statement_timeout": "20s",
    # A node that stands still must not hold the others' rows.
    "idle_in_transaction_session_timeout": "20s",
}


class Address(msgspec.Struct, frozen=True):
    """Where the database is and what to insist on."""

    url: str
    pooled: bool = False
    """A pooler in transaction mode stands between: nothing may be kept in a session."""
    unsafe_allowed: bool = False
    """Settings that can lose what was acknowledged are taken as they are."""

    @property
    def hosts(self) -> tuple[dict[str, Any], ...]:
        """What to tell asyncpg about each of several servers that the URL names; one empty one where it names one."""
        names = urlsplit(self.url).netloc.rpartition("@")[2].split(",")
        if len(names) == 1:
            return ({},)
        parts = [urlsplit(f"//{name}") for name in names]
        return tuple([{"host": part.hostname, "port": part.port or PORT} for part in parts])


class UnsafeDatabaseError(StoreRefused):
    """The database is set so that it could lose what it acknowledged, or it is too old."""


class StandbyError(UnsafeDatabaseError):
    """The database takes no writes."""


async def connect(address: Address) -> asyncpg.Connection:
    """Open a connection and look at the settings that durability stands on. Of several servers the first is taken that
    writes. Raises UnsafeDatabaseError, asyncpg's errors and OSError.
    """
    hosts = address.hosts
    problems: list[Exception] = []
    for host in hosts:
        try:
            return await _connect(address, host, CONNECT_SECONDS / len(hosts))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, UnsafeDatabaseError) as problem:
            problems.append(problem)
    # What the next server says about itself tells less than what is wrong with the one before.
    raise max(reversed(problems), key=_tells)


def _tells(problem: Exception) -> int:
    """How much a problem tells of why nothing can be written."""
    if isinstance(problem, StandbyError):
        return 0
    return 1 if isinstance(problem, OSError) else 2


async def _connect(address: Address, host: dict[str, Any], seconds: float) -> asyncpg.Connection:
    connection = await asyncpg.connect(
        address.url,
        **host,
        timeout=seconds,
        command_timeout=STATEMENT_SECONDS,
        statement_cache_size=0 if address.pooled else STATEMENTS_KEPT,
        max_cached_statement_lifetime=0,
        server_settings=None if address.pooled else _SETTINGS,
    )
    try:
        async with asyncio.timeout(seconds):
            check(await fetch_row(connection, _SQL["safety"]), address)
    except BaseException:
        connection.terminate()
        raise
    return connection


def check(row: Any, address: Address) -> None:
    """Judge the settings. Raises UnsafeDatabaseError."""
    version, fsync, full_page_writes, synchronous_commit, standby, encoding = row
    if version < VERSION_MIN * 10_000:
        raise UnsafeDatabaseError(f"PostgreSQL {version // 10_000} is too old; WhatsSync needs {VERSION_MIN} or newer")
    if encoding != "UTF8":
        raise UnsafeDatabaseError(f"the database's encoding is {encoding}; make it with ENCODING 'UTF8'")
    if standby:
        raise StandbyError("the database is a standby, which takes no writes; name its primary")
    found = {"fsync": fsync, "full_page_writes": full_page_writes, "synchronous_commit": synchronous_commit}
    off = [name for name, value in found.items() if value == "off"]
    if off and not address.unsafe_allowed:
        raise UnsafeDatabaseError(
            f"the database has {' and '.join(off)} = off, so a crash of it could lose events that were acknowledged; "
            "switch it on, or accept the loss with WHATSYNC_DATABASE_UNSAFE=true"
        )


async def fetch(connection: asyncpg.Connection, statement: Statement, **values: Any) -> list[Any]:
    """Run a statement and return its rows."""
    rows: list[Any] = await connection.fetch(statement.text, *statement.values(values))
    return rows


async def fetch_row(connection: asyncpg.Connection, statement: Statement, **values: Any) -> Any:
    """Run a statement and return its first row, ``None`` where it gives none."""
    return await connection.fetchrow(statement.text, *statement.values(values))


async def fetch_value(connection: asyncpg.Connection, statement: Statement, **values: Any) -> Any:
    """Run a statement and return the first value of its first row."""
    return await connection.fetchval(statement.text, *statement.values(values))


async def run(connection: asyncpg.Connection, statement: Statement, **values: Any) -> None:
    """Run a statement for what it does."""
    await connection.execute(statement.text, *statement.values(values))


async def _end(connection: asyncpg.Connection) -> None:
    """Call off what is under way, and close."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.close()
    except Exception:  # noqa: BLE001 - it is gone either way
        connection.terminate()


class Pool:
    """A few connections to lend out, opened when first needed; one that met trouble is thrown away."""

    def __init__(self, address: Address, size: int) -> None:
        self._address = address
        self._idle: list[asyncpg.Connection] = []
        self._lent: set[asyncpg.Connection] = set()
        self._warned: set[asyncpg.Connection] = set()
        self._ending: dict[asyncio.Task[None], asyncpg.Connection] = {}
        self._lines: dict[asyncpg.Connection, int] = {}
        self._opened = 0
        self._places = asyncio.Semaphore(size)
        self._returned = asyncio.Event()
        self.statements = 0
        """Statements run so far."""

    async def take(self) -> asyncpg.Connection:
        """A connection of one's own until ``give`` or ``drop``. Raises what ``connect`` raises."""
        await self._places.acquire()
        try:
            connection = await self._idle_or_new()
        except BaseException:
            self._places.release()
            raise
        self._lent.add(connection)
        return connection

    async def _idle_or_new(self) -> asyncpg.Connection:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
                self._lines.pop(connection, None)
            self._returned.clear()
            try:
                connection = await connect(self._address)
            except asyncpg.TooManyConnectionsError:
                if not self._lent:
                    raise
                # Others have taken the rest: go on with what there is.
                await self._returned.wait()
            else:
                connection.add_query_logger(self._count)
                connection.add_log_listener(self._note)
                self._opened += 1
                self._lines[connection] = self._opened
                return connection

    def line(self, connection: asyncpg.Connection) -> int:
        """The number of a connection that is lent: no other one of this pool had it or will have it."""
        return self._lines[connection]

    def give(self, connection: asyncpg.Connection) -> None:
        """Hand a connection back that nothing is under way on."""
        if connection in self._lent:
            self._lent.discard(connection)
            self._idle.append(connection)
            self._returned.set()
            self._places.release()

    def drop(self, connection: asyncpg.Connection) -> None:
        """Hand a connection back whose state nobody knows. What it may still be doing is called off: a server does not
        notice by itself that nobody waits for a COMMIT any more, and would keep the connection for as long.
        """
        if not connection.is_closed():
            task = asyncio.get_running_loop().create_task(_end(connection))
            self._ending[task] = connection
            task.add_done_callback(self._ended)
        self._lines.pop(connection, None)
        self._warned.discard(connection)
        if connection in self._lent:
            self._lent.discard(connection)
            self._returned.set()
            self._places.release()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._ending[task]

    def cut(self) -> None:
        """Cut all of them."""
        for connection in (*self._idle, *self._lent, *self._ending.values()):
            connection.terminate()
        for task in self._ending:
            task.cancel()
        self._idle.clear()

    async def close(self) -> None:
        """Close what is idle in good order, and cut the rest."""
        idle, self._idle = self._idle, []
        for connection in idle:
            try:
                await connection.close(timeout=1.0)
            except Exception:  # noqa: BLE001 - it is gone either way
                connection.terminate()
        self.cut()

    def _note(self, connection: Any, message: Any) -> None:
        if message.severity_en == "WARNING":
            self._warned.add(connection)

    def warned(self, connection: asyncpg.Connection) -> bool:
        """Whether the server has warned of something on a connection since this was asked last."""
        found = connection in self._warned
        self._warned.discard(connection)
        return found

    def _count(self, _query: object) -> None:
        self.statements += 1
