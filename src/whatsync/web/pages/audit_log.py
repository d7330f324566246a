"""The account's audit log: who changed what, when, from what to what; secrets are masked before they are written.

Knows the services, no HTTP.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from whatsync.model import limits
from whatsync.model.timestamp import format_time
from whatsync.ports.history import AuditRow
from whatsync.web.pages.page import Entry, Given, Need, Page, Show, Visit, whole

_VALUE_CHARS_MAX = 2_000
_LINKS = {
    "link.first": "Link for the first user made",
    "link.invite": "Invitation made",
    "link.reset": "Link for a new password made",
    "link.embed": "Sign-in link made",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a change; ``None``: it was not there."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """One entry as people read it."""

    row: AuditRow
    who: str
    what: str
    differences: list[Difference]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """What ``audit_log.html`` shows. ``installation``: entries that belong to no account."""

    lines: list[Line]
    newest: str | None
    older: str | None
    installation: bool


async def audit_log(visit: Visit) -> Given:
    """The account's own, newest first."""
    return await _page(visit, visit.account.row, visit.here("/audit-log"), False)


_WHO = {
    "engine": "WhatsSync itself",
    "whatsapp": "WhatsApp",
    "link": "a sign-in link",
    "bootstrap": "the first start",
    "key_local": "the command line on the server’s machine",
}


async def installation_log(visit: Visit) -> Given:
    """What belongs to no account: accounts, sources, people."""
    return await _page(visit, 0, "/audit-log", True)


async def _page(visit: Visit, account: int, path: str, installation: bool) -> Show:
    asked = visit.asked("before")
    before = whole(asked)
    rows = await visit.services.history.audit(account, before, limits.PAGE_ITEMS_DEFAULT)
    older = visit.to(path, before=rows[-1].id) if len(rows) == limits.PAGE_ITEMS_DEFAULT else None
    newest = path if before is not None else None
    return Show("audit_log.html", AuditPage([_line(visit, row) for row in rows], newest, older, installation))


def _line(visit: Visit, row: AuditRow) -> Line:
    return Line(row, _who(visit, row.actor), _what(row.action), differences(row.before, row.after))


def _who(visit: Visit, actor: str) -> str:
    kind, _, id_ = actor.partition(":")
    directory = visit.services.directory
    if kind == "user":
        held = directory.users.get(id_)
        return f"somebody who has left ({id_})" if held is None else held[1].email
    if kind == "key" or actor.startswith("key_"):
        name = id_ or actor
        key = directory.keys.get(name)
        return _WHO.get(name, f"API key {name}") if key is None else f"API key {key[1].name}"
    if kind == "embedded":
        return "somebody in another product"
    return _WHO.get(actor, actor)


def _what(action: str) -> str:
    """``endpoint.secret_rotated`` as words."""
    if action in _LINKS:
        return _LINKS[action]
    subject, _, verb = action.partition(".")
    return f"{subject.replace('_', ' ').capitalize()} {verb.replace('_', ' ')}".strip()


def differences(before: bytes | None, after: bytes | None) -> list[Difference]:
    """The fields on either side; of those that are on both, only what differs was written."""
    old, new = _fields(before), _fields(after)
    return [Difference(name, _text(old, name), _text(new, name)) for name in {**old, **new}]


def _fields(side: bytes | None) -> dict[str, Any]:
    read = {} if side is None else msgspec.json.decode(side)
    return read if isinstance(read, dict) else {"value": read}


def _text(side: dict[str, Any], name: str) -> str | None:
    if name not in side:
        return None
    value = side[name]
    if name.endswith("Ms") and isinstance(value, int):
        return format_time(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _VALUE_CHARS_MAX else text[:_VALUE_CHARS_MAX] + "…"


PAGES = (
    Page("GET", "/a/{account}/audit-log", Need.OWNER, audit_log),
    Page("GET", "/audit-log", Need.OPERATOR, installation_log),
)
ENTRIES = (
    Entry("Audit log", "/a/{account}/audit-log", "log", Need.OWNER, group="Account", order=62),
    Entry("Installation’s log", "/audit-log", "log", Need.OPERATOR, group="Installation", order=86),
)
