"""Watches how endpoints fare and tells each change of state once: failing, about to be disabled, disabled, recovered,
exhausted.

Decides nothing itself: the rules are in ``model/health.py``. Whoever tells the owner is given to the constructor.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from whatsync.engine.directory import RunningEndpoint
from whatsync.engine.outcome import Outcome
from whatsync.model import health as rules
from whatsync.model.catalogue import is_operational
from whatsync.model.delivery import Happening
from whatsync.model.endpoint import DisabledBy
from whatsync.model.envelope import format_time
from whatsync.model.health import Change, Health
from whatsync.model.ids import delivery_id
from whatsync.model.outcome import explain
from whatsync.ports.history import DeliveryView
from whatsync.ports.store import Claimed, Origin


class Notice(msgspec.Struct, frozen=True):
    """Something the owner of an account should hear, once. ``id`` is derived, so that telling it twice is one event."""

    account: int
    type: str
    id: str
    data: dict[str, Any]
    not_to: int | None = None
    """The endpoint it is about: it never hears about itself."""


class Watch:
    """Turns outcomes into health, and changes of health into notices."""

    def __init__(
        self,
        tell: Callable[[Notice], None],
        disable: Callable[[RunningEndpoint, DisabledBy], None],
        waits: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._tell = tell
        self._disable = disable
        self._waits = waits
        """Whether a notice about an endpoint may not be on disk yet."""

    def success(self, endpoint: RunningEndpoint, health: Health, now_ms: int) -> Health:
        """An attempt succeeded after failures."""
        after, change = rules.after_success(health, now_ms)
        if change is not None:
            self._tell(_notice(endpoint, change, health, now_ms))
        return after

    def failure(self, endpoint: RunningEndpoint, health: Health, claimed: Claimed, outcome: Outcome) -> Health:
        """An attempt failed. Tests do not count; the end of the schedule and a 410 are told too."""
        if claimed.origin is Origin.TEST:
            return health
        now_ms = outcome.row.finished_ms
        after = rules.after_failure(health, claimed.id, outcome.row.code or "internal_error", now_ms)
        if outcome.decision.happening is Happening.EXHAUSTED and not is_operational(claimed.event.type):
            if after.exhausted_ms is None or not self._waits(endpoint.row):
                after = msgspec.structs.replace(after, exhausted_ms=now_ms)
            self._tell(_exhausted(endpoint, claimed, outcome))
        if outcome.decision.happening is Happening.GONE:
            self._disable(endpoint, DisabledBy.GONE)
            return msgspec.structs.replace(after, gone_ms=now_ms)
        return self.look(endpoint, after, now_ms)

    def look(self, endpoint: RunningEndpoint, health: Health, now_ms: int) -> Health:
        """Tell what the rules call for now; also asked from time to time, since a notice can fall due without an
        attempt.
        """
        change = rules.change_due(health, now_ms)
        if change is None:
            return health
        if change is Change.DISABLED:
            self._disable(endpoint, DisabledBy.FAILING)
            return health
        after = rules.announced(health, change, now_ms)
        self._tell(_notice(endpoint, change, after, now_ms))
        return after

    def resume(self, endpoint: RunningEndpoint, health: Health) -> None:
        """At start-up: disable an endpoint whose 410 is on disk, where a crash came before the disabling."""
        if health.gone_ms is not None and endpoint.endpoint.enabled:
            self._disable(endpoint, DisabledBy.GONE)


def disabled_notice(endpoint: RunningEndpoint, by: DisabledBy, health: Health, now_ms: int) -> Notice:
    """The notice that an endpoint was disabled by itself, not by a person."""
    notice = _notice(endpoint, Change.DISABLED, health, now_ms)
    return msgspec.structs.replace(notice, data={**notice.data, "reason": by.value})


def standing_notices(endpoint: RunningEndpoint, health: Health, now_ms: int) -> list[Notice]:
    """The notices that belong to how an endpoint stands; told again, they make sure that a crash lost none."""
    notices = []
    if health.announced_failing:
        notices.append(_notice(endpoint, Change.FAILING, health, now_ms))
    if health.notice_ms is not None:
        notices.append(_notice(endpoint, Change.NOTICE, health, now_ms))
    by = endpoint.endpoint.disabled_by
    if not endpoint.endpoint.enabled and by in (DisabledBy.FAILING, DisabledBy.GONE):
        notices.append(disabled_notice(endpoint, by, health, now_ms))
    past = health.recovered
    if past is not None:
        then = Health(past.failed_attempts, first_failure_ms=past.since_ms, last_failure_code=past.last_code)
        notices.append(_notice(endpoint, Change.RECOVERED, then, now_ms))
    return notices


def _notice(endpoint: RunningEndpoint, change: Change, health: Health, now_ms: int) -> Notice:
    since = health.first_failure_ms or endpoint.endpoint.disabled_ms or now_ms
    disable_at = rules.disable_at_ms(health, now_ms)
    data: dict[str, Any] = {
        "endpointId": endpoint.endpoint.id,
        "url": endpoint.endpoint.url,
        "since": format_time(since),
        "failedAttempts": health.failed_attempts,
        "lastCode": health.last_failure_code,
        "lastError": None if health.last_failure_code is None else explain(health.last_failure_code).sentence,
        "disableAt": None if disable_at is None else format_time(disable_at),
    }
    # The coming disabling is announced as ``endpoint.failing`` with its time set: the catalogue has no other word.
    event_type = Change.FAILING.value if change is Change.NOTICE else change.value
    return Notice(
        endpoint.account.row,
        event_type,
        f"evt_{change.name.lower()}_{endpoint.row}_{since}",
        data,
        not_to=endpoint.row,
    )


def _exhausted(endpoint: RunningEndpoint, claimed: Claimed, outcome: Outcome) -> Notice:
    event = claimed.event
    return _exhausted_notice(endpoint, claimed.id, event.id, event.type, outcome.row.number, outcome.row.code)


def exhausted_notice(endpoint: RunningEndpoint, view: DeliveryView) -> Notice | None:
    """The notice of a delivery that ended as failed, made again from the history; ``None`` where none is due."""
    if view.origin is Origin.TEST or is_operational(view.type):
        return None
    return _exhausted_notice(endpoint, view.id, view.event_id, view.type, view.attempts, view.code)


def _exhausted_notice(
    endpoint: RunningEndpoint, delivery: int, event_id: str, event_type: str, attempts: int, code: str | None
) -> Notice:
    code = code or "internal_error"
    data: dict[str, Any] = {
        "deliveryId": delivery_id(delivery),
        "endpointId": endpoint.endpoint.id,
        "eventId": event_id,
        "eventType": event_type,
        "attempts": attempts,
        "lastCode": code,
        "lastError": explain(code).sentence,
    }
    return Notice(
        endpoint.account.row,
        "delivery.exhausted",
        f"evt_exhausted_{delivery_id(delivery)}",
        data,
        not_to=endpoint.row,
    )
