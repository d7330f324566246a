"""Looks at a database without opening the store: for the commands that say how it stands or bring it to the schema."""

import msgspec

from whatsync.ports.store import StoreRefused
from whatsync.store.postgres.connection import Address, connect
from whatsync.store.postgres.schema import facts, migrate, version
from whatsync.store.postgres.trouble import out_of_reach, sentence, shown


class Standing(msgspec.Struct, frozen=True):
    """How a database stands."""

    server: str
    """PostgreSQL's version."""
    bytes: int
    schema: int
    """0: empty."""


async def look(address: Address) -> Standing:
    """Connect, check the settings and look. Raises StoreRefused."""
    connection = await _connect(address)
    try:
        server, size = await facts(connection)
        return Standing(server, size, await version(connection))
    finally:
        connection.terminate()


async def bring_to_newest(address: Address) -> int:
    """Run what migrations are missing; the version reached. Raises StoreRefused."""
    connection = await _connect(address)
    try:
        return await migrate(connection)
    finally:
        connection.terminate()


async def _connect(address: Address):  # type: ignore[no-untyped-def]  # the driver has no types
    try:
        return await connect(address)
    except StoreRefused as refused:
        raise StoreRefused(f"{shown(address.url)}: {refused.reason}") from None
    except Exception as problem:
        if not out_of_reach(problem):
            raise
        raise StoreRefused(f"the database {shown(address.url)} can't be used: {sentence(problem)}") from None
