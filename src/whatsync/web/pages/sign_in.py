"""Signing in and out, and what one-time links lead to: the first user, a password, another product's visit."""

from dataclasses import dataclass

from whatsync.model import limits
from whatsync.model.errors import Conflict, Gone, Invalid, LimitExceeded, NotFound, Problem
from whatsync.model.user import Link, LinkPurpose
from whatsync.web.pages.frames import dead_in_frame
from whatsync.web.pages.guard import local_path
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Tone, Visit


@dataclass(frozen=True, slots=True)
class SignInPage:
    """What ``sign_in.html`` shows."""

    form: Filled
    next: str
    fresh: bool
    """Nobody can sign in yet: the first user is still to come."""


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What ``link.html`` shows: the form behind a link."""

    token: str
    purpose: LinkPurpose
    form: Filled
    email: str | None
    password_chars_min: int = limits.PASSWORD_CHARS_MIN


@dataclass(frozen=True, slots=True)
class DeadLinkPage:
    """What ``dead_link.html`` shows: why a link does nothing, and what to do."""

    sentence: str
    first: bool
    """No user has come yet, so that only the server's own command can help."""


async def sign_in(visit: Visit) -> Given:
    """The form to sign in; who is signed in goes on."""
    if visit.user is not None:
        return Redirect(local_path(visit.asked("next")) or "/")
    return _sign_in_page(visit, Filled(), visit.asked("next"))


async def enter(visit: Visit) -> Given:
    """Check address and password, begin a session."""
    form = visit.form
    try:
        begun = await visit.services.sign_in.enter(form.text("email"), form.raw("password"), visit.visitor)
    except (Invalid, LimitExceeded) as problem:
        wait = isinstance(problem, LimitExceeded)
        filled = Filled({"email": form.text("email")}, {}, problem.detail if wait else problem.errors[0].message)
        return _sign_in_page(visit, filled, form.text("next"), problem.status)
    return Redirect(local_path(form.text("next")) or "/", session=begun.token)


async def forgotten(visit: Visit) -> Given:
    """Mail a link for a new password, to who is known."""
    email = visit.form.text("email")
    try:
        await visit.services.link_mails.forgotten(email, visit.visitor)
    except (Conflict, LimitExceeded) as problem:
        words = problem.detail[:1].upper() + problem.detail[1:] + "."
        return _sign_in_page(visit, Filled({"email": email}, {}, words), "", problem.status)
    words = "If somebody with this address is known here, a mail with a link is on its way."
    return Redirect("/sign-in", Flash(words, Tone.NOTE))


async def leave(visit: Visit) -> Given:
    """End this session."""
    if visit.session is not None:
        await visit.services.sessions.end(visit.session.id, visit.session.user, visit.actor)
    return Redirect("/sign-in", Flash("You are signed out.", Tone.NOTE), session="")


def _sign_in_page(visit: Visit, form: Filled, after: str, status: int = 200) -> Show:
    page = SignInPage(form, local_path(after) or "", not visit.services.directory.users)
    return Show("sign_in.html", page, status)


async def open_link(visit: Visit) -> Given:
    """Show what a link is for. Opening it uses nothing up: mail programs open links, too."""
    try:
        link = await _found(visit)
        return _link_page(visit, link, Filled())
    except (Gone, NotFound) as problem:
        if isinstance(problem, Gone) and visit.embedded:
            return Redirect("/")  # back to the visit that it has begun
        return _dead(visit, problem)


async def use_link(visit: Visit) -> Given:
    """Do what the link is for, once."""
    links, token, form = visit.services.links, visit.parameters["token"], visit.form
    try:
        link = await _found(visit)
    except (Gone, NotFound) as problem:
        return _dead(visit, problem)
    try:
        if link.purpose is LinkPurpose.EMBED:
            entered = await links.use_embedded(token, visit.visitor, visit.framed, visit.session)
            path = "" if link.embedding is None else link.embedding.path
            return Redirect(f"/a/{link.account}{path}", session=None if entered is None else entered.token)
        if link.purpose is LinkPurpose.FIRST:
            begun = await links.use_first(token, form.text("email"), form.raw("password"), visit.visitor)
        else:
            begun = await links.use_password(token, form.raw("password"), visit.visitor)
    except (Gone, NotFound) as problem:
        return _dead(visit, problem)
    except (Invalid, Conflict) as problem:
        return _link_page(visit, link, Filled.again(form, problem, "email", "password"), problem.status)
    return Redirect("/", Flash("Welcome. You are signed in."), session=begun.token)


async def _found(visit: Visit) -> Link:
    """The link of the path, which another node may have made just now. Raises NotFound, Gone."""
    links, token = visit.services.links, visit.parameters["token"]
    try:
        link = links.find(token)
    except NotFound:
        if not await visit.services.standing.refreshed():
            raise
        link = links.find(token)
    if visit.framed and (link.embedding is None or not link.embedding.frame):
        raise NotFound("link_not_for_frame", "this link opens in a window of its own, not in a frame")
    return link


def _link_page(visit: Visit, link: Link, form: Filled, status: int = 200) -> Show:
    person = link.purpose in (LinkPurpose.INVITE, LinkPurpose.RESET)
    email = visit.services.links.user_of(link).email if person else None
    return Show("link.html", LinkPage(visit.parameters["token"], link.purpose, form, email), status)


def _dead(visit: Visit, problem: Problem) -> Show:
    if visit.framed:
        return dead_in_frame(problem)
    page = DeadLinkPage(problem.detail[:1].upper() + problem.detail[1:] + ".", not visit.services.directory.users)
    return Show("dead_link.html", page, problem.status)


PAGES = (
    Page("GET", "/sign-in", Need.EVERYONE, sign_in),
    Page("POST", "/sign-in", Need.EVERYONE, enter),
    Page("POST", "/forgotten", Need.EVERYONE, forgotten),
    Page("POST", "/sign-out", Need.EVERYONE, leave),
    Page("GET", "/link/{token}", Need.EVERYONE, open_link, embedded=True),
    Page("POST", "/link/{token}", Need.EVERYONE, use_link, embedded=True),
)
ENTRIES: tuple[Entry, ...] = ()
