"""Sources for operators: listed with how they fare, made, changed, deleted. Knows the services, no HTTP."""

from collections import Counter
from dataclasses import dataclass

from msgspec import UNSET

from whatsync.engine.source_directory import RunningSource
from whatsync.engine.sources import SourceFacts
from whatsync.model import limits
from whatsync.model.errors import Conflict, Invalid, LimitExceeded
from whatsync.model.source import GRAPH_VERSION, Auth, SourceForm
from whatsync.web.pages.page import Entry, Filled, Flash, Form, Given, Need, Page, Redirect, Show, Visit, whole

LISTED = 50
"""Sources on one page; each of them is asked how it fares."""
_FIELDS = ("name", "appId", "appSecret", "accessToken", "verifyToken", "username", "password", "account", "apiVersion")


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A source in the list."""

    running: RunningSource
    facts: SourceFacts
    numbers: int
    unassigned: int

    @property
    def standing(self) -> tuple[str, str]:
        """A tone and a word."""
        if self.facts.rejected_since_good:
            return "bad", "Refusing requests"
        if self.facts.last_webhook_ms is None:
            return "warn", "Nothing in 7 days"
        return ("warn", "Numbers to assign") if self.unassigned else ("good", "Receiving")


@dataclass(frozen=True, slots=True)
class SourcesPage:
    """What ``sources.html`` shows."""

    lines: list[SourceLine]
    older: str | None
    unassigned: int


@dataclass(frozen=True, slots=True)
class SourceFormPage:
    """What ``source_form.html`` shows."""

    source: RunningSource | None
    form: Filled
    accounts: list[tuple[str, str]]
    previous_days: int = limits.PREVIOUS_SECRET_DAYS


async def sources(visit: Visit) -> Given:
    """The list, newest first."""
    services = visit.services
    before = whole(visit.asked("before"))
    found, after = services.sources.page(before, LISTED)
    numbers: Counter[str] = Counter()
    unassigned: Counter[str] = Counter()
    for running in services.directory.whatsapp.numbers.values():
        numbers[running.number.source] += 1
        unassigned[running.number.source] += not running.account
    lines = []
    for one in found:
        id_ = one.source.id
        lines.append(SourceLine(one, await services.sources.facts(one), numbers[id_], unassigned[id_]))
    older = None if after is None else visit.to("/sources", before=after)
    return Show("sources.html", SourcesPage(lines, older, unassigned.total()))


async def new(visit: Visit) -> Given:
    """An empty form."""
    return _form(visit, None, Filled({"auth": Auth.SIGNATURE.value, "apiVersion": GRAPH_VERSION}))


async def make(visit: Visit) -> Given:
    """Make a source, and go on to connecting it."""
    try:
        made = await visit.services.sources.create(_read(visit.form), visit.actor)
    except (Invalid, Conflict, LimitExceeded) as problem:
        return _form(visit, None, _again(visit.form, problem), problem.status)
    words = "The source is there. Now connect it: the next steps are below."
    return Redirect(f"/sources/{made.source.id}", Flash(words))


async def edit(visit: Visit) -> Given:
    """The form with what is stored; secrets stay empty."""
    running = found_source(visit)
    source = running.source
    filled: dict[str, str] = {
        "name": source.name,
        "appId": source.app_id or "",
        "verifyToken": running.verify_token,
        "apiVersion": source.api_version,
        "auth": source.auth.value,
        "username": source.username or "",
        "account": source.account or "",
        "version": str(running.document.version),
    }
    return _form(visit, running, Filled(filled))


async def change(visit: Visit) -> Given:
    """Change it, where nobody else has meanwhile."""
    running, asked = found_source(visit), visit.form.text("version")
    version = whole(asked)
    try:
        await visit.services.sources.patch(running.source.id, _read(visit.form), visit.actor, version)
    except (Invalid, Conflict) as problem:
        return _form(visit, running, _again(visit.form, problem), problem.status)
    return Redirect(f"/sources/{running.source.id}", Flash("The source is changed."))


async def delete(visit: Visit) -> Given:
    """Delete it; refused while numbers come through it."""
    running = found_source(visit)
    await visit.services.sources.delete(running.source.id, visit.actor)
    return Redirect("/sources", Flash(f"The source {running.source.name} is deleted."))


def found_source(visit: Visit) -> RunningSource:
    """The source of the page's path. Raises NotFound."""
    return visit.services.sources.find(visit.parameters["source_id"])


def account_choices(visit: Visit) -> list[tuple[str, str]]:
    """All accounts by name, with their ids."""
    held = (one.account for one in visit.services.directory.accounts.values() if one.account.deleted_ms is None)
    return sorted(((one.id, one.name) for one in held), key=lambda pair: pair[1].lower())


def _form(visit: Visit, source: RunningSource | None, form: Filled, status: int = 200) -> Show:
    return Show("source_form.html", SourceFormPage(source, form, account_choices(visit)), status)


def _again(form: Form, problem: Invalid | Conflict | LimitExceeded) -> Filled:
    filled = Filled.again(form, problem, *_FIELDS)
    kept = {name: value for name, value in filled.values.items() if name not in ("appSecret", "accessToken")}
    return Filled(kept, filled.errors, filled.problem)


def _read(form: Form) -> SourceForm:
    """The form's fields. An empty secret leaves what is stored."""
    auth = Auth.BASIC if form.text("auth") == Auth.BASIC else Auth.SIGNATURE
    return SourceForm(
        name=form.text("name"),
        app_id=form.text("appId") or None,
        app_secret=form.text("appSecret") or UNSET,
        verify_token=form.text("verifyToken") or UNSET,
        access_token=form.text("accessToken") or UNSET,
        api_version=form.text("apiVersion") or None,
        auth=auth,
        username=form.text("username") or None if auth is Auth.BASIC else UNSET,
        password=(form.raw("password") or UNSET) if auth is Auth.BASIC else UNSET,
        account=form.text("account") or None,
    )


PAGES = (
    Page("GET", "/sources", Need.OPERATOR, sources),
    Page("GET", "/sources/new", Need.OPERATOR, new),
    Page("POST", "/sources/new", Need.OPERATOR, make),
    Page("GET", "/sources/{source_id}/edit", Need.OPERATOR, edit),
    Page("POST", "/sources/{source_id}/edit", Need.OPERATOR, change),
    Page("POST", "/sources/{source_id}/delete", Need.OPERATOR, delete),
)
ENTRIES = (Entry("Sources", "/sources", "source", Need.OPERATOR, group="Installation", order=80),)
