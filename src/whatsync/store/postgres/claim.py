"""Takes what is due for one endpoint, past rows that another node is taking, gives back what was not attempted, and
plans anew when the clock went back.

Runs inside a transaction. Knows no lane and no clock.
"""

from collections.abc import Sequence
from typing import Any

from whatsync.model.retry import replanned_ms
from whatsync.ports.store import Claimed, Claims, Origin
from whatsync.store.coding import STATES
from whatsync.store.postgres.coding import read_event
from whatsync.store.postgres.connection import fetch, fetch_value, run
from whatsync.store.postgres.database import Database, Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.statements import statements
from whatsync.store.postgres.words import Words

_SQL = statements("claim.sql")
_DELIVERY_COLUMNS = 6


async def claim(database: Database, node: Node, endpoint: int, now_ms: int, limit: int, *, early: bool) -> Claims:
    """Take up to ``limit`` deliveries that wait in the store."""
    words = database.words

    async def take(transaction: Transaction) -> tuple[list[Any], int | None]:
        connection = transaction.connection
        values = {"endpoint": endpoint, "limit": limit, "run": node.run}
        if early:
            rows = await fetch(connection, _SQL["retrying"], **values)
        else:
            rows = await fetch(connection, _SQL["due"], now=now_ms, **values)
        # All that the answer needs is read before the commit: from then on it has to be given.
        await words.read(connection, [row[at] for row in rows for at in (9, 12)])
        return rows, await fetch_value(connection, _SQL["next_due"], endpoint=endpoint)

    rows, next_due_ms = await database.transact(take, run=node.run)
    return Claims(tuple([_claimed(words, row) for row in rows]), next_due_ms)


def _claimed(words: Words, row: Sequence[Any]) -> Claimed:
    delivery, number, attempts, state, contact, origin = row[:_DELIVERY_COLUMNS]
    columns = row[_DELIVERY_COLUMNS:]
    event = read_event(columns, words.text(columns[3]) or "", words.text(columns[6]))
    about = None
    if contact is not None:
        # Erased meanwhile: any word keeps the order.
        about = event.contact or f"{contact:x}"
    return Claimed(delivery, number, attempts, STATES[state], event, about, Origin(origin))


async def give_back(transaction: Transaction, claims: Sequence[tuple[int, int]], due_ms: int) -> None:
    """Let go of claims that still hold."""
    ids, numbers = [delivery for delivery, _ in claims], [number for _, number in claims]
    await run(transaction.connection, _SQL["give_back"], ids=ids, claims=numbers, due_ms=due_ms)


async def replan(
    transaction: Transaction, endpoint: int, now_ms: int, after: tuple[int, int], limit: int
) -> tuple[int, int] | None:
    """Bring forward what a later clock had planned; returns where to go on."""
    connection = transaction.connection
    values = {"after_due": after[0], "after_id": after[1]}
    rows = await fetch(connection, _SQL["planned"], endpoint=endpoint, limit=limit, **values)
    due = [(row[0], row[1], replanned_ms(now_ms, row[1], row[2], row[3], row[4])) for row in rows]
    moved = [(id_, then) for id_, before, then in due if then != before]
    if moved:
        await run(connection, _SQL["plan"], ids=[id_ for id_, _ in moved], dues=[then for _, then in moved])
    return (rows[-1][1], rows[-1][0]) if len(rows) == limit else None
