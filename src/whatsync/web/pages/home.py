"""The way in: ``/`` leads to the account one was in last, so do short addresses such as ``/history``; the switcher
leads to another one.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from whatsync.web.pages.navigation import in_last_account
from whatsync.web.pages.page import Entry, Given, Need, Page, Redirect, Show, Visit

SHORT_PATHS = (
    "/event-types", "/history", "/history/events", "/jobs", "/keys", "/messages", "/settings", "/team", "/webhooks",
    "/webhooks/endpoints", "/webhooks/new", "/webhooks/secret",
)  # fmt: skip
"""Pages of an account that people type, bookmark and write into their own documents without its id."""


@dataclass(frozen=True, slots=True)
class NoAccountPage:
    """What ``no_account.html`` shows."""

    email: str


async def root(visit: Visit) -> Given:
    """Go to an account: the last one, else the first."""
    if visit.session is None:
        return Redirect("/sign-in")
    if visit.embedded:
        return Redirect(f"/a/{visit.session.account}")
    there = in_last_account(visit)
    if there.running is None:
        return Show("no_account.html", NoAccountPage(visit.person.email))
    return Redirect(there.here())


async def within(visit: Visit) -> Given:
    """Go to the page of this name in the account: an address that says no account means the last one."""
    if visit.running is None:
        return Show("no_account.html", NoAccountPage(visit.person.email))
    query = urlencode(visit.query)
    return Redirect(visit.here(visit.path) + (f"?{query}" if query else ""))


async def choose(visit: Visit) -> Given:
    """Go to another account, and come back to it next time."""
    account = visit.account.account.id
    return Redirect(f"/a/{account}", choices={"account": account})


PAGES = (
    Page("GET", "/", Need.EVERYONE, root, embedded=True),
    *(Page("GET", path, Need.SIGNED_IN, within) for path in SHORT_PATHS),
    Page("POST", "/a/{account}/choose", Need.VIEWER, choose),
)
ENTRIES: tuple[Entry, ...] = ()
