"""Changes configuration: documents with their versions, the audit log, and what has to happen in the same transaction.

Runs inside the writer's transaction. Knows no document's content.
"""

from whatsync.ports.store import AuditEntry, Change, ChangeConflict, Changed, Delete, Document, Put, Settled
from whatsync.store.sqlite.accept import Accepting
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.settle import settle
from whatsync.store.sqlite.statements import fetch, statements

VERSIONED_KIND = "endpoint"
"""The one kind of document whose old versions stay readable."""

_SQL = statements("documents.sql")


def change(session: Session, wanted: Change) -> Changed | ChangeConflict:
    """Carry a change out whole, or name the document that stands against it."""
    db = session.db
    for put in wanted.puts:
        if put.expected_version is not None:
            known = _find(session, put.kind, put.id)
            if put.expected_version != (0 if known is None else known.version):
                return ChangeConflict(put.kind, put.id)
    documents = tuple([_put(session, put) for put in wanted.puts])
    for gone in wanted.deletes:
        _delete(session, gone)
    for entry in wanted.audit:
        _audit(session, entry)
    if wanted.admissions:
        accepting = Accepting(session)
        for admission in wanted.admissions:
            accepting.add_new(admission)
        accepting.flush()
    settled: list[Settled] = []
    for settlement in wanted.settlements:
        settled.extend(settle(session, settlement))
    version = session.version(wanted.account)
    if wanted.routing:
        version += 1
        session.staged.versions[wanted.account] = version
        db.execute(_SQL["put_account_version"], (wanted.account, version))
    return Changed(version, documents, tuple(settled))


def load(session: Session) -> tuple[Document, ...]:
    """All documents, by row."""
    return tuple([Document(*row) for row in fetch(session.db, _SQL["all"])])


def _find(session: Session, kind: str, id_: str) -> Document | None:
    for row in fetch(session.db, _SQL["find"], (kind, id_)):
        return Document(*row)
    return None


def _put(session: Session, put: Put) -> Document:
    row = fetch(session.db, _SQL["put"], (put.kind, put.id, put.account, put.body))[0]
    document = Document(*row)
    if document.kind == VERSIONED_KIND:
        _end_versions(session, document.row)
        values = (document.kind, document.row, document.version, document.id, document.account, document.body)
        session.db.execute(_SQL["put_version"], values)
    return document


def _delete(session: Session, gone: Delete) -> None:
    for (row,) in fetch(session.db, _SQL["delete"], (gone.kind, gone.id)):
        if gone.kind == VERSIONED_KIND:
            _end_versions(session, row)
            session.db.execute(_SQL["forget_health"], (row,))


def _end_versions(session: Session, row: int) -> None:
    """From here on no new delivery uses the version that was the present one."""
    session.db.execute(_SQL["end_versions"], (session.staged.top, VERSIONED_KIND, row))


def _audit(session: Session, entry: AuditEntry) -> None:
    values = (entry.account, entry.at_ms, entry.actor, entry.action, entry.subject, entry.before, entry.after)
    session.db.execute(_SQL["audit"], values)
