"""The data of operational events, by which WhatsSync tells an account about its own endpoints, sources and numbers.

One event per change of state; never sent to the endpoint it is about. Says what is in them, not when they are made.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from whatsync.model.documented import Example, Reference, Text, Time, Url, Word


class Notice(msgspec.Struct, frozen=True, rename="camel"):
    """Data of an operational event. Field order is the order in the body."""


class EndpointFailing(Notice, frozen=True):
    """Data of ``endpoint.failing``."""

    endpoint_id: Annotated[Reference, Meta(description="The endpoint")]
    url: Annotated[Url, Meta(description="Its URL")]
    since: Annotated[Time, Meta(description="First failure since the last success")]
    failed_attempts: Annotated[int, Meta(description="Failed attempts since then")]
    last_code: Annotated[Word | None, Meta(description="Code of the last failure, such as `http_500`")] = None
    last_error: Annotated[Text | None, Meta(description="The last failure in words")] = None
    disable_at: Annotated[
        Time | None, Meta(description="When the endpoint will be disabled if nothing succeeds; set a day before")
    ] = None


class EndpointDisabled(EndpointFailing, frozen=True):
    """Data of ``endpoint.disabled``."""

    reason: Annotated[
        Literal["failing", "gone", "user"],
        Meta(description="`failing`: nothing succeeded for days; `gone`: it answered 410; `user`: by a person"),
    ] = "failing"


class EndpointRecovered(Notice, frozen=True):
    """Data of ``endpoint.recovered``."""

    endpoint_id: Annotated[Reference, Meta(description="The endpoint")]
    url: Annotated[Url, Meta(description="Its URL")]
    since: Annotated[Time, Meta(description="First failure of the time that is over")]
    failed_attempts: Annotated[int, Meta(description="Failed attempts in that time")]
    last_code: Annotated[Word | None, Meta(description="Code of the last failure")] = None
    last_error: Annotated[Text | None, Meta(description="The last failure in words")] = None


class DeliveryExhausted(Notice, frozen=True):
    """Data of ``delivery.exhausted``."""

    delivery_id: Annotated[Reference, Meta(description="The delivery that failed for good; it can be sent again")]
    endpoint_id: Annotated[Reference, Meta(description="Its endpoint")]
    event_id: Annotated[Reference, Meta(description="The event it carried")]
    event_type: Annotated[Word, Meta(description="That event's type")]
    attempts: Annotated[int, Meta(description="Attempts made")]
    last_code: Annotated[Word | None, Meta(description="Code of the last failure")] = None
    last_error: Annotated[Text | None, Meta(description="The last failure in words")] = None


class DeliveryExpiring(Notice, frozen=True):
    """Data of ``delivery.expiring``."""

    endpoint_id: Annotated[Reference, Meta(description="The endpoint whose held deliveries will end")]
    url: Annotated[Url, Meta(description="Its URL")]
    oldest: Annotated[Time, Meta(description="When the oldest event that is held for it was accepted")]
    expires_at: Annotated[Time, Meta(description="From when on held deliveries end as `cancelled`, oldest first")]
    retention_days: Annotated[int, Meta(description="How long the account's events are kept")]


class MediaFailed(Notice, frozen=True):
    """Data of ``media.failed``."""

    message_id: Annotated[Reference | None, Meta(description="The message the file came with, `msg_…`")]
    media_type: Annotated[Word | None, Meta(description="`image`, `video`, `audio`, …")]
    media_url: Annotated[Url | None, Meta(description="The URL that now answers 410 with the reason")]
    number: Annotated[Reference | None, Meta(description="`phoneNumberId` of the business number")]
    code: Annotated[Word, Meta(description="Stable code of the reason, such as `expired` or `too_large`")]
    error: Annotated[Text, Meta(description="The reason in words, and what to do")]


class SourceRejected(Notice, frozen=True):
    """Data of ``source.rejected``."""

    source_id: Annotated[Reference, Meta(description="The source whose requests are refused")]
    code: Annotated[Word, Meta(description="Why: `wrong_signature`, `wrong_credentials`, …")]
    error: Annotated[Text, Meta(description="Why in words, and what to do")]
    refused: Annotated[int, Meta(description="Requests refused since the last good one")]
    since: Annotated[Time, Meta(description="The first of them")]


class NumberQuiet(Notice, frozen=True):
    """Data of ``number.quiet``."""

    number: Annotated[Reference, Meta(description="`phoneNumberId` of the business number")]
    name: Annotated[Text | None, Meta(description="Its name here")]
    last_event_at: Annotated[Time | None, Meta(description="When something was last received from it")]
    expected_events: Annotated[int, Meta(description="Events usual for it in this weekday's time since then")]
    error: Annotated[Text, Meta(description="In words, and what to check")]


_ENDPOINT_ID = "ep_" + "a2b3c4d5e6f7" * 2 + "g2"
_FAILURE = {"lastCode": "http_500", "lastError": "The endpoint answered with status 500."}
_URL = "https://example.com/webhook"


def _example(event: str, timestamp: str, data: Example) -> Example:
    return {"event": event, "id": f"evt_{event.replace('.', '_')}_1", "timestamp": timestamp, "data": data}


ENDPOINT_FAILING_EXAMPLE = _example(
    "endpoint.failing",
    "2023-06-15T14:30:00Z",
    {
        "endpointId": _ENDPOINT_ID,
        "url": _URL,
        "since": "2023-06-15T14:24:12Z",
        "failedAttempts": 7,
        **_FAILURE,
        "disableAt": None,
    },
)
ENDPOINT_DISABLED_EXAMPLE = _example(
    "endpoint.disabled",
    "2023-06-20T14:24:12Z",
    {
        "endpointId": _ENDPOINT_ID,
        "url": _URL,
        "since": "2023-06-15T14:24:12Z",
        "failedAttempts": 412,
        **_FAILURE,
        "disableAt": "2023-06-20T14:24:12Z",
        "reason": "failing",
    },
)
ENDPOINT_RECOVERED_EXAMPLE = _example(
    "endpoint.recovered",
    "2023-06-15T16:02:41Z",
    {"endpointId": _ENDPOINT_ID, "url": _URL, "since": "2023-06-15T14:24:12Z", "failedAttempts": 31, **_FAILURE},
)
DELIVERY_EXHAUSTED_EXAMPLE = _example(
    "delivery.exhausted",
    "2023-06-18T14:01:09Z",
    {
        "deliveryId": "dlv_0d1e2f3g4h5i6",
        "endpointId": _ENDPOINT_ID,
        "eventId": "msg_123456789",
        "eventType": "message.incoming",
        "attempts": 12,
        **_FAILURE,
    },
)
DELIVERY_EXPIRING_EXAMPLE = _example(
    "delivery.expiring",
    "2023-07-14T14:22:33Z",
    {
        "endpointId": _ENDPOINT_ID,
        "url": _URL,
        "oldest": "2023-06-15T14:22:33Z",
        "expiresAt": "2023-07-15T14:22:33Z",
        "retentionDays": 30,
    },
)
MEDIA_FAILED_EXAMPLE = _example(
    "media.failed",
    "2023-06-22T16:45:20Z",
    {
        "messageId": "msg_123456",
        "mediaType": "image",
        "mediaUrl": "https://media.whatsync.io/123456.jpg",
        "number": "106540352242922",
        "code": "expired",
        "error": "WhatsApp keeps a file for 7 days, and no download succeeded. Ask the sender to send it again.",
    },
)
SOURCE_REJECTED_EXAMPLE = _example(
    "source.rejected",
    "2023-06-15T14:40:00Z",
    {
        "sourceId": "src_a2b3c4d5e6f7a2b3c4d5e6f7g2",
        "code": "wrong_signature",
        "error": "The app secret stored for this source is not the one Meta signs with. Correct it, nothing is lost: "
        "Meta keeps trying for 7 days.",
        "refused": 12,
        "since": "2023-06-15T14:31:07Z",
    },
)
NUMBER_QUIET_EXAMPLE = _example(
    "number.quiet",
    "2023-06-15T18:00:00Z",
    {
        "number": "106540352242922",
        "name": "Support",
        "lastEventAt": "2023-06-15T11:58:02Z",
        "expectedEvents": 240,
        "error": "Nothing has come from this number for 6 hours, though it is usually busy now. Check that the app is "
        "still subscribed to it.",
    },
)
