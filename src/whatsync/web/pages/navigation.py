"""Which entries of the navigation a visit shows, and which accounts its switcher offers. Decides nothing about rights
beyond what each page asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from whatsync.engine.directory import RunningAccount
from whatsync.engine.users import role_in
from whatsync.web.pages.page import ACCOUNT_PATH, Entry, Need, Shown, Visit

SWITCHER_ACCOUNTS_MAX = 50


@dataclass(frozen=True, slots=True)
class Choice:
    """An account in the switcher."""

    id: str
    name: str
    current: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that stand together."""

    name: str
    entries: list[Shown]


def groups(entries: Sequence[Entry], visit: Visit) -> list[Group]:
    """The entries this visitor may open from here, in their groups."""
    shown: dict[str, list[Shown]] = {}
    for entry in sorted(entries, key=lambda entry: entry.order):
        in_account = entry.path.startswith(ACCOUNT_PATH)
        if in_account and visit.running is None:
            continue
        if not _may_see(entry, visit):
            continue
        url = visit.here(entry.path.removeprefix(ACCOUNT_PATH)) if in_account else entry.path
        here = visit.path == url or (visit.path.startswith(url + "/") and entry.path != ACCOUNT_PATH)
        shown.setdefault(entry.group, []).append(Shown(entry.label, url, entry.icon, here))
    return [Group(name, items) for name, items in shown.items()]


def _may_see(entry: Entry, visit: Visit) -> bool:
    if visit.embedded and not entry.embedded:
        return False
    if entry.needs is Need.EVERYONE:
        return True
    if entry.needs is Need.SIGNED_IN:
        return visit.user is not None
    return visit.may(entry.needs)


def choices(visit: Visit) -> list[Choice]:
    """The accounts the visitor can go to, by name; of an operator's many only the first."""
    accounts = reachable(visit)[:SWITCHER_ACCOUNTS_MAX]
    current = None if visit.running is None else visit.running.row
    return [Choice(one.account.id, one.account.name, one.row == current) for one in accounts]


def reachable(visit: Visit) -> list[RunningAccount]:
    """All accounts the visitor may open, by name."""
    held = visit.services.directory.accounts_by_id
    if visit.operator:
        accounts = list(held.values())
    elif visit.user is not None:
        accounts = [held[id_] for id_ in visit.user.memberships if id_ in held and not held[id_].account.suspended]
    else:
        accounts = []
    present = (one for one in accounts if one.account.deleted_ms is None)
    return sorted(present, key=lambda one: (one.account.name.lower(), one.row))


def in_last_account(visit: Visit) -> Visit:
    """The visit with the account it was in last, else the first it can open: what its navigation is about."""
    accounts = reachable(visit)
    if visit.user is None or not accounts:
        return visit
    last = visit.choices.get("account")
    chosen = next((one for one in accounts if one.account.id == last), accounts[0])
    return replace(visit, running=chosen, role=role_in(visit.user, chosen.account.id))
