"""The account's settings: its name, whom to tell of trouble; retention and limits to read.

Knows the services, no HTTP.
"""

from dataclasses import dataclass

from whatsync.engine.accounts import AccountFacts
from whatsync.model import limits
from whatsync.model.account_form import AlertsForm, SettingsForm
from whatsync.model.errors import Conflict, FieldError, Invalid
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Visit, whole


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """What ``settings.html`` shows."""

    facts: AccountFacts
    form: Filled
    retention_days: int
    limits: list[tuple[str, int, bool]]
    """What, how much, and whether it is this account's own."""


async def settings(visit: Visit) -> Given:
    """The form with what is set."""
    facts = visit.services.accounts.read(visit.account)
    account = facts.running.account
    filled = {
        "name": account.name,
        "emails": "\n".join(account.alert_emails),
        "url": facts.alert_url or "",
        "version": str(facts.running.document.version),
    }
    return _page(visit, Filled(filled))


def _page(visit: Visit, form: Filled, status: int = 200) -> Show:
    facts = visit.services.accounts.read(visit.account)
    days = facts.running.account.retention_days or visit.facts.retention_days
    return Show("settings.html", SettingsPage(facts, form, days, limits_of(facts)), status)


def limits_of(facts: AccountFacts) -> list[tuple[str, int, bool]]:
    """An account's limits in words."""
    own = facts.running.account.limits
    return [
        (words, set_one or default, set_one is not None)
        for words, set_one, default in (
            ("Events a second", own.events_per_second, limits.ACCOUNT_EVENTS_PER_SECOND),
            ("Bytes a second", own.bytes_per_second, limits.ACCOUNT_BYTES_PER_SECOND),
            ("Deliveries that wait or are held", own.open_deliveries, limits.ACCOUNT_OPEN_DELIVERIES),
            ("Endpoints", own.endpoints, limits.ACCOUNT_ENDPOINTS),
        )
    ]


async def change(visit: Visit) -> Given:
    """Change name and alerts."""
    form = visit.form
    emails = form.raw("emails").replace(",", "\n").split()
    wanted = SettingsForm(name=form.text("name"), alerts=AlertsForm(emails=emails, url=form.text("url") or None))
    asked = form.text("version")
    version = whole(asked)
    try:
        await visit.services.accounts.patch(visit.account, wanted, visit.actor, version)
    except (Invalid, Conflict) as problem:
        return _page(visit, Filled.again(form, _plain(problem), "name", "emails", "url"), problem.status)
    return Redirect(visit.here("/settings"), Flash("The settings are stored, and count at once."))


def _plain(problem: Invalid | Conflict) -> Invalid | Conflict:
    """The same problem with the form's own field names."""
    if isinstance(problem, Conflict):
        return problem
    errors = [FieldError(one.field.removeprefix("alerts."), one.message) for one in problem.errors]
    return Invalid(errors)


PAGES = (
    Page("GET", "/a/{account}/settings", Need.OWNER, settings),
    Page("POST", "/a/{account}/settings", Need.OWNER, change),
)
ENTRIES = (Entry("Settings", "/a/{account}/settings", "gear", Need.OWNER, group="Account", order=64),)
