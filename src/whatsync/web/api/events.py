"""Routes that read accepted events: the list, one event, its deliveries, the feed; and resending one."""

from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.feed import CursorExpired
from whatsync.engine.inspection import EventFilter
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.details import details_of
from whatsync.model.ids import ms_of
from whatsync.ports.store import EventRow
from whatsync.web.api.call import (
    Answer,
    Call,
    Moment,
    Page,
    PageQuery,
    Route,
    Time,
    cursor_of,
    listed,
    position_of,
    show_time,
    to_ms,
)
from whatsync.web.api.delivery_views import DeliveryItem, delivery_item, fresh_item
from whatsync.web.problems import CONTENT_TYPE, ProblemDocument

NOW = "now"

Number = Annotated[
    str, Meta(max_length=limits.REFERENCE_CHARS_MAX, description="`phoneNumberId` of the business number")
]
TypeName = Annotated[
    str, Meta(max_length=limits.EVENT_TYPE_CHARS_MAX, pattern="^[a-z][a-z0-9_.-]*$", description="Event type")
]
"""Two of them with a comma between would find nothing, without a word."""
Words = Annotated[
    str,
    Meta(
        max_length=limits.SEARCH_CHARS_MAX,
        description="An exact id, wamid, phone number or contact id leads to its newest 1,000 events; "
        "anything else is looked for in the bodies",
    ),
]
Data = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]


class EventsQuery(PageQuery, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Filters of the list of events, joined by *and*."""

    q: Words | None = None
    event: TypeName | None = None
    number: Number | None = None
    matched: (
        Annotated[
            bool,
            Meta(
                description="Whether some endpoint wanted it when it was accepted. `false` leaves out WhatsSync's own "
                "notices, such as `delivery.exhausted`, unless `event` names them"
            ),
        ]
        | None
    ) = None
    wamid: Annotated[str, Meta(max_length=limits.REFERENCE_CHARS_MAX, description="WhatsApp's own id")] | None = None
    since: Moment | None = None
    until: Moment | None = None


class FeedQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Where to read on."""

    after: (
        Annotated[
            str,
            Meta(max_length=200, description="`nextCursor` of the answer before; `now`: only what comes from now on"),
        ]
        | None
    ) = None
    event: Annotated[list[TypeName], Meta(max_length=100, description="Only these types; none: all")] = []
    wait: Annotated[
        float,
        Meta(ge=0, le=limits.FEED_WAIT_SECONDS_MAX, description="Seconds to wait where there is nothing yet"),
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=limits.PAGE_ITEMS_MAX, description="Items in an answer")] = (
        limits.PAGE_ITEMS_DEFAULT
    )


class EventItem(msgspec.Struct, frozen=True, rename="camel"):
    """An event as it was accepted."""

    id: str
    event: str
    timestamp: Annotated[str, Meta(description="When it was made, as in the body")]
    data: Data
    details: Annotated[msgspec.Raw | None, Meta(description="What WhatsApp said beyond the documented fields")]
    number: str | None
    wamid: str | None
    contact: Annotated[str | None, Meta(description="Whom it is about: what ordering goes by")]
    deliveries: Annotated[int, Meta(description="How many deliveries were made when it was accepted")]
    test: bool
    accepted_at: Time


class FeedPage(msgspec.Struct, frozen=True, rename="camel"):
    """Events, oldest first."""

    items: list[EventItem]
    next_cursor: Annotated[str, Meta(description="Goes into `after` of the next call, also where there are no items")]


class CursorGone(ProblemDocument, frozen=True, rename="camel"):
    """The cursor is older than what is kept."""

    oldest_cursor: Annotated[str, Meta(description="The oldest `after` that skips nothing that is left")] = ""


class ResendForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Where to send it again."""

    endpoint_id: (
        Annotated[str, Meta(description="To this endpoint, whatever it subscribes to; else to all that want it now")]
        | None
    ) = None


class ResentView(msgspec.Struct, frozen=True, rename="camel"):
    """The new deliveries of an old event; its id stays, so that receivers can tell that they know it."""

    id: str
    event: str
    deliveries: list[DeliveryItem]


class _Envelope(msgspec.Struct):
    timestamp: str
    data: msgspec.Raw


_envelope = msgspec.json.Decoder(_Envelope).decode


def event_item(row: EventRow) -> EventItem:
    """An event for an answer."""
    envelope = _envelope(row.body)
    return EventItem(
        id=row.id,
        event=row.type,
        timestamp=envelope.timestamp,
        data=envelope.data,
        details=None if row.details is None else msgspec.Raw(row.details),
        number=row.number,
        wamid=None if row.details is None else details_of(row.details).wamid,
        contact=row.contact,
        deliveries=row.deliveries,
        test=row.test,
        accepted_at=show_time(ms_of(row.seq)),
    )


async def list_events(call: Call) -> Answer:
    """Newest first, those included that no endpoint wanted."""
    query: EventsQuery = call.query
    wanted = EventFilter(
        event=query.event,
        number=query.number,
        matched=query.matched,
        wamid=query.wamid,
        since_ms=to_ms(query.since),
        until_ms=to_ms(query.until),
        q=query.q,
    )
    page = await call.services.inspection.events(call.account, wanted, position_of(query.cursor), query.limit)
    return listed((event_item(row) for row in page.items), page.next, page.searched_to_ms)


async def read_event(call: Call) -> Answer:
    """The event with its data and details."""
    return Answer(200, event_item(await call.services.inspection.event(call.account, call.path["event_id"])))


async def list_event_deliveries(call: Call) -> Answer:
    """Where it was sent and what became of it, newest first."""
    query: PageQuery = call.query
    page = await call.services.inspection.deliveries_of(
        call.account, call.path["event_id"], position_of(query.cursor), query.limit
    )
    return listed((delivery_item(story) for story in page.items), page.next)


async def read_feed(call: Call) -> Answer:
    """For programs that poll: oldest first, tests left out, no event ever skipped whatever order they were stored in.

    Keep `nextCursor` and pass it as `after`. Without `after` the feed begins with the oldest event that is kept.
    """
    query: FeedQuery = call.query
    feed = call.services.feed
    after = await feed.newest(call.account) if query.after == NOW else position_of(query.after, "after")
    page = await feed.read(call.account, after, tuple(query.event), query.limit, query.wait)
    if isinstance(page, CursorExpired):
        return _expired(cursor_of(page.oldest) or "")
    return Answer(200, FeedPage([event_item(row) for row in page.items], cursor_of(page.cursor) or ""))


def _expired(oldest: str) -> Answer:
    detail = (
        f"events behind this cursor are past retention; go on with after={oldest}, which skips nothing that is left"
    )
    problem = CursorGone("about:blank", "Gone", 410, detail, "cursor_expired", oldest_cursor=oldest)
    return Answer(410, problem, content_type=CONTENT_TYPE)


async def resend_event(call: Call) -> Answer:
    """New deliveries with the same event id. A 202 means that they are on disk and will be sent."""
    form: ResendForm = call.body
    resent = await call.services.deliveries.resend(call.account, call.path["event_id"], form.endpoint_id)
    now_ms = call.services.clock.now_ms()
    items = [fresh_item(row, resent.event, endpoint, now_ms) for row, endpoint in resent.deliveries]
    return Answer(202, ResentView(resent.event.id, resent.event.type, items))


ROUTES = (
    Route(
        "GET", "/v1/events", Scope.READ, list_events, "List events",
        query=EventsQuery, gives={200: Page[EventItem]},
    ),
    Route(
        "GET", "/v1/events/feed", Scope.READ, read_feed, "Read the feed of events",
        query=FeedQuery, gives={200: FeedPage}, problems=(410,),
    ),
    Route(
        "GET", "/v1/events/{event_id}", Scope.READ, read_event, "Read an event",
        gives={200: EventItem}, problems=(404,),
    ),
    Route(
        "GET", "/v1/events/{event_id}/deliveries", Scope.READ, list_event_deliveries, "List an event's deliveries",
        query=PageQuery, gives={200: Page[DeliveryItem]}, problems=(404,),
    ),
    Route(
        "POST", "/v1/events/{event_id}/resend", Scope.ADMIN, resend_event, "Resend an event",
        takes=ResendForm, takes_optional=True, gives={202: ResentView}, problems=(404, 409, 413),
    ),
)  # fmt: skip
