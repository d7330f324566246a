"""Runs of nodes, which the ports call epochs: begun, renewed, ended and cleared.

A run is over in two steps. First it is written down that it has *ended*: from then on no transaction of it begins.
Then, once none of it is under way any more, it is *cleared*: its claims and posts are free. So no claim outlives its
run, whatever the order of commits, and nobody waits for a node that stands still in the middle of a transaction.
"""

from functools import partial
from typing import Any

import msgspec

from whatsync.model.ids import NODE_MAX
from whatsync.ports.clock import Clock
from whatsync.ports.cluster import Beat, Member, Role
from whatsync.store.postgres.connection import fetch, fetch_value, run
from whatsync.store.postgres.database import Database, Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.statements import statements

FIRST_LEASE_SECONDS = 45.0
"""From opening the store to the first heartbeat, which says how long the next lease is."""
CLEARINGS_MAX = 20
CLEARING_PAUSE_SECONDS = 0.1
TAKEN_BACK_ROWS = 20_000
"""Open deliveries that one step looks at."""

_SQL = statements("epochs.sql")


class Seen(msgspec.Struct):
    """What a look at all runs showed."""

    now_ms: int
    changed: int
    members: tuple[Member, ...]
    overdue: bool
    """Some lease has run out, or a run that ended is not cleared yet."""


async def renew(database: Database, node: Node, role: Role, lease_seconds: float, leaving: bool) -> Seen | None:
    """Renew the lease and look at the others; ``None`` where this run is over."""

    async def work(transaction: Transaction) -> Seen | None:
        values = {"run": node.run, "role": role.value, "lease_seconds": lease_seconds, "leaving": leaving}
        if await fetch_value(transaction.connection, _SQL["renew"], **values) is None:
            return None
        return await _look(transaction.connection, node)

    return await database.transact(work)


async def look(database: Database, node: Node) -> Seen:
    """Who is there, and what time it is."""
    return await database.ask(partial(_look, node=node))


async def _look(connection: Any, node: Node) -> Seen:
    rows = await fetch(connection, _SQL["seen"])
    runs = [row[2:] for row in rows if row[2] is not None]
    return Seen(
        now_ms=rows[0][0],
        changed=rows[0][1],
        members=tuple(
            [Member(id_, name, Role(role), leaving) for id_, name, role, leaving, ended, _ in runs if not ended]
        ),
        overdue=any(ended or late for id_, *_, ended, late in runs if id_ != node.run),
    )


def beat_of(node: Node, seen: Seen) -> Beat:
    """A heartbeat's answer."""
    return Beat(node.run, seen.now_ms, seen.members, seen.changed)


async def end_overdue(database: Database, node: Node) -> None:
    """End the runs whose lease has run out, and clear what can be cleared."""
    await database.transact(lambda transaction: run(transaction.connection, _SQL["end_overdue"], run=node.run))
    await clear(database)


async def end_own(database: Database, node: Node, clock: Clock) -> None:
    """End every run of this node. Of one that was killed a transaction may still be under way: it gets time to end, and
    what is not cleared then is left to heartbeats.
    """
    await say_over(database, node)
    for _ in range(CLEARINGS_MAX):
        if await clear(database):
            return
        await clock.sleep(CLEARING_PAUSE_SECONDS)


async def say_over(database: Database, node: Node) -> None:
    """Write down that this node's runs have ended. Whoever looks next clears them."""
    await database.transact(lambda transaction: run(transaction.connection, _SQL["end_node"], node=node.name))


async def clear(database: Database) -> bool:
    """Free the claims and posts of runs that have ended and have nothing under way; false where some have."""
    all_clear = True
    for (ended,) in await database.ask(lambda connection: fetch(connection, _SQL["ended_runs"])):
        if await database.transact(partial(_is_still, ended=ended)):
            await _take_back(database, ended)
            await database.transact(partial(_clear, ended=ended))
        else:
            all_clear = False
    return all_clear


async def _is_still(transaction: Transaction, ended: int) -> bool:
    """Whether nothing of a run that has ended is under way: then nothing of it ever is again."""
    return bool(await fetch_value(transaction.connection, _SQL["still"], run=ended))


async def _take_back(database: Database, ended: int) -> None:
    """Free the claims, in transactions of bounded length however much waits. Whoever stops in between has done no harm:
    the next one walks again.
    """
    after: int | None = 0
    while after is not None:
        after = await database.transact(partial(_take_back_part, ended=ended, after=after))


async def _take_back_part(transaction: Transaction, ended: int, after: int) -> int | None:
    values = {"run": ended, "after": after, "limit": TAKEN_BACK_ROWS}
    reached: int | None = await fetch_value(transaction.connection, _SQL["take_back"], **values)
    return reached


async def _clear(transaction: Transaction, ended: int) -> None:
    connection = transaction.connection
    await run(connection, _SQL["lock_runs"])
    for step in ("take_back_media", "free_posts", "forget_marks", "clear"):
        await run(connection, _SQL[step], run=ended)


async def begin(transaction: Transaction, node: Node, version: str, role: Role, lease_seconds: float) -> int:
    """Begin a run whose row numbers meet no other's."""
    connection = transaction.connection
    await run(connection, _SQL["lock_runs"])
    values = {"node": node.name, "label": node.label, "version": version, "role": role.value}
    while True:
        number: int = await fetch_value(connection, _SQL["begin_run"], lease_seconds=lease_seconds, **values)
        if not await fetch_value(connection, _SQL["alike"], run=number, bits=NODE_MAX):
            return number
        await run(connection, _SQL["void_run"], run=number)
