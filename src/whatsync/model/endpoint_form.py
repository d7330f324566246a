"""What a customer may ask of an endpoint: the form's shape and its rules, field by field, all wrong ones named at once.

Pure: the account's own types and what is known of addresses come in as ``Facts``. Sealing and storing are others' work.
"""

import re
from collections.abc import Callable, Container, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from whatsync.model import limits, retry
from whatsync.model.catalogue import CATALOGUE, field_of, filterable, is_whatsapp
from whatsync.model.endpoint import META_TYPES, WILDCARD, Endpoint, Format, Ordering, Release, Scalar
from whatsync.model.errors import FieldError, Invalid
from whatsync.model.request import MASK, PROTECTED_HEADERS
from whatsync.model.secret import secret_problem
from whatsync.model.shape import Field, value_of, value_problem
from whatsync.model.url import Target, UrlProblem, parse_url

GENERATE = "generate"
"""As ``secret``: make one for this endpoint alone."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\xa0-\xff\t]*")
_NUMBER_ID = re.compile(r"[A-Za-z0-9_+-]{1,64}")
_OUR_PREFIXES = ("x-whatssync-", "x-whatsync-")
_RATE_PER_SECOND_MIN = 0.001


class EndpointForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """An endpoint as it is asked for. Creating needs ``url`` and ``events``; changing takes any of the fields."""

    url: Annotated[str, Meta(description="Where events are sent: https://… or http://…")] | UnsetType = UNSET
    events: Annotated[list[str], Meta(description="Event types by name, or `*`")] | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    held: Annotated[Release, Meta(description="On enabling: what becomes of held deliveries")] | UnsetType = UNSET
    numbers: Annotated[list[str], Meta(description="Only events of these `phoneNumberId`s")] | UnsetType | None = UNSET
    filters: dict[str, dict[str, list[Scalar]]] | UnsetType | None = UNSET
    headers: dict[str, str] | UnsetType | None = UNSET
    retry_schedule: (
        Annotated[
            list[float] | str, Meta(description="Waits after the first try: seconds, or text such as `5s,30s,2m`")
        ]
        | UnsetType
        | None
    ) = UNSET
    timeout_seconds: float | UnsetType | None = UNSET
    max_in_flight: int | UnsetType | None = UNSET
    rate_limit_per_second: float | UnsetType | None = UNSET
    ordering: Ordering | UnsetType | None = UNSET
    ordering_max_wait_seconds: int | UnsetType | None = UNSET
    include_details: bool | UnsetType | None = UNSET
    format: Format | UnsetType | None = UNSET
    secret: (
        Annotated[str, Meta(description="A signing secret of its own (`whsec_…`), or `generate` to have one made")]
        | UnsetType
        | None
    ) = UNSET


class Facts(msgspec.Struct, frozen=True):
    """What the rules must know of the world."""

    own_types: Container[str]
    """Names of the account's own event types."""
    refusal: Callable[[Target], str | None]
    """Why deliveries could not reach this target, as far as its form tells."""


class _Wrong(Exception):  # noqa: N818 - never leaves this file
    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__(*errors)
        self.errors = errors


def read_form(form: EndpointForm, facts: Facts, current: Endpoint | None = None) -> dict[str, Any]:
    """Return the fields of ``Endpoint`` that the form sets, checked; ``null`` has become the field's default.

    ``headers`` are plain, with the mask where the stored value is kept; ``secret``, ``enabled`` and ``held`` are not
    among them: they are requests, not fields. Raises Invalid with every wrong field.
    """
    needed = _NEEDED if current is None else {}
    errors = [FieldError(name, message) for name, message in needed.items() if getattr(form, name) is UNSET]
    read: dict[str, Any] = {}
    for name, reader in _READERS.items():
        value = getattr(form, name)
        if value is UNSET:
            continue
        try:
            read[name] = _DEFAULTS[name] if value is None else reader(value, facts)
        except _Wrong as wrong:
            errors += [FieldError(_path(name, below), message) for below, message in wrong.errors]
    errors += _among_fields(form, read, current)
    if errors:
        raise Invalid(errors)
    return read


