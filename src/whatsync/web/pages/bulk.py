"""Several deliveries at once: those that are ticked, one by one; all that match, as a job. Always asked before.

Says what will happen before, and what has happened after.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from whatsync.engine import bulk_resend
from whatsync.engine.inspection import DeliveryFilter, DeliveryStory
from whatsync.engine.jobs import Preview
from whatsync.model import limits
from whatsync.model.delivery import FINAL, State
from whatsync.model.errors import Conflict, Invalid, LimitExceeded, NotFound, Problem
from whatsync.model.ids import delivery_id
from whatsync.ports.store import Origin
from whatsync.web.api.deliveries import DeliveriesQuery
from whatsync.web.pages import history_filters as filters
from whatsync.web.pages import looks
from whatsync.web.pages.delivery import refused
from whatsync.web.pages.history_filters import Chosen, parameters
from whatsync.web.pages.history_rows import Row, rows_of
from whatsync.web.pages.moments import written_time
from whatsync.web.pages.page import Entry, Flash, Given, Need, Page, Redirect, Show, Tone, Visit

SELECTED_MAX = limits.PAGE_ITEMS_MAX
VERBS = ("resend", "retry", "cancel")
DONE = {"resend": "resent", "retry": "tried now", "cancel": "cancelled"}
WILL = {
    "resend": "A new delivery is made for each, with the same event id, so that a receiver that has it can tell.",
    "retry": "Each is tried now instead of when it is due, as soon as its endpoint has a free place.",
    "cancel": "Nothing more is sent by them. A request under way in this moment may still arrive. Their events stay, "
    "and can be resent.",
}


@dataclass(frozen=True, slots=True)
class BulkPage:
    """What ``bulk.html`` shows: what a job would do."""

    asked: dict[str, object]
    pairs: list[tuple[str, str]]
    """The same as fields of a form."""
    chosen: list[Chosen]
    since_ms: int | None
    until_ms: int | None
    q: str | None
    preview: Preview
    further: str | None
    """Where the look goes on, while it is not over."""
    endpoint: str | None
    """Where all that matches is one endpoint's."""


@dataclass(frozen=True, slots=True)
class SelectedPage:
    """What ``selected.html`` shows: what will happen to those that are ticked."""

    verb: str
    will: str
    fitting: list[Row]
    others: list[tuple[Row, str]]
    """Those it is not possible for, each with the reason."""
    asked: str
    """The filters of the list they were ticked in, as a query."""
    back: str
    """That list."""


async def preview(visit: Visit) -> Given:
    """What resending all that match would do. Nothing is written."""
    query = filters.read_query(DeliveriesQuery, visit.query, ("limit", "cursor", looks.FIELD))
    wanted = _wanted(visit, query)
    asked = _pinned(query, wanted)
    job = await visit.services.bulk_resend.parameters(visit.account, wanted)
    found = await visit.services.jobs.preview(
        visit.account, bulk_resend.KIND, job, looks.read(visit.asked(looks.FIELD)), limits.JOB_PREVIEW_PART_SECONDS
    )
    pairs = [(name, one) for name, value in asked.items() for one in (value if isinstance(value, list) else [value])]
    page = BulkPage(
        asked=asked,
        pairs=[(name, str(value)) for name, value in pairs],
        chosen=filters.chosen(visit, "/history/bulk", query),
        since_ms=wanted.since_ms,
        until_ms=wanted.until_ms,
        q=query.q,
        preview=found,
        further=visit.here("/history/bulk", **asked, **{looks.FIELD: looks.written(found)}) if found.further else None,
        endpoint=query.endpoint,
    )
    return Show("bulk.html", page, fragment="ahead")


async def start(visit: Visit) -> Given:
    """Start the job."""
    form = visit.form
    pairs = [(name, value) for name in form.names() if name != "csrf" for value in form.many(name)]
    wanted = _wanted(visit, filters.read_query(DeliveriesQuery, pairs))
    job = await visit.services.bulk_resend.parameters(visit.account, wanted)
    begun = await visit.services.jobs.start(visit.account, bulk_resend.KIND, job, visit.actor)
    return Redirect(visit.here(f"/jobs/{begun.id}"), Flash("It has begun. It goes on whatever happens to this page."))


def _wanted(visit: Visit, query: DeliveriesQuery) -> DeliveryFilter:
    return filters.delivery_filter(query, visit.services.clock.now_ms())


