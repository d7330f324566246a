"""One's own profile: password, and the browsers one is signed in with. Also light or dark, which needs no user."""

from dataclasses import dataclass

from whatsync.model import limits
from whatsync.model.errors import Conflict, Invalid, LimitExceeded
from whatsync.model.user import Role, Session
from whatsync.web.pages.guard import local_path
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Visit

THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Membership:
    """An account the person belongs to."""

    id: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class ProfilePage:
    """What ``profile.html`` shows."""

    email: str
    operator: bool
    memberships: list[Membership]
    sessions: list[Session]
    present: str
    """Id of the session that asks."""
    password_ms: int | None
    form: Filled
    password_chars_min: int = limits.PASSWORD_CHARS_MIN


async def profile(visit: Visit) -> Given:
    """One's own profile."""
    return _page(visit, Filled())


def _page(visit: Visit, form: Filled, status: int = 200) -> Show:
    user, services = visit.person, visit.services
    accounts = services.directory.accounts_by_id
    memberships = [
        Membership(account_id, accounts[account_id].account.name, role)
        for account_id, role in user.memberships.items()
        if account_id in accounts
    ]
    assert visit.session is not None
    page = ProfilePage(
        email=user.email,
        operator=user.operator,
        memberships=memberships,
        sessions=services.sessions.of(user.id),
        present=visit.session.id,
        password_ms=user.password_ms,
        form=form,
    )
    return Show("profile.html", page, status, fragment="sessions")


async def change_password(visit: Visit) -> Given:
    """Set a new password; all other browsers are signed out."""
    form, user = visit.form, visit.person
    try:
        begun = await visit.services.sign_in.change_password(
            user, form.raw("old"), form.raw("password"), visit.visitor, visit.actor
        )
    except (Invalid, Conflict, LimitExceeded) as problem:
        return _page(visit, Filled.again(form, problem, "old", "password"), problem.status)
    return Redirect("/profile", Flash("Your password is changed. All other browsers are signed out."), begun.token)


async def end_session(visit: Visit) -> Given:
    """Sign another browser out."""
    await visit.services.sessions.end(visit.parameters["session"], visit.person.id, visit.actor)
    return Redirect("/profile", Flash("That browser is signed out."))


async def end_other_sessions(visit: Visit) -> Given:
    """Sign all browsers out but this one."""
    assert visit.session is not None
    count = await visit.services.sessions.end_others(visit.person.id, visit.session.id, visit.actor)
    return Redirect("/profile", Flash(f"{count} other browser{'' if count == 1 else 's'} signed out."))


async def choose_theme(visit: Visit) -> Given:
    """Light, dark, or as the system has it; then back."""
    theme = visit.form.text("theme")
    back = local_path(visit.form.text("back")) or "/"
    return Redirect(back, choices={"theme": theme if theme in THEMES else ""})


PAGES = (
    Page("GET", "/profile", Need.SIGNED_IN, profile),
    Page("POST", "/profile/password", Need.SIGNED_IN, change_password),
    Page("POST", "/profile/sessions/{session}/end", Need.SIGNED_IN, end_session),
    Page("POST", "/profile/sessions/end-others", Need.SIGNED_IN, end_other_sessions),
    Page("POST", "/theme", Need.EVERYONE, choose_theme),
)
ENTRIES: tuple[Entry, ...] = ()
