"""Counts for charts: every commit only adds rows, many of those are added to the rollups together; old minutes become
hours. Each is done by one node at a time.
"""

from collections.abc import Sequence
from functools import partial

from whatsync.ports.rows import Waiting
from whatsync.store.coding import WAITED
from whatsync.store.postgres.connection import fetch, fetch_value, run
from whatsync.store.postgres.database import Database, Transaction
from whatsync.store.postgres.statements import statements
from whatsync.store.rollup_pieces import LONG_STEPS_MS

MINUTES_KEPT_MS = 2 * 86_400_000
"""How far back counts stay apart by minute; older ones are kept by the hour."""
_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000

_SQL = statements("rollup.sql")


async def fold(transaction: Transaction) -> None:
    """Add all that was counted to the rollups."""
    await run(transaction.connection, _SQL["lock_fold"])
    await run(transaction.connection, _SQL["fold"])


async def tidy(transaction: Transaction, account: int, before_ms: int, now_ms: int) -> None:
    """Join an account's old minutes into hours, and remove what lies before ``before_ms``."""
    connection = transaction.connection
    await fold(transaction)
    for (endpoint,) in await fetch(connection, _SQL["endpoints"], account=account):
        about = {"account": account, "endpoint": endpoint}
        await run(connection, _SQL["expire"], before=before_ms - _MINUTE_MS, **about)
        for step_ms in LONG_STEPS_MS:
            await run(connection, _SQL["expire_long"], step=step_ms, before=before_ms - step_ms, **about)
        since_ms = await fetch_value(connection, _SQL["mark"], **about) or 0
        until_ms = max(since_ms, (now_ms - MINUTES_KEPT_MS) // _HOUR_MS * _HOUR_MS)
        if until_ms > since_ms:
            await run(connection, _SQL["join_hours"], since=since_ms, until=until_ms, **about)
            await run(connection, _SQL["set_mark"], until=until_ms, **about)


async def count_waiting(database: Database, samples: Sequence[Waiting]) -> None:
    """Count how long the oldest delivery of each endpoint had waited, for the endpoint and for its account."""
    words = database.words
    while unknown := words.unknown([WAITED]):
        await database.ask(partial(words.learn, texts=unknown))
    values = {
        "outcome": words.number(WAITED),
        "accounts": [sample.account for sample in samples],
        "endpoints": [sample.endpoint for sample in samples],
        "starts": [sample.at_ms - sample.at_ms % _MINUTE_MS for sample in samples],
        "buckets": [sample.age_ms.bit_length() for sample in samples],
    }

    async def write(transaction: Transaction) -> None:
        await run(transaction.connection, _SQL["count_waiting"], **values)

    await database.transact(write)
