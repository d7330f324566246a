"""Figures from rollups: rates never rounded up to all, percentiles by buckets, columns that lose no row."""

from collections import Counter
from itertools import pairwise

import pytest

from whatsync.engine.figures import ACCEPTED, columns, figures, percentile_ms, step_length_ms
from whatsync.ports.history import RollupRow

MINUTE = 60_000


def row(start_ms: int, outcome: str = "succeeded", bucket: int = 3, count: int = 1) -> RollupRow:
    return RollupRow(start_ms, 1, outcome, bucket, count)


def test_sums_rates_and_reasons() -> None:
    rows = [row(0, count=9_999), row(0, "http_500", 5), row(MINUTE, "timeout", 14, 3), row(0, ACCEPTED, 0, 500)]
    summed = figures(rows)
    assert (summed.attempts, summed.succeeded) == (10_003, 9_999)
    assert summed.success_percent == 99.9
    assert summed.failures == (("timeout", 3), ("http_500", 1))
    assert (summed.p50_ms, summed.p95_ms) == (8, 8)


def test_one_failure_in_a_million_is_not_all() -> None:
    summed = figures([row(0, count=999_999), row(0, "http_500")])
    assert summed.success_percent == 99.9


def test_nothing_has_no_rate() -> None:
    summed = figures([])
    assert (summed.attempts, summed.success_percent, summed.p95_ms) == (0, None, None)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.9, 4), (0.95, 1024), (1.0, 1024)])
def test_a_percentile_is_the_end_of_its_bucket(share: float, expected: int) -> None:
    assert percentile_ms(Counter({1: 80, 2: 10, 10: 10}), share) == expected


def test_columns_are_whole_minutes_and_hold_every_row() -> None:
    since_ms, until_ms = 10 * MINUTE + 500, 70 * MINUTE + 500
    rows = [row(at * MINUTE, "succeeded" if at % 2 else "http_500") for at in range(10, 71)]
    shown = columns(rows, since_ms, until_ms, 24)
    assert sum(one.succeeded + one.failed for one in shown) == len(rows)
    steps = {later.start_ms - one.start_ms for one, later in pairwise(shown)}
    assert steps == {3 * MINUTE}
    assert shown[0].start_ms <= since_ms
    assert len(shown) <= 24 + 2


@pytest.mark.parametrize(("length", "step"), [(60, 2), (24 * 60, 30), (48 * 60, 60), (49 * 60, 120), (168 * 60, 240)])
def test_steps_are_whole_minutes_and_long_ones_whole_hours(length: int, step: int) -> None:
    assert step_length_ms(0, length * MINUTE, 48) == step * MINUTE