_NEEDED = {
    "url": "is missing; give the URL that events are to be sent to",
    "events": 'is missing; list the event types to send, such as ["message.incoming"], or ["*"]',
}
_DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in msgspec.structs.fields(Endpoint) if field.default is not msgspec.NODEFAULT
} | {"filters": {}, "headers": {}}


def _path(name: str, below: str) -> str:
    words = name.split("_")
    camel = words[0] + "".join(word.capitalize() for word in words[1:])
    return camel + below


def _among_fields(form: EndpointForm, read: Mapping[str, Any], current: Endpoint | None) -> list[FieldError]:
    """Rules about two fields at once."""
    errors = []
    events = read.get("events", () if current is None else current.events)
    filters = read.get("filters", {} if current is None else current.filters)
    field = "filters" if form.filters is not UNSET else "events"
    for event_type in filters:
        if events and event_type not in events and WILDCARD not in events:
            message = f"there is a filter for {event_type}, which the endpoint does not get; add it to events"
            errors.append(FieldError(f"filters.{event_type}" if field == "filters" else field, message))
    errors += _filter_values(read, current)
    errors += _in_metas_shape(form, read, current)
    kept = {name.lower() for name in ({} if current is None else current.headers)}
    for name, value in read.get("headers", {}).items():
        if value == MASK and name.lower() not in kept:
            errors.append(FieldError(f"headers.{name}", "has the mask as its value, but no value is stored; give one"))
    if form.held is not UNSET and form.enabled is False:
        errors.append(FieldError("held", "says what to do with held deliveries on enabling; leave it out on disabling"))
    errors += _secret(form.secret, current)
    return errors


def _filter_values(read: Mapping[str, Any], current: Endpoint | None) -> list[FieldError]:
    """Values that their field can never have, so that nothing would come through. What is stored may be given again."""
    errors = []
    for event_type, wanted in read.get("filters", {}).items():
        stored = {} if current is None else current.filters.get(event_type, {})
        for name, values in wanted.items():
            field = field_of(event_type, name)
            problem = None if field is None or stored.get(name) == values else _never_has(field, values)
            if problem is not None:
                errors.append(FieldError(f"filters.{event_type}.{name}", problem))
    return errors


def _never_has(field: Field, values: tuple[Scalar, ...]) -> str | None:
    for value in values:
        problem = value_problem(value, field)
        if problem is not None:
            return f"holds {_as_json(value)}, which no event has here: it {problem}{_instead(field, value)}"
    return None


def _instead(field: Field, value: Scalar) -> str:
    meant = value_of(value, field) if isinstance(value, str) else _as_json(value)
    if value is None:
        return "; leave it out"
    if meant == value or value_problem(meant, field) is not None:
        return ""
    return f"; write {_as_json(meant)}"


def _as_json(value: Scalar) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= limits.FILTER_VALUE_SHOWN_CHARS else text[: limits.FILTER_VALUE_SHOWN_CHARS] + "…"


def _in_metas_shape(form: EndpointForm, read: Mapping[str, Any], current: Endpoint | None) -> list[FieldError]:
    if read.get("format", Format.WHATSYNC if current is None else current.format) is not Format.META:
        return []
    events = read.get("events", () if current is None else current.events)
    field = "events" if form.events is not UNSET else "format"
    return [
        FieldError(
            field, f"{name} has no shape at Meta; the format meta carries {' and '.join(META_TYPES)}, and whatsapp.…"
        )
        for name in events
        if name != WILDCARD and name not in META_TYPES and not is_whatsapp(name)
    ]


