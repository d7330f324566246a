"""Removes what is over and moves what is not out of days that are about to go; takes personal content away.

Runs inside a transaction. Rows are locked before they are judged.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from whatsync.model import limits
from whatsync.model.delivery import WAITING, State
from whatsync.model.ids import first_row_at
from whatsync.ports.store import Pruned
from whatsync.store.coding import STATES
from whatsync.store.postgres import media, order, rollup
from whatsync.store.postgres.coding import DAY_MS, OPEN_DAY, day_of, days_of, raw, text_of
from whatsync.store.postgres.connection import fetch, fetch_row, run
from whatsync.store.postgres.database import Database, Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.statements import statements

EXPIRE_ROWS = 2_000
"""Keys, remembered ids and audit entries that one step lets go of, of each."""
DAYS_LEFT_ALONE = 1
"""Besides today: their rows are not moved, since they are young enough to end where they are."""

_SQL = statements("retention.sql")


class _Event(msgspec.Struct, frozen=True):
    seq: int
    day: int
    place: int
    account: int
    id: bytes
    keys: bytes | None


class _Delivery(msgspec.Struct, frozen=True):
    id: int
    day: int
    event: int
    state: int | None
    endpoint: int | None
    contact: int | None
    turn: int | None


class Pruning(msgspec.Struct, frozen=True):
    """One step of retention for one account."""

    account: int
    before_ms: int
    after: int
    limit: int
    now_ms: int

    @property
    def remembered(self) -> int:
        """Ids and keys are remembered from this row on."""
        return first_row_at(self.now_ms - limits.IDEMPOTENCY_DAYS * DAY_MS)


async def prune(transaction: Transaction, database: Database, node: Node, step: Pruning) -> Pruned:
    """Look at old events and remove those that nothing is on its way for."""
    connection = transaction.connection
    types = await database.words.types_of(connection, step.account)
    values = {
        "types": types, "account": step.account, "after": step.after, "border": first_row_at(step.before_ms),
        "last_day": max(0, step.before_ms // DAY_MS), "limit": step.limit,
    }  # fmt: skip
    old = [seq for seq, _ in await fetch(connection, _SQL["old_events"], **values)]
    removed, cancelled = await _remove(transaction, node, step, old) if old else (0, 0)
    if len(old) == step.limit:
        return Pruned(removed, cancelled, old[-1])
    more = await _expire(transaction, step)
    return Pruned(removed, cancelled, max([step.after, *old]) if more else None)


async def _remove(transaction: Transaction, node: Node, step: Pruning, old: Sequence[int]) -> tuple[int, int]:
    connection = transaction.connection
    values = {"seqs": list(old), "days": [OPEN_DAY, *days_of(old)]}
    events = [_Event(*row) for row in await fetch(connection, _SQL["lock_events"], **values)]
    found = [_Delivery(*row) for row in await fetch(connection, _SQL["deliveries"], **values)]
    still_open = [row.id for row in found if row.state is not None]
    if still_open:
        await fetch(connection, _SQL["lock_open"], ids=still_open)
        found = [_Delivery(*row) for row in await fetch(connection, _SQL["deliveries"], **values)]
    busy = {row.event for row in found if row.state is not None and STATES[row.state] in WAITING}
    gone = [event for event in events if event.seq not in busy]
    held = await _drop_held(transaction, step, [row for row in found if row.event not in busy])
    await _remove_deliveries(transaction, [row for row in found if row.event not in busy])
    await _remove_events(transaction, node, step, gone)
    await _move_out(transaction, node, step, [event for event in events if event.seq in busy], found)
    return len(gone), held


async def _drop_held(transaction: Transaction, step: Pruning, rows: Sequence[_Delivery]) -> int:
    """End held deliveries, and let go on who waits behind them. Returns how many there were."""
    held = [row for row in rows if row.state is not None and STATES[row.state] is State.HELD]
    await order.lock(transaction, [row.contact for row in held if row.contact is not None])
    for row in held:
        await run(transaction.connection, _SQL["remove_open"], ids=[row.id])
        if row.contact is not None and row.endpoint is not None and row.turn is not None:
            await order.forward(transaction, row.turn, row.endpoint, row.contact, step.now_ms)
    return len(held)


def _ids_and_days(rows: Sequence[_Delivery]) -> dict[str, Any]:
    return {"ids": [row.id for row in rows], "days": sorted({row.day for row in rows})}


async def _remove_deliveries(transaction: Transaction, rows: Sequence[_Delivery]) -> None:
    if not rows:
        return
    connection, values = transaction.connection, _ids_and_days(rows)
    await run(connection, _SQL["remove_lost"], ids=values["ids"])
    await run(connection, _SQL["remove_attempts"], **values)
    await run(connection, _SQL["remove_deliveries"], **values)


def _key_values(node: Node, events: Sequence[_Event]) -> dict[str, Any]:
    keys = [(node.hash_of(one.account, word), one) for one in events if one.keys for word in _words(one.keys)]
    return {
        "hashes": [hash_ for hash_, _ in keys],
        "seqs": [one.seq for _, one in keys],
        "days": [one.day for _, one in keys],
    }


def _words(keys: bytes | None) -> list[str]:
    return text_of(keys).split("\n") if keys else []


async def _remove_events(transaction: Transaction, node: Node, step: Pruning, gone: Sequence[_Event]) -> None:
    if not gone:
        return
    connection = transaction.connection
    await run(connection, _SQL["remove_keys"], **_key_values(node, gone))
    young = [event for event in gone if event.seq >= step.remembered]
    over = [event for event in gone if event.seq < step.remembered]
    accounts, ids = [event.account for event in young], [event.id for event in young]
    await run(connection, _SQL["remember"], seqs=[event.seq for event in young], accounts=accounts, ids=ids)
    accounts, ids = [event.account for event in over], [event.id for event in over]
    await run(connection, _SQL["remove_ids"], accounts=accounts, ids=ids)
    place = max(event.place for event in gone)
    await run(connection, _SQL["raise_feed_floor"], account=step.account, place=place)
    days = sorted({event.day for event in gone})
    await media.expire(transaction, [event.seq for event in gone], step.now_ms)
    await run(connection, _SQL["remove_events"], seqs=[event.seq for event in gone], days=days)


async def _move_out(
    transaction: Transaction, node: Node, step: Pruning, busy: Sequence[_Event], found: Sequence[_Delivery]
) -> None:
    """Move what stays out of its day, so that the day can go."""
    last = step.now_ms // DAY_MS - DAYS_LEFT_ALONE
    events = [event for event in busy if OPEN_DAY < event.day < last]
    seqs = {event.seq for event in events}
    rows = [row for row in found if row.event in seqs and OPEN_DAY < row.day < last]
    connection = transaction.connection
    if rows:
        await run(connection, _SQL["move_attempts"], **_ids_and_days(rows))
        await run(connection, _SQL["move_deliveries"], **_ids_and_days(rows))
    if events:
        days = sorted({event.day for event in events})
        await run(connection, _SQL["move_keys"], **_key_values(node, events))
        await run(connection, _SQL["move_events"], seqs=sorted(seqs), days=days)


async def _expire(transaction: Transaction, step: Pruning) -> bool:
    """Let go of a part of what nothing promises any more; true where there is more of it."""
    connection, about = transaction.connection, {"account": step.account, "limit": EXPIRE_ROWS}
    more = False
    for name, before in (
        ("expire_keys", step.remembered),
        ("expire_remembered", min(step.remembered, first_row_at(step.before_ms))),
        ("expire_audit", step.before_ms),
        ("expire_versions", first_row_at(step.before_ms)),
    ):
        statement = _SQL[name]
        done = await connection.execute(statement.text, *statement.values({"before": before, **about}))
        more = more or done.split()[-1] == str(EXPIRE_ROWS)
    await media.forget(transaction, step.now_ms)
    if not more:
        for name in ("orphan_versions", "orphan_health", "orphan_account_versions") if step.account == 0 else ():
            await run(connection, _SQL[name])
        await rollup.tidy(transaction, step.account, step.before_ms, step.now_ms)
    return more


async def erase(
    transaction: Transaction, node: Node, account: int, seq: int, body: bytes, keys_kept: Sequence[str]
) -> None:
    """Replace an event's body and drop what else is personal about it; that it happened stays."""
    connection = transaction.connection
    row = await fetch_row(connection, _SQL["erased"], seq=seq, account=account, day=day_of(seq))
    if row is None:
        return
    day, words = row[0], _words(row[1])
    kept = [word for word in words if word in keys_kept]
    gone = [node.hash_of(account, word) for word in words if word not in keys_kept]
    keys = raw("\n".join(kept)) if kept else None
    await run(connection, _SQL["erase_event"], body=body, keys=keys, seq=seq, day=day)
    values = {"hashes": gone, "seqs": [seq] * len(gone), "days": [day] * len(gone)}
    await run(connection, _SQL["remove_keys"], **values)
    found = await fetch(connection, _SQL["deliveries"], seqs=[seq], days=[day])
    if found:
        await run(connection, _SQL["erase_answers"], **_ids_and_days([_Delivery(*row) for row in found]))
