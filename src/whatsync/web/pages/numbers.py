"""Numbers: an account's own, and for operators all of them, looked through and given to accounts many at a time.

Knows the services, no HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET

from whatsync.engine.source_directory import RunningNumber
from whatsync.model import limits
from whatsync.model.errors import Conflict, Invalid, NotFound
from whatsync.model.source import NewNumberForm, NumberForm
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Tone, Visit, whole
from whatsync.web.pages.sources import account_choices

LISTED = 100
SHOW = (("", "All"), ("unassigned", "Nobody’s"), ("assigned", "Assigned"), ("quiet", "Quiet"))


@dataclass(frozen=True, slots=True)
class NumberLine:
    """A number in a list."""

    running: RunningNumber
    account: tuple[str, str] | None
    """Id and name."""
    source: tuple[str, str]
    quiet_ms: int | None
    """Since when it is quiet."""


@dataclass(frozen=True, slots=True)
class NumbersPage:
    """What ``numbers.html`` shows. ``operator``: all accounts' numbers, with what operators may do."""

    lines: list[NumberLine]
    found: int
    all: int
    unassigned: int
    quiet: int
    q: str
    show: str
    newest: str | None
    older: str | None
    operator: bool
    accounts: list[tuple[str, str]]
    form: Filled
    shows: tuple[tuple[str, str], ...] = SHOW


@dataclass(frozen=True, slots=True)
class NumberPage:
    """What ``number.html`` shows."""

    line: NumberLine | None
    form: Filled
    accounts: list[tuple[str, str]]
    sources: list[tuple[str, str]]


async def own(visit: Visit) -> Given:
    """The account's numbers."""
    return _page(visit, visit.services.numbers.page(visit.account, None, limits.NUMBERS_MAX)[0], False)


async def numbers(visit: Visit) -> Given:
    """All numbers, nobody's first."""
    return _page(visit, visit.services.numbers.page(None, None, limits.NUMBERS_MAX)[0], True)


def _page(
    visit: Visit, known: Sequence[RunningNumber], operator: bool, form: Filled | None = None, status: int = 200
) -> Show:
    q, show = visit.asked("q"), visit.asked("show")
    quiet = visit.services.quiet.standing
    held = [one for one in known if _fits(visit, one, q.lower()) and _shown(one, show, quiet)]
    held.sort(key=lambda one: (operator and one.account != 0, one.number.id not in quiet, _name(one), one.number.id))
    asked = visit.asked("from")
    start = min(int(asked), len(held)) if asked.isdecimal() and len(asked) < 7 else 0
    path, filters = visit.path, {"q": q, "show": show}
    page = NumbersPage(
        lines=[_line(visit, one) for one in held[start : start + LISTED]],
        found=len(held),
        all=len(known),
        unassigned=sum(not one.account for one in known),
        quiet=sum(one.number.id in quiet for one in known),
        q=q,
        show=show,
        newest=visit.to(path, **filters) if start else None,
        older=visit.to(path, **filters, **{"from": start + LISTED}) if start + LISTED < len(held) else None,
        operator=operator,
        accounts=account_choices(visit) if operator else [],
        form=form or Filled(),
    )
    return Show("numbers.html", page, status, fragment="rows")


def _fits(visit: Visit, one: RunningNumber, q: str) -> bool:
    if not q:
        return True
    number = one.number
    account = visit.services.directory.accounts_by_id.get(number.account or "")
    words = (number.id, number.name, number.display or "", number.business or "", account and account.account.name)
    digits = "".join(character for character in q if character.isdigit())
    return any(q in (word or "").lower() for word in words) or (
        len(digits) > 2 and digits in "".join(filter(str.isdigit, number.display or ""))
    )


def _shown(one: RunningNumber, show: str, quiet: dict[str, int]) -> bool:
    if show == "quiet":
        return one.number.id in quiet
    return show not in ("assigned", "unassigned") or (one.account != 0) == (show == "assigned")


def _name(one: RunningNumber) -> str:
    return (one.number.name or one.number.display or "").lower()


def _line(visit: Visit, one: RunningNumber) -> NumberLine:
    directory, number = visit.services.directory, one.number
    account = directory.accounts_by_id.get(number.account or "")
    source = directory.whatsapp.sources.get(number.source)
    return NumberLine(
        running=one,
        account=None if account is None else (account.account.id, account.account.name),
        source=(number.source, number.source if source is None else source.source.name),
        quiet_ms=visit.services.quiet.standing.get(number.id),
    )


