"""The endpoint's form between browser and engine: fields in, ``EndpointForm`` out, and an endpoint back into fields.

Checks only what a form can get wrong that JSON can't (``abc`` for a number); every other rule is the engine's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from whatsync.model import limits
from whatsync.model.catalogue import CATALOGUE, Kind, filterable, is_whatsapp
from whatsync.model.endpoint import Endpoint, Format, Ordering, Scalar
from whatsync.model.endpoint_form import GENERATE, EndpointForm
from whatsync.model.errors import FieldError, Invalid, Problem
from whatsync.model.media import MEDIA_TYPES
from whatsync.model.request import MASK
from whatsync.model.retry import format_schedule
from whatsync.model.shape import Field, value_of
from whatsync.web.pages.page import Filled, Form

NEW_HEADERS = 3
"""Empty lines for further headers."""
HEADERS_SHOWN_MAX = 60
SUGGESTED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("message.status", "status"): ("sent", "delivered", "read", "played", "failed", "deleted"),
    ("media.upload", "mediaType"): MEDIA_TYPES,
}
"""Values to pick from where the catalogue lists none since new ones may come."""

NOTHING = "(nothing)"
"""Stands for ``null`` in a list of values."""

_NUMBERS = {
    "timeoutSeconds": ("timeout_seconds", float, "a number of seconds, such as 15"),
    "maxInFlight": ("max_in_flight", int, "a whole number, such as 20"),
    "rateLimitPerSecond": ("rate_limit_per_second", float, "a number, such as 50"),
    "orderingMaxWaitSeconds": ("ordering_max_wait_seconds", int, "a whole number of seconds, such as 600"),
}
_USUAL = {"orderingMaxWaitSeconds": limits.ORDERING_MAX_WAIT_SECONDS}
"""Values that stand in a document though nobody asked for them; the form shows them as a hint."""
_PLAIN_FIELDS = ("url", "description", "events", "numbers", "retrySchedule", *_NUMBERS, "secret", "format", "headers")


def filter_fields(event_type: str) -> list[Field]:
    """The fields one may want to filter a type by; times never repeat, so they are left out."""
    wanted = filterable(event_type)
    return [field for field in CATALOGUE[event_type].fields if field.name in wanted and not field.is_time]


def filter_types() -> list[str]:
    """The types that have such fields and are sent often enough to be filtered."""
    return [name for name, one in CATALOGUE.items() if one.kind is Kind.DOCUMENTED]


def filter_name(event_type: str, field: str) -> str:
    """The name of a filter's field in the form; errors of the engine carry the same."""
    return f"filters.{event_type}.{field}"


def field_names(filters: Iterable[str] = ()) -> tuple[str, ...]:
    """All fields that an error can stand at, the narrower ones first."""
    names = [filter_name(name, field.name) for name in filter_types() for field in filter_fields(name)]
    return (*names, *filters, "filters", *_PLAIN_FIELDS)


# Out of the form


def read(form: Form, stored: Endpoint | None = None) -> EndpointForm:
    """What the form asks for. Raises Invalid with what is no number."""
    errors: list[FieldError] = []
    given: dict[str, Any] = {
        "url": form.text("url"),
        "description": form.text("description"),
        "events": _list(form, "events"),
        "numbers": _list(form, "numbers") or None,
        "filters": _filters(form, stored),
        "headers": _headers(form, () if stored is None else tuple(stored.headers)) or None,
        "retry_schedule": _schedule(form),
        "ordering": Ordering.CONTACT if form.flag("ordering") else Ordering.NONE,
        "include_details": form.flag("includeDetails"),
    }
    for name, (field, kind, words) in _NUMBERS.items():
        given[field] = _number(form, name, kind, words, errors)
    if form.text("format"):
        given["format"] = Format(form.text("format")) if form.text("format") in tuple(Format) else Format.WHATSYNC
    if stored is None:
        given |= _secret(form)
    if errors:
        raise Invalid(errors)
    return EndpointForm(**given)


def _list(form: Form, name: str) -> list[str]:
    """Ticked boxes, then what was typed beside them."""
    typed = form.text(f"{name}.more").replace(",", " ").split()
    return list(dict.fromkeys([*form.many(name), *typed]))


def _number(form: Form, name: str, kind: type[int] | type[float], words: str, errors: list[FieldError]) -> Any:
    text = form.text(name).replace(" ", "")
    if not text:
        return None
    try:
        return kind(text)
    except (ValueError, OverflowError):
        errors.append(FieldError(name, f"must be {words}"))
        return None


