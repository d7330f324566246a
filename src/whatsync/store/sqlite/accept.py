"""Writes admissions: events and their deliveries, many admissions in few statements, each decided by its keys.

Runs inside the writer's transaction. Knows no future, no file and no attempt.
"""

import struct
from collections.abc import Sequence
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
    Idempotency,
    Replayed,
    Stale,
)
from whatsync.store.coding import NO_OUTCOME, contact_word, read_event
from whatsync.store.sqlite import media
from whatsync.store.sqlite.fold import enter_late
from whatsync.store.sqlite.lookup import SHARD_SHIFT, Kind, add
from whatsync.store.sqlite.lookup_fold import write_entries
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

_SQL = statements("accept.sql")
_INSERT_EVENTS = _SQL.many("insert_events")
_INSERT_HANDED_OVER = _SQL.many("insert_handed_over")
_INSERT_DELIVERIES = _SQL.many("insert_deliveries")
_KNOWN_EVENTS = _SQL.many("known_events")
_ACCEPTED = Accepted()
_MINUTE_MS = 60_000

ACCEPTED_EVENTS = "accepted"
"""Outcome that counts accepted events in the rollups."""


class Accepting:
    """Gathers the rows of admissions and writes them together with ``flush``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._events: list[Any] = []
        self._handed_over: list[Any] = []
        self._waiting: list[Any] = []
        self._ordered: list[DeliveryRow] = []
        self._late: list[int] = []
        self._accepted: dict[tuple[int, int], int] = {}
        """Events by account and minute."""
        self._ahead: dict[int, tuple[EventRow, int]] = {}
        """Events of this transaction that are not in the table yet, with the number of their deliveries."""

    def admit(self, admission: Admission) -> AcceptResult:
        """Decide about an admission, and take its rows in where it is accepted."""
        session = self._session
        if admission.idempotency is not None:
            replayed = self._used_before(admission.account, admission.idempotency)
            if replayed is not None:
                return replayed
        version = session.version(admission.account)
        if admission.version != version:
            return Stale(version)
        account, events, hash_of = admission.account, admission.events, session.hash_of
        if len(events) == 1:
            hashes = [hash_of(account, "id:" + events[0].id)]
        else:
            hashes = [hash_of(account, "id:" + event.id) for event in events]
        existing = self._existing(account, events, hashes)
        if existing is not None:
            return Duplicates(existing)
        self._take(admission, hashes)
        return _ACCEPTED

    def add_new(self, admission: Admission) -> frozenset[int] | set[int]:
        """Take in what is new of an admission; events that exist are passed over together with their deliveries.

        Returns the rows of those.
        """
        passed: frozenset[int] | set[int] = frozenset()
        hashes = [self._session.hash_of(admission.account, "id:" + event.id) for event in admission.events]
        existing = self._existing(admission.account, admission.events, hashes)
        if existing is not None:
            new = [at for at, known in enumerate(existing) if known is None]
            events = tuple(admission.events[at] for at in new)
            passed = {event.seq for event in admission.events} - {event.seq for event in events}
            hashes = [hashes[at] for at in new]
            deliveries = tuple(row for row in admission.deliveries if row.event not in passed)
            admission = replace(admission, events=events, deliveries=deliveries)
        self._take(replace(admission, idempotency=None), hashes)
        return passed

    def flush(self) -> None:
        """Write what was gathered."""
        db = self._session.db
        _INSERT_EVENTS.run(db, self._events)
        _INSERT_HANDED_OVER.run(db, self._handed_over)
        _INSERT_DELIVERIES.run(db, self._waiting)
        self._ahead.clear()
        for (account, minute), count in self._accepted.items():
            self._session.count(account, 0, minute * _MINUTE_MS, ACCEPTED_EVENTS, 0, count)
        self._accepted.clear()
        ordered, self._ordered = self._ordered, []
        for row in sorted(ordered, key=lambda row: row.id):
            _INSERT_DELIVERIES.run(db, self._delivery(row, self._turn_ms(row)))
        if self._late:
            enter_late(self._session, self._late)
        self._events, self._handed_over, self._waiting, self._late = [], [], [], []

    # What exists

    def _existing(
        self, account: int, events: Sequence[EventRow], hashes: Sequence[int]
    ) -> tuple[EventRow | None, ...] | None:
        """At each position the event that has this id already; ``None`` where all ids are new, which is the rule."""
        recent, runs = self._session.recent, self._session.runs[0].items
        current, folding = recent.current[0], recent.folding[0]
        for hash_ in hashes:
            shard = hash_ >> SHARD_SHIFT
            if hash_ in current[shard] or hash_ in folding[shard]:
                return self._compare(account, events, hashes)
            for run in runs:
                if run.may_hold(hash_):
                    return self._compare(account, events, hashes)
        if len(hashes) > 1 and len(set(hashes)) < len(hashes):
            return self._compare(account, events, hashes)
        return None

    def _compare(
        self, account: int, events: Sequence[EventRow], hashes: Sequence[int]
    ) -> tuple[EventRow | None, ...] | None:
        """The same, by comparing the ids themselves."""
        found: list[EventRow | None] = []
        ahead: dict[str, EventRow] = {}
        for event, hash_ in zip(events, hashes, strict=True):
            known = ahead.setdefault(event.id, event)
            found.append(self._stored(account, event.id, hash_) or (known if known is not event else None))
        return tuple(found) if any(found) else None

    def _stored(self, account: int, event_id: str, hash_: int) -> EventRow | None:
        """The event of this id that is stored, or an empty one in its place where retention removed it."""
        for row in self._session.rows_of(Kind.IDENTITY, hash_):
            known = self._event(row)
            if known is not None and known.account == account and known.id == event_id:
                return known
        return None

    def _event(self, seq: int) -> EventRow | None:
        ahead = self._ahead.get(seq)
        if ahead is not None:
            return replace(ahead[0], deliveries=ahead[1])
        session = self._session
        for row in fetch(session.db, _SQL["event"], (seq,)):
            return read_event(row, session.words.text)
        for account, event_id in fetch(session.db, _SQL["remembered"], (seq,)):
            return EventRow(seq, account, event_id, "", b"")
        return None

    def _used_before(self, account: int, idempotency: Idempotency) -> Replayed | None:
        session = self._session
        word = "key:" + idempotency.key
        for used in session.rows_of(Kind.IDENTITY, session.hash_of(account, word)):
            row = fetch(session.db, _SQL["key_use"], (used, account, idempotency.key))
            if row:
                fingerprint, events = row[0]
                seqs = struct.unpack(f">{len(events) // 8}q", events)
                known = tuple(self._event(seq) or EventRow(seq, account, "", "", b"") for seq in seqs)
                return Replayed(fingerprint, known)
        return None

    # Taking in

    def _take(self, admission: Admission, hashes: Sequence[int]) -> None:
        events, deliveries = admission.events, admission.deliveries
        if len(events) == 1 and all_of(events[0].seq, deliveries):
            self._take_event(events[0], hashes[0], deliveries)
        else:
            deliveries = self._take_events(events, hashes, deliveries)
        for row in deliveries:
            self._take_delivery(row)
        if admission.idempotency is not None:
            self._take_key(admission, admission.idempotency)
        if admission.media:
            media.insert(self._session, admission.media, {event.seq for event in events})

    def _take_events(
        self, events: Sequence[EventRow], hashes: Sequence[int], deliveries: Sequence[DeliveryRow]
    ) -> tuple[DeliveryRow, ...]:
        """Take in many events, and return the deliveries whose event is one of them or stored already."""
        made: dict[int, list[DeliveryRow]] = {event.seq: [] for event in events}
        stored = self._stored_events({row.event for row in deliveries if row.event not in made})
        for row in deliveries:
            if row.event in made:
                made[row.event].append(row)
        for event, hash_ in zip(events, hashes, strict=True):
            self._take_event(event, hash_, made[event.seq])
        return tuple([row for row in deliveries if row.event in made or row.event in stored])

    def _stored_events(self, seqs: set[int]) -> set[int]:
        if not seqs:
            return seqs
        found = {seq for seq in seqs if seq in self._ahead}
        found.update(seq for (seq,) in _KNOWN_EVENTS.rows(self._session.db, list(seqs)))
        return found

    def _take_event(self, event: EventRow, hash_: int, deliveries: Sequence[DeliveryRow]) -> None:
        session = self._session
        staged, words = session.staged, session.words
        seq, account, number, keys = event.seq, event.account, event.number, event.keys
        place = offset = span = None
        if seq > staged.place:
            staged.place = seq
        else:
            staged.place = place = staged.place + 1
        if len(deliveries) == 1:
            offset, span = deliveries[0].id - seq, 0
        elif deliveries:
            ids = [row.id for row in deliveries]
            offset, span = min(ids) - seq, max(ids) - min(ids)
        self._events += (
            seq,
            account,
            words.numbers.get(event.type) or words.number(event.type),
            None if number is None else words.numbers.get(number) or words.number(number),
            event.test,
            len(deliveries),
            offset,
            span,
            place,
            event.id,
            event.contact,
            "\n".join(keys) if keys else None,
            event.body,
            event.details,
        )
        self._ahead[seq] = (event, len(deliveries))
        if seq > staged.top:
            staged.top = seq
        if seq <= session.folding:
            self._late.append(seq)
        else:
            staged.tail += 1
        self._enter_words(account, seq, hash_, keys)
        if not event.test:
            minute = (account, ms_of(seq) // _MINUTE_MS)
            self._accepted[minute] = self._accepted.get(minute, 0) + 1

    def _enter_words(self, account: int, seq: int, hash_: int, keys: Sequence[str]) -> None:
        session = self._session
        recent = session.recent
        identities, keywords = recent.current
        session.staged.entered.append(seq)
        recent.entries[0] += 1
        recent.entries[1] += len(keys)
        late = seq <= session.looking_up
        if identities[hash_ >> SHARD_SHIFT].setdefault(hash_, seq) != seq:
            add(identities, hash_, seq)
        if late:
            # A row below the mark is not found again after a crash, so it goes to the runs at once.
            write_entries(session, Kind.IDENTITY, [(hash_, seq)])
        for key in keys:
            word = session.hash_of(account, key)
            if keywords[word >> SHARD_SHIFT].setdefault(word, seq) != seq:
                add(keywords, word, seq)
            if late:
                write_entries(session, Kind.KEYWORD, [(word, seq)])

    def _take_delivery(self, row: DeliveryRow) -> None:
        id_, number, session = row.id, row.number, self._session
        staged = session.staged
        if id_ > staged.top:
            staged.top = id_
        late = id_ <= session.folding
        if late:
            self._late.append(id_)
        else:
            staged.tail += 1
        if row.contact is not None:
            self._ordered.append(row)
        elif row.claimed and not late:
            words = session.words
            self._handed_over += (
                id_,
                row.event,
                row.account,
                row.endpoint,
                words.numbers.get(row.type) or words.number(row.type),
                None if number is None else words.numbers.get(number) or words.number(number),
                row.due_ms,
                row.origin,
            )
        else:
            self._waiting += self._delivery(row, row.due_ms)

    def _delivery(self, row: DeliveryRow, due_ms: int) -> tuple[Any, ...]:
        words = self._session.words
        ordered = row.contact is not None
        claimed = row.claimed and not ordered
        return (
            row.id,
            row.event,
            row.account,
            row.endpoint,
            words.number(row.type),
            None if row.number is None else words.number(row.number),
            claimed,
            due_ms,
            claimed,
            NO_OUTCOME,
            int(row.origin),
            self._session.hash_of(row.endpoint, contact_word(row.contact)) if row.contact is not None else None,
            row.contact_wait_ms if ordered else None,
        )

    def _turn_ms(self, row: DeliveryRow) -> int:
        """When an ordered delivery is due: behind the nearest earlier open one, when that has waited."""
        assert row.contact is not None
        contact = self._session.hash_of(row.endpoint, contact_word(row.contact))
        for (earlier,) in fetch(self._session.db, _SQL["earlier_open"], (row.endpoint, contact, row.id)):
            return turn_ms(row.due_ms, ms_of(earlier), row.contact_wait_ms)
        return row.due_ms

    def _take_key(self, admission: Admission, idempotency: Idempotency) -> None:
        rows = [event.seq for event in admission.events] + [row.id for row in admission.deliveries]
        session, used = self._session, max(rows, default=admission.used)
        session.staged.top = max(session.staged.top, used)
        seqs = [event.seq for event in admission.events]
        packed = struct.pack(f">{len(seqs)}q", *seqs)
        values = (used, admission.account, idempotency.key, idempotency.fingerprint, packed)
        session.db.execute(_SQL["insert_key_use"], values)
        hash_ = session.hash_of(admission.account, "key:" + idempotency.key)
        self._enter_words(admission.account, used, hash_, ())


def all_of(event: int, deliveries: Sequence[DeliveryRow]) -> bool:
    """Whether all deliveries are of one event."""
    for row in deliveries:  # noqa: SIM110 - twice as quick as all() on one row, and here every event passes
        if row.event != event:
            return False
    return True
