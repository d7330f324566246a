"""Pages in hard cases: a store that is away, another node's sessions, an address shared by many, odd requests."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.web.people import ACTOR, make_operator, make_team, post, sign_in, token_of, visitor
from tests.web.running import InMemory, Running, running
from whatsync.model import limits
from whatsync.model.user import Role
from whatsync.ports.store import StoreUnavailable
from whatsync.store.memory import Meeting, NodeStore
from whatsync.web.pages.rendering import environment

PASSWORD = "correct horse battery"


async def test_a_page_whose_store_is_away_says_so(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    team = await make_team(web)

    async def away(*_: object) -> None:
        raise StoreUnavailable("the database can't be reached")

    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        monkeypatch.setattr(web.server.services.history, "rollups", away)
        answer = await client.get(team.path)
    assert answer.status_code == 503
    assert "can&#39;t be reached" in answer.text


async def test_a_mistake_in_a_template_is_told_by_a_page(
    web: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    team = await make_team(web)
    templates = environment()
    broken = templates.from_string("{% extends 'layout.html' %}{% block main %}{{ page.no_such_thing }}{% endblock %}")
    find = type(templates).get_template
    spoilt = {"overview.html"}

    def planted(self: object, name: str, *more: object) -> object:
        return broken if name in spoilt else find(templates, name)

    monkeypatch.setattr(type(templates), "get_template", planted)
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        for spoil, signed in (("overview.html", True), ("failure.html", False)):
            spoilt.add(spoil)
            caplog.clear()
            answer = await client.get(team.path, headers={"x-request-id": "mine-1"})
            assert answer.status_code == 500
            assert answer.headers["content-type"].startswith("text/html")
            assert "mine-1" in answer.text
            assert 'href="/"' in answer.text
            assert ("Sign out" in answer.text) is signed
            told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
            assert len(told) == len(spoilt)
            assert len(set(told)) == len(told)
            live = await client.get(team.path, headers={"hx-request": "true"})
            assert live.status_code == 500
            assert live.headers["content-type"].startswith("text/html")


async def test_odd_numbers_and_origins_are_no_bugs(web: Running) -> None:
    boss = await make_operator(web)
    async with visitor(web, await sign_in(web, boss)) as client:
        assert (await client.get("/sources", params={"before": "9" * 5_000})).status_code == 200
        assert (await client.get("/sources", params={"before": "²"})).status_code == 200
        csrf = await token_of(client)
        odd = await client.post("/theme", data={"csrf": csrf}, headers={"origin": "http://["})
        assert odd.status_code == 403
        led = await client.post("/theme", data={"csrf": csrf, "back": "/a/日本"})
        assert (led.status_code, led.headers["location"]) == (303, "/")


async def test_signing_in_rightly_is_no_try_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SIGN_IN_FAILURES_PER_ADDRESS", 2)
    async with running(tmp_path) as web:
        user = (await make_team(web)).users[Role.VIEWER]
        link = await web.server.services.links.make_for(user, ACTOR)
        async with visitor(web) as client:
            assert (await post(client, link.path, {"password": PASSWORD})).status_code == 303
        right, wrong = {"email": user.email, "password": PASSWORD}, {"email": "x@example.com", "password": "wrong"}
        statuses = []
        for form in (right, wrong, right, wrong, right):
            async with visitor(web) as client:
                statuses.append((await post(client, "/sign-in", form)).status_code)
    assert statuses == [303, 422, 303, 422, 429]  # only wrong ones count, and a right one forgives none of them


async def test_a_link_of_one_account_ends_when_its_person_joins_another(web: Running) -> None:
    team, others = await make_team(web), await make_team(web, "Others")
    services = web.server.services
    for widen in ("team", "roles", "operator"):
        person = await services.users.add(f"{widen}@example.com", {team.account.account.id: Role.VIEWER}, ACTOR)
        link = await services.links.make_for(person, ACTOR, account=team.account.row)
        if widen == "team":
            async with visitor(web, await sign_in(web, others.users[Role.OWNER])) as client:
                form = {"email": person.email, "role": "owner"}
                assert (await post(client, f"{others.path}/team", form)).status_code == 303
        elif widen == "roles":
            await services.users.set_memberships(person.id, {others.account.account.id: Role.VIEWER}, ACTOR)
        else:
            await services.users.set_operator(person.id, True, ACTOR)
        async with visitor(web) as client:
            assert (await client.get(link.path)).status_code == 404
            assert (await post(client, link.path, {"password": PASSWORD})).status_code == 404
        assert services.users.find(person.id).password_hash is None


async def test_what_is_begun_at_one_node_goes_on_at_another_at_once(tmp_path: Path) -> None:
    disk = Meeting(time.time)
    async with AsyncExitStack() as stack:
        north = await stack.enter_async_context(running(tmp_path, disk=InMemory(NodeStore(disk, node="north"))))
        south = await stack.enter_async_context(
            running(tmp_path, disk=InMemory(NodeStore(disk, node="south")), keys=north.first)
        )
        team = await make_team(north)
        async with visitor(south, await sign_in(north, team.users[Role.OWNER])) as client:
            assert (await client.get(team.path)).status_code == 200
        other = await make_team(north, "Later")
        link = await north.server.services.links.make_embedded(other.account, Role.SUPPORT, ACTOR)
        async with visitor(south) as client:
            assert (await client.get(link.path)).status_code == 200
        later = await north.server.services.links.make_embedded(other.account, Role.SUPPORT, ACTOR)
        async with visitor(south) as client:
            opened = await post(client, later.path)
            assert (opened.status_code, opened.headers["location"]) == (303, other.path)
