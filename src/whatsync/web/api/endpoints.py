"""Routes of endpoints: the form in, the endpoint with how it stands out; its secret, and test sends."""

from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.endpoints import DISABLE_RULE, Altered, EndpointFacts, HeldPlan
from whatsync.engine.rotation import RotationForm, SecretFacts
from whatsync.engine.test_sends import Signing
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.endpoint import DisabledBy, Format, Ordering, Release, Scalar
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.health import Health
from whatsync.model.outcome import explain
from whatsync.model.request import MASK
from whatsync.ports.history import Counts
from whatsync.web.api.call import (
    Answer,
    Call,
    Page,
    PageQuery,
    Route,
    Time,
    listed,
    position_of,
    show_time,
    show_time_or_none,
)
from whatsync.web.api.delivery_views import AttemptItem, attempt_item
from whatsync.web.api.secrets import SecretView, secret_view
from whatsync.web.api.versions import IF_MATCH, expected_version, tag


class HealthView(msgspec.Struct, frozen=True, rename="camel"):
    """How an endpoint fares since its last success. Tests neither count nor clear."""

    state: Annotated[str, Meta(description="`healthy`, `failing` (attempts fail since `failingSince`) or `disabled`")]
    failing_since: Time | None
    failed_attempts: int
    last_failure_at: Time | None
    last_code: str | None
    last_error: Annotated[str, Meta(description="`lastCode` in words")] | None
    next_step: Annotated[str, Meta(description="What to do about it")] | None
    last_success_at: Time | None
    disable_at: Annotated[Time, Meta(description="When it will be disabled if nothing succeeds")] | None
    disable_notice_at: Annotated[Time, Meta(description="When that was announced")] | None
    rule: Annotated[str, Meta(description="The rule in words")]


class CountsView(msgspec.Struct, frozen=True, rename="camel"):
    """What waits for an endpoint now."""

    waiting: int
    held: int
    at_least: Annotated[bool, Meta(description="Counting stopped: there may be more")]
    oldest_due_at: Time | None


class HeldView(msgspec.Struct, frozen=True, rename="camel"):
    """What becomes of held deliveries."""

    action: Release
    count: int
    at_least: bool
    sentence: str


class PolicyView(msgspec.Struct, frozen=True, rename="camel"):
    """What counts where the endpoint's own value is null."""

    retry_schedule: list[float]
    timeout_seconds: float
    max_in_flight: int


class EndpointView(msgspec.Struct, frozen=True, rename="camel"):
    """An endpoint: its form, and how it stands."""

    id: str
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_by: Annotated[DisabledBy, Meta(description="`user`, `gone` (it answered 410) or `failing`")] | None
    disabled_at: Time | None
    numbers: list[str] | None
    filters: dict[str, dict[str, list[Scalar]]]
    headers: Annotated[dict[str, str], Meta(description="Values are masked; sending the mask back keeps them")]
    retry_schedule: list[float] | None
    timeout_seconds: float | None
    max_in_flight: int | None
    rate_limit_per_second: float | None
    ordering: Ordering
    ordering_max_wait_seconds: int
    include_details: bool
    format: Format
    own_secret: Annotated[bool, Meta(description="Signed with a secret of its own instead of the account's")]
    effective: PolicyView
    health: HealthView
    counts: Annotated[CountsView, Meta(description="Only when one endpoint is asked for")] | None
    releasing: Annotated[Release, Meta(description="Held deliveries are being sent or dropped just now")] | None
    created_at: Time
    updated_at: Time
    version: int


class TestForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What to send."""

    event: Annotated[str, Meta(description="An event type of the catalogue, or of your own")] = "message.incoming"
    signing: Annotated[
        Signing,
        Meta(
            description="`present`: as every request is signed now · `newest`: as after the switch of a rotation · "
            "`forged`: wrongly, to see that the receiver refuses it"
        ),
    ] = Signing.PRESENT


class TestView(msgspec.Struct, frozen=True, rename="camel"):
    """A test that was sent."""

    succeeded: Annotated[bool, Meta(description="The receiver answered 2xx in time")]
    event_id: str
    delivery_id: str
    attempt: AttemptItem


class AlteredView(EndpointView, frozen=True, rename="camel"):
    """An endpoint after a change."""

    held: Annotated[HeldView, Meta(description="Where the change decided about held deliveries")] | None


async def list_endpoints(call: Call) -> Answer:
    """The account's endpoints, without counts."""
    query: PageQuery = call.query
    page, after = call.services.endpoints.page(call.account, position_of(query.cursor), query.limit)
    return listed((_view(call, facts) for facts in page), after)