def _secret(secret: str | UnsetType | None, current: Endpoint | None) -> list[FieldError]:
    if not isinstance(secret, str):
        return []
    if current is not None:
        message = "is changed by POST …/secret/rotate, calmly; null here goes back to the account's secret at once"
        return [FieldError("secret", message)]
    problem = None if secret == GENERATE else secret_problem(secret)
    return [] if problem is None else [FieldError("secret", f'{problem}; or write "{GENERATE}" to have one made')]


# One reader a field


def _url(text: str, facts: Facts) -> str:
    target = parse_url(text)
    if isinstance(target, UrlProblem):
        raise _Wrong(("", target.message))
    refusal = facts.refusal(target)
    if refusal is not None:
        raise _Wrong(("", f"leads where deliveries may not go: {refusal}"))
    return text


def _events(names: list[str], facts: Facts) -> tuple[str, ...]:
    if not names:
        raise _Wrong(("", 'must name at least one event type, such as "message.incoming", or "*"'))
    if len(names) > limits.EVENTS_PER_ENDPOINT_MAX:
        raise _Wrong(("", f'may name at most {limits.EVENTS_PER_ENDPOINT_MAX} event types; use "*"'))
    wrong = [
        (f"[{at}]", _unknown_type(name))
        for at, name in enumerate(names)
        if name != WILDCARD and not _is_known(name, facts)
    ]
    if wrong:
        raise _Wrong(*wrong)
    return tuple(dict.fromkeys(names))


def _is_known(name: str, facts: Facts) -> bool:
    return name in CATALOGUE or name in facts.own_types or is_whatsapp(name)


def _unknown_type(name: str) -> str:
    return (
        f"there is no event type {name[:80]!r}; GET /v1/event-types lists them, POST /v1/event-types makes one of your "
        'own, "*" means all'
    )


def _description(text: str, facts: Facts) -> str:
    text = text.strip()
    if len(text) > limits.DESCRIPTION_CHARS_MAX:
        raise _Wrong(("", f"may have at most {limits.DESCRIPTION_CHARS_MAX} characters, has {len(text)}"))
    if not text.replace("\n", "").isprintable():
        raise _Wrong(("", "may hold printable characters and line breaks only"))
    return text


def _numbers(numbers: list[str], facts: Facts) -> tuple[str, ...]:
    if not numbers:
        raise _Wrong(("", "must name at least one phoneNumberId; null means all numbers"))
    if len(numbers) > limits.NUMBERS_PER_ENDPOINT_MAX:
        raise _Wrong(("", f"may name at most {limits.NUMBERS_PER_ENDPOINT_MAX} numbers; null means all"))
    wrong = [(f"[{at}]", "is no phoneNumberId") for at, one in enumerate(numbers) if not _NUMBER_ID.fullmatch(one)]
    if wrong:
        raise _Wrong(*wrong)
    return tuple(dict.fromkeys(numbers))


def _filters(filters: dict[str, dict[str, list[Scalar]]], facts: Facts) -> dict[str, dict[str, tuple[Scalar, ...]]]:
    wrong: list[tuple[str, str]] = []
    read: dict[str, dict[str, tuple[Scalar, ...]]] = {}
    for event_type, wanted in filters.items():
        if not _is_known(event_type, facts):
            wrong.append((f".{event_type}", _unknown_type(event_type)))
            continue
        fields = filterable(event_type)
        for field, values in wanted.items():
            problem = _filter_problem(event_type, field, values, list(fields))
            if problem is not None:
                wrong.append((f".{event_type}.{field}", problem))
        read[event_type] = {field: tuple(values) for field, values in wanted.items()}
    if wrong:
        raise _Wrong(*wrong)
    return {event_type: wanted for event_type, wanted in read.items() if wanted}


