"""The schedule as text, and Retry-After in all its spellings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model import limits
from whatsync.model.retry import (
    DEFAULT_SCHEDULE_SECONDS,
    format_schedule,
    parse_retry_after,
    parse_schedule,
    replanned_file_ms,
    replanned_ms,
    turn_ms,
)


@given(st.lists(st.integers(1, 7 * 86_400), max_size=50))
def test_what_is_written_reads_back(waits: list[int]) -> None:
    assert parse_schedule(format_schedule(waits)) == tuple(waits)


def test_the_default_in_words() -> None:
    assert format_schedule(DEFAULT_SCHEDULE_SECONDS) == "5s,30s,2m,10m,30m,1h,3h,6h,12h,1d,1d"
    assert parse_schedule("") == ()
    assert parse_schedule(" 5s , 2m ") == (5, 120)


@pytest.mark.parametrize("text", ["5", "5x", "-5s", "0s", "8d", "5s;6s", "1e3s", "s", ",".join(["1s"] * 51)])
def test_bad_schedules_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wait"):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60.0),
        ("Thursday, 01-Jan-70 00:02:00 GMT", 60.0),
        ("Thu Jan  1 00:02:00 1970", 60.0),
        ("0000000000120", 120.0),
        ("Wed, 31 Dec 1969 23:59:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
        ("99999999999999999999", 999999999.0),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, 60_000) == seconds


@given(st.text())
def test_retry_after_never_raises(value: str) -> None:
    result = parse_retry_after(value, 0)
    assert result is None or result >= 0


NOW = 1_800_000_000_000
MINUTE = 60_000


@pytest.mark.parametrize(
    ("due", "wait", "finished", "planned", "then"),
    [
        (NOW + 5, None, None, None, NOW),
        (NOW + 9 * MINUTE, MINUTE, None, None, NOW + MINUTE),
        (NOW + 5, MINUTE, None, None, NOW + 5),
        (NOW - 5, None, None, None, NOW - 5),
        (NOW + 61 * MINUTE, None, NOW + 60 * MINUTE, NOW + 61 * MINUTE, NOW + MINUTE),
        (NOW + 61 * MINUTE, None, NOW, NOW + 61 * MINUTE, NOW + 61 * MINUTE),
        (NOW + 60 * MINUTE, None, NOW - MINUTE, NOW + MINUTE, NOW + 2 * MINUTE),
        (NOW + MINUTE, None, NOW + 60 * MINUTE, NOW + 70 * MINUTE, NOW + MINUTE),
    ],
)
def test_what_a_clock_ahead_planned(
    due: int, wait: int | None, finished: int | None, planned: int | None, then: int
) -> None:
    assert replanned_ms(NOW, due, wait, finished, planned) == then


@given(*[st.integers(0, 10**9)] * 4)
def test_planning_anew_never_makes_later_and_moves_nothing_twice(due: int, wait: int, finished: int, gap: int) -> None:
    for last in ((None, None), (NOW + finished, NOW + finished + gap)):
        then = replanned_ms(NOW, NOW + due, wait, *last)
        assert then <= NOW + due
        assert replanned_ms(NOW, then, wait, *last) == then
        assert then <= NOW + max(wait, gap) or (last[0] is not None and last[0] <= NOW)


@given(*[st.integers(0, 10**9)] * 3, st.booleans())
def test_a_file_is_planned_anew_once_and_never_later(later: int, planned_at: int, gap: int, claimed: bool) -> None:
    due, moment = NOW + later, NOW + planned_at - 10**8
    then = replanned_file_ms(NOW, due, moment, claimed=claimed)
    assert NOW <= then <= due
    if claimed:
        assert then == min(due, NOW + limits.MEDIA_CLAIM_SECONDS * 1000)
    elif moment <= NOW:
        assert then == due
    elif due >= moment:
        assert then == NOW + due - moment
    assert replanned_file_ms(NOW + gap, then, moment if then == due else NOW, claimed=claimed) == then


def test_a_turn_behind_another() -> None:
    assert turn_ms(NOW, NOW - MINUTE, 10 * MINUTE) == NOW + 9 * MINUTE
    assert turn_ms(NOW, NOW - 20 * MINUTE, 10 * MINUTE) == NOW
    assert turn_ms(NOW, NOW + 60 * MINUTE, 10 * MINUTE) == NOW + 10 * MINUTE
