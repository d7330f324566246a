"""All accounts, for operators: worst first, made, changed, suspended, deleted, opened inside another product.

Knows the services, no HTTP.
"""

from dataclasses import dataclass

from whatsync.engine.directory import RunningAccount
from whatsync.engine.links import MadeLink
from whatsync.model import limits
from whatsync.model.account_form import AccountForm, LimitsForm
from whatsync.model.endpoint import DisabledBy
from whatsync.model.errors import Conflict, Invalid
from whatsync.model.user import ROLE_MEANINGS, Embedding, Role
from whatsync.web.pages.condition import is_failing
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Visit, whole

LISTED = 50
_LIMITS = ("eventsPerSecond", "bytesPerSecond", "openDeliveries", "endpoints")
_EMBED_ROLES = tuple((role.value, role.value.capitalize()) for role in ROLE_MEANINGS if role is not Role.OWNER)
_EMBED_PLACES = (("", "Overview"), ("/webhooks", "Webhooks"), ("/history", "Webhook History"))


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account and how it stands, by what is in memory."""

    running: RunningAccount
    failing: int
    disabled: int
    """Endpoints that were disabled by themselves."""
    open: int
    endpoints: int

    @property
    def standing(self) -> tuple[str, str]:
        """A tone and a word."""
        account = self.running.account
        if account.deleted_ms is not None:
            return "neutral", "Being deleted"
        if account.suspended:
            return "neutral", "Suspended"
        if self.failing:
            return "bad", f"{self.failing:,} failing"
        if self.disabled:
            return "warn", f"{self.disabled:,} disabled"
        return ("good", "In order") if self.endpoints else ("neutral", "No endpoint yet")


@dataclass(frozen=True, slots=True)
class AccountsPage:
    """What ``accounts.html`` shows."""

    lines: list[AccountLine]
    found: int
    all: int
    q: str
    newest: str | None
    older: str | None
    form: Filled


@dataclass(frozen=True, slots=True)
class AccountPage:
    """What ``account.html`` shows. ``made``: a sign-in link, this once."""

    line: AccountLine
    form: Filled
    people: int
    numbers: int
    default_days: int
    made: MadeLink | None = None
    roles: tuple[tuple[str, str], ...] = _EMBED_ROLES
    places: tuple[tuple[str, str], ...] = _EMBED_PLACES
    link_minutes: int = limits.EMBED_LINK_SECONDS // 60
    defaults: tuple[tuple[str, str, int], ...] = (
        ("eventsPerSecond", "Events a second", limits.ACCOUNT_EVENTS_PER_SECOND),
        ("bytesPerSecond", "Bytes a second", limits.ACCOUNT_BYTES_PER_SECOND),
        ("openDeliveries", "Deliveries that wait or are held", limits.ACCOUNT_OPEN_DELIVERIES),
        ("endpoints", "Endpoints", limits.ACCOUNT_ENDPOINTS),
    )


async def accounts(visit: Visit) -> Given:
    """The list, worst first."""
    return _list(visit, Filled())


def _list(visit: Visit, form: Filled, status: int = 200) -> Show:
    q = visit.asked("q")
    held = list(visit.services.directory.accounts.values())
    lines = [_line(visit, one) for one in held if _fits(one, q.lower())]
    lines.sort(key=_badness)
    asked = visit.asked("from")
    start = int(asked) if asked.isdecimal() and len(asked) < 7 else 0
    page = AccountsPage(
        lines=lines[start : start + LISTED],
        found=len(lines),
        all=len(held),
        q=q,
        newest=visit.to("/accounts", q=q) if start else None,
        older=visit.to("/accounts", q=q, **{"from": start + LISTED}) if start + LISTED < len(lines) else None,
        form=form,
    )
    return Show("accounts.html", page, status, fragment="rows")


def _fits(one: RunningAccount, q: str) -> bool:
    return not q or q in one.account.name.lower() or q in one.account.id


def _line(visit: Visit, one: RunningAccount) -> AccountLine:
    services = visit.services
    endpoints = one.endpoints.values()
    on = [running for running in endpoints if running.endpoint.enabled]
    by_itself = (DisabledBy.FAILING, DisabledBy.GONE)
    return AccountLine(
        running=one,
        failing=sum(is_failing(services.dispatcher.health(running.row)) for running in on),
        disabled=sum(
            running.endpoint.disabled_by in by_itself for running in endpoints if not running.endpoint.enabled
        ),
        open=services.quota.open_deliveries.get(one.row, 0),
        endpoints=len(endpoints),
    )


def _badness(line: AccountLine) -> tuple[bool, int, int, int, str]:
    account = line.running.account
    off = account.suspended or account.deleted_ms is not None
    return (off, -line.failing, -line.disabled, -line.open, account.name.lower())


async def make(visit: Visit) -> Given:
    """Make an account."""
    try:
        made = await visit.services.accounts.create(AccountForm(name=visit.form.text("name")), visit.actor)
    except Invalid as problem:
        return _list(visit, Filled.again(visit.form, problem, "name"), problem.status)
    account = made.running.account
    words = f"The account {account.name} is there. Invite its people under Team."
    return Redirect(f"/a/{account.id}", Flash(words), choices={"account": account.id})


async def account(visit: Visit) -> Given:
    """One account's own numbers, and what can be done with it."""
    record = _found(visit).account
    own = record.limits
    given = (own.events_per_second, own.bytes_per_second, own.open_deliveries, own.endpoints)
    filled = {name: "" if value is None else str(value) for name, value in zip(_LIMITS, given, strict=True)}
    days = "" if record.retention_days is None else str(record.retention_days)
    version = str(_found(visit).document.version)
    return _one(visit, Filled({**filled, "name": record.name, "retentionDays": days, "version": version}))


