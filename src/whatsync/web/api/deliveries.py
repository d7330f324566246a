"""Routes of deliveries: the history with its filters, attempts, retry, cancel, and resending in bulk."""

from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine import bulk_resend
from whatsync.engine.deliveries import Promise
from whatsync.engine.inspection import DeliveryFilter
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.delivery import State
from whatsync.model.ids import delivery_id
from whatsync.web.api.call import Answer, Call, Moment, Page, PageQuery, Route, listed, position_of, to_ms
from whatsync.web.api.delivery_views import AttemptItem, DeliveryItem, attempt_item, delivery_item
from whatsync.web.api.events import Number, TypeName, Words
from whatsync.web.api.jobs import JobView, PreviewView, job_view, preview_view

Name = Annotated[str, Meta(max_length=limits.EVENT_ID_CHARS_MAX)]
Code = Annotated[
    str,
    Meta(
        max_length=100, pattern="^[a-z0-9_]+$", description="Code of the last failure, such as `http_500` or `timeout`"
    ),
]


class DeliveriesQuery(PageQuery, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Filters of the history, joined by *and*."""

    q: Words | None = None
    endpoint: Annotated[Name, Meta(description="Id of an endpoint")] | None = None
    event: TypeName | None = None
    number: Number | None = None
    state: Annotated[list[State], Meta(max_length=6, description="Any of these states")] = msgspec.field(
        default_factory=list
    )
    code: Code | None = None
    test: Annotated[bool, Meta(description="Only tests, or none")] | None = None
    event_id: Name | None = None
    since: Annotated[Moment, Meta(description="Made at this time or later")] | None = None
    until: Annotated[Moment, Meta(description="Made before this time")] | None = None


class ResendFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Which deliveries are sent again; at least one condition, joined by *and*."""

    q: Words | None = None
    endpoint: Name | None = None
    event: TypeName | None = None
    number: Number | None = None
    state: Annotated[list[State], Meta(max_length=6)] = []
    code: Code | None = None
    event_id: Name | None = None
    since: Moment | None = None
    until: Moment | None = None


class BulkResendForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What to send again."""

    filter: ResendFilter
    dry_run: Annotated[bool, Meta(description="Only say what would be done")] = False


class AttemptsView(msgspec.Struct, frozen=True, rename="camel"):
    """All attempts of a delivery, first to last."""

    items: list[AttemptItem]


class PromiseView(msgspec.Struct, frozen=True, rename="camel"):
    """What was done and what will happen."""

    id: str
    state: State
    code: Annotated[
        str,
        Meta(description="`will_be_sent`, `under_way`, `released`, `cancelled` or `cancelled_under_way`"),
    ]
    sentence: str


async def list_deliveries(call: Call) -> Answer:
    """Newest first. A search looks at a bounded number of rows and says in `searchedTo` how far it got."""
    query: DeliveriesQuery = call.query
    wanted = DeliveryFilter(
        endpoint=query.endpoint,
        event=query.event,
        number=query.number,
        states=tuple(query.state),
        code=query.code,
        test=query.test,
        event_id=query.event_id,
        since_ms=to_ms(query.since),
        until_ms=to_ms(query.until),
        q=query.q,
    )
    page = await call.services.inspection.deliveries(call.account, wanted, position_of(query.cursor), query.limit)
    return listed((delivery_item(story) for story in page.items), page.next, page.searched_to_ms)


async def read_delivery(call: Call) -> Answer:
    """The delivery, its last failure in words, and what it waits for."""
    return Answer(200, delivery_item(await call.services.inspection.delivery(call.account, call.path["delivery_id"])))


async def list_attempts(call: Call) -> Answer:
    """Each attempt with the request as it was sent, the answer, the time each phase took, and what a failure means."""
    attempts = await call.services.inspection.attempts(call.account, call.path["delivery_id"])
    return Answer(200, AttemptsView([attempt_item(story) for story in attempts]))


async def retry_delivery(call: Call) -> Answer:
    """Tries a waiting delivery now, with the endpoint as it is now. A final one can't be retried: resend its event."""
    return _promise(await call.services.deliveries.retry(call.account, call.path["delivery_id"]))


async def cancel_delivery(call: Call) -> Answer:
    """Ends a delivery that is not final. A request under way can't be called back, and the answer says so."""
    return _promise(await call.services.deliveries.cancel(call.account, call.path["delivery_id"]))


async def resend_deliveries(call: Call) -> Answer:
    """Makes new deliveries for everything the filter finds, as a job that survives restarts.

    Of one event's deliveries to one endpoint only the newest counts. What is on its way, has succeeded since, or has no
    enabled endpoint is skipped. With `dryRun` nothing is written, and the answer says what would be done.
    """
    form: BulkResendForm = call.body
    given = form.filter
    wanted = DeliveryFilter(
        endpoint=given.endpoint,
        event=given.event,
        number=given.number,
        states=tuple(given.state),
        code=given.code,
        event_id=given.event_id,
        since_ms=to_ms(given.since),
        until_ms=to_ms(given.until),
        q=given.q,
    )
    services = call.services
    parameters = await services.bulk_resend.parameters(call.account, wanted)
    if form.dry_run:
        return Answer(200, preview_view(await services.jobs.preview(call.account, bulk_resend.KIND, parameters)))
    job = await services.jobs.start(call.account, bulk_resend.KIND, parameters, call.principal.actor)
    return Answer(202, job_view(job))


def _promise(promise: Promise) -> Answer:
    return Answer(200, PromiseView(delivery_id(promise.delivery), promise.state, promise.code, promise.sentence))


ROUTES = (
    Route(
        "GET", "/v1/deliveries", Scope.READ, list_deliveries, "List deliveries",
        query=DeliveriesQuery, gives={200: Page[DeliveryItem]},
    ),
    Route(
        "POST", "/v1/deliveries/resend", Scope.ADMIN, resend_deliveries, "Resend in bulk",
        takes=BulkResendForm, gives={202: JobView, 200: PreviewView},
    ),
    Route(
        "GET", "/v1/deliveries/{delivery_id}", Scope.READ, read_delivery, "Read a delivery",
        gives={200: DeliveryItem}, problems=(404,),
    ),
    Route(
        "GET", "/v1/deliveries/{delivery_id}/attempts", Scope.READ, list_attempts, "List a delivery's attempts",
        gives={200: AttemptsView}, problems=(404,),
    ),
    Route(
        "POST", "/v1/deliveries/{delivery_id}/retry", Scope.ADMIN, retry_delivery, "Retry a delivery now",
        gives={200: PromiseView}, problems=(404, 409),
    ),
    Route(
        "POST", "/v1/deliveries/{delivery_id}/cancel", Scope.ADMIN, cancel_delivery, "Cancel a delivery",
        gives={200: PromiseView}, problems=(404, 409),
    ),
)  # fmt: skip
