"""Which entries of the navigation a visit shows, and which accounts its switcher offers. Decides nothing about rights
beyond what each page asks for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest

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
    accounts = nsmallest(SWITCHER_ACCOUNTS_MAX, _open(visit), key=_by_name)
    current = None if visit.running is None else visit.running.row
    return [Choice(one.account.id, one.account.name, one.row == current) for one in accounts]


def reachable(visit: Visit) -> list[RunningAccount]:
    """All accounts the visitor may open, by name."""
    return sorted(_open(visit), key=_by_name)


def _open(visit: Visit) -> Iterator[RunningAccount]:
    held = visit.services.directory.accounts_by_id
    if visit.operator:
        accounts = iter(held.values())
    elif visit.user is not None:
        accounts = (held[id_] for id_ in visit.user.memberships if id_ in held and not held[id_].account.suspended)
    else:
        accounts = iter(())
    return (one for one in accounts if one.account.deleted_ms is None)


def _by_name(one: RunningAccount) -> tuple[str, int]:
    return one.account.name.lower(), one.row


def in_last_account(visit: Visit) -> Visit:
    """The visit with the account it was in last, else the first it can open: what its navigation is about."""
    if visit.user is None:
        return visit
    last = visit.services.directory.accounts_by_id.get(visit.choices.get("account", ""))
    role = None if last is None else role_in(visit.user, last.account.id)
    if last is None or role is None or last.account.deleted_ms is not None or _shut(last, visit):
        last = min(_open(visit), key=_by_name, default=None)
    if last is None:
        return visit
    return replace(visit, running=last, role=role_in(visit.user, last.account.id))


def _shut(account: RunningAccount, visit: Visit) -> bool:
    return account.account.suspended and not visit.operator
