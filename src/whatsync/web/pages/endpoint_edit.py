"""Adding and changing an endpoint: the form with what may be picked, advice while typing, and saving."""

from dataclasses import dataclass

import msgspec

from whatsync.engine.directory import ENDPOINT, RunningEndpoint, decode
from whatsync.engine.url_check import Standing, UrlAdvice
from whatsync.model import limits, retry
from whatsync.model.catalogue import CATALOGUE, Kind, is_whatsapp
from whatsync.model.details import Details, encode_details
from whatsync.model.endpoint import WILDCARD, Endpoint
from whatsync.model.envelope import with_details
from whatsync.model.errors import Conflict, Invalid, LimitExceeded, Problem
from whatsync.web.pages.endpoint_fields import (
    HEADERS_SHOWN_MAX,
    NEW_HEADERS,
    SUGGESTED,
    again,
    filled,
    filter_fields,
    filter_name,
    filter_types,
    read,
)
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Visit

_MORE: dict[str, tuple[str, ...]] = {
    "numbers": ("numbers", "numbers.more"),
    "filters": ("filters",),
    "body": ("includeDetails", "format"),
    "headers": ("headers",),
    "retries": ("retrySchedule", "timeoutSeconds"),
    "pace": ("maxInFlight", "rateLimitPerSecond", "ordering", "orderingMaxWaitSeconds"),
    "secret": ("secret",),
}
"""The folded sections and the fields in each."""

_WORDS = {
    "url": "URL",
    "events": "event types",
    "description": "description",
    "enabled": "paused or enabled",
    "numbers": "numbers",
    "filters": "filters",
    "headers": "headers",
    "retry_schedule": "retries",
    "timeout_seconds": "timeout",
    "max_in_flight": "requests at once",
    "rate_limit_per_second": "rate",
    "ordering": "order",
    "ordering_max_wait_seconds": "longest wait",
    "include_details": "WhatsApp details",
    "format": "format",
    "secrets": "signing secret",
}


@dataclass(frozen=True, slots=True)
class TypeChoices:
    """Event types to tick, of one origin."""

    title: str
    hint: str
    types: list[tuple[str, str, str]]
    """Value, words, and more said below."""


@dataclass(frozen=True, slots=True)
class FilterField:
    """One field to filter by."""

    name: str
    field: str
    description: str
    picks: tuple[str, ...]
    nullable: bool


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """One header in the form."""

    at: int
    stored: bool
    """A value is kept; it is never shown."""


@dataclass(frozen=True, slots=True)
class Preview:
    """When a delivery would be tried, in words, or what is wrong with the text."""

    tries: list[tuple[int, float]]
    """Number of the try and milliseconds after the first."""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class EditPage:
    """What ``endpoint_edit.html`` shows."""

    form: Filled
    id: str | None
    url: str
    version: int
    types: list[TypeChoices]
    numbers: list[tuple[str, str, str]]
    filters: list[tuple[str, list[FilterField]]]
    headers: list[HeaderLine]
    example: str
    example_with_details: str
    default_schedule: str
    default_timeout: float
    preview: Preview
    open: frozenset[str]
    """Sections that hold something of their own, or an error."""
    changed: list[str]
    """What somebody else changed meanwhile."""
    advice: UrlAdvice | None = None
    max_in_flight: int = limits.IN_FLIGHT_DEFAULT
    ordering_wait: int = limits.ORDERING_MAX_WAIT_SECONDS


async def new(visit: Visit) -> Given:
    """The form of a new endpoint; ``?event=`` ticks a type."""
    events = [value for name, value in visit.query if name == "event"]
    ticked = events or [name for name, one in CATALOGUE.items() if one.kind is Kind.DOCUMENTED]
    values = {"events": ticked, "retry": "default", "signing": "account", "format": "whatsync"}
    values |= {"url": visit.asked("url"), "events.more": " ".join(name for name in ticked if is_whatsapp(name))}
    return _page(visit, Filled(values), None)


async def create(visit: Visit) -> Given:
    """Make the endpoint and go to it."""
    try:
        facts = await visit.services.endpoints.create(visit.account, read(visit.form), visit.actor)
    except (Invalid, LimitExceeded) as problem:
        return _page(visit, again(visit.form, problem), None, problem)
    return Redirect(visit.here(f"/webhooks/{facts.running.endpoint.id}"), Flash("The endpoint is made. Now try it."))


