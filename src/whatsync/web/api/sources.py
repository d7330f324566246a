"""Routes of sources, for operators: Meta apps, how they fare, what they brought and what nothing could be made of."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from whatsync.engine import reprocess_span
from whatsync.engine.intake import Refused, Taken, unpacked
from whatsync.engine.services import Services
from whatsync.engine.source_directory import RunningSource
from whatsync.engine.sources import SourceFacts
from whatsync.model.account import Scope
from whatsync.model.errors import Conflict, NotFound
from whatsync.model.ids import message_id, ms_of, row_of, row_text
from whatsync.model.source import Auth, SourceForm
from whatsync.ports.arrivals import BodyRow, SetAsideRow
from whatsync.sources.whatsapp.samples import Sample, body_of
from whatsync.web.api.call import (
    Answer,
    Call,
    Moment,
    Page,
    PageQuery,
    Route,
    Time,
    listed,
    position_of,
    show_time,
    show_time_or_none,
    to_ms,
)
from whatsync.web.api.jobs import JobView, job_view
from whatsync.web.api.versions import IF_MATCH, expected_version, tag

BODY_PREFIX = "body_"


class SourceView(msgspec.Struct, frozen=True, rename="camel"):
    """A source. Secrets are never shown again, except the verify token, which has to be pasted at Meta."""

    id: str
    name: str
    callback_url: Annotated[str, Meta(description="Goes into Meta's dashboard, with the verify token")] | None
    verify_token: str
    app_id: str | None
    app_secret_set: bool
    previous_secret_until: Annotated[Time, Meta(description="Until then the app secret before is good too")] | None
    access_token_set: bool
    api_version: str
    auth: Auth
    username: str | None
    account: str | None
    created_at: Time
    updated_at: Time
    version: int


class FactsView(msgspec.Struct, frozen=True, rename="camel"):
    """How a source fares. Counts are those of the last 7 days."""

    last_webhook_at: Time | None
    updates_last_hour: int
    webhooks: int
    updates: int
    duplicates: int
    set_aside: int
    rejected: int
    last_rejected_at: Time | None
    rejected_since_good: int


class SourceWithFacts(msgspec.Struct, frozen=True, rename="camel"):
    """A source and how it fares."""

    source: SourceView
    facts: FactsView


class BodyView(msgspec.Struct, frozen=True, rename="camel"):
    """A request as it came."""

    id: str
    received_at: Time
    updates: int
    test: bool


class SetAsideView(msgspec.Struct, frozen=True, rename="camel"):
    """Elements that became no event (yet)."""

    body_id: str
    received_at: Time
    reason: Annotated[str, Meta(description="Stable word, such as `unassigned` or `no_id`")]
    sentence: str
    path: Annotated[str, Meta(description="Where it stands in the body")]
    number: str | None
    wamid: str | None
    count: int


class SetAsideQuery(PageQuery, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Filters of what was set aside."""

    reason: Annotated[str, Meta(max_length=100)] | None = None


class SampleForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A body to try the source with, as Meta would send it."""

    kind: Literal["text", "image", "voice", "location", "button", "reaction", "sent", "delivered", "read", "failed"] = (
        "text"
    )
    number: Annotated[str, Meta(max_length=64, pattern="^[A-Za-z0-9_-]+$", description="To this `phoneNumberId`")]
    phone: Annotated[str, Meta(max_length=20, pattern="^[+]?[0-9]+$", description="From, or for, this person")] = (
        "+15550199999"
    )
    name: Annotated[str, Meta(max_length=100)] = "Sample Person"
    text: Annotated[str, Meta(max_length=4_096)] = "Hello! This is a sample."
    wamid: Annotated[str, Meta(max_length=200, description="Its own id, or whose status it is")] | None = None
    count: Annotated[int, Meta(ge=1, le=1_000, description="So many in one body")] = 1


class SampleView(msgspec.Struct, frozen=True, rename="camel"):
    """What became of a sample."""

    event_ids: Annotated[list[str], Meta(description="Of its messages or statuses' messages, `msg_…`")]
    wamids: list[str]
    events: int
    duplicates: int
    set_aside: int
    body_id: str


class ProcessForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Which requests to process again."""

    since: Moment
    until: Annotated[Moment | None, Meta(description="Now, where it is left out")] = None
    account: (
        Annotated[str, Meta(max_length=100, description="Whose jobs list the work; the source's own, where left out")]
        | None
    ) = None


class AgainView(msgspec.Struct, frozen=True, rename="camel"):
    """What processing again came to."""

    bodies: int
    events: Annotated[int, Meta(description="New ones; what existed is passed over")]
    set_aside: int
    more: Annotated[bool, Meta(description="There is more of it; call again")]


async def list_sources(call: Call) -> Answer:
    """All sources of this installation."""
    query: PageQuery = call.query
    page, after = call.services.sources.page(position_of(query.cursor), query.limit)
    return listed((_view(call, one) for one in page), after)


