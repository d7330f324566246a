"""Brings a database to the newest schema: numbered files, each one transaction, one node at a time.

Each migration leaves the tables so that the version before it goes on working: nodes are upgraded one after the other.
Knows no table beyond what the files say.
"""

from importlib.resources import files

import asyncpg

from whatsync.ports.store import StoreRefused
from whatsync.store.postgres.connection import fetch_value, run
from whatsync.store.postgres.statements import statements

_SQL = statements("schema.sql")
_BEGIN = "BEGIN"
_COMMIT = "COMMIT"
_ROLLBACK = "ROLLBACK"
_PATIENCE = "SET LOCAL lock_timeout = '5s'"
_NO_HURRY = "SET LOCAL statement_timeout = 0"


def migrations() -> dict[int, str]:
    """The text of each migration by number."""
    folder = files(__package__).joinpath("schema")
    found = {int(file.name[:4]): file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".sql")}
    return dict(sorted(found.items()))


async def version(connection: asyncpg.Connection) -> int:
    """The number of the last migration the database has been through; 0 for an empty one."""
    if not await fetch_value(connection, _SQL["exists"]):
        return 0
    number: int = await fetch_value(connection, _SQL["version"])
    return number


async def migrate(connection: asyncpg.Connection, known: dict[int, str] | None = None) -> int:
    """Run what is missing and return the version reached. Raises StoreRefused where the database is not for this
    version of WhatsSync.
    """
    known = migrations() if known is None else known
    newest = max(known)
    while (current := await _step(connection, known, newest)) < newest:
        pass
    return current


async def _step(connection: asyncpg.Connection, known: dict[int, str], newest: int) -> int:
    """Run one missing migration; all nodes that start at once stand in line."""
    await connection.execute(_BEGIN)
    try:
        await connection.execute(_NO_HURRY)
        await run(connection, _SQL["lock_in_transaction"])
        current = await version(connection)
        if current > newest:
            raise StoreRefused(
                f"the database was written by a newer version of WhatsSync (schema {current}, this one knows "
                f"{newest}); install that version again, or restore a dump made before the upgrade"
            )
        if current == 0 and await fetch_value(connection, _SQL["tables"]):
            raise StoreRefused("the database belongs to another program; make an empty one for WhatsSync")
        number = next((number for number in known if number > current), current)
        if number != current:
            if current:
                await connection.execute(_PATIENCE)
            await run(connection, _SQL["make"])
            await connection.execute(known[number])
            await run(connection, _SQL["note"], number=number)
        await connection.execute(_COMMIT)
    except BaseException:
        if not connection.is_closed():
            await connection.execute(_ROLLBACK)
        raise
    return number


async def facts(connection: asyncpg.Connection) -> tuple[str, int]:
    """PostgreSQL's version, and the database's size in bytes."""
    server: str = await fetch_value(connection, _SQL["server"])
    size: int = await fetch_value(connection, _SQL["size"])
    return server, size
