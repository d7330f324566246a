"""Writes what sources bring: bodies with all that follows from them, many in one transaction; contacts guarded by their
versions; counts. And reads it back.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from whatsync.model.ids import first_row_at
from whatsync.ports.arrivals import (
    BodyRow,
    ContactRow,
    Count,
    Outdated,
    SetAsideQuery,
    SetAsideRow,
    TakenIn,
)
from whatsync.ports.store import Intake, IntakeResult, StoreUnavailable
from whatsync.store.postgres import accept, documents
from whatsync.store.postgres.coding import ROW_MAX, raw, raw_or_none, text_of, text_or_none
from whatsync.store.postgres.connection import fetch, fetch_row, run
from whatsync.store.postgres.database import Database, Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.rows import columns
from whatsync.store.postgres.statements import statements

_SQL = statements("arrivals.sql")
_CONTACT_COLUMNS = ("accounts", "versions", "expected", "seen", "ids", "phones", "user_ids", "names")
_BODY_COLUMNS = ("seqs", "sources", "updates", "tests", "bodies")
_SET_ASIDE_COLUMNS = (
    "seqs", "bodies", "sources", "accounts", "counts", "reasons", "paths", "sentences", "numbers", "references",
)  # fmt: skip
_COUNT_COLUMNS = ("sources", "starts", "numbers", "whats", "counts", "firsts", "lasts")


class _OutdatedError(Exception):
    """Some intakes were based on what is no longer so; their transaction is undone."""

    def __init__(self, positions: set[int]) -> None:
        super().__init__(positions)
        self.positions = positions


Answers = dict[int, "IntakeResult | StoreUnavailable"]
"""What became of each intake, by its position."""


async def take_in_all(
    database: Database, node: Node, intakes: Sequence[Intake]
) -> list[IntakeResult | StoreUnavailable]:
    """Write intakes and say what became of each. Raises StoreUnavailable where none was written."""
    answers: Answers = {}
    await accept.learn_words(database, [admission for intake in intakes for admission in intake.admissions])
    try:
        await _take_in(database, node, intakes, answers)
    except StoreUnavailable as problem:
        answers = dict.fromkeys(range(len(intakes)), problem) | answers
    return [answers[at] for at in range(len(intakes))]


async def _take_in(database: Database, node: Node, intakes: Sequence[Intake], answers: Answers) -> None:
    left = list(range(len(intakes)))
    while left:
        together, left = _apart(intakes, left)
        while together:
            some = [intakes[at] for at in together]
            try:
                taken = await database.transact(
                    partial(_write, database=database, node=node, intakes=some), run=node.run
                )
            except _OutdatedError as refused:
                odd = [together[nth] for nth in sorted(refused.positions)]
                together = [at for nth, at in enumerate(together) if nth not in refused.positions]
                for at in odd:
                    answer = await _outdated(database, intakes[at])
                    if answer is None:
                        left = sorted([*left, at])
                    else:
                        answers[at] = answer
                continue
            answers |= {at: TakenIn(passed) for at, passed in zip(together, taken, strict=True)}
            break


def _apart(intakes: Sequence[Intake], left: Sequence[int]) -> tuple[list[int], list[int]]:
    """Those that touch nothing in common, and those that wait for their turn."""
    together: list[int] = []
    later: list[int] = []
    taken: set[tuple[int, str]] = set()
    for at in left:
        intake = intakes[at]
        keys = {(one.account, "contact:" + one.id) for one in intake.contacts}
        keys |= {(one.account, "word:" + word) for one in intake.contacts for word in one.words}
        keys |= {(event.account, "id:" + event.id) for one in intake.admissions for event in one.events}
        keys |= set() if intake.settled is None else {(intake.settled, "settled")}
        (together if taken.isdisjoint(keys) else later).append(at)
        taken |= keys
    return together, later


async def _write(
    transaction: Transaction, database: Database, node: Node, intakes: Sequence[Intake]
) -> list[tuple[int, ...]]:
    admissions = [admission for intake in intakes for admission in intake.admissions]
    versions = await accept.locked_versions(transaction, admissions)
    refused = {
        at
        for at, intake in enumerate(intakes)
        if any(one.version != versions.get(one.account, 0) for one in intake.admissions) or _chains(intake) is None
    }
    written = set() if refused else await _put_contacts(transaction, intakes)
    if not refused:
        wanted = [{(one.account, one.id) for one in intake.contacts} for intake in intakes]
        refused = {at for at, keys in enumerate(wanted) if not keys <= written}
    if refused:
        raise _OutdatedError(refused)
    new = await documents.only_new(transaction, admissions)
    await accept.write_rows(transaction, database, node, new)
    await _write_rest(transaction, intakes)
    fresh = {event.seq for admission in new for event in admission.events}
    return [
        tuple(sorted({event.seq for one in intake.admissions for event in one.events} - fresh)) for intake in intakes
    ]


def _chains(intake: Intake) -> dict[tuple[int, str], tuple[int, ContactRow]] | None:
    """Of each contact the version it was based on and what it shall be; ``None`` where they don't build on each
    other.
    """
    found: dict[tuple[int, str], tuple[int, ContactRow]] = {}
    for one in intake.contacts:
        key = one.account, one.id
        first = found.get(key)
        if first is not None and one.version != first[1].version + 1:
            return None
        found[key] = (one.version - 1 if first is None else first[0], one)
    return found


async def _put_contacts(transaction: Transaction, intakes: Sequence[Intake]) -> set[tuple[int, str]]:
    rows: list[tuple[Any, ...]] = []
    words: dict[tuple[int, bytes], bytes] = {}
    for intake in intakes:
        for expected, one in (_chains(intake) or {}).values():
            rows.append((
                one.account, one.version, expected, one.seen_ms, raw(one.id), raw_or_none(one.phone),
                raw_or_none(one.user_id), raw_or_none(one.name),
            ))  # fmt: skip
        words |= {(one.account, raw(word)): raw(one.id) for one in intake.contacts for word in one.words}
    if not rows:
        return set()
    found = await fetch(transaction.connection, _SQL["put_contacts"], **columns(_CONTACT_COLUMNS, rows))
    if words:
        values = {
            "accounts": [account for account, _ in words],
            "words": [word for _, word in words],
            "contacts": list(words.values()),
        }
        await run(transaction.connection, _SQL["put_words"], **values)
    return {(account, text_of(id_)) for account, id_ in found}


async def _write_rest(transaction: Transaction, intakes: Sequence[Intake]) -> None:
    connection = transaction.connection
    bodies = [
        (body.seq, body.source, body.updates, body.test, body.body)
        for intake in intakes
        if (body := intake.body) is not None
    ]
    settled = [intake.settled for intake in intakes if intake.settled is not None]
    set_aside = [_set_aside_values(row) for intake in intakes for row in intake.set_aside]
    if bodies:
        await run(connection, _SQL["insert_bodies"], **columns(_BODY_COLUMNS, bodies))
    if settled:
        await run(connection, _SQL["settle_bodies"], bodies=settled)
    if set_aside:
        await run(connection, _SQL["insert_set_aside"], **columns(_SET_ASIDE_COLUMNS, set_aside))


def _set_aside_values(row: SetAsideRow) -> tuple[Any, ...]:
    return (
        row.seq, row.body, row.source, row.account, row.count, raw(row.reason), raw(row.path), raw(row.sentence),
        raw_or_none(row.number), raw_or_none(row.reference),
    )  # fmt: skip


async def _outdated(database: Database, intake: Intake) -> Outdated | None:
    """What has moved on since the intake was made; ``None`` where nothing has after all."""

    async def question(connection: Any) -> Outdated | None:
        accounts = [admission.account for admission in intake.admissions]
        current = await accept.versions_of(connection, accounts)
        versions = {
            one.account: current.get(one.account, 0)
            for one in intake.admissions
            if current.get(one.account, 0) != one.version
        }
        values = {"accounts": [one.account for one in intake.contacts], "ids": [raw(one.id) for one in intake.contacts]}
        rows = await fetch(connection, _SQL["contact_versions"], **values)
        known = {(account, text_of(id_)): version for account, id_, version in rows}
        changed: list[tuple[int, str]] = []
        for one in intake.contacts:
            key = one.account, one.id
            if one.version != known.get(key, 0) + 1:
                changed.append(key)
            known[key] = one.version
        return Outdated(versions, tuple(changed)) if versions or changed else None

    return await database.ask(question)


async def count(transaction: Transaction, counts: Sequence[Count]) -> None:
    """Add to the counts."""
    rows = [
        (one.source, one.start_ms, raw(one.number), raw(one.what), one.count, one.first_ms, one.last_ms)
        for one in counts
    ]
    await run(transaction.connection, _SQL["count_arrivals"], **columns(_COUNT_COLUMNS, rows))


async def prune(transaction: Transaction, source: int, before_ms: int, limit: int) -> bool:
    """Remove old bodies; at the end also old counts. True where there may be more."""
    connection = transaction.connection
    values = {"source": source, "before": first_row_at(before_ms), "limit": limit}
    old = [seq for (seq,) in await fetch(connection, _SQL["old_bodies"], **values)]
    await run(connection, _SQL["settle_bodies"], bodies=old)
    await run(connection, _SQL["remove_bodies"], seqs=old)
    if len(old) >= limit:
        return True
    await run(connection, _SQL["expire_counts"], source=source, before_ms=before_ms)
    return False


async def erase_body(transaction: Transaction, seq: int, body: bytes) -> None:
    """Put other bytes in a raw body's place."""
    await run(transaction.connection, _SQL["erase_body"], body=body, seq=seq)