async def edit(visit: Visit) -> Given:
    """The form with what is stored."""
    running = visit.services.endpoints.find(visit.account, visit.parameters["endpoint_id"])
    known = [number for number, _, _ in known_numbers(visit)]
    return _page(visit, filled(running.endpoint, known), running)


async def save(visit: Visit) -> Given:
    """Write what was changed. Where somebody else changed it meanwhile, show both and ask."""
    running = visit.services.endpoints.find(visit.account, visit.parameters["endpoint_id"])
    text = visit.form.text("version")
    version = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    try:
        form = read(visit.form, running.endpoint)
        await visit.services.endpoints.patch(visit.account, running.endpoint.id, form, visit.actor, version)
    except Invalid as problem:
        return _page(visit, again(visit.form, problem), running, problem)
    except Conflict as problem:
        changed = await _changed(visit, running, version)
        return _page(visit, again(visit.form, problem), running, problem, changed)
    return Redirect(visit.here(f"/webhooks/{running.endpoint.id}"), Flash("Saved. It counts from the next request on."))


async def _changed(visit: Visit, running: RunningEndpoint, version: int | None) -> list[str]:
    """What differs between the version the form was opened with and the present one, in words."""
    document = await visit.services.history.document_version(ENDPOINT, running.row, version or 0)
    if document is None:
        return ["something"]
    before, now = decode(document, Endpoint), running.endpoint
    names = [field.name for field in msgspec.structs.fields(Endpoint)]
    return [_WORDS[name] for name in names if name in _WORDS and getattr(before, name) != getattr(now, name)]


async def check_url(visit: Visit) -> Given:
    """What stands against the URL so far."""
    url = visit.asked("url")
    advice = await visit.services.url_check.look(url) if url else None
    if len(url) < len("https://x"):
        advice = None if "https://".startswith(url) else advice
    return Show("url_advice.html", advice, fragment="advice")


async def check_schedule(visit: Visit) -> Given:
    """When a delivery would be tried."""
    text = {"own": visit.asked("retrySchedule"), "once": ""}.get(visit.asked("retry"))
    return Show("schedule_preview.html", preview(visit, text), fragment="preview")


def preview(visit: Visit, text: str | None) -> Preview:
    """The times of all tries by a schedule's text; ``None``: the installation's."""
    try:
        waits = visit.services.endpoints.defaults.schedule_seconds if text is None else retry.parse_schedule(text)
    except ValueError as problem:
        return Preview([], str(problem))
    tries: list[tuple[int, float]] = [(1, 0.0)]
    for number, wait in enumerate(waits, 2):
        tries.append((number, tries[-1][1] + wait * 1000))
    return Preview(tries)


def known_numbers(visit: Visit) -> list[tuple[str, str, str]]:
    """The numbers there are to pick from, with words for each."""
    known, _ = visit.services.numbers.page(visit.account, limit=limits.NUMBERS_PICKED_SHOWN)
    choices = {one.number.id: (one.number.display or one.number.id, one.number.name) for one in known}
    for running in visit.account.endpoints.values():
        for number in running.endpoint.numbers or ():
            if len(choices) < limits.NUMBERS_PICKED_SHOWN:
                choices.setdefault(number, (number, ""))
    return [(number, name or shown, _told(number, name, shown)) for number, (shown, name) in choices.items()]


def _told(number: str, name: str, shown: str) -> str:
    """What stands below a number's first words."""
    return " · ".join(words for words in (shown if name else "", number if number != shown else "") if words)


def _page(
    visit: Visit,
    form: Filled,
    running: RunningEndpoint | None,
    problem: Problem | None = None,
    changed: list[str] | None = None,
) -> Show:
    stored = None if running is None else running.endpoint
    defaults = visit.services.endpoints.defaults
    own = {"own": form.text("retrySchedule"), "once": ""}
    bare, detailed = _example(form)
    page = EditPage(
        form=form,
        id=None if stored is None else stored.id,
        url="" if stored is None else stored.url,
        version=0 if running is None else running.version,
        types=_types(visit),
        numbers=known_numbers(visit),
        filters=[(name, _filter_fields(name)) for name in filter_types()],
        headers=_headers(form, stored),
        example=bare,
        example_with_details=detailed,
        default_schedule=retry.format_schedule(defaults.schedule_seconds),
        default_timeout=defaults.timeout_seconds,
        preview=preview(visit, own.get(form.text("retry"))),
        open=_open(form),
        changed=changed or [],
        advice=None if "url" not in form.errors else UrlAdvice(Standing.WRONG, ""),
    )
    return Show("endpoint_edit.html", page, 200 if problem is None else problem.status)


