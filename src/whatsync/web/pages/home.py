"""The way in: ``/`` leads to the account one was in last; an account's home lists what there is to open in it."""

from dataclasses import dataclass

from whatsync.web.pages.navigation import in_last_account
from whatsync.web.pages.page import Entry, Given, Need, Page, Redirect, Show, Visit


@dataclass(frozen=True, slots=True)
class HomePage:
    """What ``home.html`` shows."""

    name: str


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
    within = in_last_account(visit)
    if within.running is None:
        return Show("no_account.html", NoAccountPage(visit.person.email))
    return Redirect(within.here())


async def home(visit: Visit) -> Given:
    """What there is to open in this account."""
    return Show("home.html", HomePage(visit.account.account.name))


async def choose(visit: Visit) -> Given:
    """Go to another account, and come back to it next time."""
    account = visit.account.account.id
    return Redirect(f"/a/{account}", choices={"account": account})


PAGES = (
    Page("GET", "/", Need.EVERYONE, root),
    Page("GET", "/a/{account}", Need.VIEWER, home, embedded=True),
    Page("POST", "/a/{account}/choose", Need.VIEWER, choose),
)
ENTRIES = (Entry("Home", "/a/{account}", "home", Need.VIEWER, order=0, embedded=True),)