def _filter_problem(event_type: str, field: str, values: list[Scalar], fields: list[str]) -> str | None:
    if field not in fields:
        has = f"it has {', '.join(fields)}" if fields else "its fields are not documented, so it can't be filtered"
        return f"{event_type} has no field {field[:80]!r} to filter by; {has}"
    if not values:
        return "must list at least one value; leave the field out to let everything through"
    if len(values) > limits.FILTER_VALUES_MAX:
        return f"may list at most {limits.FILTER_VALUES_MAX} values"
    if any(isinstance(value, int | float) and abs(value) > limits.JSON_INTEGER_MAX for value in values):
        return "holds a number beyond ±(2^53-1), which no event can hold"
    if any(isinstance(value, str) and len(value) > limits.REFERENCE_CHARS_MAX for value in values):
        return f"holds a text of more than {limits.REFERENCE_CHARS_MAX} characters"
    return None


def _headers(headers: dict[str, str], facts: Facts) -> dict[str, str]:
    if len(headers) > limits.HEADERS_PER_ENDPOINT_MAX:
        raise _Wrong(("", f"may have at most {limits.HEADERS_PER_ENDPOINT_MAX} headers"))
    wrong: list[tuple[str, str]] = []
    seen: set[str] = set()
    for name, value in headers.items():
        problem = _header_name_problem(name) or _header_value_problem(value)
        if problem is None and name.lower() in seen:
            problem = "is there twice; header names are compared without case"
        if problem is not None:
            wrong.append((f".{name[:80]}", problem))
        seen.add(name.lower())
    if wrong:
        raise _Wrong(*wrong)
    return {name: value if value == MASK else value.strip(" \t") for name, value in headers.items()}


def _header_name_problem(name: str) -> str | None:
    if not _TOKEN.fullmatch(name):
        return "is no header name; use letters, digits and hyphens"
    if len(name) > limits.HEADER_NAME_CHARS_MAX:
        return f"has a name of more than {limits.HEADER_NAME_CHARS_MAX} characters"
    if name.lower() in PROTECTED_HEADERS or name.lower().startswith(_OUR_PREFIXES):
        return "is set by WhatsSync itself and can't be overridden; choose another name"
    return None


def _header_value_problem(value: str) -> str | None:
    if value == MASK:
        return None
    if len(value) > limits.HEADER_VALUE_CHARS_MAX:
        return f"has a value of more than {limits.HEADER_VALUE_CHARS_MAX:,} characters"
    if not _VALUE.fullmatch(value):
        return "has a value with characters that headers can't carry (line breaks, control characters, beyond Latin-1)"
    return None


def _retry_schedule(waits: list[float] | str, facts: Facts) -> tuple[float, ...]:
    try:
        return retry.parse_schedule(waits) if isinstance(waits, str) else retry.check_schedule(waits)
    except ValueError as problem:
        raise _Wrong(("", str(problem))) from None


def _within(least: float, most: float, unit: str) -> Callable[[Any, Facts], Any]:
    def read(value: float, facts: Facts) -> float:
        # Said without the value: it may be a number too large to be written.
        if not least <= value <= most:
            raise _Wrong(("", f"must be from {least:,g} to {most:,g} {unit}"))
        return value

    return read


def _as_given(value: Any, facts: Facts) -> Any:
    return value


_READERS: dict[str, Callable[[Any, Facts], Any]] = {
    "url": _url,
    "events": _events,
    "description": _description,
    "numbers": _numbers,
    "filters": _filters,
    "headers": _headers,
    "retry_schedule": _retry_schedule,
    "timeout_seconds": _within(limits.REQUEST_TIMEOUT_SECONDS_MIN, limits.REQUEST_TIMEOUT_SECONDS_MAX, "seconds"),
    "max_in_flight": _within(1, limits.IN_FLIGHT_MAX, "requests"),
    "rate_limit_per_second": _within(_RATE_PER_SECOND_MIN, limits.RATE_PER_SECOND_MAX, "requests a second"),
    "ordering": _as_given,
    "ordering_max_wait_seconds": _within(1, limits.ORDERING_MAX_WAIT_SECONDS_MAX, "seconds"),
    "include_details": _as_given,
    "format": _as_given,
}
