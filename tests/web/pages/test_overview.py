"""The overview and what it says needs attention, over HTTP: from the rollups, with a way on for each matter."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.people import ACTOR, Team, make_operator, make_team, sign_in, visitor
from tests.web.receiver import receiving
from tests.web.running import Running, running
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.account_form import AlertsForm, SettingsForm
from whatsync.model.endpoint import Release
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.health import Health
from whatsync.model.source import NewNumberForm, SourceForm
from whatsync.model.user import Role
from whatsync.web.pages.attention import ENDPOINTS_NAMED


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, in_memory=False, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8") as started:
        yield started


async def page(web: Running, team: Team, query: str = "", role: Role = Role.OWNER) -> str:
    async with visitor(web, await sign_in(web, team.users[role])) as client:
        answer = await client.get(team.path + query)
        assert answer.status_code == 200, answer.text
        return answer.text


async def endpoint(web: Running, team: Team, url: str = "http://127.0.0.1:1/hook", **more: object) -> str:
    form = EndpointForm(url=url, events=["*"], **more)  # type: ignore[arg-type]
    made = await web.server.services.endpoints.create(team.account, form, ACTOR)
    return made.running.endpoint.id


async def test_an_empty_account_is_led_to_its_first_delivery(web: Running) -> None:
    team = await make_team(web)
    text = await page(web, team)
    assert "Your first verified delivery, in three steps" in text
    assert "data-chart" not in text
    assert "Needs attention" not in text
    viewer = await page(web, team, role=Role.VIEWER)
    assert "A developer or owner of this account can add URLs." in viewer


async def send(web: Running, team: Team, count: int = 1) -> None:
    key = (await web.server.services.keys.create(team.account, "k", [Scope.EVENTS_WRITE], ACTOR)).secret
    for _ in range(count):
        answer = await web.call("POST", "/v1/events", key=key, json=EVENT)
        assert answer.status_code == 202, answer.text


async def test_what_is_held_is_said_with_the_way_to_release_it(web: Running) -> None:
    team = await make_team(web)
    endpoint_id = await endpoint(web, team, retry_schedule=[3600])
    await send(web, team, 2)
    services = web.server.services
    await services.endpoints.patch(team.account, endpoint_id, EndpointForm(enabled=False), ACTOR)
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        text = await until(client, team.path, "2 deliveries are held.")
    assert "is paused" in text
    assert f'href="{team.path}/webhooks/{endpoint_id}"' in text
    assert "All is well" not in text
    kept = EndpointForm(enabled=True, held=Release.KEEP)
    await services.endpoints.patch(team.account, endpoint_id, kept, ACTOR)
    text = await page(web, team)
    assert "2 deliveries are still held for 127.0.0.1:1/hook" in text
    assert "is paused" not in text
    await services.endpoints.patch(team.account, endpoint_id, EndpointForm(held=Release.DROP), ACTOR)
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "still held" in (await client.get(team.path)).text:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.02)


async def test_a_failing_endpoint_is_said_with_its_reason_and_when_it_is_disabled(web: Running) -> None:
    team = await make_team(web)
    services = web.server.services
    endpoint_id = await endpoint(web, team, "http://127.0.0.1:1/failing")
    running = services.endpoints.find(team.account, endpoint_id)
    now_ms = services.clock.now_ms()
    services.dispatcher.lane(running).health = Health(
        failed_attempts=25,
        failed_deliveries=3,
        failures_in_a_row=25,
        first_failure_ms=now_ms - 86_400_000,
        last_failure_ms=now_ms,
        last_failure_code="connection_refused",
        announced_failing=True,
    )
    text = await page(web, team)
    assert "127.0.0.1:1/failing is failing" in text
    assert "nothing listens on that port" in text
    assert "in 3 d" in text
    await endpoint(web, team)
    assert "/webhooks/endpoints?state=failing" not in await page(web, team)


async def test_endpoints_in_trouble_that_are_not_named_come_last_with_their_number(web: Running) -> None:
    team = await make_team(web)
    services = web.server.services
    now_ms = services.clock.now_ms()
    for at in range(ENDPOINTS_NAMED + 1):
        running = services.endpoints.find(team.account, await endpoint(web, team, f"http://127.0.0.1:1/down{at}"))
        health = Health(9, 3, (1, 2, 3), 9, now_ms - 60_000 + at, now_ms, "timeout")
        services.dispatcher.lane(running).health = health
    text = await page(web, team)
    titles = [one for one in re.findall(r"<h3>(.*?)</h3>", text) if "failing" in one]
    assert titles[-1] == "1 further endpoint is failing"
    assert len(titles) == ENDPOINTS_NAMED + 1
    by_type = await page(web, team, "/webhooks")
    rest = ENDPOINTS_NAMED + 1 - limits.TYPE_ENDPOINTS_SHOWN
    assert f"{rest} more fail or are disabled: see all endpoints" in by_type


async def test_missing_alerts_are_said_to_owners_of_accounts_in_use(web: Running) -> None:
    team = await make_team(web)
    services = web.server.services
    assert "Nobody is told of trouble" not in await page(web, team)
    await endpoint(web, team)
    assert "Nobody is told of trouble" in await page(web, team)
    assert "Nobody is told of trouble" not in await page(web, team, role=Role.DEVELOPER)
    alerts = SettingsForm(alerts=AlertsForm(emails=["ops@example.com"]))
    await services.accounts.patch(team.account, alerts, ACTOR)
    text = await page(web, team)
    assert "Nobody is told of trouble" not in text
    assert "Alerts can&#39;t be mailed" in text


async def test_refused_signatures_and_nobodys_numbers_concern_their_people(web: Running) -> None:
    team, others = await make_team(web), await make_team(web, "Others")
    services = web.server.services
    form = SourceForm(name="Shop app", app_secret="0123456789abcdef", account=team.account.account.id)
    source = await services.sources.create(form, ACTOR)
    services.sources.rejected(source)
    await services.numbers.create(NewNumberForm(phone_number_id="700", source=source.source.id), ACTOR)
    text = await page(web, team)
    assert "The source Shop app refuses a request" in text
    assert "belongs to nobody" not in text
    assert "Shop app" not in await page(web, others)
    async with visitor(web, await sign_in(web, await make_operator(web))) as client:
        seen = (await client.get(others.path)).text
        assert "Shop app" in seen
        assert "1 number belongs to nobody" in seen
        assert "No public URL is set" in seen


async def test_quiet_numbers_of_the_account_are_named(web: Running) -> None:
    team, others = await make_team(web), await make_team(web, "Others")
    services = web.server.services
    source = await services.sources.create(SourceForm(name="App", app_secret="0123456789abcdef"), ACTOR)
    number = NewNumberForm(
        phone_number_id="701", source=source.source.id, name="Berlin", account=team.account.account.id
    )
    await services.numbers.create(number, ACTOR)
    services.quiet.standing["701"] = 1
    assert "Berlin is quiet" in await page(web, team)
    assert "Berlin" not in await page(web, others)


async def test_figures_and_charts_come_from_the_rollups(web: Running) -> None:
    team = await make_team(web)
    async with receiving() as receiver:
        await endpoint(web, team, receiver.url)
        await send(web, team, 3)
        async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
            text = await until(client, team.path + "?span=1h", "3 of 3")
    assert "data-chart" in text
    assert "Events accepted" in text
    assert "In numbers" in text
    assert "100 %" in text
    assert "All is well." in text
    for span in ("6h", "24h", "7d", "30d", "nonsense"):
        assert "3 of 3" in await page(web, team, f"?span={span}", Role.VIEWER)


async def test_only_the_standing_is_sent_when_it_is_refreshed(web: Running) -> None:
    team = await make_team(web)
    await endpoint(web, team)
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        part = await client.get(team.path, headers={"hx-request": "true"})
    assert part.text.strip().startswith('<div id="standing"')
    assert "<html" not in part.text


EVENT = {
    "event": "message.status",
    "data": {"messageId": "msg_1", "status": "read", "timestamp": "2023-06-15T14:23:40Z"},
}


async def until(client: httpx.AsyncClient, path: str, words: str) -> str:
    """The page as soon as it says so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        text = (await client.get(path)).text
        while words not in text:
            text = (await client.get(path)).text
    return text