async def assign(visit: Visit) -> Given:
    """Give several numbers to an account, or to nobody."""
    chosen, account = visit.form.many("number"), visit.form.text("account")
    back = visit.to("/numbers", q=visit.form.text("q"), show=visit.form.text("show"))
    if not chosen:
        return Redirect(back, Flash("Tick the numbers first.", Tone.BAD))
    form = NumberForm(account=None if account == "nobody" else account)
    try:
        for number in chosen:
            await visit.services.numbers.patch(number, form, visit.actor)
    except (Invalid, Conflict, NotFound) as problem:
        return Redirect(back, Flash(f"Not all of them were given away: {problem.detail}.", Tone.BAD))
    words = f"{len(chosen)} number{'' if len(chosen) == 1 else 's'}"
    if account == "nobody":
        return Redirect(back, Flash(f"{words} now belong to nobody; what comes for them is kept."))
    return Redirect(back, Flash(f"{words} assigned. What came before is being processed."))


async def new(visit: Visit) -> Given:
    """An empty form, for a number before its first webhook."""
    return _number(visit, None, Filled({"source": visit.asked("source")}))


async def make(visit: Visit) -> Given:
    """Make a number known."""
    form = visit.form
    wanted = NewNumberForm(
        phone_number_id=form.text("phoneNumberId"),
        source=form.text("source"),
        name=form.text("name"),
        account=form.text("account") or None,
        waba_id=form.text("wabaId") or None,
        access_token=form.text("accessToken") or None,
    )
    try:
        made = await visit.services.numbers.create(wanted, visit.actor)
    except (Invalid, Conflict) as problem:
        return _number(visit, None, _again(visit, problem), problem.status)
    return Redirect("/numbers", Flash(f"The number {made.number.id} is known now."))


async def number(visit: Visit) -> Given:
    """One number."""
    running = visit.services.numbers.find(visit.parameters["number"])
    held = running.number
    filled = {"name": held.name, "account": held.account or "", "wabaId": held.business or ""}
    return _number(visit, running, Filled({**filled, "version": str(running.document.version)}))


async def change(visit: Visit) -> Given:
    """Change a number, or whose it is."""
    running, form = visit.services.numbers.find(visit.parameters["number"]), visit.form
    asked = form.text("version")
    token = form.text("accessToken")
    wanted = NumberForm(
        name=form.text("name"),
        account=form.text("account") or None,
        waba_id=form.text("wabaId") or None,
        access_token=token or (None if form.flag("forgetToken") else UNSET),
    )
    try:
        version = whole(asked)
        await visit.services.numbers.patch(running.number.id, wanted, visit.actor, version)
    except (Invalid, Conflict) as problem:
        return _number(visit, running, _again(visit, problem), problem.status)
    return Redirect("/numbers", Flash(f"The number {running.number.id} is changed."))


async def forget(visit: Visit) -> Given:
    """Forget a number."""
    running = visit.services.numbers.find(visit.parameters["number"])
    await visit.services.numbers.delete(running.number.id, visit.actor)
    return Redirect("/numbers", Flash(f"The number {running.number.id} is forgotten."))


def _again(visit: Visit, problem: Invalid | Conflict) -> Filled:
    fields = ("phoneNumberId", "source", "name", "account", "wabaId", "accessToken")
    filled = Filled.again(visit.form, problem, *fields)
    return Filled({**filled.values, "accessToken": ""}, filled.errors, filled.problem)


def _number(visit: Visit, running: RunningNumber | None, form: Filled, status: int = 200) -> Show:
    sources = visit.services.directory.whatsapp.sources.values()
    named = sorted((one.source.id, one.source.name) for one in sources)
    line = None if running is None else _line(visit, running)
    return Show("number.html", NumberPage(line, form, account_choices(visit), named), status)


PAGES = (
    Page("GET", "/a/{account}/numbers", Need.VIEWER, own),
    Page("GET", "/numbers", Need.OPERATOR, numbers),
    Page("POST", "/numbers/assign", Need.OPERATOR, assign),
    Page("GET", "/numbers/new", Need.OPERATOR, new),
    Page("POST", "/numbers/new", Need.OPERATOR, make),
    Page("GET", "/numbers/{number}", Need.OPERATOR, number),
    Page("POST", "/numbers/{number}", Need.OPERATOR, change),
    Page("POST", "/numbers/{number}/forget", Need.OPERATOR, forget),
)
ENTRIES = (
    Entry("Numbers", "/a/{account}/numbers", "number", Need.VIEWER, group="Build", order=44),
    Entry("All numbers", "/numbers", "number", Need.OPERATOR, group="Installation", order=82),
)
