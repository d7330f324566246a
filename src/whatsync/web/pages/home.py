"""The way in: ``/`` leads to the account one was in last, and the switcher to another one."""

from dataclasses import dataclass

from whatsync.web.pages.navigation import in_last_account
from whatsync.web.pages.page import Entry, Given, Need, Page, Redirect, Show, Visit


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


async def choose(visit: Visit) -> Given:
    """Go to another account, and come back to it next time."""
    account = visit.account.account.id
    return Redirect(f"/a/{account}", choices={"account": account})


PAGES = (
    Page("GET", "/", Need.EVERYONE, root, embedded=True),
    Page("POST", "/a/{account}/choose", Need.VIEWER, choose),
)
ENTRIES: tuple[Entry, ...] = ()
