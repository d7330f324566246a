"""One endpoint: how it fares, what waits, its last deliveries; testing, pausing, enabling, deleting, recovering."""

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from whatsync.engine import recover
from whatsync.engine.directory import RunningEndpoint
from whatsync.engine.endpoints import DISABLE_RULE, EndpointFacts
from whatsync.engine.figures import Figures, columns, figures, step_length_ms
from whatsync.engine.inspection import DeliveryFilter, DeliveryList
from whatsync.engine.jobs import Preview
from whatsync.engine.recover import STATES, RecoverParameters
from whatsync.engine.test_sends import Signing
from whatsync.model import limits, retry
from whatsync.model.account import Job, JobState
from whatsync.model.catalogue import CATALOGUE, WHATSAPP_PREFIX, Kind, is_whatsapp
from whatsync.model.delivery import State
from whatsync.model.endpoint import WILDCARD, Endpoint, Format, Ordering, Release
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Conflict, FieldError, Invalid, LimitExceeded, NotFound, Problem
from whatsync.model.ids import delivery_id
from whatsync.model.outcome import explain
from whatsync.ports.history import Counts, DeliveryQuery
from whatsync.ports.store import Origin
from whatsync.sources.whatsapp.examples import NAMES
from whatsync.web.pages import looks
from whatsync.web.pages.condition import GOOD, QUIET, Condition, condition
from whatsync.web.pages.moments import moment_ms
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Tone, Visit
from whatsync.web.pages.test_results import TestShown, TestsShown, shown, signing_named, tests_asked
from whatsync.web.pages.verification_code import CodeShown, code_shown

SPANS = (("1h", "1 hour", 3_600_000), ("24h", "24 hours", 86_400_000), ("7d", "7 days", 604_800_000))
RECOVER_SPANS = (
    ("1", "The last hour"),
    ("6", "The last 6 hours"),
    ("24", "The last 24 hours"),
    ("72", "The last 3 days"),
    ("168", "The last 7 days"),
    ("720", "The last 30 days"),
)
RECOVER_STATES = (
    ("retrying", "Waiting for their next try", "Tried now."),
    ("failed", "Failed for good", "Sent again as new deliveries, unless the event has arrived since."),
    ("held", "Held while it was paused or disabled", "Sent now."),
    ("missing", "Never had a delivery", "Events that came while it was off, or before it was made or asked for them."),
)
_JOB_SHOWN_MS = 3_600_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Blocked:
    """A contact whose later events wait for one that failed."""

    contact: str
    delivery: str
    type: str
    code: str | None
    until_ms: int
    """When the next one goes ahead anyway."""


@dataclass(frozen=True, slots=True)
class JobLine:
    """A recovery of this endpoint."""

    id: str
    running: bool
    state: str
    done: int
    skipped: int
    created_ms: int
    error: str | None


@dataclass(frozen=True, slots=True)
class EndpointPage:
    """What ``endpoint.html`` shows."""

    endpoint: Endpoint
    condition: Condition
    facts: EndpointFacts
    counts: Counts
    figures: Figures
    failures: list[tuple[str, int, str]]
    """Code, how often, and in words."""
    spans: list[tuple[str, str, bool]]
    span: str
    chart: dict[str, Any] | None
    recent: DeliveryList
    blocked: list[Blocked]
    jobs: list[JobLine]
    settings: list[tuple[str, str]]
    """What is not as usual, in words."""
    newcomer: bool
    """Nothing was ever sent to it, tests included."""
    code: CodeShown
    tests: TestsShown | None
    test_types: list[str]
    schedule: str
    rule: str = DISABLE_RULE

    def capped(self, number: int) -> str:
        """A count that stopped at its ceiling says so."""
        return f"{number:,}+" if number >= self.counts.ceiling else f"{number:,}"


@dataclass(frozen=True, slots=True)
class RecentPart:
    """What the list of last deliveries needs when it is fetched alone."""

    endpoint: Endpoint
    recent: DeliveryList