async def create_endpoint(call: Call) -> Answer:
    """Every event accepted after this answer is routed to it."""
    form: EndpointForm = call.body
    facts = await call.services.endpoints.create(call.account, form, call.principal.actor)
    location = {"location": f"/v1/endpoints/{facts.running.endpoint.id}"}
    return Answer(201, _view(call, facts), tag(facts.running.version) | location)


async def read_endpoint(call: Call) -> Answer:
    """The endpoint, how it fares, and how much waits or is held for it."""
    facts = await call.services.endpoints.read(call.account, call.path["endpoint_id"])
    return Answer(200, _view(call, facts), tag(facts.running.version))


async def patch_endpoint(call: Call) -> Answer:
    """Fields left out stay as they are, `null` is the default, objects and lists are replaced whole.

    With `{"enabled": true}` say what becomes of held deliveries: `"held": "send"`, `"drop"` or (the default) `"keep"`;
    the answer says what will happen. Disabling holds what waits.
    """
    form: EndpointForm = call.body
    altered = await call.services.endpoints.patch(
        call.account, call.path["endpoint_id"], form, call.principal.actor, expected_version(call)
    )
    return Answer(200, _altered_view(call, altered), tag(altered.facts.running.version))


async def delete_endpoint(call: Call) -> Answer:
    """Its open deliveries are cancelled, with that reason; its history stays."""
    await call.services.endpoints.delete(
        call.account, call.path["endpoint_id"], call.principal.actor, expected_version(call)
    )
    return Answer(204)


async def show_secret(call: Call) -> Answer:
    """The secret that requests to this endpoint are signed with: its own, else the account's."""
    return _secret(await call.services.endpoints.secret(call.account, call.path["endpoint_id"], call.principal.actor))


async def rotate_secret(call: Call) -> Answer:
    """As for the account's secret. An endpoint that used that one gets a secret of its own."""
    form: RotationForm = call.body
    return _secret(
        await call.services.endpoints.rotate_secret(call.account, call.path["endpoint_id"], form, call.principal.actor)
    )


async def switch_secret(call: Call) -> Answer:
    """From now on `X-WhatsSync-Signature` is made with the new secret."""
    return _secret(
        await call.services.endpoints.switch_secret(call.account, call.path["endpoint_id"], call.principal.actor)
    )


async def send_test(call: Call) -> Answer:
    """Sends the documented example of the type once, with a fresh id and fresh times and `X-WhatsSync-Test: true`.

    It goes to this endpoint whatever its subscriptions and filters say and even when it is disabled, and is never tried
    again. Answers when the attempt is over; 200 also where it failed.
    """
    form: TestForm = call.body
    sent = await call.services.test_sends.send(call.account, call.path["endpoint_id"], form.event, form.signing)
    stories = await call.services.inspection.attempts(call.account, sent.delivery)
    good = sent.outcome.row.code is None
    return Answer(200, TestView(good, sent.event.id, sent.delivery, attempt_item(stories[-1])))


def _secret(facts: SecretFacts) -> Answer:
    return Answer(200, secret_view(facts), {"cache-control": "no-store"})


def _view(call: Call, facts: EndpointFacts) -> EndpointView:
    endpoint = facts.running.endpoint
    defaults = call.services.endpoints.defaults
    return EndpointView(
        id=endpoint.id,
        url=endpoint.url,
        events=list(endpoint.events),
        description=endpoint.description,
        enabled=endpoint.enabled,
        disabled_by=endpoint.disabled_by,
        disabled_at=show_time_or_none(endpoint.disabled_ms),
        numbers=None if endpoint.numbers is None else list(endpoint.numbers),
        filters={name: {field: list(of) for field, of in fields.items()} for name, fields in endpoint.filters.items()},
        headers=dict.fromkeys(endpoint.headers, MASK),
        retry_schedule=None if endpoint.retry_schedule is None else list(endpoint.retry_schedule),
        timeout_seconds=endpoint.timeout_seconds,
        max_in_flight=endpoint.max_in_flight,
        rate_limit_per_second=endpoint.rate_limit_per_second,
        ordering=endpoint.ordering,
        ordering_max_wait_seconds=endpoint.ordering_max_wait_seconds,
        include_details=endpoint.include_details,
        format=endpoint.format,
        own_secret=endpoint.secrets is not None,
        effective=PolicyView(
            list(defaults.schedule_seconds if endpoint.retry_schedule is None else endpoint.retry_schedule),
            endpoint.timeout_seconds or defaults.timeout_seconds,
            endpoint.max_in_flight or limits.IN_FLIGHT_DEFAULT,
        ),
        health=_health(facts.health, endpoint.enabled, facts.disable_at_ms),
        counts=None if facts.counts is None else _counts(facts.counts),
        releasing=endpoint.release,
        created_at=show_time(endpoint.created_ms),
        updated_at=show_time(endpoint.updated_ms),
        version=facts.running.version,
    )


