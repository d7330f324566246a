"""Webhooks Configuration: for each event type the URLs that receive it, and all endpoints. Changes nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.endpoints import EndpointFacts
from whatsync.engine.figures import Figures, figures
from whatsync.model import limits
from whatsync.model.catalogue import CATALOGUE, Kind, covered_by_wildcard, is_whatsapp
from whatsync.model.endpoint import WILDCARD, subscribes
from whatsync.ports.history import RollupRow
from whatsync.web.pages.condition import STATES, Condition, condition
from whatsync.web.pages.page import Entry, Filled, Given, Need, Page, Show, Visit, whole
from whatsync.web.pages.verification_code import CodeShown, code_shown

WHATSAPP = "whatsapp.*"
_HOUR_MS = 3_600_000
_WHATSAPP_SENTENCE = "What else WhatsApp tells: reactions, edits, template and number changes. Chosen by name."


@dataclass(frozen=True, slots=True)
class EndpointLine:
    """An endpoint in a list."""

    id: str
    url: str
    description: str
    condition: Condition
    events: tuple[str, ...]
    numbers: int
    """How many it is bound to; 0 for all."""
    filtered: bool
    last_success_ms: int | None
    succeeded_lately: bool
    disable_at_ms: int | None
    figures: Figures
    """Of the last 24 hours."""


@dataclass(frozen=True, slots=True)
class TypeLine:
    """An event type and who receives it."""

    name: str
    sentence: str
    endpoints: list[EndpointLine]
    more: int
    """Further endpoints that are not named here."""
    troubled: int
    """How many of all of them fail or are disabled."""


@dataclass(frozen=True, slots=True)
class TypeGroup:
    """Event types of one origin."""

    title: str
    hint: str
    types: list[TypeLine]


@dataclass(frozen=True, slots=True)
class Totals:
    """The account's endpoints by how they stand."""

    all: int
    states: dict[str, int]


@dataclass(frozen=True, slots=True)
class WebhooksPage:
    """What ``webhooks.html`` shows."""

    groups: list[TypeGroup]
    totals: Totals
    troubled: list[EndpointLine]
    """Some that fail or are disabled, the first to be disabled first."""
    more_troubled: int
    """Further ones."""
    form: Filled
    """Of the first endpoint, where there is none yet."""
    code: CodeShown


@dataclass(frozen=True, slots=True)
class EndpointsPage:
    """What ``endpoints.html`` shows."""

    items: list[EndpointLine]
    totals: Totals
    found: int
    q: str
    event: str
    state: str
    events: list[str]
    """Types to filter by."""
    states: tuple[tuple[str, str], ...]
    older: str | None
    newest: str | None


async def figures_of(visit: Visit, shown: Iterable[EndpointFacts]) -> dict[int, Figures]:
    """How each of these endpoints fared in the last 24 hours, by row, with one question."""
    now_ms = visit.services.clock.now_ms()
    since_ms = (now_ms - 24 * _HOUR_MS) // _HOUR_MS * _HOUR_MS
    rows = list({facts.running.row for facts in shown})
    sums: dict[int, list[RollupRow]] = {row: [] for row in rows}
    for one in await visit.services.history.rollup_sums(visit.account.row, rows, since_ms, now_ms + 1):
        sums[one.endpoint].append(one)
    return {row: figures(mine) for row, mine in sums.items()}


def line(facts: EndpointFacts, known: Mapping[int, Figures]) -> EndpointLine:
    """An endpoint as lists show it."""
    endpoint = facts.running.endpoint
    return EndpointLine(
        id=endpoint.id,
        url=endpoint.url,
        description=endpoint.description,
        condition=condition(facts),
        events=endpoint.events,
        numbers=len(endpoint.numbers or ()),
        filtered=bool(endpoint.filters),
        last_success_ms=facts.health.last_success_ms,
        succeeded_lately=facts.succeeded_lately,
        disable_at_ms=facts.disable_at_ms,
        figures=known[facts.running.row],
    )


def all_facts(visit: Visit) -> list[EndpointFacts]:
    """The account's endpoints, newest first."""
    endpoints = visit.account.endpoints
    return [visit.services.endpoints.facts(endpoints[row]) for row in sorted(endpoints, reverse=True)]


async def webhooks(visit: Visit) -> Given:
    """Each event type with the URLs that receive it."""
    known = all_facts(visit)
    states = {facts.running.row: condition(facts).state for facts in known}
    bad = [facts for facts in known if states[facts.running.row] in ("failing", "disabled")]
    bad.sort(key=lambda facts: (facts.disable_at_ms is None, facts.disable_at_ms or 0, -facts.running.row))
    groups = _groups(visit.account, known, states)
    bad, more = bad[: limits.TYPE_ENDPOINTS_SHOWN], max(0, len(bad) - limits.TYPE_ENDPOINTS_SHOWN)
    fared = await figures_of(visit, [*bad, *(facts for _, chosen in groups for one in chosen for facts in one.shown)])
    page = WebhooksPage(
        groups=[_shown(group, chosen, fared) for group, chosen in groups],
        totals=totals(states.values()),
        troubled=[line(facts, fared) for facts in bad],
        more_troubled=more,
        form=Filled({"events": [name for name, one in CATALOGUE.items() if one.kind is Kind.DOCUMENTED]}),
        code=code_shown(visit, None),
    )
    return Show("webhooks.html", page, fragment="code" if visit.asked("part") == "code" else None)


