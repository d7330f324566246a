"""One verdict about a message: where it stands, in words for someone who has to answer a customer, and what to do next.

Pure judgement over what the story found. Knows no store.
"""

from collections.abc import Sequence
from textwrap import shorten
from typing import Protocol

import msgspec

from whatsync.engine.erasure import REASON as ERASED
from whatsync.engine.inspection import DeliveryStory
from whatsync.model.delivery import WAITING, State
from whatsync.model.details import DetailsError
from whatsync.model.endpoint import DisabledBy, Why
from whatsync.model.ids import delivery_id
from whatsync.ports.store import EventRow

RETENTION = "retention"
"""The reason the store gives a held delivery that ended with its event."""


class Verdict(msgspec.Struct, frozen=True):
    """``code`` is stable; the other two are plain sentences."""

    code: str
    sentence: str
    next_step: str


class Reached(Protocol):
    """An endpoint with its deliveries of the event in question, newest first."""

    @property
    def url(self) -> str | None:
        """Where it is."""

    @property
    def description(self) -> str:
        """What its owner calls it; may be empty."""

    @property
    def deliveries(self) -> tuple[DeliveryStory, ...]:
        """Newest first."""

    @property
    def why(self) -> Why | None:
        """Why there is no delivery."""

    @property
    def disabled_by(self) -> DisabledBy | None:
        """Who disabled it, while it is disabled."""


class Reported(Protocol):
    """The last status WhatsApp reported."""

    @property
    def status(self) -> str:
        """WhatsApp's word."""

    @property
    def error(self) -> DetailsError | None:
        """What went wrong."""


NOT_RECEIVED = Verdict(
    "not_received",
    "WhatsSync knows no message by this name: it was never received here, or it is past the time events are kept.",
    "Check the id and the account, then whether the number's webhook leads here and its source is healthy.",
)
BY_PHONE = Verdict(
    "not_received",
    "This is a phone number, not the id of one message. Messages from or to it are here.",
    "GET /v1/messages?q= with this number lists them.",
)
_WHY_NOT = {
    Why.FILTERED: "filters it out",
    Why.DISABLED: "was disabled",
    Why.CREATED_LATER: "was made later",
    Why.NOT_SUBSCRIBED: "does not subscribe to this type",
}
"""In the order they are told: first what was nearest to getting it."""

_NEAREST = list(_WHY_NOT)
_REASONS_MAX = 3
_NAME_CHARS_MAX = 80
"""Of a description that stands in a sentence."""
_DISABLED_BY = {
    DisabledBy.USER: "that endpoint is paused",
    DisabledBy.GONE: "that endpoint answered 410 Gone and was disabled",
    DisabledBy.FAILING: "that endpoint failed for days and was disabled by itself",
}


def judge(event: EventRow | None, endpoints: Sequence[Reached], status: Reported | None) -> Verdict:
    """Judge by the newest delivery of each endpoint; trouble goes before waiting, waiting before success."""
    if event is None:
        return NOT_RECEIVED
    if status is not None and status.status == "failed":
        return _whatsapp_failed(status)
    newest = [(endpoint, endpoint.deliveries[0]) for endpoint in endpoints if endpoint.deliveries]
    if not newest:
        return _no_endpoint(endpoints)
    for look in (_failed, _held, _waiting, _expired, _cancelled):
        verdict = look(newest)
        if verdict is not None:
            return verdict
    return Verdict(
        "delivered",
        f"{_places(len(newest))} received it and answered with success.",
        "Nothing is left to do here; what happens next is up to the receiver.",
    )


_Newest = Sequence[tuple[Reached, DeliveryStory]]


def _of(newest: _Newest, *states: State) -> list[tuple[Reached, DeliveryStory]]:
    return [pair for pair in newest if pair[1].view.state in states]


def _failed(newest: _Newest) -> Verdict | None:
    found = _of(newest, State.FAILED)
    if not found:
        return None
    endpoint, story = found[0]
    why = story.explanation
    sentence = f"{len(found)} of {_places(len(newest))} did not get it: every attempt at {_name(endpoint)} failed."
    if why is None:
        return Verdict("delivery_failed", sentence, "Repair the receiver, then resend the event.")
    return Verdict("delivery_failed", f"{sentence} {why.sentence}", f"{why.next_step} Then resend the event.")


