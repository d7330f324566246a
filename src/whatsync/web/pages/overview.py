"""The account's overview: what needs attention, then how deliveries went, from the rollups alone.

Knows the services, no HTTP; never scans a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whatsync.engine.directory import RunningEndpoint
from whatsync.engine.endpoints import EndpointFacts
from whatsync.engine.figures import Figures, figures
from whatsync.engine.trends import SPANS, Ending, Span, Step, steps
from whatsync.model import limits
from whatsync.model.ids import ms_of
from whatsync.ports.history import RollupRow
from whatsync.web.pages.attention import Matter, matters, short
from whatsync.web.pages.condition import BAD, GOOD, PAUSED, QUIET, WARN, condition
from whatsync.web.pages.page import Entry, Given, Need, Page, Show, Visit

ENDPOINTS_SHOWN = 8
_TONES = {GOOD: "good", WARN: "warn", BAD: "bad", QUIET: "neutral", PAUSED: "neutral"}
_ENDINGS = (
    (Ending.DELIVERED, "Delivered", "good"),
    (Ending.REFUSED, "Refused (4xx)", "warn"),
    (Ending.BROKEN, "Receiver failed (5xx)", "bad"),
    (Ending.LATE, "Too slow", "note"),
    (Ending.UNREACHED, "Not reached", "held"),
)


@dataclass(frozen=True, slots=True)
class EndpointLine:
    """An endpoint and how its attempts went."""

    running: RunningEndpoint
    url: str
    figures: Figures
    standing: tuple[str, str]
    """A tone and a word."""
    overdue_ms: int | None
    """When the oldest that is due and not under way fell due."""


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """What ``overview.html`` shows."""

    name: str
    matters: list[Matter]
    endpoints: int
    begun: bool
    """Something was sent, or accepted, in the time looked at."""
    sent: bool
    figures: Figures
    accepted: int
    open: int | None
    """Deliveries that wait or are held, as last counted."""
    overdue_ms: int | None
    span: Span
    spans: list[tuple[Span, bool]]
    outcomes: dict[str, Any]
    latency: dict[str, Any]
    waited: dict[str, Any] | None
    """``None`` where nothing has waited for long."""
    lines: list[EndpointLine]
    more: int
    """Endpoints that are not among the lines."""


async def overview(visit: Visit) -> Given:
    """The account at a glance."""
    services, account = visit.services, visit.account
    now_ms = services.clock.now_ms()
    span = next((one for one in SPANS if one.name == visit.asked("span")), SPANS[2])
    rows = await services.history.rollups(account.row, None, now_ms - span.length_ms, now_ms + 1, span.step_ms)
    all_endpoints, _ = services.endpoints.page(account, None, limits.ACCOUNT_ENDPOINTS)
    columns = steps(rows, span, now_ms)
    summed = figures(rows)
    accepted = sum(step.accepted for step in columns)
    page = OverviewPage(
        name=account.account.name,
        matters=await matters(visit, all_endpoints),
        endpoints=len(all_endpoints),
        begun=bool(summed.attempts or accepted),
        sent=any(one.health.last_success_ms is not None for one in all_endpoints) or summed.succeeded > 0,
        figures=summed,
        accepted=accepted,
        open=services.quota.open_deliveries.get(account.row),
        overdue_ms=min(filter(None, (_overdue(visit, one.running) for one in all_endpoints)), default=None),
        span=span,
        spans=[(one, one is span) for one in SPANS],
        outcomes=_outcomes(columns),
        latency=_latency(columns),
        waited=_waited(columns),
        lines=[] if visit.htmx else await _lines(visit, _first(all_endpoints), span, now_ms),
        more=max(0, len(all_endpoints) - ENDPOINTS_SHOWN),
    )
    return Show("overview.html", page, fragment="standing")


def _first(endpoints: list[EndpointFacts]) -> list[EndpointFacts]:
    """Those in trouble first, then those that are on, the newest first."""

    def key(one: EndpointFacts) -> tuple[bool, bool, int]:
        return (one.health.first_failure_ms is None, not one.running.endpoint.enabled, -one.running.row)

    return sorted(endpoints, key=key)[:ENDPOINTS_SHOWN]


async def _lines(visit: Visit, shown: list[EndpointFacts], span: Span, now_ms: int) -> list[EndpointLine]:
    rows = [one.running.row for one in shown]
    since_ms = now_ms - span.length_ms
    sums: dict[int, list[RollupRow]] = {row: [] for row in rows}
    for row in await visit.services.history.rollup_sums(visit.account.row, rows, since_ms, now_ms + 1):
        sums[row.endpoint].append(row)
    return [_line(visit, one, figures(sums[one.running.row])) for one in shown]


def _line(visit: Visit, facts: EndpointFacts, summed: Figures) -> EndpointLine:
    running = facts.running
    known = condition(facts)
    lately = known.tone == QUIET and summed.succeeded > 0
    standing = ("good", "Healthy") if lately else (_TONES[known.tone], known.word)
    return EndpointLine(running, short(running.endpoint.url), summed, standing, _overdue(visit, running))


def _overdue(visit: Visit, running: RunningEndpoint) -> int | None:
    """When the oldest delivery that should be under way by now fell due; from memory."""
    lane = visit.services.dispatcher.lanes.get(running.row)
    if lane is None or lane.closed:
        return None
    due = [] if lane.next_due_ms is None else [lane.next_due_ms]
    if lane.queue and lane.queue[0].attempts == 0:
        due.append(ms_of(lane.queue[0].id))
    oldest = min(due, default=None)
    late = oldest is not None and oldest < visit.services.clock.now_ms() - limits.OVERDUE_SHOWN_MS
    return oldest if late else None


def _outcomes(columns: Sequence[Step]) -> dict[str, Any]:
    series = [
        {"label": label, "tone": tone, "values": [step.endings.get(kind) for step in columns]}
        for kind, label, tone in _ENDINGS
    ]
    used = [one for at, one in enumerate(series) if at == 0 or any(one["values"])]
    return {"x": [step.start_ms // 1000 for step in columns], "kind": "bars", "series": used}


def _latency(columns: Sequence[Step]) -> dict[str, Any]:
    return {
        "x": [step.start_ms // 1000 for step in columns],
        "kind": "lines",
        "unit": "ms",
        "series": [
            {"label": "Half are faster than", "tone": "note", "values": [step.p50_ms for step in columns]},
            {"label": "95 of 100 are faster than", "tone": "spark", "values": [step.p95_ms for step in columns]},
        ],
    }


def _waited(columns: Sequence[Step]) -> dict[str, Any] | None:
    values = [None if step.waited_ms is None else round(step.waited_ms / 1000) for step in columns]
    if not any(values):
        return None
    series = [{"label": "Oldest had waited less than", "tone": "warn", "values": values}]
    return {"x": [step.start_ms // 1000 for step in columns], "kind": "bars", "unit": "span", "series": series}


PAGES = (Page("GET", "/a/{account}", Need.VIEWER, overview, embedded=True),)
ENTRIES = (Entry("Overview", "/a/{account}", "chart", Need.VIEWER, order=10, embedded=True),)
