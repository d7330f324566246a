"""Begins a run: ends the runs of this node and those whose lease is over, takes their claims back, and says what waits.

Runs inside a transaction.
"""

import msgspec

from whatsync.model.health import Health
from whatsync.ports.store import Backlog, HealthRow, Opened, StoreRefused
from whatsync.store.keyed_hash import keyed_hash
from whatsync.store.postgres import documents, media
from whatsync.store.postgres.coding import DAY_MS
from whatsync.store.postgres.connection import fetch, fetch_row, fetch_value, run
from whatsync.store.postgres.database import Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.statements import statements

LEASE_SECONDS = 15.0
"""How long a node's claims are its own after it was last heard of."""
_HELD = 5
_PLACE_BITS = 16

_SQL = statements("opening.sql")
_SESSION = statements("session.sql")
_decode_health = msgspec.json.Decoder(Health).decode


async def begin_run(transaction: Transaction, node: Node, now_ms: int, version: str) -> Opened:
    """Take back what earlier runs had and start a new one. Raises StoreRefused where another node works."""
    connection = transaction.connection
    await run(connection, _SQL["lock_runs"])
    others = await fetch(connection, _SQL["other_runs"], node=node.name)
    if others:
        _, label, seconds = others[0]
        raise StoreRefused(
            f"another WhatsSync ({label}) works on this database, and this version lets only one do so; stop it first. "
            f"If it was killed, try again in {max(1, seconds)} s"
        )
    await run(connection, _SQL["end_runs"], node=node.name)
    values = {"node": node.name, "label": node.label, "version": version, "started_ms": now_ms}
    node.run = await fetch_value(connection, _SQL["begin_run"], lease_seconds=LEASE_SECONDS, **values)
    await run(connection, _SQL["take_back"], now_ms=now_ms)
    await media.take_back(transaction, now_ms)
    node.hash_of = keyed_hash(await fetch_value(connection, _SQL["secret"]))
    await _set_place_base(transaction, node)
    transaction.days |= {now_ms // DAY_MS, now_ms // DAY_MS + 1}
    return Opened(
        run=node.run,
        floor=await fetch_value(connection, _SQL["top"]),
        documents=await documents.load(connection),
        versions=await documents.versions(connection),
        backlog=await _backlog(transaction),
        health=await _health(transaction),
    )


async def _set_place_base(transaction: Transaction, node: Node) -> None:
    """Keep the feed's places rising where transaction ids began anew."""
    connection = transaction.connection
    base = int(await fetch_value(connection, _SQL["place_base"]))
    top, transaction.number = await fetch_row(connection, _SQL["top_place"])
    passed = top >> _PLACE_BITS
    if transaction.number is not None and transaction.number + base <= passed:
        base = passed + 1 - transaction.number
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
