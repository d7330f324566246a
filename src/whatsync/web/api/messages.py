"""Routes that tell a message's whole story: where it came from, where it went, every status, and one verdict."""

from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.messages import EndpointEntry, Message, StatusEntry
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.endpoint import Why
from whatsync.model.errors import NotFound
from whatsync.web.api.call import (
    Answer,
    Call,
    Moment,
    Page,
    Route,
    Time,
    listed,
    position_of,
    show_time,
    show_time_or_none,
    to_ms,
)
from whatsync.web.api.delivery_views import DeliveryItem, delivery_item


class MessagesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Which messages."""

    q: (
        Annotated[
            str,
            Meta(
                max_length=limits.SEARCH_CHARS_MAX,
                description="A `msg_…` id, a wamid, a phone number, a contact's id, or words of an incoming text",
            ),
        ]
        | None
    ) = None
    since: Annotated[Moment, Meta(description="Something of it came in at this time or later")] | None = None
    until: Annotated[Moment, Meta(description="Something of it came in before this time")] | None = None
    limit: Annotated[int, Meta(ge=1, le=limits.MESSAGE_ITEMS_MAX, description="Items on a page")] = 20
    cursor: Annotated[str, Meta(max_length=200, description="`nextCursor` of the page before")] | None = None


class ErrorView(msgspec.Struct, frozen=True, rename="camel"):
    """What went wrong at WhatsApp."""

    code: int | str | None
    title: str | None
    explanation: str | None


class StatusView(msgspec.Struct, frozen=True, rename="camel"):
    """One status WhatsApp reported."""

    event_id: str
    status: str
    timestamp: str | None
    received_at: Time
    recipient: str | None
    error: ErrorView | None


class MessageMediaView(msgspec.Struct, frozen=True, rename="camel"):
    """One file that came with the message."""

    event_id: str
    media_type: str | None
    media_url: str | None
    mime_type: str | None
    caption: str | None


class MessageEndpointView(msgspec.Struct, frozen=True, rename="camel"):
    """How one endpoint stands to the message."""

    id: str | None
    url: str | None
    deleted: bool
    deliveries: Annotated[list[DeliveryItem], Meta(description="Of the message, its statuses and media; newest first")]
    why: Annotated[Why | None, Meta(description="Why it did not get the event that the verdict is about")]


class VerdictView(msgspec.Struct, frozen=True, rename="camel"):
    """Where the message stands."""

    code: Annotated[
        str,
        Meta(
            description="`not_received`, `set_aside`, `no_endpoint`, `waiting`, `held`, `delivered`, "
            "`delivery_failed`, `whatsapp_failed` or `expired`"
        ),
    ]
    sentence: str
    next_step: str


class MessageView(msgspec.Struct, frozen=True, rename="camel"):
    """A message's whole story."""

    id: str
    wamid: str | None
    direction: Annotated[str | None, Meta(description="`incoming` or `outgoing`; null where nothing is known of it")]
    number: str | None
    contact: str | None
    text: str | None
    timestamp: Annotated[str | None, Meta(description="When it was sent, as it says itself")]
    received_at: Time | None
    verdict: VerdictView
    statuses: list[StatusView]
    media: list[MessageMediaView]
    endpoints: list[MessageEndpointView]
    test: Annotated[bool, Meta(description="Made by a test send; it went to the tested endpoint alone")]


def message_view(message: Message) -> MessageView:
    """A story for an answer."""
    verdict = message.verdict
    return MessageView(
        id=message.id,
        wamid=message.wamid,
        direction=message.direction,
        number=message.number,
        contact=message.contact,
        text=message.text,
        timestamp=message.timestamp,
        received_at=show_time_or_none(message.received_ms),
        verdict=VerdictView(verdict.code, verdict.sentence, verdict.next_step),
        statuses=[_status(entry) for entry in message.statuses],
        media=[
            MessageMediaView(entry.event_id, entry.media_type, entry.media_url, entry.mime_type, entry.caption)
            for entry in message.media
        ],
        endpoints=[_endpoint(entry) for entry in message.endpoints],
        test=message.test,
    )


def _status(entry: StatusEntry) -> StatusView:
    error = entry.error
    return StatusView(
        entry.event_id,
        entry.status,
        entry.timestamp,
        show_time(entry.received_ms),
        entry.recipient,
        None if error is None else ErrorView(error.code, error.title, error.explanation),
    )


def _endpoint(entry: EndpointEntry) -> MessageEndpointView:
    return MessageEndpointView(
        entry.id, entry.url, entry.deleted, [delivery_item(story) for story in entry.deliveries], entry.why
    )


class MessageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What helps to tell of a message that is unknown here."""

    at: Annotated[Moment, Meta(description="About when it was sent: tells what came before and after")] | None = None
    number: Annotated[str, Meta(max_length=100, description="To which `phoneNumberId`")] | None = None


async def list_messages(call: Call) -> Answer:
    """Without `q` the newest incoming ones; with it everything about that person or message, newest first."""
    query: MessagesQuery = call.query
    page = await call.services.messages.page(
        call.account, query.q, position_of(query.cursor), query.limit, to_ms(query.since), to_ms(query.until)
    )
    return listed((message_view(message) for message in page.items), page.next, page.searched_to_ms)


async def read_message(call: Call) -> Answer:
    """By `msg_…` id or wamid. A message nobody knows is answered too, with the verdict `not_received`."""
    name = call.path["message_id"]
    if not name:
        raise NotFound("no_such_path", "there is nothing at this path; see /docs for what there is")
    query: MessageQuery = call.query
    message = await call.services.messages.read(call.account, name, to_ms(query.at), query.number)
    return Answer(200, message_view(message))


ROUTES = (
    Route(
        "GET", "/v1/messages", Scope.READ, list_messages, "List messages with their stories",
        query=MessagesQuery, gives={200: Page[MessageView]},
    ),
    Route(
        "GET", "/v1/messages/{message_id}", Scope.READ, read_message, "Read a message's whole story",
        query=MessageQuery, gives={200: MessageView}, slashes=True,
    ),
)  # fmt: skip
