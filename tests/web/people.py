"""People of a running server for tests: users with roles, signed in without waiting for a password to be hashed, and a
browser-like client that keeps cookies and sends forms with their token."""

import re
from dataclasses import dataclass

import httpx

from tests.patience import PATIENCE_SECONDS
from tests.web.running import Running
from whatsync.engine.directory import RunningAccount
from whatsync.engine.sessions import Visitor
from whatsync.model.account_form import AccountForm
from whatsync.model.user import Role, User
from whatsync.ports.store import Change

ACTOR = "test"
SESSION_COOKIE = "whatsync-session"
_TOKEN = re.compile(r"X-CSRF-Token&#34;:&#34;([^&]+)&#34;")


@dataclass(frozen=True)
class Team:
    """An account of its own with one user for each role, and an operator who belongs to none."""

    account: RunningAccount
    users: dict[Role, User]

    @property
    def path(self) -> str:
        return f"/a/{self.account.account.id}"


async def make_account(web: Running, name: str) -> RunningAccount:
    """An account with nothing in it."""
    return (await web.server.services.accounts.create(AccountForm(name=name), ACTOR)).running


async def make_team(web: Running, name: str = "Example Ltd") -> Team:
    """An account and its users."""
    account = await make_account(web, name)
    users = {}
    for role in Role:
        email = f"{role}.{account.row}@example.com"
        users[role] = await web.server.services.users.add(email, {account.account.id: role}, ACTOR)
    return Team(account, users)


async def make_operator(web: Running, email: str = "operator@example.com") -> User:
    """Somebody who runs the installation."""
    users = web.server.services.users
    return users.by_email(email) or await users.add(email, {}, ACTOR, operator=True)


async def sign_in(web: Running, user: User) -> str:
    """A session of this user; its token."""
    services = web.server.services
    begun = services.sessions.draft(Visitor("127.0.0.1", "Chrome on Linux"), user)
    await services.configuration.change(Change(0, (begun.put,), routing=False))
    return begun.token


def visitor(web: Running, token: str | None = None) -> httpx.AsyncClient:
    """A browser at this server, signed in with a session's token."""
    cookies = {} if token is None else {SESSION_COOKIE: token}
    headers = {"accept": "text/html", "sec-fetch-site": "same-origin"}
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{web.port}", cookies=cookies, headers=headers, timeout=PATIENCE_SECONDS
    )


async def token_of(client: httpx.AsyncClient, path: str = "/no-such-page") -> str:
    """The form token that a page gives this browser."""
    found = _TOKEN.search((await client.get(path)).text)
    assert found, f"{path} holds no token"
    return found[1]


async def post(client: httpx.AsyncClient, path: str, data: dict[str, str] | None = None) -> httpx.Response:
    """Send a form as this browser would."""
    return await client.post(path, data={"csrf": await token_of(client), **(data or {})})
