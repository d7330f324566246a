"""Processing again all that a source brought within a time: which time, what that would be, then a job.

Knows the services, no HTTP and no payload.
"""

from dataclasses import dataclass, replace

from whatsync.engine import reprocess_span
from whatsync.engine.reprocess_span import ReprocessParameters
from whatsync.engine.source_directory import RunningSource
from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid, Problem
from whatsync.model.ids import first_row_at
from whatsync.web.pages.moments import moment_ms, written_time
from whatsync.web.pages.navigation import SWITCHER_ACCOUNTS_MAX, reachable
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Visit
from whatsync.web.pages.sources import found_source

_DAY_MS = 86_400_000
_FIELDS = ("since", "until", "account")


@dataclass(frozen=True, slots=True)
class SpanPreview:
    """What lies within the time, as far as the look went."""

    since_ms: int
    until_ms: int
    requests: int
    elements: int
    complete: bool
    """The look was not stopped by its bound."""


@dataclass(frozen=True, slots=True)
class SourceSpanPage:
    """What ``source_span.html`` shows."""

    source: RunningSource
    form: Filled
    accounts: list[tuple[str, str]]
    """Whose jobs may list the work, where the source has no account."""
    preview: SpanPreview | None = None


async def span(visit: Visit) -> Given:
    """The time; where one is given, also what processing it again would be. Nothing is written."""
    running = found_source(visit)
    day = written_time((visit.services.clock.now_ms() - _DAY_MS) // 1000 * 1000)
    asked = {name: visit.asked(name) for name in _FIELDS}
    page = _page(visit, running, Filled(asked if asked["since"] else {"since": day, "account": asked["account"]}))
    if not asked["since"]:
        return Show("source_span.html", page)
    try:
        parameters = _parameters(visit, running, asked["since"], asked["until"])
    except Invalid as problem:
        return _again(page, problem)
    return Show("source_span.html", replace(page, preview=await _preview(visit, running, parameters)))


async def process_span(visit: Visit) -> Given:
    """Start the job; its page shows how far it is."""
    running, form, services = found_source(visit), visit.form, visit.services
    try:
        parameters = _parameters(visit, running, form.text("since"), form.text("until"))
        account = services.reprocess_span.account_of(running, form.text("account") or None)
        job = await services.jobs.start(account, reprocess_span.KIND, parameters, visit.actor)
    except Problem as problem:
        return _again(_page(visit, running, Filled({name: form.text(name) for name in _FIELDS})), problem)
    words = "It has begun. It goes on whatever happens to this page, and can be cancelled here."
    return Redirect(visit.to(f"/a/{account.account.id}/jobs/{job.id}"), Flash(words))


def _page(visit: Visit, running: RunningSource, form: Filled) -> SourceSpanPage:
    own = running.source.account
    accounts = [] if own else [(one.account.id, one.account.name) for one in reachable(visit)[:SWITCHER_ACCOUNTS_MAX]]
    return SourceSpanPage(running, form, accounts)


def _again(page: SourceSpanPage, problem: Problem) -> Show:
    errors = {error.field: error.message for error in problem.errors if error.field in _FIELDS}
    form = Filled(page.form.values, errors, None if errors else problem.detail)
    return Show("source_span.html", replace(page, form=form), problem.status)


def _parameters(visit: Visit, running: RunningSource, since: str, until: str) -> ReprocessParameters:
    since_ms, until_ms = moment_ms(since, "since"), moment_ms(until, "until")
    if since_ms is None:
        raise Invalid([FieldError("since", "say from when on")])
    return visit.services.reprocess_span.parameters(running, since_ms, until_ms)


async def _preview(visit: Visit, running: RunningSource, asked: ReprocessParameters) -> SpanPreview:
    most = limits.BODIES_PREVIEWED_MAX
    rows = await visit.services.sources.bodies(running, first_row_at(asked.until_ms), most)
    within = [row for row in rows if row.seq >= first_row_at(asked.since_ms)]
    return SpanPreview(
        since_ms=asked.since_ms,
        until_ms=asked.until_ms,
        requests=len(within),
        elements=sum(row.updates for row in within),
        complete=len(within) < most,
    )


_SPAN = "/sources/{source_id}/span"

PAGES = (
    Page("GET", _SPAN, Need.OPERATOR, span),
    Page("POST", _SPAN, Need.OPERATOR, process_span),
)
ENTRIES: tuple[Entry, ...] = ()