async def forget_contacts(transaction: Transaction, account: int, contacts: Sequence[str], limit: int) -> int:
    """Remove contacts with their words."""
    connection = transaction.connection
    if contacts:
        ids = [raw(id_) for id_ in contacts]
    else:
        ids = [id_ for (id_,) in await fetch(connection, _SQL["some_contacts"], account=account, limit=limit)]
    gone = [id_ for (id_,) in await fetch(connection, _SQL["remove_contacts"], account=account, ids=ids)]
    await run(connection, _SQL["remove_words"], account=account, ids=gone)
    return len(gone)


# Reading


async def contacts(connection: Any, account: int, words: Sequence[str]) -> tuple[ContactRow, ...]:
    """The people that words lead to, each once, by id."""
    rows = await fetch(connection, _SQL["contacts"], account=account, words=[raw(word) for word in words])
    return tuple([
        ContactRow(
            owner, text_of(id_), tuple([text_of(word) for word in found]), version, seen_ms, text_or_none(phone),
            text_or_none(user_id), text_or_none(name),
        )
        for owner, id_, version, seen_ms, phone, user_id, name, found in rows
    ])  # fmt: skip


async def bodies(connection: Any, source: int, before: int | None, limit: int) -> tuple[BodyRow, ...]:
    """Raw bodies of a source, newest first, their bytes left out."""
    values = {"source": source, "before": ROW_MAX if before is None else before, "limit": limit}
    return tuple([BodyRow(*row) for row in await fetch(connection, _SQL["bodies"], **values)])


