"""The public envelope, both ways: from the body of ``POST /v1/events`` to drafts, and from a draft to the bytes sent.

The ordinary way of a documented type stays in compiled code; what is wrong is found out slowly and named precisely.
Knows no store and no endpoint; the time and new ids come in as arguments.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from whatsync.model import limits
from whatsync.model.account import OwnType
from whatsync.model.canonical import depth_problem, explain, settle
from whatsync.model.catalogue import CATALOGUE, DOCUMENTED, Kind, id_prefix, kind_of
from whatsync.model.details import DETAILS_FIELDS, NULL, encode_details, read_details
from whatsync.model.documented import Data
from whatsync.model.draft import (
    DETAILS_KEY,
    NOTHING,
    Draft,
    draft_of,
    draft_of_data,
    draft_of_whatsapp,
    encode_body,
    keys_of,
    make_body,
    same_content,
    scalar_of,
    settle_data_time,
    size_with_details,
    with_details,
)
from whatsync.model.errors import FieldError, Invalid, Malformed, TooLarge
from whatsync.model.javascript import NotJson, is_deeper, parse, text_of
from whatsync.model.shape import OBJECT, OBJECT_OR_NULL, TIME, fields_of, problems
from whatsync.model.timestamp import NotATime, format_time, parse_time

__all__ = [
    "SUBMISSION_FIELDS",
    "Draft",
    "Submission",
    "decode_in_steps",
    "decode_submissions",
    "draft_of",
    "draft_of_data",
    "draft_of_whatsapp",
    "format_time",
    "make_body",
    "parse_time",
    "same_content",
    "scalar_of",
    "with_details",
]

NewId = Callable[[str], str]

_ID = re.compile(f"[A-Za-z0-9_-]{{1,{limits.EVENT_ID_CHARS_MAX}}}", re.ASCII)
_RAW_BYTES_MAX = 4 * limits.BODY_BYTES_MAX
"""Of one event as it comes in, with white space and escapes: what is larger is not looked at."""
_EXPLAINED_BYTES_MAX = 250_000
"""Of the events of an array: once a mistake is found, looking for more stops after so much."""
_TYPES_NAMED_MAX = 10


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One event as ``POST /v1/events`` takes it."""

    event: Annotated[str, Meta(min_length=1, description="Event type")]
    data: Annotated[Raw, Meta(description="The event's data", extra=OBJECT)]
    id: Annotated[str | None, Meta(description="Your own id for it: letters, digits, _ and -; at most 128")] = None
    timestamp: Annotated[str | None, Meta(description="When it was made; default now", extra=TIME)] = None
    contact: Annotated[
        Annotated[str, Meta(min_length=1, max_length=limits.CONTACT_KEY_CHARS_MAX)] | None,
        Meta(description="Whom it is about: events about one contact can be kept in order"),
    ] = None
    details: Annotated[
        Raw, Meta(description="What WhatsApp said beyond the documented fields", extra=OBJECT_OR_NULL)
    ] = NULL


SUBMISSION_FIELDS = fields_of(Submission)

_decode_one = msgspec.json.Decoder(Submission).decode
_decode_many = msgspec.json.Decoder(list[Submission]).decode
_decode_items = msgspec.json.Decoder(list[Raw]).decode
_NOT_DECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_REFUSED = (*_NOT_DECODED, NotATime, Invalid, TooLarge)


def _decoder(event_type: str) -> msgspec.json.Decoder[Data]:
    data = CATALOGUE[event_type].data
    assert issubclass(data, Data)
    return msgspec.json.Decoder(data)


_DECODERS = {event_type: _decoder(event_type).decode for event_type in DOCUMENTED}


def decode_submissions(body: bytes, now_ms: int, own_types: Mapping[str, OwnType], new_id: NewId) -> list[Draft]:
    """Read the body of ``POST /v1/events``: one event or an array of them, made at ``now_ms`` where they don't say.

    ``new_id`` makes an id that begins with the given prefix. Raises Malformed on what is no JSON, TooLarge on an event
    over the limit, and Invalid naming every wrong field that was found, below ``[17]`` in an array.
    """
    door = _Door(format_time(now_ms), own_types, new_id)
    if body[:1] == b"{":
        try:
            return [door.draft(_decode_one(body))]
        except _REFUSED:
            pass
    drafts: list[Draft] = []
    for drafts in _steps(door, body):  # noqa: B007 - the last one counts
        pass
    return drafts


