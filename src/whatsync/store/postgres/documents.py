"""Changes configuration: documents with their versions, the audit log, and what has to happen in the same transaction.

Runs inside a transaction. Knows no document's content.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from whatsync.ports.store import Admission, AuditEntry, Change, ChangeConflict, Changed, Document, Put, Settled
from whatsync.store.postgres.accept import learn_words, write_rows
from whatsync.store.postgres.coding import raw, text_of
from whatsync.store.postgres.connection import fetch, fetch_row, fetch_value, run
from whatsync.store.postgres.database import Database, Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.settle import settle
from whatsync.store.postgres.statements import statements

VERSIONED_KIND = "endpoint"
"""The one kind of document whose old versions stay readable."""

_SQL = statements("documents.sql")


class _ConflictError(Exception):
    """A document stands against the change; nothing of it is written."""

    def __init__(self, put: Put) -> None:
        super().__init__(put.kind)
        self.put = put


async def change(database: Database, node: Node, wanted: Change) -> Changed | ChangeConflict:
    """Carry a change out whole, or name the document that stands against it."""
    await learn_words(database, wanted.admissions)
    for settlement in wanted.settlements:
        await learn_reason(database, settlement.reason)
    try:
        return await database.transact(lambda transaction: _change(transaction, database, node, wanted), run=node.run)
    except _ConflictError as conflict:
        return ChangeConflict(conflict.put.kind, conflict.put.id)


async def learn_reason(database: Database, reason: str | None) -> None:
    """Have a number for a reason before a transaction begins."""
    if unknown := database.words.unknown([reason]):
        await database.ask(lambda connection: database.words.learn(connection, unknown))


async def _change(transaction: Transaction, database: Database, node: Node, wanted: Change) -> Changed:
    connection = transaction.connection
    for account in sorted({wanted.account, *(one.account for one in wanted.admissions)}):
        await run(connection, _SQL["lock_account"], account=account)
    for put in wanted.puts:
        if put.expected_version is not None:
            version = await fetch_value(connection, _SQL["find"], kind=put.kind, id=raw(put.id))
            if put.expected_version != (version or 0):
                raise _ConflictError(put)
    documents = tuple([await _put(transaction, put) for put in wanted.puts])
    gone = await _delete(transaction, wanted)
    for entry in wanted.audit:
        await _audit(transaction, entry)
    passed = 0
    for admission in wanted.admissions:
        new = await only_new(transaction, [admission])
        passed = await write_rows(transaction, database, node, new, passed)
    settled: list[Settled] = []
    for settlement in wanted.settlements:
        settled.extend(await settle(transaction, database.words, settlement))
    statement = _SQL["raise_version"] if wanted.routing else _SQL["version"]
    version = await fetch_value(connection, statement, account=wanted.account)
    if documents or gone or wanted.routing:
        await run(
            connection, _SQL["stamp"], rows=[one.row for one in documents], gone=[row for row, _, _ in gone],
            kinds=[kind for _, kind, _ in gone], ids=[id_ for _, _, id_ in gone], account=wanted.account,
            routing=wanted.routing,
        )  # fmt: skip
    return Changed(version or 0, documents, tuple(settled))


async def _delete(transaction: Transaction, wanted: Change) -> list[tuple[int, str, bytes]]:
    """Remove documents: row, kind and id of those that there were."""
    connection = transaction.connection
    found = []
    for gone in wanted.deletes:
        row = await fetch_value(connection, _SQL["delete"], kind=gone.kind, id=raw(gone.id))
        if row is None:
            continue
        found.append((row, gone.kind, raw(gone.id)))
        if gone.kind == VERSIONED_KIND:
            await run(connection, _SQL["end_versions"], kind=gone.kind, row=row)
            await run(connection, _SQL["forget_health"], endpoint=row)
    return found


async def only_new(transaction: Transaction, admissions: Sequence[Admission]) -> list[Admission]:
    """The admissions without events that exist, and without what hangs on those. The new ones' ids are taken."""
    events = [event for admission in admissions for event in admission.events]
    if not events:
        return list(admissions)
    values: dict[str, Any] = {
        "accounts": [event.account for event in events],
        "ids": [raw(event.id) for event in events],
        "seqs": [event.seq for event in events],
    }
    new = {seq for (seq,) in await fetch(transaction.connection, _SQL["take_new"], **values)}
    return [_new_part(admission, new) for admission in admissions]


def _new_part(admission: Admission, new: set[int]) -> Admission:
    passed_over = {event.seq for event in admission.events} - new
    return replace(
        admission,
        events=tuple(event for event in admission.events if event.seq in new),
        deliveries=tuple(row for row in admission.deliveries if row.event not in passed_over),
        idempotency=None,
    )


async def _put(transaction: Transaction, put: Put) -> Document:
    name = "put_new" if put.expected_version == 0 else "put"
    values = {"kind": put.kind, "id": raw(put.id), "account": put.account, "body": put.body}
    row = await fetch_row(transaction.connection, _SQL[name], **values)
    if row is None:
        # Another node was quicker.
        raise _ConflictError(put)
    document = read(row)
    if document.kind == VERSIONED_KIND:
        await run(transaction.connection, _SQL["end_versions"], kind=put.kind, row=document.row)
        await run(transaction.connection, _SQL["put_version"], row=document.row)
    return document


async def _audit(transaction: Transaction, entry: AuditEntry) -> None:
    await run(
        transaction.connection,
        _SQL["audit"],
        account=entry.account,
        at_ms=entry.at_ms,
        actor=raw(entry.actor),
        action=raw(entry.action),
        subject=raw(entry.subject),
        before=entry.before,
        after=entry.after,
    )


def read(row: Any) -> Document:
    """A row of table ``document``."""
    kind, id_, number, account, version, body = row
    return Document(kind, text_of(id_), number, account, version, body)


async def load(connection: Any) -> tuple[Document, ...]:
    """All documents, by row."""
    return tuple([read(row) for row in await fetch(connection, _SQL["all"])])


async def versions(connection: Any) -> dict[int, int]:
    """Configuration version of each account row."""
    return dict(await fetch(connection, _SQL["versions"]))
