"""THE state machine of a delivery: its states, what can happen to it, and what each happening leads to.

The rules, in words:

* ``succeeded``, ``failed`` and ``cancelled`` are final; nothing leads out of them.
* An absent (state, happening) pair is refused and changes nothing.
* A delivery of a disabled endpoint is ``held``: not tried, not lost, and released in place.
* An attempt that ends after its claim was taken away changes nothing, except that a success closes a delivery still
open.

The diagram in the docs is drawn from ``TRANSITIONS``. Knows no store, clock or network.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from whatsync.model import retry
from whatsync.model.outcome import Kind, Verdict


class State(StrEnum):
    """Where a delivery stands; the same word in code, store, API and pages."""

    PENDING = "pending"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HELD = "held"


class Happening(StrEnum):
    """What can happen to a delivery."""

    SUCCEEDED = "attempt_succeeded"
    FAILED = "attempt_failed"
    EXHAUSTED = "attempts_exhausted"
    GONE = "endpoint_gone"
    LATE_SUCCESS = "late_success"
    DISABLED = "endpoint_disabled"
    DELETED = "endpoint_deleted"
    RELEASED = "released"
    RELEASED_TRIED = "released_after_attempts"
    DROPPED = "dropped"
    RETRY = "retry_requested"
    CANCEL = "cancel_requested"
    EXPIRED = "retention_expired"


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
OPEN = frozenset({State.PENDING, State.RETRYING, State.HELD})
WAITING = frozenset({State.PENDING, State.RETRYING})

_WAITING_MOVES = {
    Happening.SUCCEEDED: State.SUCCEEDED,
    Happening.FAILED: State.RETRYING,
    Happening.EXHAUSTED: State.FAILED,
    Happening.GONE: State.HELD,
    Happening.LATE_SUCCESS: State.SUCCEEDED,
    Happening.DISABLED: State.HELD,
    Happening.DELETED: State.CANCELLED,
    Happening.CANCEL: State.CANCELLED,
}

TRANSITIONS: dict[tuple[State, Happening], State] = {
    **{(State.PENDING, happening): state for happening, state in _WAITING_MOVES.items()},
    **{(State.RETRYING, happening): state for happening, state in _WAITING_MOVES.items()},
    (State.PENDING, Happening.RETRY): State.PENDING,
    (State.RETRYING, Happening.RETRY): State.RETRYING,
    (State.HELD, Happening.RELEASED): State.PENDING,
    (State.HELD, Happening.RELEASED_TRIED): State.RETRYING,
    (State.HELD, Happening.DROPPED): State.CANCELLED,
    (State.HELD, Happening.DELETED): State.CANCELLED,
    (State.HELD, Happening.CANCEL): State.CANCELLED,
    (State.HELD, Happening.EXPIRED): State.CANCELLED,
    (State.HELD, Happening.LATE_SUCCESS): State.SUCCEEDED,
}


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What an attempt leads to: the new state, when it is due again, and whether the endpoint is gone."""

    happening: Happening
    state: State
    due_ms: int | None = None


def next_state(state: State, happening: Happening) -> State | None:
    """Return the state that ``happening`` leads to from ``state``, or ``None`` where it is refused and changes
    nothing.
    """
    return TRANSITIONS.get((state, happening))


SUCCEEDED = Decision(Happening.SUCCEEDED, State.SUCCEEDED)
"""What every success leads to."""
_EXHAUSTED = Decision(Happening.EXHAUSTED, State.FAILED)
_GONE = Decision(Happening.GONE, State.HELD)


def decide(
    verdict: Verdict,
    attempt: int,
    schedule_seconds: Sequence[float],
    now_ms: int,
    jitter: float,
    single_try: bool = False,
) -> Decision:
    """Say what attempt number ``attempt`` (1, 2, …) with this verdict leads to.

    ``schedule_seconds`` holds the waits after the first try; ``jitter`` is uniform in [0, 1);
    ``single_try`` is for test sends, which are never repeated.
    """
    if verdict.kind is Kind.SUCCESS:
        return SUCCEEDED
    if single_try or attempt > len(schedule_seconds):
        return _GONE if verdict.kind is Kind.GONE and not single_try else _EXHAUSTED
    if verdict.kind is Kind.GONE:
        return _GONE
    due = retry.due_ms(now_ms, schedule_seconds[attempt - 1], jitter, verdict.retry_after_seconds)
    return Decision(Happening.FAILED, State.RETRYING, due)