def _types(visit: Visit) -> list[TypeChoices]:
    def of_kind(kind: Kind) -> list[tuple[str, str, str]]:
        return [(name, name, one.description) for name, one in CATALOGUE.items() if one.kind is kind]

    own = [(name, name, one.description) for name, one in sorted(visit.account.own_types.items())]
    every = (WILDCARD, "everything (*)", "The four types and your own, also those that will come.")
    groups = [
        TypeChoices("Messages and contacts", "", of_kind(Kind.DOCUMENTED)),
        TypeChoices("Everything", "", [every]),
        TypeChoices("Your own types", "", own),
        TypeChoices("About WhatsSync itself", "For your monitoring.", of_kind(Kind.OPERATIONAL)),
    ]
    return [group for group in groups if group.types]


def _filter_fields(event_type: str) -> list[FilterField]:
    return [
        FilterField(
            filter_name(event_type, field.name),
            field.name,
            field.description.replace("`", ""),
            SUGGESTED.get((event_type, field.name), field.values),
            field.nullable,
        )
        for field in filter_fields(event_type)
    ]


def _headers(form: Filled, stored: Endpoint | None) -> list[HeaderLine]:
    known = {name.lower() for name in (() if stored is None else stored.headers)}
    lines = [
        HeaderLine(at, form.text(f"header-name-{at}").lower() in known)
        for at in range(HEADERS_SHOWN_MAX)
        if form.text(f"header-name-{at}") or form.text(f"header-value-{at}")
    ]
    after = lines[-1].at + 1 if lines else 0
    return [*lines, *(HeaderLine(after + more, stored=False) for more in range(NEW_HEADERS))]


def _open(form: Filled) -> frozenset[str]:
    """Sections to unfold: those with an error, or with something that is not as usual."""
    usual = {"retry": "default", "signing": "account", "format": "whatsync"}
    sections = set()
    for section, fields in _MORE.items():
        wrong = any(error == field or error.startswith(field + ".") for error in form.errors for field in fields)
        if wrong or any(form.values.get(field) for field in fields if field not in usual):
            sections.add(section)
    if any(name.startswith("filters.") and value for name, value in form.values.items()):
        sections.add("filters")
    if any(name.startswith("header-name-") and value for name, value in form.values.items()):
        sections.add("headers")
    for name, section in (("retry", "retries"), ("signing", "secret"), ("format", "body")):
        if form.text(name) not in ("", usual[name]):
            sections.add(section)
    return frozenset(sections)


def _example(form: Filled) -> tuple[str, str]:
    """A body as it is sent, without and with details."""
    known = CATALOGUE["message.incoming"]
    body = msgspec.json.encode(known.example)
    details = encode_details(
        Details(
            number="106540352242922", wamid="wamid.HBgLMTIzNDU2Nzg5MBUCABIYIDZD", type="text", profile_name="John Doe"
        )
    )
    assert details is not None
    return tuple(msgspec.json.format(text, indent=2).decode() for text in (body, with_details(body, details)))  # type: ignore[return-value]


PAGES = (
    Page("GET", "/a/{account}/webhooks/new", Need.DEVELOPER, new, embedded=True),
    Page("POST", "/a/{account}/webhooks/new", Need.DEVELOPER, create, embedded=True),
    Page("GET", "/a/{account}/webhooks/check-url", Need.DEVELOPER, check_url, embedded=True),
    Page("GET", "/a/{account}/webhooks/check-schedule", Need.DEVELOPER, check_schedule, embedded=True),
    Page("GET", "/a/{account}/webhooks/{endpoint_id}/edit", Need.DEVELOPER, edit, embedded=True),
    Page("POST", "/a/{account}/webhooks/{endpoint_id}/edit", Need.DEVELOPER, save, embedded=True),
)
ENTRIES: tuple[Entry, ...] = ()
