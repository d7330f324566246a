"""How an endpoint is doing: when it counts as failing, when it is disabled, and when that is announced. Pure rules over
counted facts.
"""

from enum import StrEnum

import msgspec

from whatsync.model import limits


class Change(StrEnum):
    """A change of state worth telling the owner, once."""

    FAILING = "endpoint.failing"
    NOTICE = "endpoint.disable_notice"
    DISABLED = "endpoint.disabled"
    RECOVERED = "endpoint.recovered"


class Recovery(msgspec.Struct, frozen=True):
    """A time of failing that is over: what its notice says, kept until the next one so that no crash loses it."""

    at_ms: int
    since_ms: int
    failed_attempts: int
    last_code: str | None


class Health(msgspec.Struct, frozen=True):
    """What is remembered since the last success. Tests neither count nor clear."""

    failed_attempts: int = 0
    failed_deliveries: int = 0
    """Distinct deliveries among the failed attempts, counted up to what the rule needs."""
    sample: tuple[int, ...] = ()
    """The first few distinct deliveries that failed."""
    failures_in_a_row: int = 0
    first_failure_ms: int | None = None
    last_failure_ms: int | None = None
    last_failure_code: str | None = None
    last_success_ms: int | None = None
    announced_failing: bool = False
    notice_ms: int | None = None
    """When the coming disabling was announced."""
    gone_ms: int | None = None
    """When it answered 410, which disables it; forgotten when it is enabled again."""
    recovered: Recovery | None = None
    """The last recovery that had to be told."""
    exhausted_ms: int | None = None
    """From when on deliveries ended as failed whose notice may not be on disk yet."""


HEALTHY = Health()


def after_success(health: Health, now_ms: int) -> tuple[Health, Change | None]:
    """A success always clears. Returns the change to tell where failing had been announced."""
    change, recovered = None, health.recovered
    if health.announced_failing:
        change = Change.RECOVERED
        since = now_ms if health.first_failure_ms is None else health.first_failure_ms
        recovered = Recovery(now_ms, since, health.failed_attempts, health.last_failure_code)
    return Health(last_success_ms=now_ms, recovered=recovered, exhausted_ms=health.exhausted_ms), change


def joined(own: Health, other: Health) -> Health:
    """What two nodes know of one endpoint, as one. The later success clears what lies before it; of failures that both
    have seen since, the earliest beginning and whatever was announced count.
    """
    success_ms = max(own.last_success_ms or 0, other.last_success_ms or 0)
    failing = [one for one in (own, other) if (one.last_failure_ms or 0) > success_ms]
    if not failing:
        return max((own, other), key=lambda one: one.last_success_ms or 0)
    newest = max(failing, key=lambda one: one.last_failure_ms or 0)
    sample = tuple(dict.fromkeys((*own.sample, *other.sample) if len(failing) > 1 else newest.sample))
    sample = sample[: limits.DISABLE_DELIVERIES_MIN]
    return msgspec.structs.replace(
        newest,
        failed_attempts=max(one.failed_attempts for one in failing),
        failed_deliveries=len(sample),
        sample=sample,
        failures_in_a_row=max(one.failures_in_a_row for one in failing),
        first_failure_ms=min(one.first_failure_ms for one in failing if one.first_failure_ms is not None),
        last_success_ms=success_ms or None,
        announced_failing=any(one.announced_failing for one in failing),
        notice_ms=min((one.notice_ms for one in failing if one.notice_ms is not None), default=None),
        gone_ms=next((one.gone_ms for one in failing if one.gone_ms is not None), None),
        recovered=newest.recovered or own.recovered or other.recovered,
        exhausted_ms=newest.exhausted_ms or own.exhausted_ms or other.exhausted_ms,
    )


def since_enabled(health: Health, enabled_ms: int | None) -> Health:
    """What of a stored health still counts for an endpoint that was enabled again at ``enabled_ms``."""
    is_old = enabled_ms is not None and health.last_failure_ms is not None and health.last_failure_ms <= enabled_ms
    return forgotten(health) if is_old else health


def forgotten(health: Health) -> Health:
    """Health of an endpoint that was enabled again by hand: it starts anew. What has still to be told stays."""
    return Health(last_success_ms=health.last_success_ms, recovered=health.recovered, exhausted_ms=health.exhausted_ms)


def after_failure(health: Health, delivery: int, code: str, now_ms: int) -> Health:
    """Count one failed attempt of ``delivery``."""
    sample = health.sample
    if delivery not in sample and len(sample) < limits.DISABLE_DELIVERIES_MIN:
        sample = (*sample, delivery)
    return msgspec.structs.replace(
        health,
        failed_attempts=health.failed_attempts + 1,
        failed_deliveries=len(sample),
        sample=sample,
        failures_in_a_row=health.failures_in_a_row + 1,
        first_failure_ms=now_ms if health.first_failure_ms is None else health.first_failure_ms,
        last_failure_ms=now_ms,
        last_failure_code=code,
    )


def change_due(health: Health, now_ms: int) -> Change | None:
    """Return the change that the rules call for now and that was not announced yet."""
    if health.first_failure_ms is None or health.last_failure_ms is None:
        return None
    failing_ms = health.last_failure_ms - health.first_failure_ms
    if not health.announced_failing:
        enough = health.failed_attempts >= limits.FAILING_ATTEMPTS_MIN
        return Change.FAILING if enough and failing_ms >= limits.FAILING_SECONDS_MIN * 1000 else None
    disable_at = disable_at_ms(health, now_ms)
    if disable_at is None:
        return None
    if health.notice_ms is not None:
        return Change.DISABLED if now_ms >= disable_at else None
    return Change.NOTICE if now_ms >= disable_at - limits.DISABLE_NOTICE_SECONDS * 1000 else None


def announced(health: Health, change: Change, now_ms: int) -> Health:
    """Remember that ``change`` was told."""
    if change is Change.FAILING:
        return msgspec.structs.replace(health, announced_failing=True)
    if change is Change.NOTICE:
        return msgspec.structs.replace(health, notice_ms=now_ms)
    return health


def disable_at_ms(health: Health, now_ms: int) -> int | None:
    """When the endpoint will be disabled if nothing succeeds; ``None`` while the rule does not apply."""
    if health.first_failure_ms is None or health.last_failure_ms is None:
        return None
    if health.failed_attempts < limits.DISABLE_ATTEMPTS_MIN or health.failed_deliveries < limits.DISABLE_DELIVERIES_MIN:
        return None
    if now_ms - health.last_failure_ms > limits.DISABLE_RECENT_SECONDS * 1000:
        return None
    due = health.first_failure_ms + limits.DISABLE_AFTER_SECONDS * 1000
    # A notice given late moves the disabling, so that a day always lies between the two.
    return due if health.notice_ms is None else max(due, health.notice_ms + limits.DISABLE_NOTICE_SECONDS * 1000)
