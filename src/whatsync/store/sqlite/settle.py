"""Changes states without an attempt: hold, release, drop, cancel, retry.

Runs inside the writer's transaction; the rules are ``model.delivery``'s.
"""

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Any

from whatsync.model.delivery import FINAL, OPEN, WAITING, Happening, State, next_state
from whatsync.ports.store import Settled, Settlement
from whatsync.store.coding import STATE_NUMBERS, STATES
from whatsync.store.sqlite.order import behind, forward
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

_SQL = statements("settle.sql")
_RELEASES = frozenset({Happening.RELEASED, Happening.RELEASED_TRIED})
_ROW_MAX = (1 << 63) - 1

_Row = tuple[int, int, int, int, int, int, int, int]
"""id, account, endpoint, state, in_flight, at_ms, attempts, contact_wait_ms."""


def settle(session: Session, settlement: Settlement) -> tuple[Settled, ...]:
    """Carry a settlement out."""
    return tuple([_settle_one(session, row, settlement) for row in _looked_at(session, settlement)])


def _looked_at(session: Session, settlement: Settlement) -> list[Any]:
    db, account = session.db, settlement.account
    if settlement.endpoint is not None:
        version = fetch(db, _SQL["endpoint_version"], (settlement.endpoint,))
        if settlement.version is not None and (version[0][0] if version else 0) != settlement.version:
            return []
        return list(islice(_of_endpoint(session, settlement), settlement.limit))
    rows = [row for id_ in settlement.deliveries for row in fetch(db, _SQL["delivery"], (id_,))]
    return [row for row in rows if row[1] == account]


def _of_endpoint(session: Session, settlement: Settlement) -> Iterator[_Row]:
    """What a settlement over an endpoint would change, lowest row first: those in the tail, which are in flight since
    they were accepted, stand in no index.
    """
    until = _ROW_MAX if settlement.until is None else settlement.until
    endpoint, happening, limit = settlement.endpoint, settlement.happening, settlement.limit
    found: list[list[Any]] = []
    for state in OPEN:
        if happening not in _RELEASES and next_state(state, happening) is None:
            continue
        values = (endpoint, STATE_NUMBERS[state], until, settlement.account)
        if happening is Happening.RETRY:
            found.append(fetch(session.db, _SQL["retriable"], (*values, settlement.due_ms, limit)))
        else:
            found.append(fetch(session.db, _SQL["open"], (*values, limit)))
    if happening is not Happening.RETRY:
        tail = (session.folded, until, endpoint, settlement.account, limit)
        found.append(fetch(session.db, _SQL["in_tail"], tail))
    for row in merge(*found):
        if _settled_state(row, happening) is not None:
            yield row


def _settled_state(row: _Row, happening: Happening) -> State | None:
    _, _, _, state, in_flight, _, attempts, _ = row
    if happening is Happening.RETRY and in_flight:
        return None
    if happening in _RELEASES:
        happening = Happening.RELEASED_TRIED if attempts else Happening.RELEASED
    return next_state(STATES[state], happening)


def _settle_one(session: Session, row: _Row, settlement: Settlement) -> Settled:
    delivery, _, endpoint, state, in_flight, _, _, wait_ms = row
    before = STATES[state]
    after = _settled_state(row, settlement.happening)
    if after is not None:
        at_ms = settlement.due_ms
        if before is State.HELD and after in WAITING and wait_ms and behind(session, delivery):
            at_ms += wait_ms
        reason = None if after in WAITING or settlement.reason is None else session.words.number(settlement.reason)
        session.db.execute(_SQL["settle"], (STATE_NUMBERS[after], after not in FINAL, at_ms, reason, delivery))
        if after in FINAL:
            forward(session, delivery, settlement.due_ms)
    return Settled(delivery, endpoint, before, after or before, bool(in_flight))
