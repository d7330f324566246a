"""The support bundle: facts for somebody who is to help, without secrets, texts, phones, names or ids of messages.

What goes in is named here, field by field; nothing is copied whole. Knows the services, no HTTP.
"""

import platform
import sys
from collections import Counter
from typing import Any

import msgspec

from whatsync.engine.endpoints import EndpointFacts
from whatsync.engine.figures import figures
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.model.timestamp import format_time
from whatsync.model.url import Target
from whatsync.ports.history import DeliveryQuery
from whatsync.web.health import faults, warnings
from whatsync.web.pages.page import Visit

_ENDPOINTS_MAX = 200
_DAY_MS = 86_400_000
_WORDLESS = frozenset(
    {"HOST", "PUBLIC_URL", "DATA_DIR", "MEDIA_STORE", "MEDIA_PUBLIC_URL", "MAIL_FROM", "SUPPORT_URL", "BOOTSTRAP_EMAIL"}
    | {"ALLOW_ADDRESSES", "TRUSTED_PROXIES", "METRICS_ADDRESS", "DATABASE_URL"}
)
"""Settings that may name machines, folders or people: only whether they are set."""


async def bundle(visit: Visit) -> bytes:
    """The bundle of one account, as JSON to be read before it is handed on."""
    services, now_ms = visit.services, visit.services.clock.now_ms()
    state = services.store.state()
    endpoints, _ = services.endpoints.page(visit.account, None, limits.ACCOUNT_ENDPOINTS)
    rollups = await services.history.rollups(visit.account.row, None, now_ms - _DAY_MS, now_ms + 1, _DAY_MS)
    summed = figures(rollups)
    facts: dict[str, Any] = {
        "about": "Facts for support. No secrets, no message texts, no phone numbers, no names, no ids of messages.",
        "at": format_time(now_ms),
        "version": visit.facts.version,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "implementation": sys.implementation.name,
        "settings": [_setting(*row) for row in visit.facts.settings],
        "server": {
            "ready": services.runner.ready,
            "faults": [fault.field for fault in faults(services)],
            "warnings": warnings(services),
            "writable": state.writable,
            "freeMegabytes": state.free_bytes // 1_000_000,
            "inFlight": services.dispatcher.in_flight,
        },
        "account": {
            "id": visit.account.account.id,
            "endpoints": len(endpoints),
            "ownEventTypes": len(visit.account.own_types),
            "openDeliveries": services.quota.open_deliveries.get(visit.account.row),
            "numbers": sum(one.account == visit.account.row for one in services.directory.whatsapp.numbers.values()),
            "retentionDays": visit.account.account.retention_days,
            "alerts": bool(visit.account.account.alert_emails or visit.account.account.alert_url),
        },
        "last24Hours": {
            "attempts": summed.attempts,
            "succeeded": summed.succeeded,
            "p50Milliseconds": summed.p50_ms,
            "p95Milliseconds": summed.p95_ms,
            "failures": dict(summed.failures),
        },
        "lastFailures": await _failures(visit),
        "endpoints": [_endpoint(one) for one in endpoints[:_ENDPOINTS_MAX]],
    }
    return msgspec.json.format(msgspec.json.encode(facts), indent=2)


def _setting(name: str, value: str, source: str) -> dict[str, str]:
    known = value if name not in _WORDLESS or value == "unset" else "set"
    return {"name": name, "value": known, "from": source}


async def _failures(visit: Visit) -> list[dict[str, Any]]:
    """How the last failed deliveries ended: codes and types, no ids."""
    query = DeliveryQuery(visit.account.row, states=(State.FAILED, State.RETRYING), limit=limits.PAGE_ITEMS_MAX)
    page = await visit.services.history.deliveries(query)
    known = {one.row: one.endpoint.id for one in visit.account.endpoints.values()}
    counted = Counter((known.get(view.endpoint), view.state.value, view.code, view.status) for view in page.items)
    return [
        {"endpoint": endpoint, "state": state, "code": code, "status": status, "count": count}
        for (endpoint, state, code, status), count in counted.most_common()
    ]


def _endpoint(facts: EndpointFacts) -> dict[str, Any]:
    """How an endpoint is set and stands: of its URL only the scheme and port, of headers and filters only how many."""
    endpoint, health, target = facts.running.endpoint, facts.health, facts.running.target
    assert isinstance(target, Target)
    return {
        "id": endpoint.id,
        "scheme": target.scheme,
        "port": target.port,
        "enabled": endpoint.enabled,
        "disabledBy": endpoint.disabled_by,
        "events": len(endpoint.events),
        "allEvents": "*" in endpoint.events,
        "numbers": None if endpoint.numbers is None else len(endpoint.numbers),
        "filters": sum(len(fields) for fields in endpoint.filters.values()),
        "headers": len(endpoint.headers),
        "ownSecret": endpoint.secrets is not None,
        "format": endpoint.format,
        "details": endpoint.include_details,
        "ordering": endpoint.ordering,
        "timeoutSeconds": endpoint.timeout_seconds,
        "maxInFlight": endpoint.max_in_flight,
        "rateLimitPerSecond": endpoint.rate_limit_per_second,
        "retrySchedule": endpoint.retry_schedule,
        "failedAttempts": health.failed_attempts,
        "failuresInARow": health.failures_in_a_row,
        "firstFailureAt": None if health.first_failure_ms is None else format_time(health.first_failure_ms),
        "lastFailureCode": health.last_failure_code,
        "lastSuccessAt": None if health.last_success_ms is None else format_time(health.last_success_ms),
    }