def _found(visit: Visit) -> RunningAccount:
    return visit.services.accounts.find(visit.parameters["account_id"])


def _one(visit: Visit, form: Filled, made: MadeLink | None = None, status: int = 200) -> Show:
    running, services = _found(visit), visit.services
    page = AccountPage(
        line=_line(visit, running),
        form=form,
        people=len(services.users.team(running)),
        numbers=sum(one.account == running.row for one in services.directory.whatsapp.numbers.values()),
        default_days=visit.facts.retention_days,
        made=made,
    )
    return Show("account.html", page, status)


async def change(visit: Visit) -> Given:
    """Change name, retention and limits; an empty field is the installation's default."""
    running, form = _found(visit), visit.form
    read = {name: _number(form.text(name)) for name in (*_LIMITS, "retentionDays")}
    wrong = {name: "must be a whole number, or empty for the default" for name, value in read.items() if value == -1}
    values = {name: form.text(name) for name in form.names() if name != "csrf"}
    if wrong:
        return _one(visit, Filled(values, wrong), status=422)
    wanted = AccountForm(
        name=form.text("name"),
        retention_days=read["retentionDays"],
        limits=LimitsForm(
            events_per_second=read["eventsPerSecond"],
            bytes_per_second=read["bytesPerSecond"],
            open_deliveries=read["openDeliveries"],
            endpoints=read["endpoints"],
        ),
    )
    asked = form.text("version")
    try:
        version = whole(asked)
        await visit.services.accounts.patch(running, wanted, visit.actor, version)
    except (Invalid, Conflict) as problem:
        errors = {one.field.removeprefix("limits."): one.message for one in problem.errors}
        return _one(visit, Filled(values, errors, None if errors else problem.detail), status=problem.status)
    return Redirect(f"/accounts/{running.account.id}", Flash("The account is changed."))


def _number(text: str) -> int | None:
    """A whole number; ``None`` for nothing, -1 for anything else."""
    text = text.replace(",", "").replace(" ", "")
    if not text:
        return None
    return int(text) if text.isdecimal() and len(text) < 16 else -1


async def suspend(visit: Visit) -> Given:
    """Suspend an account, or let it go on."""
    running = _found(visit)
    off = visit.form.text("suspended") == "true"
    await visit.services.accounts.patch(running, AccountForm(suspended=off), visit.actor)
    words = "is suspended: its keys and people are refused" if off else "goes on"
    return Redirect(f"/accounts/{running.account.id}", Flash(f"{running.account.name} {words}."))


async def delete(visit: Visit) -> Given:
    """Delete an account with all that is in it, where its name was typed."""
    running = _found(visit)
    name = running.account.name
    if visit.form.text("confirm") != name:
        form = Filled({"name": name}, {"confirm": "is not the account’s name; type it exactly to delete it"})
        return _one(visit, form, status=422)
    await visit.services.accounts.delete(running.account.id, running.account.id, visit.actor)
    return Redirect("/accounts", Flash(f"{name} is being deleted. Nothing is sent for it any more."))


async def sign_in_link(visit: Visit) -> Given:
    """A link that opens the account inside another product, as its back end would ask for one."""
    word = visit.form.text("role")
    role = Role(word) if word in dict(_EMBED_ROLES) else Role.SUPPORT
    embedding = Embedding(visit.form.text("frame") == "true", visit.form.text("path"))
    made = await visit.services.links.make_embedded(_found(visit), role, visit.actor, embedding)
    shown = await account(visit)
    assert isinstance(shown, Show)
    return _one(visit, shown.page.form, made)


_ONE = "/accounts/{account_id}"

PAGES = (
    Page("GET", "/accounts", Need.OPERATOR, accounts),
    Page("POST", "/accounts", Need.OPERATOR, make),
    Page("GET", _ONE, Need.OPERATOR, account),
    Page("POST", _ONE, Need.OPERATOR, change),
    Page("POST", _ONE + "/suspend", Need.OPERATOR, suspend),
    Page("POST", _ONE + "/delete", Need.OPERATOR, delete),
    Page("POST", _ONE + "/sign-in-link", Need.OPERATOR, sign_in_link),
)
ENTRIES = (Entry("Accounts", "/accounts", "accounts", Need.OPERATOR, group="Installation", order=78),)
