"""Rollups in the steps of a chart: every row in its step, every code in one kind, no step left out."""

from itertools import pairwise

import pytest

from whatsync.engine.figures import ACCEPTED, SUCCEEDED, WAITED, figures
from whatsync.engine.trends import SPANS, Ending, Span, ending, steps
from whatsync.model.outcome import NETWORK
from whatsync.ports.history import RollupRow

NOW = 1_800_000_123_456


def row(at_ms: int, outcome: str = SUCCEEDED, bucket: int = 5, count: int = 1) -> RollupRow:
    return RollupRow(at_ms - at_ms % 60_000, 0, outcome, bucket, count)


@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
def test_every_minute_of_the_span_has_its_step(span: Span) -> None:
    rows = [row(NOW - back) for back in range(0, span.length_ms - span.step_ms, max(60_000, span.step_ms // 3))]
    columns = steps(rows, span, NOW)
    assert len(columns) == span.length_ms // span.step_ms
    assert sum(step.endings.get(Ending.DELIVERED, 0) for step in columns) == len(rows)
    assert all(later.start_ms - step.start_ms == span.step_ms for step, later in pairwise(columns))
    assert columns[-1].start_ms <= NOW < columns[-1].start_ms + span.step_ms


def test_older_rows_are_left_out() -> None:
    columns = steps([row(NOW - 2 * SPANS[0].length_ms)], SPANS[0], NOW)
    assert not any(step.endings for step in columns)


def test_each_code_is_of_one_kind() -> None:
    kinds = {code: ending(code) for code in (*NETWORK, "http_302", "http_404", "http_410", "http_500", SUCCEEDED)}
    assert kinds["http_404"] is kinds["http_302"] is kinds["http_410"] is Ending.REFUSED
    assert kinds["http_500"] is kinds["connection_reset"] is Ending.BROKEN
    assert kinds["timeout"] is Ending.LATE
    assert kinds["dns_error"] is kinds["connection_refused"] is kinds["blocked_address"] is Ending.UNREACHED
    assert [code for code, kind in kinds.items() if kind is Ending.DELIVERED] == [SUCCEEDED]


def test_accepted_events_are_no_attempts_and_unreached_ones_have_no_latency() -> None:
    rows = [row(NOW, ACCEPTED, 0, 7), row(NOW, "connection_refused", 1, 50), row(NOW, SUCCEEDED, 6, 2)]
    last = steps(rows, SPANS[0], NOW)[-1]
    assert last.accepted == 7
    assert last.endings == {Ending.UNREACHED: 50, Ending.DELIVERED: 2}
    assert (last.p50_ms, last.p95_ms) == (64, 64)
    empty = steps([row(NOW, ACCEPTED, 0, 7)], SPANS[0], NOW)[-1]
    assert (empty.p50_ms, empty.p95_ms) == (None, None)


def test_looks_at_what_waits_are_no_attempts_and_the_longest_counts() -> None:
    rows = [row(NOW, WAITED, 13, 40), row(NOW, WAITED, 17, 1), row(NOW, SUCCEEDED, 6, 2), row(NOW - 60_000, WAITED, 14)]
    before, last = steps(rows, SPANS[0], NOW)[-2:]
    assert (before.waited_ms, last.waited_ms) == (2**14, 2**17)
    assert last.endings == {Ending.DELIVERED: 2}
    assert figures(rows).attempts == 2
    assert steps([], SPANS[0], NOW)[-1].waited_ms is None
