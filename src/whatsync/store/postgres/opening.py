"""Begins a run and says what there is: configuration, what waits, how endpoints fare.

Runs inside a transaction.
"""

import msgspec

from whatsync.model.health import Health
from whatsync.ports.cluster import Role
from whatsync.ports.store import Backlog, HealthRow, Opened, StoreRefused
from whatsync.store.keyed_hash import keyed_hash
from whatsync.store.postgres import documents, epochs
from whatsync.store.postgres.coding import DAY_MS
from whatsync.store.postgres.connection import fetch, fetch_row, fetch_value, run
from whatsync.store.postgres.database import Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.statements import statements

_HELD = 5
_PLACE_BITS = 16

_SQL = statements("opening.sql")
_CLUSTER = statements("cluster.sql")
_decode_health = msgspec.json.Decoder(Health).decode


async def begin_run(transaction: Transaction, node: Node, now_ms: int, version: str) -> Opened:
    """Start a run beside those of other nodes. Raises StoreRefused where only a part of an installation is there."""
    connection = transaction.connection
    if await fetch_value(connection, _SQL["moving"]):
        raise StoreRefused(
            "an installation is being moved into this database and only a part of it is here; run `whatsync migrate "
            "--from … --to …` again, it goes on where it was"
        )
    node.run = await epochs.begin(transaction, node, version, Role.ALL, epochs.FIRST_LEASE_SECONDS)
    node.over, node.version = False, version
    node.hash_of = keyed_hash(await fetch_value(connection, _SQL["secret"]))
    await set_place_base(transaction, node)
    transaction.days |= {now_ms // DAY_MS, now_ms // DAY_MS + 1}
    # Each of these may be newer than the one before, never older: then the news has it once more.
    cursor = await fetch_value(connection, _CLUSTER["changes"])
    versions = await documents.versions(connection)
    return Opened(
        run=node.run,
        floor=await fetch_value(connection, _SQL["top"]),
        documents=await documents.load(connection),
        versions=versions,
        backlog=await _backlog(transaction),
        health=await _health(transaction),
        now_ms=await fetch_value(connection, _SQL["now_ms"]),
        cursor=cursor,
    )


async def set_place_base(transaction: Transaction, node: Node) -> None:
    """Keep the feed's places rising where transaction ids began anew."""
    connection = transaction.connection
    base = int(await fetch_value(connection, _SQL["place_base"]))
    top, number, next_number = await fetch_row(connection, _SQL["top_place"])
    passed = top >> _PLACE_BITS
    if next_number + base <= passed:
        base = passed + 1 - number
        await run(connection, _SQL["set_place_base"], value=str(base).encode())
    node.place_base = base


async def _backlog(transaction: Transaction) -> tuple[Backlog, ...]:
    waiting: dict[int, int] = {}
    held: dict[int, int] = {}
    dues: dict[int, list[int]] = {}
    accounts: dict[int, int] = {}
    for endpoint, account, state, count, due_ms in await fetch(transaction.connection, _SQL["count_open"]):
        kind = held if state == _HELD else waiting
        kind[endpoint] = kind.get(endpoint, 0) + count
        accounts[endpoint] = account
        if state != _HELD and due_ms is not None:
            dues.setdefault(endpoint, []).append(due_ms)
    return tuple([
        Backlog(
            endpoint, accounts[endpoint], waiting.get(endpoint, 0), held.get(endpoint, 0),
            min(dues.get(endpoint, []), default=None),
        )
        for endpoint in sorted(accounts)
    ])  # fmt: skip


async def _health(transaction: Transaction) -> tuple[HealthRow, ...]:
    rows = await fetch(transaction.connection, _SQL["health"])
    return tuple([HealthRow(endpoint, _decode_health(body)) for endpoint, body in rows])