@dataclass(frozen=True, slots=True)
class RecoverPage:
    """What ``recover.html`` shows."""

    endpoint: Endpoint
    form: Filled
    preview: Preview | None = None
    so_far: str | None = None
    """What was found so far, while the look is not over."""
    since_ms: int = 0
    until_ms: int | None = None
    spans: tuple[tuple[str, str], ...] = RECOVER_SPANS
    states: tuple[tuple[str, str, str], ...] = RECOVER_STATES


def found(visit: Visit) -> RunningEndpoint:
    """The endpoint of the page's path. Raises NotFound."""
    return visit.services.endpoints.find(visit.account, visit.parameters["endpoint_id"])


async def endpoint(visit: Visit) -> Given:
    """The endpoint; ``?part=`` names the piece that htmx wants anew."""
    part, running = visit.asked("part"), found(visit)
    if part == "recent" and visit.htmx:
        return Show("endpoint.html", RecentPart(running.endpoint, await _recent(visit, running)), fragment=part)
    page = await _page(visit, running, await tests_asked(visit))
    return Show("endpoint.html", page, fragment=part if part in ("standing", "code") else None)


async def _recent(visit: Visit, running: RunningEndpoint) -> DeliveryList:
    wanted = DeliveryFilter(endpoint=running.endpoint.id)
    return await visit.services.inspection.deliveries(visit.account, wanted, limit=limits.RECENT_DELIVERIES_SHOWN)


async def _page(visit: Visit, running: RunningEndpoint, tests: TestsShown | None) -> EndpointPage:
    services, now_ms = visit.services, visit.services.clock.now_ms()
    facts = await services.endpoints.read(visit.account, running.endpoint.id)
    assert facts.counts is not None
    span = next((one for one in SPANS if one[0] == visit.asked("span")), SPANS[1])
    since_ms = now_ms - span[2]
    step_ms = step_length_ms(since_ms, now_ms + 1, limits.FIGURES_STEPS)
    rows = await services.history.rollups(visit.account.row, running.row, since_ms, now_ms + 1, step_ms)
    summed = figures(rows)
    recent = await _recent(visit, running)
    schedule = running.endpoint.retry_schedule
    return EndpointPage(
        endpoint=running.endpoint,
        condition=_condition(facts, recent),
        facts=facts,
        counts=facts.counts,
        figures=summed,
        failures=[(code, number, explain(code).sentence) for code, number in summed.failures[:4]],
        spans=[(name, words, name == span[0]) for name, words, _ in SPANS],
        span=span[1],
        chart=_chart(rows, since_ms, now_ms) if summed.attempts else None,
        recent=recent,
        blocked=await _blocked(visit, running),
        jobs=_jobs(visit, running, now_ms),
        settings=_settings(running),
        newcomer=running.endpoint.enabled and not recent.items and facts.health.last_success_ms is None,
        code=code_shown(visit, running.target),
        tests=tests,
        test_types=_test_types(running),
        schedule=retry.format_schedule(services.endpoints.defaults.schedule_seconds if schedule is None else schedule),
    )


def _condition(facts: EndpointFacts, recent: DeliveryList) -> Condition:
    """How it stands, for a quiet one by its last deliveries too: they outlive a restart."""
    known = condition(facts)
    if known.tone != QUIET:
        return known
    ended = [story.view for story in recent.items if story.view.state is State.SUCCEEDED]
    if any(view.origin is not Origin.TEST for view in ended):
        return Condition(GOOD, "Healthy", "The last delivery arrived.", ended[0].finished_ms)
    if ended:
        return Condition(QUIET, "Nothing sent yet but tests", "A test arrived. The next event that fits is sent.")
    return Condition(QUIET, "Nothing sent yet", "Send a test to see whether it answers.")