async def create_source(call: Call) -> Answer:
    """Give `callbackUrl` and `verifyToken` of the answer to Meta: App dashboard, WhatsApp, Configuration."""
    form: SourceForm = call.body
    return _answer(call, await call.services.sources.create(form, call.principal.actor), 201)


async def read_source(call: Call) -> Answer:
    """One source and how it fares."""
    sources = call.services.sources
    source = sources.find(call.path["source_id"])
    facts = _facts(await sources.facts(source))
    return Answer(200, SourceWithFacts(_view(call, source), facts), tag(source.document.version))


async def patch_source(call: Call) -> Answer:
    """Fields left out stay as they are. With a new app secret, the one before stays good for 7 days."""
    form: SourceForm = call.body
    sources, actor = call.services.sources, call.principal.actor
    return _answer(call, await sources.patch(call.path["source_id"], form, actor, expected_version(call)))


async def delete_source(call: Call) -> Answer:
    """Only a source without numbers can be deleted."""
    await call.services.sources.delete(call.path["source_id"], call.principal.actor)
    return Answer(204)


async def list_bodies(call: Call) -> Answer:
    """The requests of this source as they came, kept as long as events are."""
    query: PageQuery = call.query
    sources = call.services.sources
    source = sources.find(call.path["source_id"])
    rows = await sources.bodies(source, position_of(query.cursor), query.limit)
    after = rows[-1].seq if len(rows) == query.limit else None
    return listed((_body_view(row) for row in rows), after)


async def read_body(call: Call) -> Answer:
    """One request's body, byte for byte."""
    sources = call.services.sources
    row = await sources.body(sources.find(call.path["source_id"]), _body_row(call))
    headers = {"content-disposition": "attachment", "content-security-policy": "sandbox"}
    return Answer(200, unpacked(row.body), headers, content_type="application/octet-stream")


async def process_body(call: Call) -> Answer:
    """Makes the events that are missing; those that exist are passed over."""
    source = call.services.sources.find(call.path["source_id"])
    taken = await call.services.reprocessing.body(source, _body_row(call))
    return Answer(200, AgainView(1, taken.events, taken.set_aside, False))


async def process_span(call: Call) -> Answer:
    """Takes in again all that came within a time, as a job: it goes on through restarts, and shows its progress.

    Events that exist are passed over, so nothing comes twice. `done` of the job counts events that were missing.
    """
    form: ProcessForm = call.body
    services = call.services
    source = services.sources.find(call.path["source_id"])
    account = services.reprocess_span.account_of(source, form.account)
    parameters = services.reprocess_span.parameters(source, to_ms(form.since) or 0, to_ms(form.until))
    job = await services.jobs.start(account, reprocess_span.KIND, parameters, call.principal.actor)
    return Answer(202, job_view(job))


async def list_set_aside(call: Call) -> Answer:
    """Elements that became no event, with the reason. Nothing is lost: the body is kept."""
    query: SetAsideQuery = call.query
    sources = call.services.sources
    source = sources.find(call.path["source_id"])
    rows = await sources.set_aside(source, position_of(query.cursor), query.limit, query.reason)
    after = rows[-1].seq if len(rows) == query.limit else None
    return listed((_aside_view(row) for row in rows), after)


async def process_set_aside(call: Call) -> Answer:
    """Processes bodies again of which something is set aside, a part of them at a time."""
    source = call.services.sources.find(call.path["source_id"])
    done = await call.services.reprocessing.set_aside(source)
    return Answer(200, AgainView(done.bodies, done.events, done.set_aside, done.more))


async def send_sample(call: Call) -> Answer:
    """Makes a body, signs it with the source's secret and takes it in as if Meta had sent it: events are real."""
    form: SampleForm = call.body
    source = call.services.sources.find(call.path["source_id"])
    wamids, taken = await take_sample(call.services, source, form)
    return Answer(
        200,
        SampleView(
            [message_id(form.number, wamid) for wamid in wamids],
            wamids,
            taken.events,
            taken.duplicates,
            taken.set_aside,
            row_text(BODY_PREFIX, taken.seq),
        ),
    )


async def take_sample(services: Services, source: RunningSource, form: SampleForm) -> tuple[list[str], Taken]:
    """Take a sample in; its elements' own ids, and what became of it. Raises Conflict where the source refuses it."""
    known = services.directory.whatsapp.numbers.get(form.number)
    token = services.randomness.token(12).hex().upper()
    wamids = [form.wamid or f"wamid.SAMPLE{token}"]
    wamids += [f"wamid.SAMPLE{token}.{at}" for at in range(1, form.count)]
    raw = body_of(
        Sample(
            kind=form.kind,
            number=form.number,
            display=(known and known.number.display) or "+15550100000",
            business=(known and known.number.business) or "100000000000000",
            person=form.phone.lstrip("+"),
            name=form.name,
            text=form.text,
            wamids=tuple(wamids),
            about=form.wamid or f"wamid.SAMPLE{token}",
            at_s=services.clock.now_ms() // 1000,
        )
    )
    taken = await services.inbound.receive(source.source.id, services.inbound.proof(source, raw), raw)
    if isinstance(taken, Refused):
        raise Conflict(taken.code, taken.sentence)
    return wamids, taken


