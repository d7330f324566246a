"""Databases for tests on the cluster of this process: empty when they are asked for, copied from one that has the
schema already, and used again where that is cheaper.
"""

import functools
import itertools

import asyncpg

from tests.store.postgres.cluster import quick
from whatsync.store.postgres.schema import migrate

_TEMPLATE = "template_whatsync"
_ROWS_MAX = 2_000
_DAYS_MAX = 6
_number = itertools.count(1)
_idle: list[str] = []

_FACTS = """
    SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM pg_inherits WHERE inhparent = 'event'::regclass)
"""
_KEPT = ("meta", "word", "whatsync_schema", "change_count")
_TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND NOT relispartition
"""


def url(database: str) -> str:
    """Where a database is."""
    return quick().url(database)


async def borrow() -> str:
    """A database in which nothing is."""
    while _idle:
        name = _idle.pop()
        if await _emptied(name):
            await set_clock(name, None)
            return name
    name = f"test_{next(_number)}"
    await _make_template()
    await _run("postgres", f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
    return name


async def set_clock(database: str, now_ms: int | None) -> None:
    """Let the database's clock stand at a time; ``None``: let it run."""
    text = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint" if now_ms is None else f"{now_ms}::bigint"
    await _run(database, f"CREATE OR REPLACE FUNCTION now_ms() RETURNS bigint LANGUAGE sql AS $$ SELECT {text} $$")


def give_back(name: str) -> None:
    """Nobody uses it any more."""
    _idle.append(name)


def dump(database: str, into: str) -> None:
    """Copy a database by pg_dump and pg_restore."""
    quick().dump(database, into)


async def _emptied(name: str) -> bool:
    connection = await asyncpg.connect(url(name))
    try:
        events, days = await connection.fetchrow(_FACTS)
        if events > _ROWS_MAX or days > _DAYS_MAX:
            return False
        tables = [row[0] for row in await connection.fetch(_TABLES) if row[0] not in _KEPT]
        await connection.execute(";".join([f"DELETE FROM {table}" for table in tables]))
        await connection.execute("ALTER TABLE run ALTER COLUMN id RESTART")
    finally:
        await connection.close()
    return True


async def _run(database: str, text: str) -> None:
    connection = await asyncpg.connect(url(database))
    try:
        await connection.execute(text)
    finally:
        await connection.close()


@functools.cache
def _template() -> set[str]:
    """What is ready in this process."""
    return set()


async def _make_template() -> None:
    if _template():
        return
    await _run("postgres", f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 ENCODING 'UTF8'")
    connection = await asyncpg.connect(url(_TEMPLATE))
    try:
        await migrate(connection)
    finally:
        await connection.close()
    _template().add(_TEMPLATE)
