"""Removes old events with everything that hangs on them, forgets what nothing promises any more, and erases one event's
personal content.

Runs inside the writer's transaction, in steps small enough to stand beside the hot path.
"""

from collections.abc import Sequence
from functools import partial
from heapq import merge
from itertools import islice

from whatsync.model import limits
from whatsync.model.delivery import WAITING, State
from whatsync.model.ids import first_row_at
from whatsync.ports.store import Pruned
from whatsync.store.coding import STATES
from whatsync.store.sqlite import media, rollup
from whatsync.store.sqlite.fold import fold
from whatsync.store.sqlite.lookup_fold import LookupFold
from whatsync.store.sqlite.order import forward
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

EXPIRE_ROWS = 2_000
"""Keys, remembered ids and audit entries that one step lets go of, of each."""
_DAY_MS = 86_400_000

_SQL = statements("retention.sql")
_MADE = _SQL.many("deliveries_made")
_ADDED = _SQL.many("deliveries_added")
_FEED_PLACES = _SQL.many("feed_places")
_REMEMBER = _SQL.many("remember")
_CANCEL = _SQL.many("cancel")
_REMOVE_DELIVERIES = tuple(
    _SQL.many(name)
    for name in ("remove_attempts", "remove_endpoints", "remove_types", "remove_numbers", "remove_deliveries")
)
_REMOVE_EVENTS = tuple(_SQL.many(name) for name in ("remove_event_types", "remove_event_numbers", "remove_events"))
_FORGET_KEYWORD = statements("lookup.sql")["forget_keyword"]


class Pruning:
    """One step of retention for one account."""

    def __init__(self, session: Session, lookups: LookupFold, account: int, before_ms: int, now_ms: int) -> None:
        self._session = session
        self._lookups = lookups
        self._account = account
        self._before_ms = before_ms
        self._now_ms = now_ms
        self._remembered = first_row_at(now_ms - limits.IDEMPOTENCY_DAYS * _DAY_MS)
        """Ids and keys are remembered from this row on."""

    def step(self, after: int, limit: int) -> Pruned:
        """Look at up to ``limit`` old events above row ``after`` and remove those that nothing is on its way for."""
        fold(self._session)
        old = self._old_events(after, limit)
        removed, cancelled = self._remove(old) if old else (0, 0)
        if len(old) == limit:
            return Pruned(removed, cancelled, old[-1])
        more = self._expire()
        return Pruned(removed, cancelled, max([after, *old]) if more else None)

    def _old_events(self, after: int, limit: int) -> list[int]:
        """The account's oldest events, joined from the lists of its types."""
        db, border = self._session.db, first_row_at(self._before_ms)
        found = [
            fetch(db, _SQL["old_events"], (self._account, type_, after, border, limit))
            for (type_,) in fetch(db, _SQL["types"], (self._account,))
        ]
        return [seq for (seq,) in islice(merge(*found), limit)]

    def _remove(self, old: Sequence[int]) -> tuple[int, int]:
        """Remove events whose deliveries have ended or are held. Returns how many, and how many held ones went too."""
        db = self._session.db
        rows = {row[0]: row for row in _MADE.rows(db, old)}
        rows.update((row[0], row) for row in _ADDED.rows(db, old))
        busy = {event for _, event, state, _ in rows.values() if STATES[state] in WAITING}
        gone = [event for event in old if event not in busy]
        ended = [row for row in rows.values() if row[1] not in busy]
        held = [row for row in ended if STATES[row[2]] is State.HELD]
        for delivery in [row[0] for row in held if row[3]]:
            _CANCEL.run(db, [delivery])
            forward(self._session, delivery, self._now_ms)
        self._raise_feed_floor(gone)
        for remember in _REMEMBER.pieces([seq for seq in gone if seq >= self._remembered]):
            db.execute(*remember)
        for statement in _REMOVE_DELIVERIES:
            statement.run(db, [row[0] for row in ended])
        for statement in _REMOVE_EVENTS:
            statement.run(db, gone)
        media.expire(self._session, gone, self._now_ms)
        return len(gone), len(held)

    def _raise_feed_floor(self, gone: Sequence[int]) -> None:
        places = [place for (place,) in _FEED_PLACES.rows(self._session.db, gone)]
        if places:
            self._session.db.execute(_SQL["raise_feed_floor"], (self._account, max(places)))

    def _expire(self) -> bool:
        """Let go of a part of what nothing promises any more; true where there is more of it."""
        session, db = self._session, self._session.db
        db.execute(_SQL["expire_keys"], (self._account, self._remembered, EXPIRE_ROWS))
        more = db.changes() == EXPIRE_ROWS
        db.execute(_SQL["expire_remembered"], (self._remembered, EXPIRE_ROWS))
        more = more or db.changes() == EXPIRE_ROWS
        db.execute(_SQL["expire_audit"], (self._account, self._before_ms, EXPIRE_ROWS))
        more = more or db.changes() == EXPIRE_ROWS
        border = first_row_at(self._before_ms)
        db.execute(_SQL["expire_versions"], (self._account, border, EXPIRE_ROWS))
        more = more or db.changes() == EXPIRE_ROWS
        more = media.forget(session, self._now_ms) or more
        if not more:
            if self._account == 0:
                self._forget_orphans()
            rollup.write_pending(session)
            rollup.add_pending(session)
            rollup.tidy(session, self._account, self._before_ms, self._now_ms)
            self._lookups.expire(self._remembered)
        return more

    def _forget_orphans(self) -> None:
        """What is left of accounts and endpoints that are gone."""
        session, db = self._session, self._session.db
        db.execute(_SQL["orphan_versions"])
        db.execute(_SQL["orphan_health"])
        for (account,) in fetch(db, _SQL["orphan_account_versions"]):
            session.staged.later.append(partial(session.forget_version, account))


def erase(session: Session, account: int, event: int, body: bytes, keys_kept: Sequence[str]) -> None:
    """Replace an event's body and drop what else is personal about it; that it happened stays."""
    db = session.db
    for (keys,) in fetch(db, _SQL["keys"], (event, account)):
        words = keys.split("\n") if keys else []
        kept = "\n".join(word for word in words if word in keys_kept) or None
        db.execute(_SQL["erase_event"], (body, kept, event))
        for word in words:
            if word not in keys_kept:
                db.execute(_FORGET_KEYWORD, (session.hash_of(account, word), event))
        deliveries = {row[0] for rows in (_MADE, _ADDED) for row in rows.rows(db, [event])}
        for delivery in deliveries:
            db.execute(_SQL["erase_answers"], (delivery,))