async def body(connection: Any, seq: int) -> BodyRow | None:
    """One raw body."""
    row = await fetch_row(connection, _SQL["body"], seq=seq)
    return None if row is None else BodyRow(*row)


async def set_aside(connection: Any, query: SetAsideQuery) -> tuple[SetAsideRow, ...]:
    """What was set aside, newest first."""
    walk = next((name for name in ("reference", "number", "source") if getattr(query, name) is not None), None)
    values: dict[str, Any] = {
        "source": query.source,
        "account": query.account,
        "before": ROW_MAX if query.before is None else query.before,
        "limit": query.limit,
    }
    values |= {name: raw_or_none(getattr(query, name)) for name in ("number", "reason", "reference")}
    rows = await fetch(connection, _SQL["set_aside" if walk is None else f"set_aside_of_{walk}"], **values)
    return tuple([
        SetAsideRow(
            seq, of, source, account, text_of(reason), text_of(path), text_of(sentence), text_or_none(number),
            text_or_none(reference), stands_for,
        )
        for seq, of, source, account, reason, path, sentence, number, reference, stands_for in rows
    ])  # fmt: skip


async def arrivals(connection: Any, source: int, number: str | None, since_ms: int, until_ms: int) -> tuple[Count, ...]:
    """Counts of a source that began within a time, oldest first."""
    values = {"source": source, "number": raw_or_none(number), "since": since_ms, "until": until_ms}
    rows = await fetch(connection, _SQL["arrivals"], **values)
    return tuple([
        Count(of, text_of(about), start_ms, text_of(what), times, first_ms, last_ms)
        for of, about, start_ms, what, times, first_ms, last_ms in rows
    ])  # fmt: skip
