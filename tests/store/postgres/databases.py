"""Databases for tests on the cluster of this process: each one empty when it is asked for, copied from one that has the
schema already.
"""

import asyncio
import functools
import itertools

import asyncpg

from tests.store.postgres.cluster import quick
from whatsync.store.postgres.schema import migrate

_TEMPLATE = "template_whatsync"
_number = itertools.count(1)


def url(database: str) -> str:
    """Where a database is."""
    return quick().url(database)


def fresh() -> str:
    """A database nobody has used. Works within a running event loop and without one."""
    name = f"test_{next(_number)}"
    quick().sql(f"CREATE DATABASE {name} TEMPLATE {_template()} STRATEGY file_copy")
    return name


def dump(database: str, into: str) -> None:
    """Copy a database by pg_dump and pg_restore."""
    quick().dump(database, into)


@functools.cache
def _template() -> str:
    quick().sql(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 ENCODING 'UTF8'")
    import threading

    maker = threading.Thread(target=lambda: asyncio.run(_make()))
    maker.start()
    maker.join()
    return _TEMPLATE


async def _make() -> None:
    connection = await asyncpg.connect(url(_TEMPLATE))
    try:
        await migrate(connection)
    finally:
        await connection.close()
