"""Webhook History: deliveries and events, newest first, filtered by the address, live while one looks at it.

Each page asks the store a bounded number of questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from whatsync.engine.inspection import DeliveryList
from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid, NotFound
from whatsync.model.ids import delivery_row, ms_of
from whatsync.ports.history import EventPage
from whatsync.web.api.call import cursor_of, position_of
from whatsync.web.api.deliveries import DeliveriesQuery
from whatsync.web.api.events import EventsQuery
from whatsync.web.pages import history_filters as filters
from whatsync.web.pages.history_filters import Choices, Chosen, Window, parameters, read_query
from whatsync.web.pages.history_rows import EventLine, Row, line_of, rows_of
from whatsync.web.pages.page import Entry, Filled, Given, Need, Page, Redirect, Show, Visit

PATH, EVENTS_PATH = "/history", "/history/events"
FRESH_ROWS_MAX = 50
"""New rows that one look brings; behind more of them the page is loaded anew."""
OPEN_ROWS_MAX = 25
"""Rows on the screen, not final yet, that one look asks about again."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """What both lists of the history show around their rows."""

    tab: str
    form: Filled
    choices: Choices
    chosen: list[Chosen]
    windows: list[Window]
    asked: dict[str, Any]
    """The filters, for addresses."""
    narrowed: bool
    """The address names a time or an exact word: the default window is not what is shown."""
    since_ms: int | None
    newest: str | None
    older: str | None
    searched_ms: int | None


@dataclass(frozen=True, slots=True)
class HistoryPage(ListPage):
    """What ``history.html`` shows."""

    rows: list[Row]
    live: bool
    """New rows arrive by themselves: the first page of a list without an end."""
    changed: list[Row] = field(default_factory=list)
    """Rows shown before, as they are now."""
    more: bool = False
    """More has come than one look brings."""
    gone: bool = False
    """The endpoint that was asked for is not there any more."""
    candidates: Sequence[tuple[str, str]] = ()
    """Endpoints to choose from, each with an address, where several fit what was typed."""


@dataclass(frozen=True, slots=True)
class EventsPage(ListPage):
    """What ``history_events.html`` shows."""

    lines: list[EventLine]


async def history(visit: Visit) -> Given:
    """Deliveries. For htmx with ``after``: only what is new above that row, and rows that have changed."""
    now_ms = visit.services.clock.now_ms()
    found = DeliveryList(())
    typed = visit.asked("endpoint")
    if await filters.is_gone(visit, typed):
        return _of_nobody(visit, now_ms)
    meant = filters.endpoints_meant(visit.account, typed)
    if meant is not None and len(meant) == 1:
        return Redirect(filters.with_endpoint(visit, PATH, meant[0].id))
    try:
        if meant is not None:
            raise _unclear(typed, len(meant))
        query = read_query(DeliveriesQuery, visit.query, ("after", "open"))
        if visit.htmx and visit.asked("after"):
            return await _fresh(visit, query, now_ms)
        wanted = filters.delivery_filter(query, now_ms)
        before = position_of(query.cursor)
        found = await visit.services.inspection.deliveries(visit.account, wanted, before, query.limit)
        form = filled(visit)
    except Invalid as problem:
        query, form = DeliveriesQuery(), filled(visit, problem)
    rows = await rows_of(visit.services, visit.account, found.items)
    page = HistoryPage(
        **_around(visit, PATH, query, form, found),
        rows=rows,
        live=query.cursor is None and query.until is None and not form.errors and not form.problem,
        candidates=filters.candidates(visit, PATH, meant or ()),
    )
    return Show("history.html", page, 422 if form.errors or form.problem else 200)


def _of_nobody(visit: Visit, now_ms: int) -> Given:
    """The list where it is asked for an endpoint that was deleted: what else was asked for goes on from there."""
    asked = [(name, value) for name, value in visit.query if name != "endpoint"]
    try:
        query = read_query(DeliveriesQuery, asked, ("after", "open"))
    except Invalid:
        query = DeliveriesQuery()
    around = _around(visit, PATH, query, filled(visit), DeliveryList(()))
    return Show("history.html", HistoryPage(**around, rows=[], live=False, gone=True), 404)


def _unclear(typed: str, fitting: int) -> Invalid:
    words = f"“{typed[:60]}” is in the URL or description of"
    if fitting:
        return Invalid([FieldError("endpoint", f"{words} {fitting} endpoints: choose one below")])
    return Invalid([FieldError("endpoint", f"{words} no endpoint; type a part of it, or an id that begins with ep_")])


async def _fresh(visit: Visit, query: DeliveriesQuery, now_ms: int) -> Given:
    """What came since the newest row on the screen, and what has become of rows that were not final."""
    after = delivery_row(visit.asked("after")) or 0
    inspection, account = visit.services.inspection, visit.account
    begun = filters.since_ms(query, now_ms) or 0
    wanted = filters.delivery_filter(query, now_ms)
    wanted = msgspec.structs.replace(wanted, since_ms=max(ms_of(after), begun))
    found = await inspection.deliveries(account, wanted, None, FRESH_ROWS_MAX)
    fresh = [story for story in found.items if story.view.id > after]
    known = []
    for name in visit.asked("open").split(",")[:OPEN_ROWS_MAX]:
        try:
            known.append(await inspection.delivery(account, name))
        except NotFound:
            continue
    page = HistoryPage(
        **_around(visit, PATH, query, Filled(), DeliveryList(())),
        rows=await rows_of(visit.services, account, fresh),
        live=True,
        changed=await rows_of(visit.services, account, known),
        more=len(fresh) == FRESH_ROWS_MAX,
    )
    return Show("history.html", page, fragment="rows")


async def events(visit: Visit) -> Given:
    """Events, those that matched no endpoint included, or only them."""
    now_ms = visit.services.clock.now_ms()
    found = EventPage((), None, None)
    try:
        query = read_query(EventsQuery, visit.query)
        wanted = filters.event_filter(query, now_ms)
        before, most = position_of(query.cursor), limits.EVENT_BEGINNING_BYTES
        found = await visit.services.inspection.events(visit.account, wanted, before, query.limit, bytes_max=most)
        form = filled(visit)
    except Invalid as problem:
        query, form = EventsQuery(), filled(visit, problem)
    page = EventsPage(
        **_around(visit, EVENTS_PATH, query, form, found),
        lines=[line_of(event) for event in found.items],
    )
    return Show("history_events.html", page, 422 if form.errors or form.problem else 200)


def _around(
    visit: Visit, path: str, query: DeliveriesQuery | EventsQuery, form: Filled, found: DeliveryList | EventPage
) -> dict[str, Any]:
    asked, following, now_ms = parameters(query), found.next, visit.services.clock.now_ms()
    return {
        "tab": "deliveries" if path == PATH else "unmatched" if asked.get("matched") == "false" else "events",
        "form": form,
        "choices": filters.choices(visit, query),
        "chosen": filters.chosen(visit, path, query),
        "windows": filters.windows(visit, path, query, now_ms),
        "asked": asked,
        "narrowed": filters.narrowed(query),
        "since_ms": filters.since_ms(query, now_ms),
        "newest": visit.here(path, **asked) if query.cursor is not None else None,
        "older": None if following is None else visit.here(path, **asked, cursor=cursor_of(following)),
        "searched_ms": found.searched_to_ms,
    }


def filled(visit: Visit, problem: Invalid | None = None) -> Filled:
    """The filters as they stand in the address, with what is wrong with them."""
    values: dict[str, str | Sequence[str]] = {name: value for name, value in visit.query if name != "state"}
    states = [part for name, value in visit.query if name == "state" for part in value.split(",")]
    values["state"] = states
    if problem is None:
        return Filled(values)
    named = {error.field.partition("[")[0]: error.message for error in problem.errors}
    return Filled(values, named, "; ".join(f"{name} {message}".strip() for name, message in named.items()))


PAGES = (
    Page("GET", "/a/{account}" + PATH, Need.VIEWER, history, embedded=True),
    Page("GET", "/a/{account}" + EVENTS_PATH, Need.VIEWER, events, embedded=True),
)
ENTRIES = (Entry("Webhook History", "/a/{account}/history", "history", Need.VIEWER, order=30, embedded=True),)
