"""Writes attempts and what they lead to: all of a commit in one statement, and one by one where a claim was lost.

Runs inside a transaction. Each statement is guarded by the claim.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import asyncpg
import msgspec

from whatsync.model.delivery import FINAL, Happening, State, next_state
from whatsync.ports.store import AttemptRow, HealthRow, Recorded
from whatsync.store.coding import LATE, ORDERED, REUSED, STATE_NUMBERS, STATES, TEST, TRUNCATED
from whatsync.store.postgres import order
from whatsync.store.postgres.coding import day_of, raw_or_none
from whatsync.store.postgres.connection import fetch, fetch_row, run
from whatsync.store.postgres.database import Database, Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.rows import columns
from whatsync.store.postgres.statements import statements
from whatsync.store.postgres.words import Words

SUCCEEDED = "succeeded"
"""Outcome that counts successes in the rollups."""
STATEMENT_ROWS_MAX = 500

_SQL = statements("record.sql")
_COLUMNS = (
    "deliveries", "started", "dues", "signed", "totals", "dns", "connects", "tls", "first_bytes", "days", "claims",
    "numbers", "tooks", "statuses", "codes", "endpoint_versions", "runs", "states", "flags", "details", "addresses",
    "signatures", "answer_headers", "answer_bodies", "accounts", "endpoints", "outcomes", "buckets",
)  # fmt: skip
_encode = msgspec.json.Encoder().encode

Outcomes = tuple[Sequence[AttemptRow], Sequence[HealthRow]]
"""What one call of ``record`` brings."""


def bucket(total_us: int) -> int:
    """The latency bucket of an attempt: bucket ``b`` ends below ``2**b`` milliseconds."""
    return (total_us // 1000).bit_length()


async def record_all(database: Database, node: Node, calls: Sequence[Outcomes]) -> list[Recorded]:
    """Record many calls in one transaction."""
    words = database.words
    wanted = [row.code or SUCCEEDED for attempts, _ in calls for row in attempts]
    while unknown := words.unknown(wanted):
        await database.ask(partial(words.learn, texts=unknown))
    try:
        return await database.transact(partial(_record, words=words, calls=calls, apart=False), run=node.run)
    except asyncpg.UniqueViolationError:
        # A late attempt was kept under a number that a claim has come to meanwhile.
        return await database.transact(partial(_record, words=words, calls=calls, apart=True), run=node.run)


async def _record(transaction: Transaction, words: Words, calls: Sequence[Outcomes], apart: bool) -> list[Recorded]:
    rows = [row for attempts, _ in calls for row in attempts]
    await _put_health(transaction, [known for _, health in calls for known in health])
    transaction.days |= {day_of(row.delivery) for row in rows}
    contacts = await _lock_contacts(transaction, rows)
    stale: set[int] = set()
    forwarded: dict[int, set[int]] = {}
    for some in _rounds(rows):
        done = set() if apart else await _decide(transaction, words, some)
        for row in some:
            ended = row.delivery in done and row.state in FINAL
            if row.delivery not in done:
                late, ended = await _record_one(transaction, words, row)
                if late:
                    stale.add(id(row))
            if ended and row.delivery in contacts:
                endpoint, contact, turn = contacts[row.delivery]
                if await order.forward(transaction, turn, endpoint, contact, row.finished_ms):
                    forwarded.setdefault(id(row), set()).add(endpoint)
    return [_answer(attempts, stale, forwarded) for attempts, _ in calls]


def _answer(attempts: Sequence[AttemptRow], stale: set[int], forwarded: dict[int, set[int]]) -> Recorded:
    moved = dict.fromkeys(endpoint for row in attempts for endpoint in sorted(forwarded.get(id(row), ())))
    return Recorded(tuple([row.delivery for row in attempts if id(row) in stale]), tuple(moved))


def _rounds(rows: Sequence[AttemptRow]) -> Iterator[list[AttemptRow]]:
    """Parts of limited size in which no delivery stands twice, in order."""
    left = list(rows)
    while left:
        some: dict[int, AttemptRow] = {}
        later = []
        for row in left:
            if row.delivery in some or len(some) == STATEMENT_ROWS_MAX:
                later.append(row)
            else:
                some[row.delivery] = row
        yield list(some.values())
        left = later


async def _put_health(transaction: Transaction, health: Sequence[HealthRow]) -> None:
    newest = {known.endpoint: known.health for known in health}
    if newest:
        bodies = [_encode(known) for known in newest.values()]
        await run(transaction.connection, _SQL["put_health"], endpoints=list(newest), bodies=bodies)


async def _lock_contacts(transaction: Transaction, rows: Sequence[AttemptRow]) -> dict[int, tuple[int, int, int]]:
    """Endpoint, contact and turn of the ordered ones among these deliveries, whose order stands still from here on."""
    ordered = [row.delivery for row in rows if row.ordered]
    if not ordered:
        return {}
    found = await fetch(transaction.connection, _SQL["contacts"], ids=ordered)
    await order.lock(transaction, [contact for _, _, contact, _ in found])
    return {id_: (endpoint, contact, turn) for id_, endpoint, contact, turn in found}


async def _decide(transaction: Transaction, words: Words, rows: Sequence[AttemptRow]) -> set[int]:
    values = columns(_COLUMNS, [_values(words, row) for row in rows])
    return {delivery for (delivery,) in await fetch(transaction.connection, _SQL["decide"], **values)}


async def _record_one(transaction: Transaction, words: Words, row: AttemptRow) -> tuple[bool, bool]:
    """One attempt by itself: whether it came late, and whether it ended the delivery."""
    connection, day = transaction.connection, day_of(row.delivery)
    found = await fetch_row(connection, _SQL["stands"], delivery=row.delivery, day=day)
    if found is None:
        return True, False
    at_day, state, claim, in_flight, *_ = found
    await run(connection, _SQL["remove_attempt"], delivery=row.delivery, claim=row.claim, day=day)
    if in_flight and claim == row.claim:
        done = await _decide(transaction, words, [row])
        return row.delivery not in done, row.state in FINAL
    values = columns(_COLUMNS, [_values(words, row, late=True, day=at_day)])
    await run(connection, _SQL["keep_late"], **values)
    closes = state is not None and next_state(STATES[state], Happening.LATE_SUCCESS) is not None
    if closes and row.state is State.SUCCEEDED:
        await run(
            connection, _SQL["close"], delivery=row.delivery, day=day, number=row.number, status=row.status,
            code=words.number(row.code), ended_ms=row.finished_ms, total_us=row.total_us,
        )  # fmt: skip
        return True, True
    if state is None:
        await run(connection, _SQL["note_attempt_final"], delivery=row.delivery, day=day, number=row.number)
    else:
        await run(connection, _SQL["note_attempt_open"], delivery=row.delivery, number=row.number)
    return True, False


def _values(words: Words, row: AttemptRow, late: bool = False, day: int | None = None) -> tuple[Any, ...]:
    flags = late * LATE | row.reused * REUSED | row.truncated * TRUNCATED | row.test * TEST | row.ordered * ORDERED
    return (
        row.delivery, row.started_ms, row.due_ms, row.signed_s, row.total_us, row.dns_us, row.connect_us, row.tls_us,
        row.first_byte_us, day_of(row.delivery) if day is None else day, row.claim, row.number,
        row.finished_ms - row.started_ms, row.status, words.number(row.code), row.endpoint_version, row.run,
        STATE_NUMBERS[row.state], flags, raw_or_none(row.detail), raw_or_none(row.address), row.signatures,
        row.answer_headers, row.answer_body, row.account, row.endpoint, words.number(row.code or SUCCEEDED),
        bucket(row.total_us),
    )  # fmt: skip
