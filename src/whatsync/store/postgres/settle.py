"""Changes states without an attempt: hold, release, drop, cancel, retry.

Runs inside a transaction; the rules are ``model.delivery``'s. What was looked at is locked until its end.
"""

from collections.abc import Sequence
from typing import Any

from whatsync.model.delivery import FINAL, OPEN, WAITING, Happening, State, next_state
from whatsync.ports.store import Settled, Settlement
from whatsync.store.coding import STATE_NUMBERS, STATES
from whatsync.store.postgres import order
from whatsync.store.postgres.coding import OPEN_DAY, ROW_MAX, day_of, days_of
from whatsync.store.postgres.connection import fetch, fetch_value, run
from whatsync.store.postgres.database import Transaction
from whatsync.store.postgres.statements import statements
from whatsync.store.postgres.words import Words

_SQL = statements("settle.sql")
_RELEASES = frozenset({Happening.RELEASED, Happening.RELEASED_TRIED})

_Row = Sequence[Any]
"""id, account, endpoint, state, in flight, attempts, contact_wait_ms, contact, turn."""


async def settle(transaction: Transaction, words: Words, settlement: Settlement) -> tuple[Settled, ...]:
    """Carry a settlement out. The reason has a number already."""
    rows = await _looked_at(transaction, settlement)
    await order.lock(transaction, [row[7] for row in rows if row[7] is not None])
    found = {row[0]: _answer(row, settlement.happening) for row in rows}
    await _write(transaction, words, rows, settlement)
    if settlement.endpoint is not None:
        return tuple(found.values())
    missing = [id_ for id_ in settlement.deliveries if id_ not in found]
    if missing:
        values = {"ids": missing, "days": [OPEN_DAY, *days_of(missing)], "account": settlement.account}
        for id_, endpoint, state in await fetch(transaction.connection, _SQL["final"], **values):
            found[id_] = Settled(id_, endpoint, STATES[state], STATES[state], in_flight=False)
    return tuple([found[id_] for id_ in settlement.deliveries if id_ in found])


async def _looked_at(transaction: Transaction, settlement: Settlement) -> list[_Row]:
    connection, account = transaction.connection, settlement.account
    if settlement.endpoint is None:
        return await fetch(connection, _SQL["named"], ids=list(settlement.deliveries), account=account)
    if settlement.version is not None:
        version = await fetch_value(connection, _SQL["endpoint_version"], row=settlement.endpoint)
        if (version or 0) != settlement.version:
            return []
    happening = settlement.happening
    states = [
        STATE_NUMBERS[state]
        for state in OPEN
        if next_state(state, happening) or (happening in _RELEASES and state is State.HELD)
    ]
    values: dict[str, Any] = {
        "endpoint": settlement.endpoint,
        "account": account,
        "states": states,
        "until": ROW_MAX if settlement.until is None else settlement.until,
        "limit": settlement.limit,
    }
    if happening is Happening.RETRY:
        rows = await fetch(connection, _SQL["retriable"], due_ms=settlement.due_ms, **values)
    else:
        rows = await fetch(connection, _SQL["of_endpoint"], **values)
    # Found without a lock; locked now, and looked at again as they are then.
    ids = [row[0] for row in rows]
    locked = await fetch(connection, _SQL["named"], ids=ids, account=account)
    return [row for row in locked if _settled_state(row, happening) is not None]


def _settled_state(row: _Row, happening: Happening) -> State | None:
    _, _, _, state, in_flight, attempts, *_ = row
    if happening is Happening.RETRY and in_flight:
        return None
    if happening in _RELEASES:
        happening = Happening.RELEASED_TRIED if attempts else Happening.RELEASED
    return next_state(STATES[state], happening)


def _answer(row: _Row, happening: Happening) -> Settled:
    before = STATES[row[3]]
    return Settled(row[0], row[2], before, _settled_state(row, happening) or before, row[4])


async def _write(transaction: Transaction, words: Words, rows: Sequence[_Row], settlement: Settlement) -> None:
    """One after the other where order within a contact makes one's fate hang on the other's, else all at once."""
    for some in [[row] for row in rows] if any(row[7] is not None for row in rows) else [rows]:
        changed = [(row, after) for row in some if (after := _settled_state(row, settlement.happening)) is not None]
        await _stay_open(transaction, words, [pair for pair in changed if pair[1] not in FINAL], settlement)
        await _end(transaction, words, [pair for pair in changed if pair[1] in FINAL], settlement)


async def _stay_open(
    transaction: Transaction, words: Words, changed: Sequence[tuple[_Row, State]], settlement: Settlement
) -> None:
    if not changed:
        return
    dues = []
    for row, after in changed:
        due_ms = settlement.due_ms if after in WAITING else None
        endpoint, state, wait_ms, contact, turn = row[2], STATES[row[3]], *row[6:9]
        if due_ms is not None and state is State.HELD and contact is not None:
            behind = await order.earlier_open(transaction, turn, endpoint, contact)
            due_ms += wait_ms if behind is not None else 0
        dues.append(due_ms)
    await run(
        transaction.connection,
        _SQL["stay_open"],
        ids=[row[0] for row, _ in changed],
        states=[STATE_NUMBERS[after] for _, after in changed],
        dues=dues,
        reasons=[None if after in WAITING else words.number(settlement.reason) for _, after in changed],
    )


async def _end(
    transaction: Transaction, words: Words, changed: Sequence[tuple[_Row, State]], settlement: Settlement
) -> None:
    if not changed:
        return
    await run(
        transaction.connection,
        _SQL["end"],
        ids=[row[0] for row, _ in changed],
        days=[day_of(row[0]) for row, _ in changed],
        states=[STATE_NUMBERS[after] for _, after in changed],
        ended_ms=settlement.due_ms,
        reason=words.number(settlement.reason),
    )
    for row, _ in changed:
        if row[7] is not None:
            await order.forward(transaction, row[8], row[2], row[7], settlement.due_ms)