def _held(newest: _Newest) -> Verdict | None:
    found = _of(newest, State.HELD)
    if not found:
        return None
    endpoint = found[0][0]
    by = endpoint.disabled_by
    why = "it was held when that endpoint was enabled again, and kept back" if by is None else _DISABLED_BY[by]
    return Verdict(
        "held",
        f"It is held for {_name(endpoint)}: {why}.",
        'Enable the endpoint and send what is held: PATCH it with {"enabled": true, "held": "send"}.',
    )


def _waiting(newest: _Newest) -> Verdict | None:
    found = _of(newest, *WAITING)
    if not found:
        return None
    retrying = [pair for pair in found if pair[1].view.attempts]
    if not retrying:
        return Verdict("waiting", f"It is on its way to {_places(len(found))}.", "Wait a moment and look again.")
    endpoint, story = retrying[0]
    why = "" if story.explanation is None else f" {story.explanation.sentence}"
    retry = f"POST /v1/deliveries/{delivery_id(story.view.id)}/retry"
    tries = _times(story.view.attempts)
    several = f"{len(retrying)} of {_places(len(newest))} have not got it yet. " if len(retrying) > 1 else ""
    return Verdict(
        "waiting",
        f"{several}{_name(endpoint)} has failed {tries} so far; it is tried again by itself.{why}",
        f"Repair the receiver, or retry now: {retry}."
        if story.explanation is None
        else f"{story.explanation.next_step} To try at once: {retry}.",
    )


def _expired(newest: _Newest) -> Verdict | None:
    found = [pair for pair in _of(newest, State.CANCELLED) if pair[1].view.reason == RETENTION]
    if not found:
        return None
    return Verdict(
        "expired",
        f"It was held for {_name(found[0][0])} until the time events are kept was over, and never sent.",
        "Enable endpoints sooner, or raise the account's retention.",
    )


def _cancelled(newest: _Newest) -> Verdict | None:
    found = _of(newest, State.CANCELLED)
    if not found:
        return None
    endpoint, story = found[0]
    if story.view.reason == ERASED:
        return Verdict(
            "delivery_failed",
            f"Its delivery to {_name(endpoint)} was cancelled, since the person it is about was erased.",
            "Nothing can be done, nor has to be: its words are gone, and only the id and times are left.",
        )
    return Verdict(
        "delivery_failed",
        f"Its delivery to {_name(endpoint)} was cancelled: {story.view.reason or 'by request'}.",
        "Resend the event if it should arrive after all.",
    )


def _whatsapp_failed(status: Reported) -> Verdict:
    error = status.error
    title = "" if error is None or not error.title else f": {error.title}"
    code = "" if error is None or error.code is None else f" (code {error.code})"
    step = None if error is None else error.explanation
    return Verdict(
        "whatsapp_failed",
        f"WhatsApp could not deliver the message to its recipient{title}{code}.",
        step or "Look the code up in WhatsApp's list of errors; the message has to be sent anew.",
    )


def _no_endpoint(endpoints: Sequence[Reached]) -> Verdict:
    if not endpoints:
        return Verdict(
            "no_endpoint",
            "It was received, but the account has no endpoint.",
            "Make an endpoint, then recover it with the state missing.",
        )
    told = sorted(
        ((endpoint, endpoint.why) for endpoint in endpoints if endpoint.why is not None),
        key=lambda pair: _NEAREST.index(pair[1]),
    )
    reasons = "; ".join(f"{_name(endpoint)} {_WHY_NOT[why]}" for endpoint, why in told[:_REASONS_MAX])
    more = f"; and {len(told) - _REASONS_MAX} more" if len(told) > _REASONS_MAX else ""
    off = next((endpoint for endpoint, why in told if why is Why.DISABLED and endpoint.disabled_by is not None), None)
    sentence = f"It was received, but no endpoint wanted it: {reasons}{more}."
    if off is None and told and told[0][1] is Why.CREATED_LATER:
        # Nothing is wrong with it, so nothing has to be changed.
        step = f"Resend the event to {_name(told[0][0])}, or recover that endpoint with the state missing."
        return Verdict("no_endpoint", sentence, step)
    first = "Change the endpoint's events, numbers or filters" if off is None else f"Enable {_name(off)}"
    step = f"{first}; then resend the event, or recover with the state missing."
    return Verdict("no_endpoint", sentence, step)


def _name(endpoint: Reached) -> str:
    """What people call it, and where it is."""
    where = endpoint.url or "an endpoint that is gone"
    words = shorten(endpoint.description, _NAME_CHARS_MAX, placeholder=" …")
    return f"{words} ({where})" if words else where


def _places(count: int) -> str:
    return "1 endpoint" if count == 1 else f"{count} endpoints"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
