"""Role by page: every page of the table is asked for by everyone there is, so that none escapes its rule."""

import re

import pytest

from tests.web.people import make_operator, make_team, post, sign_in, visitor
from tests.web.running import Running
from whatsync.engine.sessions import Visitor
from whatsync.model.user import Role
from whatsync.ports.store import Change
from whatsync.web.pages.page import Need, Page
from whatsync.web.pages.table import ENTRIES, PAGES

OUTSIDER, OPERATOR, NOBODY, EMBEDDED = "outsider", "operator", "nobody", "embedded"
REFUSED_STATUSES = {401, 403}
# What would end the session under test; they have tests of their own.
ENDING = {"/sign-out"}


def filled(page: Page, account: str) -> str:
    """The page's path about an account, with other parameters that name nothing."""
    return re.sub(r"{\w+(:path)?}", "nothing", page.path.replace("{account}", account))


def may(page: Page, who: str) -> bool:
    """What the table says: the same rule as in ``docs/dashboard.md``, written down once more."""
    if page.needs is Need.EVERYONE:
        return True
    if who == NOBODY:
        return False
    if who == EMBEDDED:
        return page.embedded and page.needs.role is not None and Role.SUPPORT.includes(page.needs.role)
    if page.needs is Need.SIGNED_IN:
        return True
    if who == OPERATOR:
        return True
    if page.needs is Need.OPERATOR or who == OUTSIDER:
        return False
    assert page.needs.role is not None
    return Role(who).includes(page.needs.role)


async def tokens(web: Running) -> tuple[str, dict[str, str | None]]:
    """An account's path id and everybody's session."""
    team, others = await make_team(web), await make_team(web, "Others")
    people: dict[str, str | None] = {role.value: await sign_in(web, user) for role, user in team.users.items()}
    people[OUTSIDER] = await sign_in(web, others.users[Role.OWNER])
    people[OPERATOR] = await sign_in(web, await make_operator(web))
    people[NOBODY] = None
    services = web.server.services
    begun = services.sessions.draft_embedded(Visitor(), team.account.account.id, Role.SUPPORT)
    await services.configuration.change(Change(team.account.row, (begun.put,), routing=False))
    people[EMBEDDED] = begun.token
    return team.account.account.id, people


async def test_everybody_sees_exactly_what_the_table_says(web: Running) -> None:
    account, people = await tokens(web)
    wrong = []
    for who, token in people.items():
        async with visitor(web, token) as client:
            for page in PAGES:
                if page.path in ENDING:
                    continue
                path = filled(page, account)
                answer = await (client.get(path) if page.method == "GET" else post(client, path))
                assert answer.status_code < 500, f"{page.method} {path} as {who}: {answer.status_code}"
                sent_away = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
                refused = answer.status_code in REFUSED_STATUSES or (page.needs is not Need.EVERYONE and sent_away)
                foreign = who == OUTSIDER and page.needs.role is not None
                if foreign and answer.status_code != 404:
                    wrong.append(f"{page.method} {page.path}: an outsider gets {answer.status_code} instead of 404")
                elif not foreign and refused == may(page, who):
                    wrong.append(f"{page.method} {page.path}: {who} gets {answer.status_code}")
    assert not wrong, "\n".join(wrong)


async def test_who_is_removed_from_an_account_is_out_at_once(web: Running) -> None:
    team = await make_team(web)
    support = team.users[Role.SUPPORT]
    async with visitor(web, await sign_in(web, support)) as client:
        assert (await client.get(team.path)).status_code == 200
        await web.server.services.users.set_role(support.id, team.account, None, "test")
        assert (await client.get(team.path)).status_code == 303


def test_every_entry_of_the_navigation_leads_to_a_page_that_asks_for_the_same() -> None:
    pages = {page.path: page for page in PAGES if page.method == "GET"}
    for entry in ENTRIES:
        assert entry.path in pages, entry
        assert pages[entry.path].needs is entry.needs, entry
        assert pages[entry.path].embedded or not entry.embedded, entry


def test_account_pages_ask_for_a_role_and_no_others_do() -> None:
    async def view(visit: object) -> None: ...

    for path, needs in (("/a/{account}/x", Need.SIGNED_IN), ("/x", Need.OWNER), ("/accounts", Need.VIEWER)):
        with pytest.raises(ValueError, match="account pages"):
            Page("GET", path, needs, view)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="GET and POST"):
        Page("DELETE", "/x", Need.SIGNED_IN, view)  # type: ignore[arg-type]
