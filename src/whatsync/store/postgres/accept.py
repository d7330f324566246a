"""Writes admissions: many of them in one transaction, each decided by its keys, none by reading first.

The common case is one statement for the keys and one for the rows. Where a key was taken or the routing was stale, the
transaction is undone, the guilty admissions are explained, and the others are written without them.
"""

import struct
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from whatsync.model.ids import ms_of
from whatsync.model.retry import turn_ms
from whatsync.ports.store import (
    Accepted,
    AcceptResult,
    Admission,
    DeliveryRow,
    Duplicates,
    EventRow,
    Replayed,
    Stale,
    StoreUnavailable,
)
from whatsync.store.postgres import media
from whatsync.store.postgres.coding import OPEN_DAY, days_of, raw, read_event, text_of
from whatsync.store.postgres.connection import fetch, fetch_row, run
from whatsync.store.postgres.database import Database, Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.rows import Rows, contact_hash, types_in, words_in
from whatsync.store.postgres.statements import statements

_SQL = statements("accept.sql")
_ACCEPTED = Accepted()


class _RefusedError(Exception):
    """Some admissions of a transaction can't be written; it is undone."""

    def __init__(self, positions: set[int]) -> None:
        super().__init__(positions)
        self.positions = positions


Answers = dict[int, "AcceptResult | StoreUnavailable"]
"""What became of each admission, by its position."""


async def accept_all(
    database: Database, node: Node, admissions: Sequence[Admission]
) -> list[AcceptResult | StoreUnavailable]:
    """Write admissions and say what became of each. Raises StoreUnavailable where none was written."""
    answers: Answers = {}
    await learn_words(database, admissions)
    try:
        await _accept(database, node, admissions, answers)
    except StoreUnavailable as problem:
        # What is on disk is on disk, whatever became of the rest.
        answers = dict.fromkeys(range(len(admissions)), problem) | answers
    return [answers[at] for at in range(len(admissions))]


async def _accept(database: Database, node: Node, admissions: Sequence[Admission], answers: Answers) -> None:
    left = list(range(len(admissions)))
    while left:
        together, later, odd = _apart(admissions, left)
        while together:
            some = [admissions[at] for at in together]
            try:
                write = partial(_write, database=database, node=node, admissions=some)
                await database.transact(write, run=node.run)
            except _RefusedError as refused:
                odd += [together[at] for at in sorted(refused.positions)]
                together = [at for nth, at in enumerate(together) if nth not in refused.positions]
                continue
            answers |= dict.fromkeys(together, _ACCEPTED)
            break
        for at in odd:
            answer = await _explain(database, node, admissions[at])
            if answer is None:
                later.append(at)  # What stood against it has gone meanwhile.
            else:
                answers[at] = answer
        left = sorted(later)


