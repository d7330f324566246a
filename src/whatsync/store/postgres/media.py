"""Rows of media files: written with the events they came with, claimed, decided, ended.

Runs inside a transaction. Knows no file and no network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whatsync.model import limits
from whatsync.model.retry import replanned_file_ms
from whatsync.model.turns import Candidate, first_accounts, first_turns, most_of_one
from whatsync.ports.media import MediaClaim, MediaOutcome, MediaRow, MediaState
from whatsync.ports.store import Admission
from whatsync.store.postgres.coding import DAY_MS, raw, raw_or_none, text_of, text_or_none
from whatsync.store.postgres.connection import fetch, fetch_row, fetch_value, run
from whatsync.store.postgres.database import Transaction
from whatsync.store.postgres.rows import columns
from whatsync.store.postgres.statements import statements

EXPIRED = b"expired"
FORGET_ROWS = 2_000

_SQL = statements("media.sql")
_COLUMNS = (
    "names", "accounts", "events", "ids", "created", "states", "dues", "mime_types", "sizes", "sums", "tasks",
    "reasons",
)  # fmt: skip


async def insert(transaction: Transaction, admissions: Sequence[Admission]) -> None:
    """Write the files that came with the events of these admissions; a name that exists stays as it is."""
    rows = []
    for admission in admissions:
        events = {event.seq for event in admission.events} if admission.media else set()
        rows += [_values(row) for row in admission.media if row.event in events]
    if rows:
        await run(transaction.connection, _SQL["insert"], **columns(_COLUMNS, rows))


def _values(row: MediaRow) -> tuple[Any, ...]:
    return (
        raw(row.name), row.account, row.event, raw(row.id), row.created_ms, int(row.state), row.due_ms,
        raw_or_none(row.mime_type), row.size, row.sha256, row.task, raw_or_none(row.reason),
    )  # fmt: skip


class Places(msgspec.Struct, frozen=True):
    """Who claims, until when, and how many."""

    run: int
    until_ms: int
    free: int
    held: Mapping[int, int]


async def claim(transaction: Transaction, places: Places, now_ms: int, after: int) -> MediaClaim:
    """Take what is due, in turns, past what another node is taking."""
    free, held = places.free, places.held
    further: int | None = None
    due = await _candidates(transaction, "due", now_ms=now_ms, limit=limits.MEDIA_DUE_LOOKED_AT + 1)
    if len(due) > limits.MEDIA_DUE_LOOKED_AT:
        firsts = await _candidates(transaction, "firsts", after=after, limit=limits.MEDIA_ACCOUNTS_LOOKED_AT)
        through = len(firsts) < limits.MEDIA_ACCOUNTS_LOOKED_AT
        further = (None if after == 0 else 0) if through else firsts[-1].account
        accounts = first_accounts((one for one in firsts if one.due_ms <= now_ms), free, held)
        due = await _candidates(transaction, "due_of", accounts=accounts, now_ms=now_ms, limit=most_of_one(free))
    names = first_turns(due, free, held)
    if not names:
        return MediaClaim((), further)
    values = {"names": [raw(name) for name in names], "now_ms": now_ms, "until_ms": places.until_ms, "run": places.run}
    taken = {row.name: row for row in map(_read, await fetch(transaction.connection, _SQL["claim"], **values))}
    rows = tuple([taken[name] for name in names if name in taken])
    return MediaClaim(rows, further, contended=len(rows) < len(names))


async def _candidates(transaction: Transaction, statement: str, **values: Any) -> list[Candidate]:
    rows = await fetch(transaction.connection, _SQL[statement], **values)
    return [Candidate(row["account"], row["due_ms"], text_of(row["name"])) for row in rows]


async def replan(transaction: Transaction, now_ms: int, after: tuple[int, str], limit: int) -> tuple[int, str] | None:
    """Bring forward what a later clock had planned; returns where to go on. Of what another node is at, it decides."""
    connection = transaction.connection
    values = {"after_due": after[0], "after_name": raw(after[1]), "limit": limit}
    rows = await fetch(connection, _SQL["planned"], **values)
    due = [(row[0], row[1], replanned_file_ms(now_ms, row[1], row[2], claimed=row[3])) for row in rows]
    moved = [(name, then) for name, before, then in due if then != before]
    if moved:
        names, dues = [name for name, _ in moved], [then for _, then in moved]
        await run(connection, _SQL["plan"], names=names, dues=dues, now_ms=now_ms)
    return (rows[-1][1], text_of(rows[-1][0])) if len(rows) == limit else None


async def record(transaction: Transaction, outcomes: Sequence[MediaOutcome]) -> tuple[str, ...]:
    """Write outcomes whose claim holds; the names of the others."""
    late = []
    for one in sorted(outcomes, key=lambda one: one.name):
        values = {
            "name": raw(one.name), "claim": one.claim, "state": int(one.state), "at_ms": one.at_ms,
            "due_ms": one.due_ms, "mime_type": raw_or_none(one.mime_type), "event": one.event, "size": one.size,
            "sha256": one.sha256, "reason": raw_or_none(one.reason),
        }  # fmt: skip
        if await fetch_value(transaction.connection, _SQL["record"], **values) is None:
            late.append(one)
    return tuple([one.name for one in outcomes if one in late])


async def remove(transaction: Transaction, account: int, names: Sequence[str], reason: str, now_ms: int) -> None:
    """End media whose bytes have to go."""
    raws = [raw(name) for name in names]
    values = {"account": account, "names": raws, "reason": raw(reason), "now_ms": now_ms}
    await run(transaction.connection, _SQL["remove"], **values)


async def expire(transaction: Transaction, events: Sequence[int], now_ms: int) -> None:
    """End what came with events that are gone."""
    await run(transaction.connection, _SQL["expire"], events=list(events), reason=EXPIRED, now_ms=now_ms)


async def forget(transaction: Transaction, now_ms: int) -> None:
    """Forget some of what ended long ago."""
    before_ms = now_ms - limits.MEDIA_ENDED_DAYS * DAY_MS
    await run(transaction.connection, _SQL["forget"], before_ms=before_ms, limit=FORGET_ROWS)


async def read_one(connection: Any, name: str) -> MediaRow | None:
    """The row of a public name."""
    row = await fetch_row(connection, _SQL["row"], name=raw(name))
    return None if row is None else _read(row)


def _read(row: Any) -> MediaRow:
    return MediaRow(
        name=text_of(row["name"]),
        account=row["account"],
        event=row["event"],
        id=text_of(row["id"]),
        created_ms=row["created_ms"],
        state=MediaState(row["state"]),
        due_ms=row["due_ms"],
        mime_type=text_or_none(row["mime_type"]),
        size=row["size"],
        sha256=row["sha256"],
        task=row["task"],
        claim=row["claim"],
        attempts=row["attempts"],
        reason=text_or_none(row["reason"]),
        changed_ms=row["changed_ms"],
    )
