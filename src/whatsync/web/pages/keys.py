"""The account's API keys: listed, made and shown once, revoked. Knows the services, no HTTP."""

from dataclasses import dataclass

from whatsync.engine.keys import MadeKey
from whatsync.model import limits
from whatsync.model.account import ApiKey, Scope
from whatsync.model.errors import Invalid, LimitExceeded
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Visit, whole

SCOPES = (
    (Scope.EVENTS_WRITE, "Send events", "events:write: for the program that reports what happens, and for uploads"),
    (Scope.READ, "Read", "read: events, deliveries, messages; the feed for those who poll"),
    (Scope.ADMIN, "Everything in this account", "admin: both of these, endpoints, secrets and keys besides"),
)
LIFETIMES = (("", "Until it is revoked"), ("30", "30 days"), ("90", "90 days"), ("365", "A year"))
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class KeysPage:
    """What ``keys.html`` shows. ``made``: the new key, this once."""

    keys: list[ApiKey]
    older: str | None
    newest: str | None
    form: Filled
    base_url: str
    made: MadeKey | None = None
    scopes: tuple[tuple[Scope, str, str], ...] = SCOPES
    lifetimes: tuple[tuple[str, str], ...] = LIFETIMES


def _page(visit: Visit, form: Filled, made: MadeKey | None = None, status: int = 200) -> Show:
    asked = visit.asked("before")
    before = whole(asked)
    keys, after = visit.services.keys.page(visit.account, before, limits.PAGE_ITEMS_DEFAULT)
    older = None if after is None else visit.here("/keys", before=after)
    newest = visit.here("/keys") if before is not None else None
    return Show("keys.html", KeysPage(keys, older, newest, form, visit.facts.base_url, made), status)


async def keys(visit: Visit) -> Given:
    """The list."""
    return _page(visit, Filled({"scopes": [Scope.EVENTS_WRITE.value]}))


async def make(visit: Visit) -> Given:
    """Make a key and show it, once: the answer is the page itself, so that no address leads to the key."""
    form, services = visit.form, visit.services
    scopes = [scope for scope, _, _ in SCOPES if scope in form.many("scopes")]
    days = form.text("days")
    expires_ms = services.clock.now_ms() + int(days) * _DAY_MS if days in dict(LIFETIMES) and days else None
    try:
        made = await services.keys.create(visit.account, form.text("name"), scopes, visit.actor, expires_ms)
    except (Invalid, LimitExceeded) as problem:
        return _page(visit, Filled.again(form, problem, "name", "scopes"), status=problem.status)
    return _page(visit, Filled({"scopes": [Scope.EVENTS_WRITE.value]}), made)


async def revoke(visit: Visit) -> Given:
    """End a key at once."""
    key = await visit.services.keys.revoke(visit.account, visit.parameters["key_id"], visit.actor)
    return Redirect(visit.here("/keys"), Flash(f"The key {key.name} is revoked. It opens nothing any more."))


PAGES = (
    Page("GET", "/a/{account}/keys", Need.DEVELOPER, keys),
    Page("POST", "/a/{account}/keys", Need.DEVELOPER, make),
    Page("POST", "/a/{account}/keys/{key_id}/revoke", Need.DEVELOPER, revoke),
)
ENTRIES = (Entry("API keys", "/a/{account}/keys", "key", Need.DEVELOPER, group="Build", order=42),)
