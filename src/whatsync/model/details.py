"""Details: what WhatsApp said about an event beyond the documented fields, in one shape for every origin.

Kept beside the body; ``envelope.with_details`` puts them into it for endpoints that ask. Knows no Meta payload.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from whatsync.model import limits
from whatsync.model.canonical import canonical, encode_lenient, whole_text
from whatsync.model.documented import Address, Name, Reference, Text, Word
from whatsync.model.errors import FieldError, Invalid
from whatsync.model.javascript import NotJson, parse
from whatsync.model.phone import phone_word
from whatsync.model.shape import ANYTHING, OBJECT_OR_NULL, fields_of, problems

NULL = Raw(b"null")
Code = Annotated[int, Meta(ge=-limits.JSON_INTEGER_MAX, le=limits.JSON_INTEGER_MAX)] | Word


class DetailsError(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What went wrong, by WhatsApp's code and in words."""

    code: Annotated[Code | None, Meta(description="WhatsApp's error code")] = None
    title: Annotated[Text | None, Meta(description="WhatsApp's short name for it")] = None
    explanation: Annotated[Text | None, Meta(description="What it means and what to do")] = None


class Details(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The details of one event; every field may be ``None`` or ``NULL``. Field order is the order in the body."""

    number: Annotated[Reference | None, Meta(description="`phoneNumberId` of the business number")] = None
    wamid: Annotated[Reference | None, Meta(description="WhatsApp's own id of the message")] = None
    type: Annotated[Word | None, Meta(description="WhatsApp's word for the kind of message, such as `button`")] = None
    contact_id: Annotated[Reference | None, Meta(description="The contact, `contact_…`")] = None
    profile_name: Annotated[Name | None, Meta(description="The name the person gave at WhatsApp")] = None
    user_id: Annotated[Reference | None, Meta(description="WhatsApp's id of the person for this business")] = None
    reply_to: Annotated[Reference | None, Meta(description="The message this one answers")] = None
    button_id: Annotated[Text | None, Meta(description="Id or payload of the button that was pressed")] = None
    list_id: Annotated[Text | None, Meta(description="Id of the list entry that was chosen")] = None
    referral: Annotated[Raw, Meta(description="The ad or post that led here", extra=OBJECT_OR_NULL)] = NULL
    location: Annotated[
        Raw, Meta(description="Where: `latitude`, `longitude`, `name`, `address`", extra=OBJECT_OR_NULL)
    ] = NULL
    recipient: Annotated[Address | None, Meta(description="For whom the message was, of a status")] = None
    error: Annotated[DetailsError | None, Meta(description="Why it failed")] = None
    raw: Annotated[Raw, Meta(description="What Meta sent about this event, unchanged", extra=ANYTHING)] = NULL


DETAILS_FIELDS = fields_of(Details)
EMPTY = Details()

_decode = msgspec.json.Decoder(Details).decode
_encode = msgspec.json.Encoder().encode
_RAW_FIELDS = ("referral", "location", "raw")
_TEXT_FIELDS = tuple(
    field.name for field in msgspec.structs.fields(Details) if field.name not in {*_RAW_FIELDS, "error"}
)


def read_details(raw: bytes | Raw, field: str = "details") -> Details:
    """Read details given through the API, JSON in them made canonical. Raises Invalid with paths below ``field``."""
    try:
        details = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Invalid(_explained(bytes(raw), field, str(problem))) from None
    changed: dict[str, Any] = {}
    for name in _RAW_FIELDS:
        value: Raw = getattr(details, name)
        if value is not NULL:
            changed[name] = _settled(bytes(value), f"{field}.{name}", object_only=name != "raw")
    return msgspec.structs.replace(details, **changed) if changed else details


def _settled(value: bytes, field: str, object_only: bool) -> Raw:
    settled = canonical(value, field)
    if object_only and settled != b"null" and not settled.startswith(b"{"):
        raise Invalid([FieldError(field, "must be an object or null")])
    return Raw(settled)


def _explained(raw: bytes, field: str, message: str) -> list[FieldError]:
    """Every wrong field; where only JavaScript would stumble, what it would stumble over."""
    try:
        errors = problems(parse(raw), DETAILS_FIELDS, field)
        if not errors:
            canonical(raw, field)
    except NotJson as problem:
        return [FieldError(field, f"{problem}; send UTF-8 JSON")]
    except Invalid as problem:
        return list(problem.errors)
    return errors or [FieldError(field, message)]


def encode_details(details: Details) -> bytes | None:
    """Return details as canonical JSON with every field, ``None`` where all are empty."""
    return None if details == EMPTY else _encode(details)


def lenient_details(bytes_max: int, **given: Any) -> bytes | None:
    """Make details of what WhatsApp sent, as plain values by the names of ``Details``; nothing is refused.

    Too large for ``bytes_max``, they lose ``raw`` first, then ``referral``, then long texts: what is left says
    ``{"shortened": true, "bytes": …}`` in ``raw``'s place.
    """
    return lenient_details_with_words(bytes_max, given)[0]


def lenient_details_with_words(bytes_max: int, given: Mapping[str, Any]) -> tuple[bytes | None, tuple[str, ...]]:
    """The same, and the words that an event with these details can be found by."""
    ready: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in _RAW_FIELDS:
            ready[name] = Raw(encode_lenient(value))
        elif name == "error":
            ready[name] = _lenient_error(value)
        else:
            ready[name] = _lenient_text(value)
    details = Details(**ready)
    encoded = encode_details(details)
    if encoded is not None and len(encoded) > bytes_max:
        encoded = _shortened(ready, len(encoded), bytes_max)
        details = EMPTY if encoded is None else details_of(encoded)
    return encoded, words_of(details)


def _lenient_text(value: object) -> str:
    if isinstance(value, str):
        return whole_text(value)
    return str(value) if type(value) is int else encode_lenient(value).decode()


def _lenient_error(value: dict[str, Any]) -> DetailsError:
    code = value.get("code")
    if code is not None and (type(code) is not int or abs(code) > limits.JSON_INTEGER_MAX):
        code = _lenient_text(code)
    title, explanation = value.get("title"), value.get("explanation")
    return DetailsError(
        code,
        None if title is None else _lenient_text(title),
        None if explanation is None else _lenient_text(explanation),
    )


def _shortened(ready: dict[str, Any], bytes_before: int, bytes_max: int) -> bytes | None:
    left = {**ready, "raw": Raw(b'{"shortened":true,"bytes":%d}' % bytes_before)}
    for dropped in ("raw", "referral", "location", "error", *reversed(_TEXT_FIELDS)):
        if dropped != "raw":
            left.pop(dropped, None)
        encoded = _encode(Details(**left))
        if len(encoded) <= bytes_max:
            return encoded
    return None


def words_of(details: Details) -> tuple[str, ...]:
    """The words that an event with these details can be found by, each ``kind:value``."""
    words: list[str] = []
    if details.wamid is not None:
        words.append("wamid:" + details.wamid)
    if details.contact_id is not None:
        words.append("contact:" + details.contact_id)
    if details.recipient is not None:
        words.append("phone:" + phone_word(details.recipient))
    return tuple(words)


def details_of(encoded: bytes) -> Details:
    """Read back what ``encode_details`` wrote."""
    return _decode(encoded)
