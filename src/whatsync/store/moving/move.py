"""Moves all of an installation: table by table, some thousand rows to a transaction, which also says how far it is.
What was interrupted goes on there. At the end everything is read back and compared.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from whatsync.ports.clock import Clock
from whatsync.ports.store import StoreRefused
from whatsync.store.keyed_hash import keyed_hash
from whatsync.store.moving import source as sources
from whatsync.store.moving.source import Source
from whatsync.store.moving.statements import statements
from whatsync.store.moving.steps import STEPS, Converter, Row
from whatsync.store.postgres.connection import Address, connect
from whatsync.store.postgres.schema import migrate
from whatsync.store.postgres.statements import numbered
from whatsync.store.postgres.trouble import out_of_reach, sentence, shown

MOVING = "moving"
"""Row of table ``meta`` while a database is only partly there."""
PAGE_ROWS = 1_000
"""Rows of one transaction. Bodies have 100 kB at most."""
READ_ROWS = 2_000
_SUM_BITS = 256

_SQL = {name: numbered(text) for name, text in statements("target.sql").items()}

Tell = Callable[[str, int, int], None]
"""Hears table, rows done and rows in all."""


class Moved(msgspec.Struct, frozen=True):
    """One table, there and the same."""

    table: str
    rows: int
    checksum: str
    """Of all rows, whatever their order; the same on both sides."""


async def move(path: Path, address: Address, clock: Clock, version: str, tell: Tell) -> list[Moved]:
    """Move everything, or go on with it. Raises StoreRefused with what stands against it."""
    try:
        connection = await connect(address)
    except StoreRefused as refused:
        raise StoreRefused(f"{shown(address.url)}: {refused.reason}") from None
    except Exception as problem:
        if not out_of_reach(problem):
            raise
        raise StoreRefused(f"{shown(address.url)}: {sentence(problem)}") from None
    try:
        return await _move(path, connection, clock, version, tell)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
        if not out_of_reach(problem):
            raise
        raise StoreRefused(f"{sentence(problem)}. Run the same command again: it goes on where it was") from None
    finally:
        connection.terminate()


async def _move(path: Path, connection: asyncpg.Connection, clock: Clock, version: str, tell: Tell) -> list[Moved]:
    await migrate(connection)
    for name in ("no_hurry", "no_hurry_idle"):
        await connection.execute(_SQL[name].text)
    if not await connection.fetchval(_SQL["alone"].text):
        raise StoreRefused("another `whatsync migrate` moves something into this database")
    begun = await _noted(connection, MOVING)
    if begun is None:
        if await connection.fetchval(_SQL["in_use"].text):
            raise StoreRefused("there is an installation in this database already; name an empty one")
        await sources.settle(path, clock, version)
        # Nothing uses the words that a start which came to nothing may have left.
        await connection.execute(_SQL["no_words"].text)
    source = Source(path)
    try:
        mark = hashlib.sha256(source.hash_key).hexdigest() + f" {source.runs}"
        if begun is None:
            await _note(connection, "hash_key", source.hash_key)
            await _note(connection, MOVING, mark.encode())
        elif begun != mark.encode():
            raise StoreRefused(
                "this database holds a part of something else: of another installation, or of this one before a server "
                "ran on it again. Make the database anew and run the command again"
            )
        return await _all(source, connection, tell)
    finally:
        source.close()


async def _all(source: Source, connection: asyncpg.Connection, tell: Tell) -> list[Moved]:
    for day in source.days():
        await connection.execute(_SQL["make_day"].text, day)
    hash_of = keyed_hash(source.hash_key)
    converters = {table: Converter(table, source.columns(table), hash_of) for table in STEPS}
    for table in STEPS:
        await _table(source, connection, table, converters[table], tell)
    await _number(source, connection)
    moved = [await _compare(source, connection, table, converters[table]) for table in STEPS]
    await connection.execute(_SQL["analyze"].text)
    await connection.execute(_SQL["forget"].text)
    return moved


async def _table(source: Source, connection: asyncpg.Connection, table: str, converter: Converter, tell: Tell) -> None:
    noted = await _noted(connection, f"{MOVING} {table}")
    done, total = int(noted or b"0"), source.count(table)
    rows = source.rows(table, done)
    while page := list(islice(rows, PAGE_ROWS)):
        records = [record for row in page for record in converter.rows(row)]
        done += len(page)
        await connection.execute(_SQL["begin"].text)
        await connection.copy_records_to_table(table, records=records, columns=converter.columns)
        await _note(connection, f"{MOVING} {table}", str(done).encode())
        await connection.execute(_SQL["commit"].text)
        tell(table, done, total)


async def _number(source: Source, connection: asyncpg.Connection) -> None:
    """Let new rows have numbers that were never given out."""
    highest = source.highest()
    least = {"number_runs": source.runs, "number_documents": highest.get("document", 0)}
    least["number_audit"] = highest.get("audit", 0)
    for name in ("number_runs", "number_documents", "number_audit"):
        await connection.execute(_SQL[name].text, least[name])
    for name in ("number_words", "number_turns"):
        await connection.execute(_SQL[name].text)


async def _compare(source: Source, connection: asyncpg.Connection, table: str, converter: Converter) -> Moved:
    count, checksum = _sum(record for row in source.rows(table) for record in converter.rows(row))
    found_count, found_checksum = 0, 0
    text = _SQL["rows"].text.format(columns=", ".join(converter.columns), table=table)
    async with connection.transaction():
        cursor = await connection.cursor(text)
        while rows := await cursor.fetch(READ_ROWS):
            more, part = _sum(tuple(row) for row in rows)
            found_count, found_checksum = found_count + more, (found_checksum + part) % (1 << _SUM_BITS)
    if (count, checksum) != (found_count, found_checksum):
        raise StoreRefused(
            f"table {table} is not the same on both sides ({count} rows here, {found_count} there). Nothing was lost: "
            "the file is as it was. Make the database anew and run the command again"
        )
    return Moved(table, count, f"{checksum:064x}"[:16])


def _sum(records: Iterator[Row]) -> tuple[int, int]:
    """How many rows, and the sum of their hashes: it does not hang on their order."""
    count, total = 0, 0
    for record in records:
        count += 1
        total += int.from_bytes(hashlib.sha256(_text(record)).digest(), "big")
    return count, total % (1 << _SUM_BITS)


def _text(record: Sequence[Any]) -> bytes:
    return repr(record).encode("utf-8", "surrogatepass")


async def _note(connection: asyncpg.Connection, name: str, value: bytes) -> None:
    await connection.execute(_SQL["note"].text, name, value)


async def _noted(connection: asyncpg.Connection, name: str) -> bytes | None:
    value: bytes | None = await connection.fetchval(_SQL["noted"].text, name)
    return value