def totals(states: Iterable[str]) -> Totals:
    """Count endpoints by how they stand."""
    counted = dict.fromkeys((name for name, _ in STATES), 0)
    number = 0
    for state in states:
        counted[state] += 1
        number += 1
    return Totals(number, counted)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """An event type with the endpoints that are to be shown."""

    name: str
    sentence: str
    shown: list[EndpointFacts]
    more: int
    troubled: int


def _groups(
    account: RunningAccount, known: list[EndpointFacts], states: dict[int, str]
) -> list[tuple[TypeGroup, list[_Chosen]]]:
    def lines(names: Iterable[tuple[str, str]]) -> list[_Chosen]:
        return [_chosen(name, sentence, _receiving(name, known), states) for name, sentence in names]

    def of_kind(kind: Kind) -> list[tuple[str, str]]:
        return [(name, one.description) for name, one in CATALOGUE.items() if one.kind is kind]

    own = [(name, one.description or "One of your own.") for name, one in sorted(account.own_types.items())]
    subscribed = {event for facts in known for event in facts.running.endpoint.events if is_whatsapp(event)}
    others = [facts for facts in known if any(is_whatsapp(event) for event in facts.running.endpoint.events)]
    whatsapp = [_chosen(WHATSAPP, _WHATSAPP_SENTENCE, others, states)]
    whatsapp += lines((name, "Data as Meta sends it.") for name in sorted(subscribed))
    groups = [
        (
            TypeGroup("Messages and contacts", "The four types of the Webhooks API.", []),
            lines(of_kind(Kind.DOCUMENTED)),
        ),
        (TypeGroup("Your own", "Sent by your programs with POST /v1/events.", []), lines(own)),
        (TypeGroup("More from WhatsApp", "Only for endpoints that name them.", []), whatsapp),
        (
            TypeGroup("About WhatsSync itself", "One event for each change of state.", []),
            lines(of_kind(Kind.OPERATIONAL)),
        ),
    ]
    return [(group, chosen) for group, chosen in groups if chosen]


def _shown(group: TypeGroup, chosen: list[_Chosen], fared: Mapping[int, Figures]) -> TypeGroup:
    lines = [
        TypeLine(one.name, one.sentence, [line(facts, fared) for facts in one.shown], one.more, one.troubled)
        for one in chosen
    ]
    return replace(group, types=lines)


def _receiving(name: str, known: list[EndpointFacts]) -> list[EndpointFacts]:
    wildcard = covered_by_wildcard(name)
    return [facts for facts in known if subscribes(facts.running.endpoint, name, wildcard)]


def _chosen(name: str, sentence: str, receiving: list[EndpointFacts], states: dict[int, str]) -> _Chosen:
    bad = ("failing", "disabled")
    ordered = sorted(receiving, key=lambda facts: states[facts.running.row] not in bad)
    shown = ordered[: limits.TYPE_ENDPOINTS_SHOWN]
    troubled = sum(states[facts.running.row] in bad for facts in receiving)
    return _Chosen(name, sentence, shown, len(receiving) - len(shown), troubled)


async def endpoints(visit: Visit) -> Given:
    """All endpoints, searched and filtered, a page at a time."""
    q, event, state = visit.asked("q"), visit.asked("event"), visit.asked("state")
    every = all_facts(visit)
    states = {facts.running.row: condition(facts).state for facts in every}
    found = [facts for facts in every if _fits(facts, q.lower(), event) and state in ("", states[facts.running.row])]
    before = whole(visit.asked("before"))
    rest = [facts for facts in found if before is None or facts.running.row < before]
    shown = rest[: limits.ENDPOINTS_SHOWN]
    fared = await figures_of(visit, shown)
    following = shown[-1].running.row if len(rest) > len(shown) else None
    here = {"q": q, "event": event, "state": state}
    page = EndpointsPage(
        items=[line(facts, fared) for facts in shown],
        totals=totals(states.values()),
        found=len(found),
        q=q,
        event=event,
        state=state,
        events=_filter_types(every, visit.account),
        states=STATES,
        older=None if following is None else visit.here("/webhooks/endpoints", **here, before=following),
        newest=visit.here("/webhooks/endpoints", **here) if before is not None else None,
    )
    return Show("endpoints.html", page, fragment="found")


def _fits(facts: EndpointFacts, q: str, event: str) -> bool:
    running: RunningEndpoint = facts.running
    endpoint = running.endpoint
    if event and not _gets(endpoint.events, event):
        return False
    if not q:
        return True
    number = any(q in one.lower() for one in endpoint.numbers or ())
    return number or any(q in text.lower() for text in (endpoint.url, endpoint.description, endpoint.id))


def _gets(events: tuple[str, ...], wanted: str) -> bool:
    if wanted == WHATSAPP:
        return any(is_whatsapp(event) for event in events)
    return wanted in events or (WILDCARD in events and covered_by_wildcard(wanted))


def _filter_types(known: list[EndpointFacts], account: RunningAccount) -> list[str]:
    named = {event for facts in known for event in facts.running.endpoint.events if is_whatsapp(event)}
    return [*CATALOGUE, *sorted(account.own_types), *sorted(named)]


PAGES = (
    Page("GET", "/a/{account}/webhooks", Need.VIEWER, webhooks, embedded=True),
    Page("GET", "/a/{account}/webhooks/endpoints", Need.VIEWER, endpoints, embedded=True),
)
ENTRIES = (Entry("Webhooks", "/a/{account}/webhooks", "hook", Need.VIEWER, order=20, embedded=True),)