def _chart(rows: Any, since_ms: int, now_ms: int) -> dict[str, Any]:
    steps = columns(rows, since_ms, now_ms + 1, limits.FIGURES_STEPS)
    return {
        "x": [step.start_ms // 1000 for step in steps],
        "kind": "bars",
        "series": [
            {"label": "Succeeded", "tone": "good", "values": [step.succeeded or None for step in steps]},
            {"label": "Failed", "tone": "bad", "values": [step.failed or None for step in steps]},
        ],
    }


async def _blocked(visit: Visit, running: RunningEndpoint) -> list[Blocked]:
    """Contacts that wait for a failing delivery, the longest first; only where order is kept."""
    if running.endpoint.ordering is not Ordering.CONTACT:
        return []
    history, account = visit.services.history, visit.account.row
    query = DeliveryQuery(account, running.row, states=(State.RETRYING,), ascending=True)
    blocked: dict[str, Blocked] = {}
    for view in (await history.deliveries(query)).items:
        if not view.ordered or len(blocked) >= limits.BLOCKED_CONTACTS_SHOWN:
            continue
        event = await history.event_by_seq(account, view.event)
        if event is None or event.contact is None or event.contact in blocked:
            continue
        until_ms = view.created_ms + running.endpoint.ordering_max_wait_seconds * 1000
        blocked[event.contact] = Blocked(event.contact, delivery_id(view.id), view.type, view.code, until_ms)
    return list(blocked.values())


def _jobs(visit: Visit, running: RunningEndpoint, now_ms: int) -> list[JobLine]:
    """Recoveries of this endpoint that run, or ended a short while ago."""
    jobs, _ = visit.services.jobs.page(visit.account, limit=limits.PAGE_ITEMS_MAX)
    return [_job_line(job) for job in jobs if _concerns(job, running) and _is_recent(job, now_ms)]


def _concerns(job: Job, running: RunningEndpoint) -> bool:
    if job.kind != recover.KIND:
        return False
    return msgspec.json.decode(job.parameters, type=RecoverParameters).endpoint_id == running.endpoint.id


def _is_recent(job: Job, now_ms: int) -> bool:
    return job.finished_ms is None or now_ms - job.finished_ms < _JOB_SHOWN_MS


def _job_line(job: Job) -> JobLine:
    is_running = job.state is JobState.RUNNING
    return JobLine(job.id, is_running, job.state.value, job.done, job.skipped, job.created_ms, job.error)


def _test_types(running: RunningEndpoint) -> list[str]:
    """Types with an example, those it asks for first."""
    known = [*CATALOGUE, *sorted(running.account.own_types)]
    asked = running.endpoint.events
    wildcard = [name for name in known if WILDCARD in asked and CATALOGUE.get(name, None) is None]
    documented = [name for name, one in CATALOGUE.items() if one.kind is Kind.DOCUMENTED]
    mine = [name for name in known if name in asked] + (documented + wildcard if WILDCARD in asked else [])
    mine += [name for name in asked if is_whatsapp(name) and name.removeprefix(WHATSAPP_PREFIX) in NAMES]
    return list(dict.fromkeys(mine or documented))


def _settings(running: RunningEndpoint) -> list[tuple[str, str]]:
    """What this endpoint asks for beyond the usual, each as a name and words."""
    one = running.endpoint
    lines: list[tuple[str, str]] = []
    if one.numbers is not None:
        lines.append(
            (
                "Numbers",
                ", ".join(one.numbers[:5]) + (f" and {len(one.numbers) - 5} more" if len(one.numbers) > 5 else ""),
            )
        )
    for event_type, fields in one.filters.items():
        for field, values in fields.items():
            words = " or ".join("nothing" if value is None else str(value) for value in values[:6])
            lines.append(("Only where", f"{event_type}: {field} is {words}{' …' if len(values) > 6 else ''}"))
    if one.format is Format.META:
        lines.append(("Format", "Meta’s own"))
    if one.include_details:
        lines.append(("Body", "with WhatsApp details"))
    if one.headers:
        lines.append(("Own headers", ", ".join(one.headers)))
    return [*lines, *_pace(one)]


def _pace(one: Endpoint) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    if one.timeout_seconds is not None:
        lines.append(("Timeout", f"{one.timeout_seconds:g} s"))
    if one.max_in_flight is not None:
        lines.append(("At once", f"{one.max_in_flight} requests"))
    if one.rate_limit_per_second is not None:
        lines.append(("Rate", f"{one.rate_limit_per_second:g} a second"))
    if one.ordering is Ordering.CONTACT:
        lines.append(("Order", f"per contact, at most {one.ordering_max_wait_seconds:,} s for each other"))
    return lines


# Tests


async def test(visit: Visit) -> Given:
    """Send a test and show request and answer at once."""
    running, event = found(visit), visit.form.text("event") or "message.incoming"
    one = await _sent(visit, running, event, signing_named(visit.form.text("signing")))
    return await _told(visit, running, shown([one]))


async def check_signatures(visit: Visit) -> Given:
    """Send one test that is signed rightly and one that is forged, and judge both answers."""
    running = found(visit)
    event = visit.form.text("event") or _test_types(running)[0]
    right = await _sent(visit, running, event, Signing.PRESENT)
    forged = await _sent(visit, running, event, Signing.FORGED)
    return await _told(visit, running, shown([right, forged]))


async def _sent(visit: Visit, running: RunningEndpoint, event: str, signing: Signing) -> TestShown:
    sent = await visit.services.test_sends.send(visit.account, running.endpoint.id, event, signing)
    stories = await visit.services.inspection.attempts(visit.account, sent.delivery)
    return TestShown(sent.delivery, signing, stories[-1])


async def _told(visit: Visit, running: RunningEndpoint, tests: TestsShown) -> Given:
    if visit.htmx:
        brief = bool(visit.form.text("brief"))
        return Show("tests.html", tests, fragment="brief" if brief else "tests")
    forged = next((one.delivery for one in tests.tests if one.signing is Signing.FORGED), None)
    asked = {"test": tests.tests[0].delivery, "signing": tests.tests[0].signing.value, "forged": forged}
    return Redirect(visit.here(f"/webhooks/{running.endpoint.id}", **asked) + "#tests")


# Pausing, enabling, deleting


async def pause(visit: Visit) -> Given:
    """Send nothing for now; what comes is held."""
    await visit.services.endpoints.patch(
        visit.account, found(visit).endpoint.id, EndpointForm(enabled=False), visit.actor
    )
    return _back(visit, "Paused. What waited is held; what comes meanwhile can be sent when you enable it.")


async def enable(visit: Visit) -> Given:
    """Send again, do with what is held as was chosen, and catch up on what came meanwhile if that was ticked."""
    running, word = found(visit), visit.form.text("held")
    off_ms = running.endpoint.disabled_ms
    held = Release(word) if word in tuple(Release) else Release.KEEP
    form = EndpointForm(enabled=True, held=held)
    altered = await visit.services.endpoints.patch(visit.account, running.endpoint.id, form, visit.actor)
    plan = altered.held
    number = "" if plan is None else f"{plan.count:,}{' or more' if plan.at_least else ''}"
    words = {
        Release.SEND: f" {number} held deliveries are sent now, oldest first.",
        Release.DROP: f" {number} held deliveries are cancelled.",
        Release.KEEP: f" {number} held deliveries stay held.",
    }
    said = "Enabled." + (words[held] if plan is not None and plan.count else "")
    if visit.form.flag("missed") and off_ms is not None:
        parameters = visit.services.recover.parameters(visit.account, running.endpoint.id, off_ms, None, ("missing",))
        await visit.services.jobs.start(visit.account, recover.KIND, parameters, visit.actor)
        said += " What came meanwhile is being sent."
    return _back(visit, said)


async def delete(visit: Visit) -> Given:
    """Delete it for good."""
    endpoint_id = visit.parameters["endpoint_id"]
    await visit.services.endpoints.delete(visit.account, endpoint_id, visit.actor)
    return Redirect(visit.here("/webhooks"), Flash("The endpoint is deleted. Its history stays."))


def _back(visit: Visit, words: str, tone: Tone = Tone.GOOD) -> Redirect:
    return Redirect(visit.here(f"/webhooks/{visit.parameters['endpoint_id']}"), Flash(words, tone))


# Recovering


async def recovery(visit: Visit) -> Given:
    """What is to be caught up on."""
    form = Filled({"hours": "24", "states": list(STATES)})
    return Show("recover.html", RecoverPage(found(visit).endpoint, form))


async def recover_endpoint(visit: Visit) -> Given:
    """Say what would be done; the second time, with ``sure``, do it."""
    running, form, services = found(visit), visit.form, visit.services
    values = {name: form.text(name) for name in ("hours", "since", "until")} | {"states": form.many("states")}
    page = RecoverPage(running.endpoint, Filled(values))
    try:
        parameters = _parameters(visit, running)
        if form.text("sure"):
            job = await services.jobs.start(visit.account, recover.KIND, parameters, visit.actor)
            return _back(visit, f"Recovering has begun ({job.id}). It goes on whatever happens to the server.")
        before = looks.read(form.text(looks.FIELD), len(parameters.states))
        most = limits.JOB_PREVIEW_PART_SECONDS
        preview = await services.jobs.preview(visit.account, recover.KIND, parameters, before, most)
    except (Invalid, Conflict, LimitExceeded) as problem:
        shown_again = replace(page, form=_with(Filled(values), problem))
        return Show("recover.html", shown_again, problem.status, fragment="preview")
    page = replace(
        page,
        preview=preview,
        so_far=looks.written(preview) if preview.further else None,
        since_ms=parameters.since_ms,
        until_ms=moment_ms(form.text("until"), "until"),
    )
    return Show("recover.html", page, fragment="preview")


def _parameters(visit: Visit, running: RunningEndpoint) -> RecoverParameters:
    hours = visit.form.text("hours")
    since_ms = moment_ms(visit.form.text("since"), "since")
    if since_ms is None and hours not in dict(RECOVER_SPANS):
        raise Invalid([FieldError("hours", "choose one of the times")])
    states = tuple(visit.form.many("states"))
    if not states:
        raise Invalid([FieldError("states", "choose at least one")])
    if since_ms is None:
        since_ms = visit.services.clock.now_ms() - int(hours) * _HOUR_MS
    until_ms = moment_ms(visit.form.text("until"), "until")
    return visit.services.recover.parameters(visit.account, running.endpoint.id, since_ms, until_ms, states)


def _with(form: Filled, problem: Problem) -> Filled:
    errors = {error.field: error.message for error in problem.errors}
    words = None if errors else problem.detail
    if problem.code == "endpoint_disabled":
        words = "The endpoint is disabled, so nothing can be sent to it. Enable it first, then recover."
    return Filled(form.values, errors, words)


async def cancel_job(visit: Visit) -> Given:
    """Stop a recovery of this endpoint; what it did stays done."""
    running, job_id = found(visit), visit.parameters["job"]
    if not _concerns(visit.services.jobs.read(visit.account, job_id), running):
        raise NotFound("job_not_found", "there is no such recovery of this endpoint")
    await visit.services.jobs.cancel(visit.account, job_id, visit.actor)
    return _back(visit, "Recovering is stopped. What it did stays done.", Tone.NOTE)


_ONE = "/a/{account}/webhooks/{endpoint_id}"
PAGES = (
    Page("GET", _ONE, Need.VIEWER, endpoint, embedded=True),
    Page("POST", f"{_ONE}/test", Need.DEVELOPER, test, embedded=True),
    Page("POST", f"{_ONE}/check", Need.DEVELOPER, check_signatures, embedded=True),
    Page("POST", f"{_ONE}/pause", Need.DEVELOPER, pause, embedded=True),
    Page("POST", f"{_ONE}/enable", Need.DEVELOPER, enable, embedded=True),
    Page("POST", f"{_ONE}/delete", Need.DEVELOPER, delete, embedded=True),
    Page("GET", f"{_ONE}/recover", Need.DEVELOPER, recovery, embedded=True),
    Page("POST", f"{_ONE}/recover", Need.DEVELOPER, recover_endpoint, embedded=True),
    Page("POST", _ONE + "/jobs/{job}/cancel", Need.DEVELOPER, cancel_job, embedded=True),
)
ENTRIES: tuple[Entry, ...] = ()