def _pinned(query: DeliveriesQuery, wanted: DeliveryFilter) -> dict[str, object]:
    """The filters with the window that was looked at written out: what was previewed is what is done."""
    since = None if wanted.since_ms is None else written_time(wanted.since_ms)
    return parameters(query, since=since)


def _list_of(visit: Visit) -> str:
    """The list the ticks were made in, filters and all."""
    try:
        query = filters.read_query(DeliveriesQuery, parse_qsl(visit.form.text("asked")))
    except Invalid:
        return visit.here("/history")
    return visit.here("/history", **parameters(query))


async def selected(visit: Visit) -> Given:
    """Ask about the ticked ones; with ``sure`` do it."""
    form, back = visit.form, _list_of(visit)
    names = list(dict.fromkeys(form.many("ids")))[:SELECTED_MAX]
    verb = form.text("verb")
    if verb not in VERBS or not names:
        return Redirect(back, Flash("Tick some deliveries first.", Tone.BAD))
    stories = [story for name in names if (story := await _known(visit, name)) is not None]
    fitting, others = [], []
    seen: set[tuple[int, int]] = set()
    for story in stories:
        reason = _against(visit, verb, story)
        pair = (story.view.event, story.view.endpoint)
        if reason is None and verb == "resend" and pair in seen:
            reason = "stands here twice"
        if reason is None:
            fitting.append(story)
            seen.add(pair)
        else:
            others.append((story, reason))
    if form.text("sure"):
        return Redirect(back, await _do(visit, verb, fitting))
    rows = await rows_of(visit.services, visit.account, fitting)
    left = await rows_of(visit.services, visit.account, [story for story, _ in others])
    reasons = [reason for _, reason in others]
    others_told = list(zip(left, reasons, strict=True))
    return Show("selected.html", SelectedPage(verb, WILL[verb], rows, others_told, form.text("asked"), back))


async def _known(visit: Visit, name: str) -> DeliveryStory | None:
    try:
        return await visit.services.inspection.delivery(visit.account, name)
    except NotFound:
        return None


def _against(visit: Visit, verb: str, story: DeliveryStory) -> str | None:
    """What stands against it, in a few words."""
    view = story.view
    endpoint = visit.account.endpoints.get(view.endpoint)
    final = view.state in FINAL
    if verb == "cancel":
        return f"is {filters.STATE_WORDS[view.state].lower()} already" if final else None
    if endpoint is None:
        return "its endpoint is deleted"
    if not endpoint.endpoint.enabled:
        return "its endpoint is disabled"
    if verb == "resend":
        if view.origin is Origin.TEST:
            return "is a test"
        return "is still on its way" if not final and view.state is not State.HELD else None
    if final:
        return f"is {filters.STATE_WORDS[view.state].lower()}: resend it instead"
    if story.waiting_for is not None:
        return "waits for an earlier one about the same contact"
    return "is under way already" if view.in_flight else None


async def _do(visit: Visit, verb: str, stories: list[DeliveryStory]) -> Flash:
    deliveries, account = visit.services.deliveries, visit.account
    acts: dict[str, Callable[[DeliveryStory], Awaitable[object]]] = {
        "resend": lambda story: deliveries.resend(account, story.view.event_id, story.place.id),
        "retry": lambda story: deliveries.retry(account, delivery_id(story.view.id)),
        "cancel": lambda story: deliveries.cancel(account, delivery_id(story.view.id)),
    }
    done, reasons = 0, Counter[str]()
    for story in stories:
        try:
            await acts[verb](story)
            done += 1
        except (Conflict, NotFound, LimitExceeded) as problem:
            reasons[_reason(problem)] += 1
    words = f"{done} {'delivery is' if done == 1 else 'deliveries are'} {DONE[verb]}."
    more = " ".join(f"{count} not: {reason}" for reason, count in reasons.items())
    return Flash(f"{words} {more}".strip(), Tone.GOOD if done and not reasons else Tone.NOTE if done else Tone.BAD)


def _reason(problem: Problem) -> str:
    return refused(problem).text


PAGES = (
    Page("GET", "/a/{account}/history/bulk", Need.SUPPORT, preview, embedded=True),
    Page("POST", "/a/{account}/history/bulk", Need.SUPPORT, start, embedded=True),
    Page("POST", "/a/{account}/history/selected", Need.SUPPORT, selected, embedded=True),
)
ENTRIES: tuple[Entry, ...] = ()
