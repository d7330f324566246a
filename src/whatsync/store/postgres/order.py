"""The order of deliveries about one contact: when the next one's turn comes after one has ended.

Runs inside a transaction that holds the contact's lock, so that nobody is added behind while the turn is passed on.
"""

from collections.abc import Iterable

from whatsync.model.ids import ms_of
from whatsync.model.retry import turn_ms
from whatsync.store.postgres.connection import fetch_row, fetch_value, run
from whatsync.store.postgres.database import Transaction
from whatsync.store.postgres.statements import statements

_SQL = statements("order.sql")


async def lock(transaction: Transaction, contacts: Iterable[int]) -> None:
    """Let nobody else change the order about these contacts until the transaction ends."""
    wanted = sorted(set(contacts))
    if wanted:
        await run(transaction.connection, _SQL["lock_contacts"], contacts=wanted)


async def forward(transaction: Transaction, turn: int, endpoint: int, contact: int, now_ms: int) -> bool:
    """Bring the delivery behind one that has just ended, whose turn it was, forward; true where that moved it."""
    connection = transaction.connection
    following = await fetch_row(connection, _SQL["next_open"], endpoint=endpoint, contact=contact, turn=turn)
    if following is None or not following[4]:
        return False
    id_, before_ms, wait_ms, own_turn, _ = following
    earlier = await earlier_open(transaction, own_turn, endpoint, contact)
    due_ms = now_ms if earlier is None else turn_ms(now_ms, ms_of(earlier), wait_ms)
    if before_ms <= due_ms:
        return False
    await run(connection, _SQL["set_turn"], due_ms=due_ms, id=id_)
    return True


async def earlier_open(transaction: Transaction, turn: int, endpoint: int, contact: int) -> int | None:
    """The nearest open delivery before a turn about the same contact."""
    values = {"endpoint": endpoint, "contact": contact, "turn": turn}
    row: int | None = await fetch_value(transaction.connection, _SQL["earlier_open"], **values)
    return row
