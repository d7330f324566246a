"""Deliveries and attempts as answers show them; several resources speak of them. Answers nothing itself."""

from base64 import b64encode
from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.directory import RunningEndpoint
from whatsync.engine.inspection import AttemptStory, DeliveryStory, RequestSent
from whatsync.model.delivery import State
from whatsync.model.ids import delivery_id, ms_of
from whatsync.model.outcome import Explanation
from whatsync.ports.store import EventRow, Origin
from whatsync.web.api.call import Time, show_time, show_time_or_none

_ORIGINS = {Origin.EVENT: "event", Origin.RESEND: "resend", Origin.RECOVER: "recover", Origin.TEST: "test"}

Milliseconds = Annotated[float, Meta(description="Milliseconds")]


class PlaceView(msgspec.Struct, frozen=True, rename="camel"):
    """The endpoint of a delivery; it may be deleted since."""

    id: str | None
    url: str | None
    deleted: bool = False


class ExplanationView(msgspec.Struct, frozen=True, rename="camel"):
    """A failure in words."""

    sentence: str
    next_step: Annotated[str, Meta(description="What to do about it")]


class DeliveryItem(msgspec.Struct, frozen=True, rename="camel"):
    """One event for one endpoint, and how it stands."""

    id: str
    state: State
    event: str
    event_id: str
    endpoint: PlaceView
    attempts: Annotated[int, Meta(description="Attempts made so far")]
    origin: Annotated[str, Meta(description="Why it exists: `event`, `resend`, `recover` or `test`")]
    number: str | None
    created_at: Time
    due_at: Annotated[Time | None, Meta(description="When it is tried next; null where it is final, held or under way")]
    under_way: Annotated[bool, Meta(description="Being sent, or in line to be sent, in this moment")]
    finished_at: Time | None
    status: Annotated[int | None, Meta(description="HTTP status of the last attempt")]
    code: Annotated[str | None, Meta(description="Code of the last attempt's failure, such as `http_500`")]
    explanation: ExplanationView | None
    duration_ms: Annotated[float | None, Meta(description="Of the last attempt, in milliseconds")]
    reason: Annotated[str | None, Meta(description="Why it was held or cancelled")]
    ordered: Annotated[bool, Meta(description="Keeps its place among the events about one contact")]
    waiting_for: Annotated[
        str | None, Meta(description="The delivery that goes before it, when one delivery is asked for")
    ]


class RequestView(msgspec.Struct, frozen=True, rename="camel"):
    """The request as it was sent. Values of the endpoint's own headers are masked."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: str
    curl: Annotated[str, Meta(description="The same request as a command; fill in the masked values")]


class ResponseView(msgspec.Struct, frozen=True, rename="camel"):
    """What came back. ``body`` where it is text, else ``bodyBase64``."""

    status: int
    headers: list[tuple[str, str]]
    body: str | None
    body_base64: str | None
    truncated: Annotated[bool, Meta(description="The body was longer than what is kept, or did not end in time")]


class TimingView(msgspec.Struct, frozen=True, rename="camel"):
    """How long each phase took; null where it did not happen, as on a connection that was open already."""

    dns_ms: Milliseconds | None
    connect_ms: Milliseconds | None
    tls_ms: Milliseconds | None
    first_byte_ms: Annotated[float | None, Meta(description="From the request being sent to the answer's first byte")]
    total_ms: Milliseconds


class AttemptItem(msgspec.Struct, frozen=True, rename="camel"):
    """One HTTP request for a delivery, with everything needed to debug it."""

    number: int
    started_at: Time
    finished_at: Time
    status: int | None
    code: Annotated[str | None, Meta(description="Null on success")]
    explanation: ExplanationView | None
    detail: Annotated[str | None, Meta(description="A technical phrase about a network failure")]
    state: Annotated[State, Meta(description="What the delivery became by it, unless it came late")]
    next_try_at: Time | None
    late: Annotated[bool, Meta(description="It ended when somebody else had decided already")]
    address: Annotated[str | None, Meta(description="The address that was connected to")]
    reused: Annotated[bool, Meta(description="The connection was open already")]
    timing: TimingView
    request: Annotated[RequestView | None, Meta(description="Null where the endpoint's settings of then are gone")]
    response: ResponseView | None


def delivery_item(story: DeliveryStory) -> DeliveryItem:
    """A delivery for an answer."""
    view, place = story.view, story.place
    return DeliveryItem(
        id=delivery_id(view.id),
        state=view.state,
        event=view.type,
        event_id=view.event_id,
        endpoint=PlaceView(place.id, place.url, place.deleted),
        attempts=view.attempts,
        origin=_ORIGINS[view.origin],
        number=view.number,
        created_at=show_time(view.created_ms),
        due_at=show_time_or_none(view.due_ms),
        under_way=view.in_flight,
        finished_at=show_time_or_none(view.finished_ms),
        status=view.status,
        code=view.code,
        explanation=explanation_view(story.explanation),
        duration_ms=_ms(view.duration_us),
        reason=view.reason,
        ordered=view.ordered,
        waiting_for=None if story.waiting_for is None else delivery_id(story.waiting_for),
    )


def fresh_item(row: int, event: EventRow, endpoint: RunningEndpoint, due_ms: int) -> DeliveryItem:
    """A delivery that was written a moment ago."""
    return DeliveryItem(
        id=delivery_id(row),
        state=State.PENDING,
        event=event.type,
        event_id=event.id,
        endpoint=PlaceView(endpoint.endpoint.id, endpoint.endpoint.url),
        attempts=0,
        origin=_ORIGINS[Origin.RESEND],
        number=event.number,
        created_at=show_time(ms_of(row)),
        due_at=show_time(due_ms),
        under_way=False,
        finished_at=None,
        status=None,
        code=None,
        explanation=None,
        duration_ms=None,
        reason=None,
        ordered=False,
        waiting_for=None,
    )


def explanation_view(explanation: Explanation | None) -> ExplanationView | None:
    """A failure in words, where there was one."""
    return None if explanation is None else ExplanationView(explanation.sentence, explanation.next_step)


def attempt_item(story: AttemptStory) -> AttemptItem:
    """An attempt for an answer."""
    row = story.row
    return AttemptItem(
        number=row.number,
        started_at=show_time(row.started_ms),
        finished_at=show_time(row.finished_ms),
        status=row.status,
        code=row.code,
        explanation=explanation_view(story.explanation),
        detail=row.detail,
        state=row.state,
        # What a late attempt planned did not come about: its delivery had been settled otherwise.
        next_try_at=None if story.late else show_time_or_none(row.due_ms),
        late=story.late,
        address=row.address,
        reused=row.reused,
        timing=TimingView(
            _ms(row.dns_us), _ms(row.connect_us), _ms(row.tls_us), _ms(row.first_byte_us), row.total_us / 1000
        ),
        request=None if story.request is None else _request(story.request),
        response=_response(story),
    )


def _request(sent: RequestSent) -> RequestView:
    return RequestView(sent.method, sent.url, list(sent.headers), sent.body.decode("utf-8", "replace"), sent.curl)


def _response(story: AttemptStory) -> ResponseView | None:
    row = story.row
    if row.status is None:
        return None
    text: str | None
    try:
        text = row.answer_body.decode("utf-8", "strict")
    except UnicodeDecodeError:
        text = None
    encoded = None if text is not None else b64encode(row.answer_body).decode("ascii")
    return ResponseView(row.status, list(story.answer_headers), text, encoded, row.truncated)


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000
