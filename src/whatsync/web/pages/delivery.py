"""One delivery and one event: what was sent, every attempt, why it failed and what to do; resend, retry and cancel.

The delivery's page is live while it is open: what can still change is looked up again.
"""

from dataclasses import dataclass

import msgspec

from whatsync.engine.directory import RunningEndpoint
from whatsync.engine.inspection import AttemptStory, DeliveryStory
from whatsync.engine.messages import message_of
from whatsync.model import limits
from whatsync.model.delivery import FINAL
from whatsync.model.details import details_of
from whatsync.model.errors import Conflict, LimitExceeded, NotFound, Problem
from whatsync.model.ids import delivery_id, ms_of
from whatsync.ports.store import AttemptRow, EventRow, Origin
from whatsync.web.pages.history_filters import endpoints_meant, short_url
from whatsync.web.pages.history_rows import Row, Said, row_of, said
from whatsync.web.pages.messages import Stand, stand_of
from whatsync.web.pages.page import Entry, Flash, Given, Need, Page, Redirect, Show, Tone, Visit

OTHERS_MAX = 20
CHOICES_MAX = 200
ORIGIN_WORDS = {
    Origin.EVENT: "the event came in",
    Origin.RESEND: "it was resent",
    Origin.RECOVER: "the endpoint was recovered",
    Origin.TEST: "a test was sent",
}
REFUSED = {
    "endpoint_disabled": "The endpoint is disabled or deleted. Enable it first; what is held can be sent then.",
    "waits_its_turn": "Events about one contact reach this endpoint in order, and another one goes first. "
    "Retry or cancel that one.",
    "delivery_final": "This delivery has ended meanwhile. To send its event again, resend it.",
    "no_endpoint": "No enabled endpoint wants this event now. Choose an endpoint to send it to anyway.",
    "test_event": "This was a test. Send a new one from the endpoint's page.",
    "delivery_not_found": "This delivery is not there any more.",
}
"""Why something is not possible, in words for a page; by the problem's code."""