def decode_in_steps(body: bytes, now_ms: int, own_types: Mapping[str, OwnType], new_id: NewId) -> Iterator[list[Draft]]:
    """The same for a large body, which takes long: goes on by one event a step. The drafts are whole at the end."""
    return _steps(_Door(format_time(now_ms), own_types, new_id), body)


def _steps(door: "_Door", body: bytes) -> Iterator[list[Draft]]:
    is_array = body.lstrip()[:1] == b"["
    drafts: list[Draft] = []
    try:
        submissions = _decode_many(body) if is_array else [_decode_one(body)]
        if is_array:
            _check_count(len(submissions))
        for submission in submissions:
            drafts.append(door.draft(submission))
            yield drafts
    except _REFUSED:
        items = _items_of(body) if is_array else [Raw(body)]
    else:
        return
    yield from door.explain(items, is_array)


def _check_count(count: int) -> None:
    if not 1 <= count <= limits.EVENTS_PER_REQUEST_MAX:
        message = f"holds {count:,} events; one request may have from 1 to {limits.EVENTS_PER_REQUEST_MAX:,}"
        raise Invalid([FieldError("", message)])


def _items_of(body: bytes) -> list[Raw]:
    try:
        items = _decode_items(body)
    except RecursionError:
        text = body.decode("utf-8", "replace")
        raise Invalid([depth_problem(text, "", limits.JSON_DEPTH_MAX + 2)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise _malformed(str(problem)) from None
    _check_count(len(items))
    return items


def _malformed(why: str) -> Malformed:
    what = why if why.startswith("is not JSON") else f"is not JSON ({why})"
    detail = f"the body {what}; send one event as a JSON object, or an array of them"
    return Malformed("malformed_json", detail, [FieldError("", what)])


def _too_large(size: int) -> TooLarge:
    allowed = f"at most {limits.BODY_BYTES_MAX:,} bytes are allowed, since receivers refuse more"
    detail = f"the event's body would have {size:,} bytes; {allowed}: send large content as a URL"
    return TooLarge("body_too_large", detail, [FieldError("data", f"makes a body of {size:,} bytes; {allowed}")])


class _Door(msgspec.Struct, frozen=True, gc=False):
    """What the events of one request have in common, and the way of each of them."""

    now: str
    own_types: Mapping[str, OwnType]
    new_id: NewId

    def draft(self, submission: Submission) -> Draft:
        """The ordinary way. Raises at the first thing wrong; ``explain`` finds the others and says where they are."""
        event_type = submission.event
        timestamp = self.now if submission.timestamp is None else parse_time(submission.timestamp)[0]
        event_id = submission.id
        if event_id is None:
            event_id = self.new_id(id_prefix(event_type))
        elif _ID.fullmatch(event_id) is None:
            raise Invalid([_bad_id()])
        decode = _DECODERS.get(event_type)
        if decode is not None:
            data = decode(submission.data)
            data_time_given = settle_data_time(data, timestamp)
            body = encode_body(event_type, event_id, timestamp, data)
            about = data.about(event_id)
        else:
            body = make_body(event_type, event_id, timestamp, self._own_data(submission))
            data_time_given, about = True, NOTHING
        contact, given = submission.contact, submission.details
        details = None if given is NULL or given == NULL else read_details(given)
        encoded = None if details is None else encode_details(details)
        size = len(body) if encoded is None else size_with_details(body, encoded)
        if size > limits.BODY_BYTES_MAX:
            raise _too_large(size)
        return Draft(
            event_type,
            event_id,
            body,
            timestamp,
            submission.id is not None,
            submission.timestamp is not None,
            data_time_given,
            encoded,
            about.contact if contact is None else contact,
            about.message_id,
            about.phone,
            None if details is None else details.number,
            about.keys if details is None and contact is None else keys_of(about, details, contact),
        )

    def _own_data(self, submission: Submission) -> bytes:
        if submission.event not in self.own_types:
            raise Invalid([self._unknown_type(submission.event)])
        raw = bytes(submission.data)
        if len(raw) > _RAW_BYTES_MAX:
            raise _too_large(len(raw))
        data = settle(raw, "data")
        if not isinstance(data, dict):
            raise Invalid([FieldError("data", "must be an object")])
        if submission.details != NULL and DETAILS_KEY in data:
            raise Invalid([_details_twice()])
        return msgspec.json.encode(data)

    # What is wrong

    def explain(self, items: list[Raw], is_array: bool) -> Iterator[list[Draft]]:
        """Find out what is wrong with a request that was refused, one event a step, and raise it."""
        errors: list[FieldError] = []
        looked_at = 0
        for at, item in enumerate(items):
            place = f"[{at}]" if is_array else ""
            try:
                errors += (FieldError(_below(place, one.field), one.message) for one in self._problems(bytes(item)))
            except TooLarge as problem:
                inner = [FieldError(_below(place, one.field), one.message) for one in problem.errors]
                raise TooLarge(problem.code, f"{place} {problem.detail}".strip(), inner) from None
            looked_at += len(bytes(item))
            if errors and (len(errors) >= limits.FIELD_ERRORS_MAX or looked_at > _EXPLAINED_BYTES_MAX):
                break
            yield []
        raise Invalid(errors[: limits.FIELD_ERRORS_MAX] or [FieldError("", "can't be read")])

    def _problems(self, raw: bytes) -> list[FieldError]:
        first: list[FieldError] = []
        try:
            self.draft(_decode_one(raw))
            return []
        except Invalid as problem:
            first = list(problem.errors)
        except (*_NOT_DECODED, NotATime) as problem:
            first = [FieldError("", f"can't be read: {problem}")]
        if len(raw) > _RAW_BYTES_MAX:
            raise _too_large(len(raw))
        return self._found(raw) or first

    def _found(self, raw: bytes) -> list[FieldError]:
        try:
            if is_deeper(text_of(raw), limits.JSON_DEPTH_MAX + 1):
                return explain(raw, "", levels_around=1)
            value = parse(raw)
        except NotJson as problem:
            raise _malformed(str(problem)) from None
        errors = problems(value, SUBMISSION_FIELDS, "")
        if isinstance(value, dict):
            errors += self._type_problems(value)
            given = value.get("id")
            if isinstance(given, str) and _ID.fullmatch(given) is None:
                errors.append(_bad_id())
            if isinstance(value.get("details"), dict):
                errors += problems(value["details"], DETAILS_FIELDS, "details")
        return errors + explain(raw, "", levels_around=1)

    def _type_problems(self, value: Mapping[str, object]) -> list[FieldError]:
        event_type, data = value.get("event"), value.get("data")
        if not isinstance(event_type, str) or not event_type:
            return []
        if event_type in _DECODERS:
            return problems(data, CATALOGUE[event_type].fields, "data") if isinstance(data, dict) else []
        if event_type not in self.own_types:
            return [self._unknown_type(event_type)]
        clash = isinstance(data, dict) and DETAILS_KEY in data and value.get("details") is not None
        return [_details_twice()] if clash else []

    def _unknown_type(self, event_type: str) -> FieldError:
        if kind_of(event_type) is not Kind.OWN:
            return FieldError("event", "names events that WhatsSync itself makes; they can't be sent in")
        known = [*DOCUMENTED, *sorted(self.own_types)]
        named = ", ".join(known[:_TYPES_NAMED_MAX]) + (", …" if len(known) > _TYPES_NAMED_MAX else "")
        message = f"is no event type of this account; there are {named}; POST /v1/event-types makes others"
        return FieldError("event", message)


def _below(place: str, field: str) -> str:
    return f"{place}.{field}" if place and field and not field.startswith("[") else place + field


def _bad_id() -> FieldError:
    return FieldError("id", f"must be 1 to {limits.EVENT_ID_CHARS_MAX} letters, digits, _ or -")


def _details_twice() -> FieldError:
    return FieldError("details", "would stand beside the key details that data has already; rename that key")
