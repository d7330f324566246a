"""What sources bring: an intake written whole, counts, and the questions about all of it.

The writing half runs inside the writer's transaction, the reading half in a reader's.
"""

from collections.abc import Sequence
from typing import Any

from whatsync.model.ids import ROW_MAX, first_row_at
from whatsync.ports.arrivals import BodyRow, ContactRow, Count, Outdated, SetAsideQuery, SetAsideRow, TakenIn
from whatsync.ports.store import Intake, IntakeResult
from whatsync.store.sqlite.accept import Accepting
from whatsync.store.sqlite.readers import Reader
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

_SQL = statements("arrivals.sql")
_INSERT_SET_ASIDE = _SQL.many("insert_set_aside")
_COUNT = _SQL.many("count_arrivals")
_REMOVE_BODIES = _SQL.many("remove_bodies")
_REMOVE_SET_ASIDE = _SQL.many("remove_set_aside")
_CONTACTS_OF_WORDS = _SQL.many("contacts_of_words")


def take_in(session: Session, accepting: Accepting, intake: Intake) -> IntakeResult:
    """Write an intake whole, or say what it was based on that is no longer so."""
    outdated = _outdated(session, intake)
    if outdated is not None:
        return outdated
    db = session.db
    passed: list[int] = []
    for admission in intake.admissions:
        passed += accepting.add_new(admission)
    for contact in intake.contacts:
        _put_contact(session, contact)
    body = intake.body
    if body is not None:
        db.execute(_SQL["insert_body"], (body.seq, body.source, body.test, body.updates, body.body))
    if intake.settled is not None:
        db.execute(_SQL["settle_body"], (intake.settled,))
    values: list[Any] = []
    for row in intake.set_aside:
        values += (row.seq, row.body, row.source, row.account, row.count, row.reason, row.path, row.sentence)
        values += (row.number, row.reference)
    _INSERT_SET_ASIDE.run(db, values)
    return TakenIn(tuple(sorted(passed)))


def _outdated(session: Session, intake: Intake) -> Outdated | None:
    versions = {
        admission.account: current
        for admission in intake.admissions
        if (current := session.version(admission.account)) != admission.version
    }
    ahead: dict[tuple[int, str], int] = {}
    changed: list[tuple[int, str]] = []
    for contact in intake.contacts:
        key = (contact.account, contact.id)
        version = ahead.get(key)
        if version is None:
            rows = fetch(session.db, _SQL["contact_version"], key)
            version = rows[0][0] if rows else 0
        if contact.version != version + 1:
            changed.append(key)
        ahead[key] = contact.version
    return Outdated(versions, tuple(changed)) if versions or changed else None


def _put_contact(session: Session, contact: ContactRow) -> None:
    values = (
        contact.account,
        contact.id,
        contact.version,
        contact.seen_ms,
        contact.phone,
        contact.user_id,
        contact.name,
    )
    session.db.execute(_SQL["put_contact"], values)
    for word in contact.words:
        session.db.execute(_SQL["put_word"], (contact.account, word, contact.id))


def count(session: Session, counts: Sequence[Count]) -> None:
    """Add to the counts."""
    values: list[Any] = []
    for one in counts:
        values += (one.source, one.number, one.start_ms, one.what, one.count, one.first_ms, one.last_ms)
    _COUNT.run(session.db, values)


def prune(session: Session, source: int, before_ms: int, limit: int) -> bool:
    """Remove some old bodies with what was set aside of them; at the end, old counts."""
    db = session.db
    old = [seq for (seq,) in fetch(db, _SQL["old_bodies"], (source, first_row_at(before_ms), limit))]
    _REMOVE_BODIES.run(db, old)
    _REMOVE_SET_ASIDE.run(db, old)
    if len(old) == limit:
        return True
    db.execute(_SQL["expire_counts"], (source, before_ms))
    return False


def erase_body(session: Session, seq: int, body: bytes) -> None:
    """Put other bytes in a raw body's place."""
    session.db.execute(_SQL["erase_body"], (body, seq))


def forget_contacts(session: Session, account: int, contacts: Sequence[str], limit: int) -> int:
    """Remove contacts with their words."""
    db, gone = session.db, 0
    named = list(contacts) or [id_ for (id_,) in fetch(db, _SQL["some_contacts"], (account, limit))]
    for id_ in named:
        db.execute(_SQL["remove_contact"], (account, id_))
        gone += db.changes()
        db.execute(_SQL["remove_words"], (account, id_))
    return gone


# Reading


def contacts(reader: Reader, account: int, words: Sequence[str]) -> tuple[ContactRow, ...]:
    """Find the people that words lead to."""
    db = reader.db
    ids = sorted({id_ for (id_,) in _CONTACTS_OF_WORDS.rows(db, list(dict.fromkeys(words)), account)})
    found = []
    for id_ in ids:
        for owner, name, version, seen_ms, phone, user_id, shown in fetch(db, _SQL["contact"], (account, id_)):
            known = tuple([word for (word,) in fetch(db, _SQL["words_of_contact"], (account, id_))])
            found.append(ContactRow(owner, name, known, version, seen_ms, phone, user_id, shown))
    return tuple(found)


def bodies(reader: Reader, source: int, before: int | None, limit: int) -> tuple[BodyRow, ...]:
    """Raw bodies of a source, newest first, their bytes left out."""
    rows = fetch(reader.db, _SQL["bodies"], (source, ROW_MAX if before is None else before, limit))
    return tuple([_body(row) for row in rows])


def body(reader: Reader, seq: int) -> BodyRow | None:
    """Read one raw body."""
    for row in fetch(reader.db, _SQL["body"], (seq,)):
        return _body(row)
    return None


def _body(row: Sequence[Any]) -> BodyRow:
    seq, source, raw, updates, test = row
    return BodyRow(seq, source, raw, updates, bool(test))


def set_aside(reader: Reader, query: SetAsideQuery) -> tuple[SetAsideRow, ...]:
    """What was set aside, newest first, along the narrowest index there is."""
    if query.reference is not None:
        name = "set_aside_of_reference"
    elif query.number is not None:
        name = "set_aside_of_number"
    else:
        name = "set_aside" if query.source is None else "set_aside_of_source"
    before = ROW_MAX if query.before is None else query.before
    values = (query.source, before, query.account, query.number, query.reason, query.reference, query.limit)
    return tuple([SetAsideRow(*row) for row in fetch(reader.db, _SQL[name], values)])


def counts(reader: Reader, source: int, number: str | None, since_ms: int, until_ms: int) -> tuple[Count, ...]:
    """Counts of a source, oldest first."""
    if number is None:
        rows = fetch(reader.db, _SQL["arrivals"], (source, since_ms, until_ms))
    else:
        rows = fetch(reader.db, _SQL["arrivals_of_number"], (source, number, since_ms, until_ms))
    return tuple([Count(*row) for row in rows])
