"""Routes of people: who may sign in to the dashboard, with which roles; and links that sign in once. For operators."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from whatsync.engine.links import MadeLink
from whatsync.model.account import Scope
from whatsync.model.user import Embedding, LinkPurpose, Role, Theme, User
from whatsync.web.api.call import (
    Answer,
    Call,
    Page,
    PageQuery,
    Route,
    Time,
    listed,
    position_of,
    show_time,
    show_time_or_none,
)

_Memberships = Annotated[
    dict[str, Role], Meta(description="Account to role: `viewer`, `support`, `developer` or `owner`")
]


class UserForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A person as he is added."""

    email: str
    memberships: _Memberships = {}
    operator: Annotated[bool, Meta(description="Runs the installation: owner of every account")] = False


class UserPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What to change; fields left out stay as they are."""

    memberships: (
        Annotated[dict[str, Role | None], Meta(description="Account to role; `null` takes it away")] | UnsetType
    ) = UNSET
    operator: bool | UnsetType = UNSET


class ResetForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Whose link."""

    email: Annotated[str, Meta(description="Left out: the first user, while nobody is here yet")] | None = None


class EmbedForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """With which role, and how your product shows it."""

    role: Role = Role.SUPPORT
    frame: Annotated[
        bool, Meta(description="In a frame of your page, one of `WHATSYNC_EMBED_ORIGINS`; else redirect your user")
    ] = False
    path: Annotated[
        str,
        Meta(description="Where it opens, below the account: `/webhooks`, `/history?state=failed`; else its overview"),
    ] = ""
    theme: Annotated[Theme | None, Meta(description="`light` or `dark`; left out: as the browser has it")] = None


class UserView(msgspec.Struct, frozen=True, rename="camel"):
    """A person."""

    id: str
    email: str
    operator: bool
    memberships: Mapping[str, Role]
    can_sign_in: Annotated[bool, Meta(description="A password is set")]
    created_at: Time
    signed_in_at: Annotated[Time, Meta(description="With the password, the last time")] | None


class LinkView(msgspec.Struct, frozen=True, rename="camel"):
    """A link that signs in once. Whoever has it can use it; it is shown this one time."""

    url: str
    purpose: LinkPurpose
    expires_at: Time


class NewUser(msgspec.Struct, frozen=True, rename="camel"):
    """A new person, and the link by which he chooses a password."""

    user: UserView
    link: LinkView


async def list_users(call: Call) -> Answer:
    """Everybody who may sign in to the dashboard of this installation."""
    query: PageQuery = call.query
    users, after = call.services.users.page(position_of(query.cursor), query.limit)
    return listed((_view(user) for user in users), after)


async def create_user(call: Call) -> Answer:
    """Hand the answer's link to the person: it works once, within 7 days."""
    form, actor = call.body, call.principal.actor
    user = await call.services.users.add(form.email, form.memberships, actor, operator=form.operator)
    link = await call.services.links.make_for(user, actor)
    return Answer(201, NewUser(_view(user), _link(link)))


async def patch_user(call: Call) -> Answer:
    """Roles count at once. The last owner of an account and the last operator can't be taken away."""
    form: UserPatch = call.body
    users, actor = call.services.users, call.principal.actor
    user = users.find(call.path["user_id"])
    if form.operator is not UNSET:
        user = await users.set_operator(user.id, form.operator, actor)
    if form.memberships is not UNSET:
        user = await users.set_memberships(user.id, form.memberships, actor)
    return Answer(200, _view(user))


async def delete_user(call: Call) -> Answer:
    """He is signed out everywhere at once."""
    await call.services.users.remove(call.path["user_id"], call.principal.actor)
    return Answer(204)


async def reset_link(call: Call) -> Answer:
    """For who has lost his password, or the first link. Earlier links of his count no more; 24 hours."""
    form: ResetForm = call.body
    return Answer(201, _link(await call.services.links.make_again(form.email, call.principal.actor)))


async def sign_in_link(call: Call) -> Answer:
    """The link works once, within two minutes: redirect your own product's user to it at once, or make it the address
    of a frame in your page.

    It opens the account's configuration and history, and nothing else, for eight hours.
    """
    form: EmbedForm = call.body
    account = call.services.accounts.find(call.path["account_id"])
    embedding = Embedding(form.frame, form.path, form.theme)
    made = await call.services.links.make_embedded(account, form.role, call.principal.actor, embedding)
    return Answer(201, _link(made))


def _view(user: User) -> UserView:
    return UserView(
        id=user.id,
        email=user.email,
        operator=user.operator,
        memberships=user.memberships,
        can_sign_in=user.password_hash is not None,
        created_at=show_time(user.created_ms),
        signed_in_at=show_time_or_none(user.signed_in_ms),
    )


def _link(made: MadeLink) -> LinkView:
    return LinkView(made.url, made.link.purpose, show_time(made.link.expires_ms))


ROUTES = (
    Route("GET", "/v1/users", Scope.OPERATOR, list_users, "List users", query=PageQuery, gives={200: Page[UserView]}),
    Route(
        "POST", "/v1/users", Scope.OPERATOR, create_user, "Add a user",
        takes=UserForm, gives={201: NewUser}, problems=(409,),
    ),
    Route(
        "PATCH", "/v1/users/{user_id}", Scope.OPERATOR, patch_user, "Change a user's roles",
        takes=UserPatch, gives={200: UserView}, problems=(404, 409),
    ),
    Route(
        "DELETE", "/v1/users/{user_id}", Scope.OPERATOR, delete_user, "Remove a user",
        gives={204: None}, problems=(404, 409),
    ),
    Route(
        "POST", "/v1/users/reset-link", Scope.OPERATOR, reset_link, "Make a link to choose a new password",
        takes=ResetForm, takes_optional=True, gives={201: LinkView}, problems=(404,),
    ),
    Route(
        "POST", "/v1/accounts/{account_id}/sign-in-link", Scope.OPERATOR, sign_in_link,
        "Make a link that opens an account's dashboard inside your product",
        takes=EmbedForm, takes_optional=True, gives={201: LinkView}, problems=(404, 409),
    ),
)  # fmt: skip