def _apart(admissions: Sequence[Admission], left: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Those that can be tried together, those that wait for their answers, those that can't be written at all."""
    together: list[int] = []
    later: list[int] = []
    odd: list[int] = []
    taken: set[tuple[int, str]] = set()
    for at in left:
        admission = admissions[at]
        keys = {(admission.account, "id:" + event.id) for event in admission.events}
        if len(keys) < len(admission.events):
            odd.append(at)
            continue
        if admission.idempotency is not None:
            keys.add((admission.account, "key:" + admission.idempotency.key))
        if taken.isdisjoint(keys):
            together.append(at)
        else:
            later.append(at)
        taken |= keys
    return together, later, odd


async def learn_words(database: Database, admissions: Sequence[Admission]) -> None:
    """Have numbers for all words before a transaction begins."""
    words, wanted = database.words, words_in(admissions)
    while unknown := words.unknown(wanted):
        await database.ask(partial(words.learn, texts=unknown))
    if pairs := words.unknown_types(types_in(admissions)):
        await database.ask(lambda connection: words.learn_types(connection, pairs))


# Inside the transaction


async def locked_versions(transaction: Transaction, admissions: Sequence[Admission]) -> dict[int, int]:
    """The accounts' configuration versions, which stay as they are until the transaction ends."""
    accounts = sorted({admission.account for admission in admissions})
    await run(transaction.connection, _SQL["lock_accounts"], accounts=accounts)
    return await versions_of(transaction.connection, accounts)


async def versions_of(connection: Any, accounts: Sequence[int]) -> dict[int, int]:
    """The accounts' configuration versions."""
    return dict(await fetch(connection, _SQL["versions"], accounts=list(accounts)))


async def _write(transaction: Transaction, database: Database, node: Node, admissions: Sequence[Admission]) -> None:
    connection = transaction.connection
    accounts = sorted({admission.account for admission in admissions})
    await run(connection, _SQL["lock_accounts"], accounts=accounts)
    row = await fetch_row(connection, _SQL["take_keys"], asked=accounts, **_key_values(admissions))
    new, keys = set(row[0]), set(zip(row[1], row[2], strict=True))
    versions = _versions(row[3])
    refused = {
        at
        for at, admission in enumerate(admissions)
        if admission.version != versions.get(admission.account, 0)
        or not all(event.seq in new for event in admission.events)
        or (admission.idempotency is not None and (admission.account, raw(admission.idempotency.key)) not in keys)
    }
    if refused:
        raise _RefusedError(refused)
    await write_rows(transaction, database, node, admissions)


def _versions(rows: Sequence[str]) -> dict[int, int]:
    pairs = (row.strip("()").split(",") for row in rows)
    return {int(account): int(version) for account, version in pairs}


def _used(admission: Admission) -> int:
    """The row that stands for the use of the admission's key."""
    rows = [event.seq for event in admission.events] + [row.id for row in admission.deliveries]
    return max(rows, default=admission.used)


def _packed(seqs: Sequence[int]) -> bytes:
    return struct.pack(f">{len(seqs)}q", *seqs)


def _key_values(admissions: Sequence[Admission]) -> dict[str, Any]:
    events = [event for admission in admissions for event in admission.events]
    uses = [(one, one.idempotency, _used(one)) for one in admissions]
    with_keys = [(one, key, used) for one, key, used in uses if key is not None]
    return {
        "accounts": [event.account for event in events],
        "ids": [raw(event.id) for event in events],
        "seqs": [event.seq for event in events],
        "use_accounts": [one.account for one, _, _ in with_keys],
        "keys": [raw(key.key) for _, key, _ in with_keys],
        "fingerprints": [key.fingerprint for _, key, _ in with_keys],
        "used": [used for _, _, used in with_keys],
        "use_events": [_packed([event.seq for event in one.events]) for one, _, _ in with_keys],
    }


async def write_rows(
    transaction: Transaction, database: Database, node: Node, admissions: Sequence[Admission], passed: int = 0
) -> int:
    """Write rows whose keys are taken already. ``passed``: events written earlier in this transaction."""
    admissions = await _with_known_events(transaction, admissions)
    dues = await _dues(transaction, node, admissions)
    rows = Rows(database.words, node.hash_of, node.run)
    for admission in admissions:
        rows.add(admission, dues)
    transaction.days |= rows.days
    await run(transaction.connection, _SQL["write"], base=node.place_base, **rows.values(passed))
    await media.insert(transaction, admissions)
    return passed + len(rows.events)


async def _with_known_events(transaction: Transaction, admissions: Sequence[Admission]) -> Sequence[Admission]:
    """The admissions without deliveries of events that are gone."""
    asked = sorted({row.event for one in admissions for row in one.deliveries} - _seqs(admissions))
    if not asked:
        return admissions
    values = {"seqs": asked, "days": [OPEN_DAY, *days_of(asked)]}
    known = {row[0] for row in await fetch(transaction.connection, _SQL["known_events"], **values)} | _seqs(admissions)
    return [
        replace(admission, deliveries=tuple(row for row in admission.deliveries if row.event in known))
        for admission in admissions
    ]


def _seqs(admissions: Sequence[Admission]) -> set[int]:
    return {event.seq for admission in admissions for event in admission.events}


async def _dues(transaction: Transaction, node: Node, admissions: Sequence[Admission]) -> dict[int, int]:
    """When ordered deliveries are due: behind the nearest earlier open one, when that has waited."""
    ordered = [row for admission in admissions for row in admission.deliveries if row.contact is not None]
    if not ordered:
        return {}
    hashes = {row.id: contact_hash(row, node.hash_of) for row in ordered}
    await run(transaction.connection, _SQL["lock_contacts"], contacts=sorted(set(hashes.values())))
    values = {
        "ids": [row.id for row in ordered],
        "endpoints": [row.endpoint for row in ordered],
        "contacts": [hashes[row.id] for row in ordered],
    }
    earlier: dict[int, int | None] = dict(await fetch(transaction.connection, _SQL["last_open"], **values))
    return _turns(ordered, hashes, earlier)


def _turns(ordered: Sequence[DeliveryRow], hashes: dict[int, int], earlier: dict[int, int | None]) -> dict[int, int]:
    dues: dict[int, int] = {}
    last: dict[tuple[int, int], int] = {}
    for row in ordered:
        about = row.endpoint, hashes[row.id]
        before = last.get(about) or earlier[row.id]
        dues[row.id] = turn_ms(row.due_ms, ms_of(before), row.contact_wait_ms) if before else row.due_ms
        last[about] = row.id
    return dues


# What stood against it


async def _explain(database: Database, node: Node, admission: Admission) -> AcceptResult | None:
    """Why an admission was not written; ``None`` where nothing stands against it any more."""
    account = admission.account

    async def explain(connection: Any) -> AcceptResult | None:
        if admission.idempotency is not None:
            use = await fetch_row(connection, _SQL["key_use"], account=account, key=raw(admission.idempotency.key))
            if use is not None:
                seqs = [seq for (seq,) in struct.iter_unpack(">q", use[1])]
                events = await _events_or_stubs(database, connection, account, seqs)
                if seqs and seqs == [event.seq for event in admission.events]:
                    return _ACCEPTED
                return Replayed(use[0], tuple([events[seq] for seq in seqs]))
        versions = await versions_of(connection, [account])
        if admission.version != versions.get(account, 0):
            return Stale(versions.get(account, 0))
        existing = await _existing(database, connection, admission)
        if existing and all(row is not None and row.seq == event.seq for row, event in _pairs(existing, admission)):
            return _ACCEPTED
        return Duplicates(existing) if any(row is not None for row in existing) else None

    return await database.ask(explain)


def _pairs(existing: Sequence[EventRow | None], admission: Admission) -> Iterator[tuple[EventRow | None, EventRow]]:
    """Stored rows beside the admission's own. The same row in both is a transaction of ours that was written."""
    return zip(existing, admission.events, strict=True)


async def _existing(database: Database, connection: Any, admission: Admission) -> tuple[EventRow | None, ...]:
    account = admission.account
    ids = [raw(event.id) for event in admission.events]
    known = {text_of(id_): seq for id_, seq in await fetch(connection, _SQL["seqs_of_ids"], account=account, ids=ids)}
    events = await _events_or_stubs(database, connection, account, list(known.values()))
    found: list[EventRow | None] = []
    ahead: dict[str, EventRow] = {}
    for event in admission.events:
        seq = known.get(event.id)
        row = ahead.get(event.id) if seq is None else events[seq]
        found.append(row if row is None or row.id else replace(row, id=event.id))
        ahead.setdefault(event.id, event)
    return tuple(found)


async def _events_or_stubs(
    database: Database, connection: Any, account: int, seqs: Sequence[int]
) -> dict[int, EventRow]:
    """The events in these rows, and empty ones in the place of those that retention has removed."""
    events = {event.seq: event for event in await events_of(database, connection, account, seqs)}
    missing = [seq for seq in seqs if seq not in events]
    ids: dict[int, bytes] = {}
    if missing:
        ids = dict(await fetch(connection, _SQL["ids_of_seqs"], account=account, seqs=missing))
    return events | {seq: EventRow(seq, account, text_of(ids.get(seq, b"")), "", b"") for seq in missing}


async def events_of(database: Database, connection: Any, account: int, seqs: Sequence[int]) -> list[EventRow]:
    """The events in these rows, in no order; others' and missing ones left out."""
    if not seqs:
        return []
    days = [OPEN_DAY, *days_of(seqs)]
    rows = await fetch(connection, _SQL["events"], account=account, seqs=list(seqs), days=days)
    words = database.words
    await words.read(connection, [row[3] for row in rows] + [row[6] for row in rows])
    return [read_event(row, words.text(row[3]) or "", words.text(row[6])) for row in rows]