def _altered_view(call: Call, altered: Altered) -> AlteredView:
    view = msgspec.structs.asdict(_view(call, altered.facts))
    return AlteredView(**view, held=None if altered.held is None else _held(altered.held))


def _health(health: Health, enabled: bool, disable_at_ms: int | None) -> HealthView:
    code = health.last_failure_code
    words = None if code is None else explain(code)
    failing = health.first_failure_ms is not None
    return HealthView(
        state="disabled" if not enabled else "failing" if failing else "healthy",
        failing_since=show_time_or_none(health.first_failure_ms),
        failed_attempts=health.failed_attempts,
        last_failure_at=show_time_or_none(health.last_failure_ms),
        last_code=code,
        last_error=None if words is None else words.sentence,
        next_step=None if words is None else words.next_step,
        last_success_at=show_time_or_none(health.last_success_ms),
        disable_at=show_time_or_none(disable_at_ms),
        disable_notice_at=show_time_or_none(health.notice_ms),
        rule=DISABLE_RULE,
    )


def _counts(counts: Counts) -> CountsView:
    at_least = counts.waiting >= counts.ceiling or counts.held >= counts.ceiling
    return CountsView(counts.waiting, counts.held, at_least, show_time_or_none(counts.oldest_due_ms))


def _held(plan: HeldPlan) -> HeldView:
    return HeldView(plan.action, plan.count, plan.at_least, plan.sentence)


ROUTES = (
    Route(
        "GET", "/v1/endpoints", Scope.READ, list_endpoints, "List endpoints",
        query=PageQuery, gives={200: Page[EndpointView]},
    ),
    Route(
        "POST", "/v1/endpoints", Scope.ADMIN, create_endpoint, "Make an endpoint",
        takes=EndpointForm, gives={201: EndpointView},
    ),
    Route(
        "GET", "/v1/endpoints/{endpoint_id}", Scope.READ, read_endpoint, "Read an endpoint",
        gives={200: EndpointView}, problems=(404,),
    ),
    Route(
        "PATCH", "/v1/endpoints/{endpoint_id}", Scope.ADMIN, patch_endpoint, "Change, pause or enable an endpoint",
        takes=EndpointForm, gives={200: AlteredView}, problems=(404, 409), headers=IF_MATCH,
    ),
    Route(
        "DELETE", "/v1/endpoints/{endpoint_id}", Scope.ADMIN, delete_endpoint, "Delete an endpoint",
        gives={204: None}, problems=(404, 409), headers=IF_MATCH,
    ),
    Route(
        "GET", "/v1/endpoints/{endpoint_id}/secret", Scope.ADMIN, show_secret, "Show an endpoint's signing secret",
        gives={200: SecretView}, problems=(404,),
    ),
    Route(
        "POST", "/v1/endpoints/{endpoint_id}/secret/rotate", Scope.ADMIN, rotate_secret,
        "Rotate an endpoint's signing secret",
        takes=RotationForm, takes_optional=True, gives={200: SecretView}, problems=(404, 409),
    ),
    Route(
        "POST", "/v1/endpoints/{endpoint_id}/secret/switch", Scope.ADMIN, switch_secret,
        "Sign with the endpoint's new secret from now on",
        gives={200: SecretView}, problems=(404, 409),
    ),
    Route(
        "POST", "/v1/endpoints/{endpoint_id}/test", Scope.ADMIN, send_test, "Send a test",
        takes=TestForm, takes_optional=True, gives={200: TestView}, problems=(404,),
    ),
)  # fmt: skip
