"""The account's team: who belongs to it and as what, invited by a link, changed, removed.

Knows the services, no HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from whatsync.engine.links import MadeLink
from whatsync.model import limits
from whatsync.model.errors import Conflict, Invalid, NotFound, Unavailable
from whatsync.model.user import ROLE_MEANINGS, Role, User
from whatsync.web.pages.page import Entry, Filled, Flash, Given, Need, Page, Redirect, Show, Visit

_FRESH: Mapping[str, str | bool] = {"role": Role.DEVELOPER.value, "mail": True}
_CHOICES = tuple((role.value, role.value.capitalize(), f"{words}.") for role, words in ROLE_MEANINGS.items())


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who belongs to the account."""

    user: User
    role: Role
    sessions: int
    me: bool
    may_be_linked: bool
    """A link for him may be made here: by an operator, or where he has no password yet and belongs here alone."""


@dataclass(frozen=True, slots=True)
class TeamPage:
    """What ``team.html`` shows. ``made``: a link to hand over, this once."""

    members: list[Member]
    form: Filled
    made: tuple[User, MadeLink] | None = None
    roles: tuple[tuple[str, str, str], ...] = _CHOICES
    invite_days: int = limits.INVITE_LINK_SECONDS // 86_400


def _page(visit: Visit, form: Filled, made: tuple[User, MadeLink] | None = None, status: int = 200) -> Show:
    services = visit.services
    members = [
        Member(
            user,
            role,
            sessions=len(services.sessions.of(user.id)),
            me=user.id == (visit.user and visit.user.id),
            may_be_linked=_may_be_linked(visit, user),
        )
        for user, role in services.users.team(visit.account)
    ]
    return Show("team.html", TeamPage(members, form, made), status)


async def team(visit: Visit) -> Given:
    """The list."""
    return _page(visit, Filled(_FRESH))


async def invite(visit: Visit) -> Given:
    """Add somebody to the team; who is new here gets a link to choose a password."""
    form, users, account = visit.form, visit.services.users, visit.account
    role = _role(form.text("role"))
    known = users.by_email(form.text("email"))
    if known is not None:
        if account.account.id in known.memberships:
            words = f"{known.email} is in the team already; change the role in the list."
            return _page(visit, _again(visit, words), status=409)
        if known.password_hash is not None and not visit.operator:
            # Nothing proves that who chose the password owns the address: another account's owner may have.
            words = f"{known.email} belongs to another account here; only the operator can add them to this one."
            return _page(visit, _again(visit, words), status=409)
        await users.set_role(known.id, account, role, visit.actor)
        words = f"{known.email} is in the team now, as {role}."
        if known.password_hash is None:
            words += " There is no password yet, and earlier links end with this: ask the operator for a new one."
        return Redirect(visit.here("/team"), Flash(words))
    try:
        user = await users.add(form.text("email"), {account.account.id: role}, visit.actor, account=account.row)
    except (Invalid, Conflict) as problem:
        return _page(visit, Filled.again(form, problem, "email", "role"), status=problem.status)
    made = await visit.services.links.make_for(user, visit.actor, account=account.row)
    if form.flag("mail"):
        return await _mailed(visit, user, made)
    return _page(visit, Filled(_FRESH), (user, made))


async def _mailed(visit: Visit, user: User, made: MadeLink) -> Given:
    """Send the link; where that does not work, show it."""
    try:
        await visit.services.link_mails.send(made, visit.account)
    except (Conflict, Unavailable) as problem:
        words = problem.detail[:1].upper() + problem.detail[1:] + "."
        return _page(visit, Filled(_FRESH, problem=words), (user, made), status=problem.status)
    return Redirect(visit.here("/team"), Flash(f"A mail with the link is on its way to {user.email}."))


async def mail(visit: Visit) -> Given:
    """Mail the link that was made just now to whom it is for."""
    user = visit.services.users.member(visit.account, visit.parameters["user_id"])
    made = visit.services.links.made(visit.form.text("token"))
    if made.link.user != user.id or not _may_be_linked(visit, user):
        raise NotFound("link_not_found", "this link is for somebody else")
    return await _mailed(visit, user, made)


async def change(visit: Visit) -> Given:
    """Give somebody another role."""
    user = visit.services.users.member(visit.account, visit.parameters["user_id"])
    role = _role(visit.form.text("role"))
    await visit.services.users.set_role(user.id, visit.account, role, visit.actor)
    return Redirect(visit.here("/team"), Flash(f"{user.email} is {role} now. It counts at once."))


async def link(visit: Visit) -> Given:
    """A new link for somebody who has not chosen a password yet; by an operator for anybody.

    Refused to owners for who belongs elsewhere too, or is an operator: whoever uses the link is that person everywhere.
    """
    user = visit.services.users.member(visit.account, visit.parameters["user_id"])
    if not _may_be_linked(visit, user):
        words = "this person has a password, or belongs elsewhere too; only the operator can make a link for them"
        raise Conflict("not_yours_alone", words)
    made = await visit.services.links.make_for(user, visit.actor, account=visit.account.row)
    return _page(visit, Filled(_FRESH), (user, made))


async def remove(visit: Visit) -> Given:
    """Take somebody out of the team. Who belongs nowhere else is removed with all sessions."""
    user = visit.services.users.member(visit.account, visit.parameters["user_id"])
    await visit.services.users.set_role(user.id, visit.account, None, visit.actor)
    if visit.user is not None and user.id == visit.user.id and not visit.operator:
        return Redirect("/", Flash("You have left the team."))
    return Redirect(visit.here("/team"), Flash(f"{user.email} is out of the team, at once and everywhere."))


def _may_be_linked(visit: Visit, user: User) -> bool:
    alone = set(user.memberships) == {visit.account.account.id} and not user.operator
    return visit.operator or (user.password_hash is None and alone)


def _again(visit: Visit, words: str) -> Filled:
    return Filled({"email": visit.form.text("email"), "role": visit.form.text("role")}, {"email": words})


def _role(word: str) -> Role:
    return Role(word) if word in tuple(Role) else Role.VIEWER


PAGES = (
    Page("GET", "/a/{account}/team", Need.OWNER, team),
    Page("POST", "/a/{account}/team", Need.OWNER, invite),
    Page("POST", "/a/{account}/team/{user_id}", Need.OWNER, change),
    Page("POST", "/a/{account}/team/{user_id}/link", Need.OWNER, link),
    Page("POST", "/a/{account}/team/{user_id}/mail", Need.OWNER, mail),
    Page("POST", "/a/{account}/team/{user_id}/remove", Need.OWNER, remove),
)
ENTRIES = (Entry("Team", "/a/{account}/team", "people", Need.OWNER, group="Account", order=60),)
