"""Event types: the catalogue with fields and examples, and the account's own, added and removed.

Knows the services, no HTTP.
"""

from dataclasses import dataclass

from whatsync.engine.event_types import TypeFacts
from whatsync.model import limits
from whatsync.model.catalogue import CATALOGUE, Kind
from whatsync.model.endpoint import subscribes
from whatsync.model.errors import Conflict, Invalid, LimitExceeded
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Visit

TITLES = {
    Kind.DOCUMENTED: ("WhatsApp", "The four types that every endpoint with * receives."),
    Kind.OWN: ("Your own", "Sent by your programs through POST /v1/events. Endpoints with * receive them too."),
    Kind.OPERATIONAL: ("What WhatsSync tells about itself", "Reach only endpoints that name them."),
}


@dataclass(frozen=True, slots=True)
class TypeGroup:
    """Types of one kind."""

    title: str
    hint: str
    types: list[tuple[TypeFacts, int]]
    """Each with the number of endpoints that receive it."""


@dataclass(frozen=True, slots=True)
class TypesPage:
    """What ``event_types.html`` shows."""

    groups: list[TypeGroup]
    form: Filled
    older: str | None


@dataclass(frozen=True, slots=True)
class TypePage:
    """What ``event_type.html`` shows."""

    facts: TypeFacts
    own: bool
    endpoints: int


async def types(visit: Visit) -> Given:
    """The list."""
    return _page(visit, Filled())


def _page(visit: Visit, form: Filled, status: int = 200) -> Show:
    asked = visit.asked("from")
    start = int(asked) if asked.isdecimal() and len(asked) < 6 else 0
    found, after = visit.services.event_types.page(visit.account, start, limits.PAGE_ITEMS_MAX)
    groups = []
    for kind, (title, hint) in TITLES.items():
        mine = [(one, _receivers(visit, one)) for one in found if one.kind is kind]
        if mine or (kind is Kind.OWN and not start):
            groups.append(TypeGroup(title, hint, mine))
    older = None if after is None else visit.here("/event-types", **{"from": after})
    return Show("event_types.html", TypesPage(groups, form, older), status)


def _receivers(visit: Visit, facts: TypeFacts) -> int:
    """How many enabled endpoints ask for a type; what they filter out is not looked at."""
    endpoints = (one.endpoint for one in visit.account.endpoints.values())
    return sum(one.enabled and subscribes(one, facts.name, facts.in_wildcard) for one in endpoints)


async def read(visit: Visit) -> Given:
    """One type with all there is to know of it."""
    facts = visit.services.event_types.read(visit.account, visit.parameters["name"])
    return Show("event_type.html", TypePage(facts, facts.name not in CATALOGUE, _receivers(visit, facts)))


async def add(visit: Visit) -> Given:
    """Add an own type, or give one a new description."""
    form = visit.form
    name = form.text("name")
    try:
        _, made = await visit.services.event_types.put(visit.account, name, form.text("description"), visit.actor)
    except (Invalid, LimitExceeded, Conflict) as problem:
        return _page(visit, Filled.again(form, problem, "name", "description"), problem.status)
    words = f"{name} is there: your programs can send it, and endpoints can name it."
    return Redirect(visit.here("/event-types"), Flash(words if made else f"{name} has its new description."))


async def remove(visit: Visit) -> Given:
    """Remove an own type that no endpoint names."""
    name = visit.parameters["name"]
    await visit.services.event_types.delete(visit.account, name, visit.actor)
    return Redirect(visit.here("/event-types"), Flash(f"{name} is removed. Its past events stay."))


PAGES = (
    Page("GET", "/a/{account}/event-types", Need.VIEWER, types),
    Page("POST", "/a/{account}/event-types", Need.DEVELOPER, add),
    Page("GET", "/a/{account}/event-types/{name}", Need.VIEWER, read),
    Page("POST", "/a/{account}/event-types/{name}/remove", Need.DEVELOPER, remove),
)
ENTRIES = (Entry("Event types", "/a/{account}/event-types", "types", Need.VIEWER, group="Build", order=40),)