def _schedule(form: Form) -> str | None:
    choice = form.text("retry")
    if choice == "once":
        return ""
    return form.text("retrySchedule") if choice == "own" else None


def _secret(form: Form) -> dict[str, str]:
    choice = form.text("signing")
    if choice == "own":
        return {"secret": GENERATE}
    return {"secret": form.text("secret")} if choice == "given" else {}


def _headers(form: Form, stored: Sequence[str]) -> dict[str, str]:
    """Headers by name. Where a name is stored and no value was typed, the mask keeps what is stored."""
    known = {name.lower() for name in stored}
    headers: dict[str, str] = {}
    for at in range(HEADERS_SHOWN_MAX):
        name, value = form.text(f"header-name-{at}"), form.text(f"header-value-{at}")
        if form.flag(f"header-drop-{at}") or not (name or value):
            continue
        headers[name] = MASK if not value and name.lower() in known else value
    return headers


def _filters(form: Form, stored: Endpoint | None) -> dict[str, dict[str, list[Scalar]]]:
    """Filters by type and field; those of types the form doesn't show stay as they are."""
    shown = filter_types()
    filters: dict[str, dict[str, list[Scalar]]] = {}
    for name, kept in ({} if stored is None else stored.filters).items():
        filters[name] = {field: list(values) for field, values in kept.items() if not _is_shown(name, field)}
    for event_type in shown:
        for field in filter_fields(event_type):
            name = filter_name(event_type, field.name)
            words = [*form.many(name), *(text.strip() for text in form.raw(f"{name}.more").split("\n") if text.strip())]
            if words:
                values = [_value(word, field) for word in dict.fromkeys(words)]
                filters.setdefault(event_type, {})[field.name] = values
    return {name: fields for name, fields in filters.items() if fields}


def _is_shown(event_type: str, field: str) -> bool:
    return event_type in filter_types() and any(one.name == field for one in filter_fields(event_type))


def _value(word: str, field: Field) -> Scalar:
    return None if word == NOTHING and field.nullable else value_of(word, field)


# Into the form


def filled(endpoint: Endpoint, known_numbers: Iterable[str]) -> Filled:
    """An endpoint as the form shows it."""
    known = set(known_numbers)
    numbers = endpoint.numbers or ()
    values: dict[str, str | Sequence[str] | bool] = {
        "url": endpoint.url,
        "description": endpoint.description,
        "events": list(endpoint.events),
        "events.more": " ".join(event for event in endpoint.events if is_whatsapp(event)),
        "numbers": [number for number in numbers if number in known],
        "numbers.more": " ".join(number for number in numbers if number not in known),
        "retry": _retry_choice(endpoint),
        "retrySchedule": format_schedule(endpoint.retry_schedule or ()),
        "ordering": endpoint.ordering is Ordering.CONTACT,
        "includeDetails": endpoint.include_details,
        "format": endpoint.format.value,
    }
    for name, (field, _, _) in _NUMBERS.items():
        value = getattr(endpoint, field)
        values[name] = "" if value is None or value == _USUAL.get(name) else f"{value:.15g}"
    for event_type, fields in endpoint.filters.items():
        for field, wanted in fields.items():
            picks = SUGGESTED.get((event_type, field), ())
            words = [NOTHING if value is None else str(value) for value in wanted]
            name = filter_name(event_type, field)
            values[name] = [word for word in words if word in picks]
            values[f"{name}.more"] = "\n".join(word for word in words if word not in picks)
    for at, name in enumerate(endpoint.headers):
        values[f"header-name-{at}"] = name
    return Filled(values)


def again(form: Form, problem: Problem) -> Filled:
    """The form as it was sent, with what is wrong at its fields."""
    shown = Filled.again(form, problem, *field_names())
    values = dict(shown.values)
    for name in form.names():
        if name in ("events", "numbers") or name.startswith("filters."):
            values[name] = form.raw(name) if name.endswith(".more") else form.many(name)
    values["events.more"], values["numbers.more"] = form.text("events.more"), form.text("numbers.more")
    for name in ("ordering", "includeDetails"):
        values[name] = form.flag(name)
    return Filled(values, shown.errors, shown.problem)


def _retry_choice(endpoint: Endpoint) -> str:
    if endpoint.retry_schedule is None:
        return "default"
    return "own" if endpoint.retry_schedule else "once"
