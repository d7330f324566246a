"""When an endpoint counts as failing, when it is disabled, and that each is announced once."""

from whatsync.model.health import (
    HEALTHY,
    Change,
    Health,
    Recovery,
    after_failure,
    after_success,
    announced,
    change_due,
    disable_at_ms,
    joined,
)

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def fail(health: Health, times: int, start_ms: int, step_ms: int, deliveries: int = 5) -> tuple[Health, int]:
    now = start_ms
    for count in range(times):
        now = start_ms + count * step_ms
        health = after_failure(health, count % deliveries, "http_500", now)
    return health, now


def test_two_failures_are_not_failing() -> None:
    health, now = fail(HEALTHY, 2, 0, 10 * MINUTE)
    assert change_due(health, now) is None


def test_three_failures_within_a_minute_are_not_failing_yet() -> None:
    health, now = fail(HEALTHY, 3, 0, 10_000)
    assert change_due(health, now) is None


def test_three_failures_over_five_minutes_are_failing_once() -> None:
    health, now = fail(HEALTHY, 3, 0, 150_000)
    assert change_due(health, now) is Change.FAILING
    assert change_due(announced(health, Change.FAILING, now), now) is None


def test_a_success_always_clears_and_tells_only_what_was_told() -> None:
    health, now = fail(HEALTHY, 3, 0, 150_000)
    assert after_success(health, now) == (Health(last_success_ms=now), None)
    told = announced(health, Change.FAILING, now)
    recovery = Recovery(now, 0, 3, "http_500")
    assert after_success(told, now) == (Health(last_success_ms=now, recovered=recovery), Change.RECOVERED)


def failing_for_days() -> tuple[Health, int]:
    health, now = fail(HEALTHY, 25, 0, 4 * HOUR + 10 * MINUTE)
    return announced(health, Change.FAILING, now), now


def test_the_notice_comes_a_day_before_the_disabling() -> None:
    health, _ = failing_for_days()
    assert disable_at_ms(health, 4 * DAY) == 5 * DAY
    assert change_due(health, 4 * DAY - 1) is None
    assert change_due(health, 4 * DAY + 4 * HOUR) is Change.NOTICE


def test_a_late_notice_moves_the_disabling() -> None:
    health, _ = failing_for_days()
    noticed = announced(health, Change.NOTICE, 4 * DAY + 10 * HOUR)
    assert disable_at_ms(noticed, 4 * DAY + 10 * HOUR) == 5 * DAY + 10 * HOUR
    assert change_due(noticed, 5 * DAY) is None
    recent = after_failure(noticed, 1, "http_500", 5 * DAY + 9 * HOUR)
    assert change_due(recent, 5 * DAY + 10 * HOUR) is Change.DISABLED


def test_few_attempts_or_few_deliveries_never_disable() -> None:
    few, _ = fail(HEALTHY, 19, 0, 6 * HOUR)
    assert disable_at_ms(few, 5 * DAY) is None
    one, _ = fail(HEALTHY, 40, 0, 3 * HOUR, deliveries=2)
    assert disable_at_ms(one, 5 * DAY) is None


def test_an_endpoint_without_recent_attempts_is_left_alone() -> None:
    health, last = failing_for_days()
    assert disable_at_ms(health, last + DAY) is not None
    assert disable_at_ms(health, last + DAY + 1) is None


def test_what_two_nodes_know_is_joined() -> None:
    own, _ = fail(HEALTHY, 3, 0, MINUTE, deliveries=2)
    other, _ = fail(HEALTHY, 6, 30_000, MINUTE, deliveries=5)
    other = announced(other, Change.FAILING, DAY)
    both = joined(own, other)
    assert both == joined(other, own)
    assert (both.first_failure_ms, both.last_failure_ms) == (0, 30_000 + 5 * MINUTE)
    assert (both.failed_attempts, both.failures_in_a_row, both.announced_failing) == (6, 6, True)
    assert len(both.sample) == both.failed_deliveries == 3


def test_a_later_success_seen_by_one_node_clears_for_the_other() -> None:
    own, last = fail(HEALTHY, 5, 0, MINUTE)
    other, _ = after_success(HEALTHY, last + 1)
    assert joined(own, other) == joined(other, own) == other


def test_failures_after_a_success_seen_elsewhere_count_on() -> None:
    other, _ = after_success(HEALTHY, 1)
    own, _ = fail(HEALTHY, 2, MINUTE, MINUTE)
    both = joined(own, other)
    assert both.failed_attempts == 2
    assert both.last_success_ms == 1
    assert joined(HEALTHY, HEALTHY) == HEALTHY
