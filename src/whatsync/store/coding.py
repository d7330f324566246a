"""How rows are written down: numbers of states, flags of attempts, the packed outcome of a delivery. Both sides of the
store read them here; nothing here asks a database.
"""

from collections.abc import Callable, Sequence
from typing import Any

from whatsync.model.delivery import State
from whatsync.ports.store import EventRow

STATE_NUMBERS: dict[State, int] = {
    State.PENDING: 0,
    State.SUCCEEDED: 1,
    State.RETRYING: 2,
    State.FAILED: 3,
    State.CANCELLED: 4,
    State.HELD: 5,
}
STATES: tuple[State, ...] = tuple(STATE_NUMBERS)
"""State by number."""

ACCOUNT_TOTAL = 0
"""Stands for all endpoints of an account in the rollups; accepted events are counted here too."""

LATE = 1
REUSED = 2
TRUNCATED = 4
TEST = 8
ORDERED = 16

NO_OUTCOME = 1 << 46
"""A delivery's ``outcome`` before any attempt decided; as wide on disk as any later one."""
_DECIDED = 1 << 45
_STATUS_BITS = 10
_DURATION_MAX = (1 << 35) - 1


WAITED = "waiting"
"""Outcome under which the rollups count how long the oldest delivery had waited."""


def pack_outcome(status: int | None, duration_us: int) -> int:
    """Status and duration of the attempt that decided last, in one number."""
    duration = duration_us
    if not 0 <= duration <= _DURATION_MAX:
        duration = 0 if duration < 0 else _DURATION_MAX
    return NO_OUTCOME | _DECIDED | duration << _STATUS_BITS | (status or 0)


def unpack_outcome(outcome: int) -> tuple[int | None, int | None]:
    """Status and duration in microseconds; both ``None`` before any attempt decided."""
    if not outcome & _DECIDED:
        return None, None
    return outcome & ((1 << _STATUS_BITS) - 1) or None, outcome >> _STATUS_BITS & _DURATION_MAX


def contact_word(contact: str) -> str:
    """The word whose hash (under the endpoint's row) keeps an ordered delivery's contact."""
    return "order:" + contact


def read_event(row: Sequence[Any], text: Callable[[int], str]) -> EventRow:
    """Read columns seq, account, id, type, body, details, number, contact, keys, test, deliveries."""
    seq, account, event_id, type_, body, details, number, contact, keys, test, deliveries = row
    return EventRow(
        seq,
        account,
        event_id,
        text(type_),
        body,
        details,
        None if number is None else text(number),
        contact,
        tuple(keys.split("\n")) if keys else (),
        bool(test),
        deliveries,
    )