@dataclass(frozen=True, slots=True)
class Body:
    """An event's body in the two ways people read it."""

    pretty: str
    raw: str
    details: str | None


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt as its page shows it."""

    story: AttemptStory
    parts: list[tuple[str, int]]
    """What took how long, in microseconds."""
    answer: str | None
    answer_binary: bool

    @property
    def row(self) -> AttemptRow:
        """What is kept of it."""
        return self.story.row

    @property
    def good(self) -> bool:
        """Whether it succeeded."""
        return self.story.row.code is None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """What ``delivery.html`` shows."""

    row: Row
    story: DeliveryStory
    url: str | None
    origin: str
    event: EventRow | None
    body: Body | None
    said: Said
    tries: list[Try]
    others: list[Row]
    more_others: bool
    waiting_for: str | None
    enabled: bool
    """The endpoint is there and takes deliveries."""
    message: str | None
    """The message it is about."""
    mark: str
    """Changes with all that can change."""

    @property
    def final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.row.state in FINAL

    @property
    def can_retry(self) -> bool:
        """Whether it can be tried now."""
        return not self.final and self.enabled and not self.row.under_way and self.waiting_for is None

    @property
    def can_resend(self) -> bool:
        """Whether its event can be sent again to the same endpoint."""
        return self.final and self.enabled and self.story.view.origin is not Origin.TEST


@dataclass(frozen=True, slots=True)
class EventPage:
    """What ``event.html`` shows."""

    event: EventRow
    accepted_ms: int
    body: Body
    said: Said
    wamid: str | None
    rows: list[Row]
    more: bool
    message: str | None
    choices: list[tuple[str, str]]
    """Enabled endpoints to resend to."""
    typed: bool
    """There are too many for a list: one is found by a part of its URL or description."""
    stand: Stand


async def delivery(visit: Visit) -> Given:
    """One delivery. For htmx with the mark it has: nothing where nothing changed."""
    inspection, account = visit.services.inspection, visit.account
    story = await inspection.delivery(account, visit.parameters["delivery_id"])
    view = story.view
    mark = f"{view.state}-{view.attempts}-{view.due_ms or 0}-{int(view.in_flight)}-{story.waiting_for or 0}"
    unchanged = visit.htmx and visit.asked("mark") == mark
    event = None if unchanged else await visit.services.history.event_by_seq(account.row, view.event)
    attempts = () if unchanged else await inspection.attempts(account, visit.parameters["delivery_id"])
    others: list[Row] = []
    more = False
    if not unchanged and event is not None:
        others, more = await _deliveries_of(visit, event)
    endpoint = account.endpoints.get(view.endpoint)
    page = DeliveryPage(
        row=row_of(story, event),
        story=story,
        url=story.place.url,
        origin=ORIGIN_WORDS[view.origin],
        event=event,
        body=None if event is None else _body(event),
        said=Said() if event is None else said(event),
        tries=[_try(attempt) for attempt in reversed(attempts)],
        others=[row for row in others if row.id != delivery_id(view.id)],
        more_others=more,
        waiting_for=None if story.waiting_for is None else delivery_id(story.waiting_for),
        enabled=endpoint is not None and endpoint.endpoint.enabled,
        message=None if event is None else message_of(event),
        mark=mark,
    )
    headers = {"hx-reswap": "none"} if unchanged else {}
    return Show("delivery.html", page, fragment="now", headers=headers)


async def event(visit: Visit) -> Given:
    """One event and where it went."""
    found = await visit.services.inspection.event(visit.account, visit.parameters["event_id"])
    rows, more = await _deliveries_of(visit, found)
    enabled = [one for one in visit.account.endpoints.values() if one.endpoint.enabled]
    typed = len(enabled) > CHOICES_MAX
    page = EventPage(
        event=found,
        accepted_ms=ms_of(found.seq),
        body=_body(found),
        said=said(found),
        wamid=None if found.details is None else details_of(found.details).wamid,
        rows=rows,
        more=more,
        message=message_of(found),
        choices=[] if typed else [(one.endpoint.id, _name(one)) for one in enabled],
        typed=typed,
        stand=await stand_of(visit, found),
    )
    return Show("event.html", page)


async def _deliveries_of(visit: Visit, found: EventRow) -> tuple[list[Row], bool]:
    page = await visit.services.inspection.deliveries_of(visit.account, found.id, None, OTHERS_MAX)
    return [row_of(story, found) for story in page.items], page.next is not None


def _name(endpoint: RunningEndpoint) -> str:
    known = endpoint.endpoint
    return f"{known.description} ({short_url(known.url)})" if known.description else short_url(known.url)


def _body(event: EventRow) -> Body:
    details = None if event.details is None else _pretty(event.details)
    return Body(_pretty(event.body), event.body.decode("utf-8", "replace"), details)


def _pretty(raw: bytes) -> str:
    return msgspec.json.format(raw, indent=2).decode("utf-8", "replace")


def _try(story: AttemptStory) -> Try:
    row = story.row
    named = [("dns", row.dns_us), ("connect", row.connect_us), ("tls", row.tls_us), ("wait", row.first_byte_us)]
    parts = [(name, us) for name, us in named if us]
    rest = row.total_us - sum(us for _, us in parts)
    if rest > 0:
        # Without an answer there was nothing to download: the rest was spent waiting.
        parts.append(("download" if row.first_byte_us is not None else "wait", rest))
    try:
        answer, binary = row.answer_body.decode("utf-8"), False
    except UnicodeDecodeError:
        answer, binary = row.answer_body.hex(" "), True
    return Try(story, parts, answer if row.status is not None else None, binary)


# What people do


async def retry(visit: Visit) -> Given:
    """Try a delivery now."""
    name = visit.parameters["delivery_id"]
    try:
        promise = await visit.services.deliveries.retry(visit.account, name)
    except (Conflict, LimitExceeded) as problem:
        return Redirect(_back(visit, f"/history/{name}"), refused(problem))
    return Redirect(_back(visit, f"/history/{name}"), Flash(promise.sentence, Tone.NOTE))


async def retry_all(visit: Visit) -> Given:
    """Try the deliveries that one page has shown, each at another endpoint, now."""
    names = visit.form.text("deliveries").split(",")[: limits.PAGE_ITEMS_MAX]
    done, problem = 0, None
    for name in names:
        try:
            await visit.services.deliveries.retry(visit.account, name)
            done += 1
        except (Conflict, LimitExceeded, NotFound) as refusal:
            problem = refusal
    words = f"{done} of {len(names)} are tried now, each as soon as its endpoint has a free place."
    said_so = Flash(words, Tone.NOTE)
    if problem is not None:
        said_so = Flash(f"{words} {refused(problem).text}" if done else refused(problem).text, Tone.BAD)
    return Redirect(_back(visit, "/history"), said_so)


async def cancel(visit: Visit) -> Given:
    """End a delivery that is not final."""
    name = visit.parameters["delivery_id"]
    try:
        promise = await visit.services.deliveries.cancel(visit.account, name)
    except (Conflict, LimitExceeded) as problem:
        return Redirect(_back(visit, f"/history/{name}"), refused(problem))
    return Redirect(_back(visit, f"/history/{name}"), Flash(promise.sentence, Tone.NOTE))


async def resend(visit: Visit) -> Given:
    """Make new deliveries of an event, to one endpoint or to all that want it."""
    name, endpoint = visit.parameters["event_id"], visit.form.text("endpointId").strip() or None
    meant = endpoints_meant(visit.account, endpoint or "")
    if meant is not None:
        if len(meant) != 1:
            many = f"{len(meant)} endpoints; type more of it" if meant else "no endpoint"
            words = f"“{(endpoint or '')[:60]}” is in the URL or description of {many}."
            return Redirect(_back(visit, f"/events/{name}"), Flash(words, Tone.BAD))
        endpoint = meant[0].id
    try:
        resent = await visit.services.deliveries.resend(visit.account, name, endpoint)
    except (Conflict, LimitExceeded) as problem:
        return Redirect(_back(visit, f"/events/{name}"), refused(problem))
    rows = [row for row, _ in resent.deliveries]
    if len(rows) == 1:
        where = "what comes of it is shown below" if visit.form.text("story") else "this is the new delivery"
        said_so = Flash(f"It is resent: {where}. The event keeps its id.")
        return Redirect(_back(visit, f"/history/{delivery_id(rows[0])}"), said_so)
    return Redirect(_back(visit, f"/events/{name}"), Flash(f"It is resent to {len(rows)} endpoints."))


async def resend_each(visit: Visit) -> Given:
    """Make a new delivery of an event to each of the endpoints that one page has shown."""
    name = visit.parameters["event_id"]
    endpoints = visit.form.text("endpoints").split(",")[: limits.PAGE_ITEMS_MAX]
    done, problem = 0, None
    for endpoint in dict.fromkeys(endpoints):
        try:
            await visit.services.deliveries.resend(visit.account, name, endpoint)
            done += 1
        except (Conflict, LimitExceeded, NotFound) as refusal:
            problem = refusal
    said_so = Flash(f"It is resent to {done} of {len(endpoints)} endpoints.", Tone.NOTE)
    if problem is not None:
        said_so = Flash(f"{said_so.text} {refused(problem).text}" if done else refused(problem).text, Tone.BAD)
    return Redirect(_back(visit, f"/events/{name}"), said_so)


def _back(visit: Visit, path: str) -> str:
    """Where to go on: back to the message's story, where the button stood there."""
    story = visit.form.text("story")
    return visit.here("/messages", q=story) if story else visit.here(path)


def refused(problem: Problem) -> Flash:
    """Why something is not possible, in words for a page."""
    return Flash(REFUSED.get(problem.code, problem.detail[:1].upper() + problem.detail[1:]), Tone.BAD)


PAGES = (
    Page("GET", "/a/{account}/history/{delivery_id}", Need.VIEWER, delivery, embedded=True),
    Page("POST", "/a/{account}/history/retry", Need.SUPPORT, retry_all, embedded=True),
    Page("POST", "/a/{account}/history/{delivery_id}/retry", Need.SUPPORT, retry, embedded=True),
    Page("POST", "/a/{account}/history/{delivery_id}/cancel", Need.SUPPORT, cancel, embedded=True),
    Page("GET", "/a/{account}/events/{event_id}", Need.VIEWER, event, embedded=True),
    Page("POST", "/a/{account}/events/{event_id}/resend", Need.SUPPORT, resend, embedded=True),
    Page("POST", "/a/{account}/events/{event_id}/resend-each", Need.SUPPORT, resend_each, embedded=True),
)
ENTRIES: tuple[Entry, ...] = ()