def _body_row(call: Call) -> int:
    row = row_of(BODY_PREFIX, call.path["body_id"])
    if row is None:
        raise NotFound("body_not_found", "there is no such raw body; they are kept as long as events are")
    return row


def _answer(call: Call, source: RunningSource, status: int = 200) -> Answer:
    return Answer(status, _view(call, source), tag(source.document.version))


def _view(call: Call, running: RunningSource) -> SourceView:
    source = running.source
    until = source.previous_until_ms or 0
    base = call.services.public_url
    return SourceView(
        id=source.id,
        name=source.name,
        callback_url=None if base is None else f"{base}/sources/whatsapp/{source.id}",
        verify_token=running.verify_token,
        app_id=source.app_id,
        app_secret_set=source.app_secret is not None,
        previous_secret_until=show_time(until) if until > call.services.clock.now_ms() else None,
        access_token_set=source.access_token is not None,
        api_version=source.api_version,
        auth=source.auth,
        username=source.username,
        account=source.account,
        created_at=show_time(source.created_ms),
        updated_at=show_time(source.updated_ms),
        version=running.document.version,
    )


def _facts(facts: SourceFacts) -> FactsView:
    return FactsView(
        show_time_or_none(facts.last_webhook_ms),
        facts.updates_last_hour,
        facts.webhooks,
        facts.updates,
        facts.duplicates,
        facts.set_aside,
        facts.rejected,
        show_time_or_none(facts.last_rejected_ms),
        facts.rejected_since_good,
    )


def _body_view(row: BodyRow) -> BodyView:
    return BodyView(row_text(BODY_PREFIX, row.seq), show_time(ms_of(row.seq)), row.updates, row.test)


def _aside_view(row: SetAsideRow) -> SetAsideView:
    return SetAsideView(
        row_text(BODY_PREFIX, row.body),
        show_time(ms_of(row.body)),
        row.reason,
        row.sentence,
        row.path,
        row.number,
        row.reference,
        row.count,
    )


_ONE = "/v1/sources/{source_id}"

ROUTES = (
    Route(
        "GET", "/v1/sources", Scope.OPERATOR, list_sources, "List sources",
        query=PageQuery, gives={200: Page[SourceView]},
    ),
    Route(
        "POST", "/v1/sources", Scope.OPERATOR, create_source, "Make a source",
        takes=SourceForm, gives={201: SourceView},
    ),
    Route(
        "GET", _ONE, Scope.OPERATOR, read_source, "Read a source and how it fares",
        gives={200: SourceWithFacts}, problems=(404,),
    ),
    Route(
        "PATCH", _ONE, Scope.OPERATOR, patch_source, "Change a source",
        takes=SourceForm, gives={200: SourceView}, problems=(404, 409), headers=IF_MATCH,
    ),
    Route(
        "DELETE", _ONE, Scope.OPERATOR, delete_source, "Delete a source",
        gives={204: None}, problems=(404, 409),
    ),
    Route(
        "GET", _ONE + "/bodies", Scope.OPERATOR, list_bodies, "List a source's requests",
        query=PageQuery, gives={200: Page[BodyView]}, problems=(404,),
    ),
    Route(
        "GET", _ONE + "/bodies/{body_id}", Scope.OPERATOR, read_body, "Read one request's body",
        gives={200: bytes}, problems=(404,), content_type="application/octet-stream",
    ),
    Route(
        "POST", _ONE + "/bodies/{body_id}/process", Scope.OPERATOR, process_body, "Process one request again",
        gives={200: AgainView}, problems=(404,),
    ),
    Route(
        "POST", _ONE + "/process", Scope.OPERATOR, process_span, "Process a time again",
        takes=ProcessForm, gives={202: JobView}, problems=(404,),
    ),
    Route(
        "POST", _ONE + "/samples", Scope.OPERATOR, send_sample, "Try a source with a sample",
        takes=SampleForm, gives={200: SampleView}, problems=(404, 409),
    ),
    Route(
        "GET", _ONE + "/set-aside", Scope.OPERATOR, list_set_aside, "List what was set aside",
        query=SetAsideQuery, gives={200: Page[SetAsideView]}, problems=(404,),
    ),
    Route(
        "POST", _ONE + "/set-aside/process", Scope.OPERATOR, process_set_aside, "Process again what was set aside",
        gives={200: AgainView}, problems=(404,),
    ),
)  # fmt: skip
