"""Every pair of state and happening, and what Hypothesis can find about decide()."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model import retry
from whatsync.model.delivery import FINAL, OPEN, TRANSITIONS, WAITING, Happening, State, decide, next_state
from whatsync.model.outcome import Kind, Verdict

VERDICTS = st.builds(
    Verdict,
    kind=st.sampled_from(Kind),
    code=st.sampled_from([None, "http_500", "timeout"]),
    retry_after_seconds=st.one_of(st.none(), st.floats(0, 1e6)),
)
SCHEDULES = st.lists(st.floats(1, 86_400), max_size=12)

# The whole table once more by hand, so that a slip in the code's table is seen.
EXPECTED = {
    State.PENDING: {
        "attempt_succeeded": "succeeded", "attempt_failed": "retrying", "attempts_exhausted": "failed",
        "endpoint_gone": "held", "late_success": "succeeded", "endpoint_disabled": "held",
        "endpoint_deleted": "cancelled", "cancel_requested": "cancelled", "retry_requested": "pending",
    },
    State.RETRYING: {
        "attempt_succeeded": "succeeded", "attempt_failed": "retrying", "attempts_exhausted": "failed",
        "endpoint_gone": "held", "late_success": "succeeded", "endpoint_disabled": "held",
        "endpoint_deleted": "cancelled", "cancel_requested": "cancelled", "retry_requested": "retrying",
    },
    State.HELD: {
        "late_success": "succeeded", "released": "pending", "released_after_attempts": "retrying",
        "dropped": "cancelled",
        "endpoint_deleted": "cancelled", "cancel_requested": "cancelled", "retention_expired": "cancelled",
    },
    State.SUCCEEDED: {}, State.FAILED: {}, State.CANCELLED: {},
}  # fmt: skip


@pytest.mark.parametrize(("state", "happening"), list(itertools.product(State, Happening)))
def test_every_pair(state: State, happening: Happening) -> None:
    expected = EXPECTED[state].get(happening.value)
    got = next_state(state, happening)
    assert (None if got is None else got.value) == expected


def test_nothing_leads_out_of_a_final_state() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] in FINAL]
    assert set(State) == FINAL | OPEN
    assert WAITING < OPEN


@given(
    VERDICTS,
    st.integers(1, 20),
    SCHEDULES,
    st.integers(0, 2**41),
    st.floats(0, 1, exclude_max=True),
    st.booleans(),
)
def test_a_decision_is_a_legal_move(
    verdict: Verdict, attempt: int, schedule: list[float], now_ms: int, jitter: float, single: bool
) -> None:
    decision = decide(verdict, attempt, schedule, now_ms, jitter, single)
    assert (
        decision.state
        is TRANSITIONS[State.PENDING, decision.happening]
        is TRANSITIONS[State.RETRYING, decision.happening]
    )
    assert (decision.due_ms is not None) == (decision.state is State.RETRYING)
    assert (decision.state is State.SUCCEEDED) == (verdict.kind is Kind.SUCCESS)
    if decision.due_ms is not None:
        assert decision.due_ms > now_ms


@given(SCHEDULES, st.floats(0, 1, exclude_max=True))
def test_a_dead_endpoint_gets_one_try_more_than_the_schedule_has_waits(schedule: list[float], jitter: float) -> None:
    verdict = Verdict(Kind.RETRY, "timeout")
    states = [decide(verdict, attempt, schedule, 0, jitter).state for attempt in range(1, len(schedule) + 2)]
    assert states == [State.RETRYING] * len(schedule) + [State.FAILED]


def test_a_test_send_is_never_repeated() -> None:
    assert decide(Verdict(Kind.RETRY, "timeout"), 1, [5.0], 0, 0.5, single_try=True).state is State.FAILED
    assert decide(Verdict(Kind.GONE, "http_410"), 1, [5.0], 0, 0.5, single_try=True).state is State.FAILED


def test_gone_holds_even_on_the_last_try() -> None:
    assert decide(Verdict(Kind.GONE, "http_410"), 3, [5.0], 0, 0.5).state is State.HELD


@given(st.floats(1, 86_400), st.floats(0, 1, exclude_max=True), st.one_of(st.none(), st.floats(0, 1e7)))
def test_jitter_and_retry_after_stay_in_their_bounds(wait: float, jitter: float, retry_after: float | None) -> None:
    due = retry.due_ms(0, wait, jitter, retry_after)
    lowest, highest = wait * 800 - 1, wait * 1200 + 1
    if retry_after is not None:
        highest = max(highest, min(retry_after, 86_400) * 1000 + 1)
        lowest = max(lowest, min(retry_after, 86_400) * 1000 - 1)
    assert lowest <= due <= highest


def test_the_default_schedule_lasts_71_hours() -> None:
    assert round(sum(retry.DEFAULT_SCHEDULE_SECONDS) / 3600) == 71
    assert len(retry.DEFAULT_SCHEDULE_SECONDS) == 11
