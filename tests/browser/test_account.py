"""The account's pages as people see them: overview, keys, event types, team, audit log, settings, help; accounts."""

import asyncio
import json
import re

from playwright.async_api import Page, expect

from tests.browser.dashboard import OPERATOR, PATIENCE_MS, Dashboard, assert_accessible
from tests.web.people import ACTOR, Team
from tests.web.receiver import receiving
from whatsync.model.account import Scope
from whatsync.model.delivery import State
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.user import Role
from whatsync.ports.history import DeliveryQuery

EVENT = {
    "event": "message.status",
    "data": {"messageId": "msg_1", "status": "read", "timestamp": "2023-06-15T14:23:40Z"},
}


async def looked_at(dashboard: Dashboard, page: Page, name: str) -> None:
    await assert_accessible(page)
    await dashboard.shoot(page, name)


async def events(dashboard: Dashboard, team: Team, count: int) -> None:
    made = await dashboard.web.server.services.keys.create(team.account, "sender", [Scope.EVENTS_WRITE], ACTOR)
    for _ in range(count):
        answer = await dashboard.web.call("POST", "/v1/events", key=made.secret, json=[EVENT] * 5)
        assert answer.status_code == 202, answer.text


async def stand(dashboard: Dashboard, team: Team, count: int, state: State) -> None:
    """Return when so many deliveries are in this state."""
    query = DeliveryQuery(team.account.row, states=(state,), limit=200)
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while len((await dashboard.web.server.services.history.deliveries(query)).items) < count:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.02)


async def point_at_the_newest(page: Page) -> None:
    """Point at the newest minute of the outcomes in which something was delivered: the legend tells how much.

    The chart follows the page's width a moment later, so it is pointed at until the legend has it.
    """
    over, legend = page.locator("#outcomes .u-over"), page.locator("#outcomes .u-legend")
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while True:
            series = json.loads(await page.locator("#outcomes").get_attribute("data-chart") or "")["series"]
            delivered = next(one["values"] for one in series if one["label"] == "Delivered")
            assert sum(filter(None, delivered)) == 30  # of one minute, or of two where one began meanwhile
            at = max(place for place, count in enumerate(delivered) if count)
            width = (await over.bounding_box() or {"width": 0})["width"]
            await over.hover(position={"x": width * (at + 0.5) / len(delivered), "y": 20})
            if re.search(rf"Delivered\s*{delivered[at]}(?!\d)", await legend.inner_text()):
                return
            await asyncio.sleep(0.05)


async def test_the_overview_from_nothing_to_charts(dashboard: Dashboard) -> None:
    team, services = await dashboard.team("Corner Bakery"), dashboard.web.server.services
    async with dashboard.open(team.path, Role.OWNER, team) as page:
        await expect(page.get_by_role("heading", name="Your first verified delivery")).to_be_visible()
        await looked_at(dashboard, page, "overview-empty")
        await page.get_by_role("link", name="Add your first URL").click()
        await expect(page).to_have_url(f"{dashboard.origin}{team.path}/webhooks")
    async with receiving() as receiver:
        form = EndpointForm(url=receiver.url, events=["*"], description="Shop backend")
        await services.endpoints.create(team.account, form, ACTOR)
        dead = EndpointForm(url="http://127.0.0.1:1/till", events=["*"], retry_schedule=[3600])
        till = await services.endpoints.create(team.account, dead, ACTOR)
        await events(dashboard, team, 6)
        await stand(dashboard, team, 30, State.SUCCEEDED)
        await stand(dashboard, team, 30, State.RETRYING)
    assert len(receiver.bodies) == 30
    await services.endpoints.patch(team.account, till.running.endpoint.id, EndpointForm(enabled=False), ACTOR)
    async with dashboard.open(f"{team.path}?span=1h", Role.OWNER, team) as page:
        await expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()
        await expect(page.get_by_text("30 deliveries are held.")).to_be_visible()
        await expect(page.locator("#outcomes canvas")).to_be_visible()
        await expect(page.locator("#latency canvas")).to_be_visible()
        await looked_at(dashboard, page, "overview")
        await point_at_the_newest(page)  # the legend tells each part, not the sum it is drawn to
        await page.locator("#outcomes").get_by_text("In numbers").click()
        await expect(page.locator("#outcomes .numbers table")).to_be_visible()
        await assert_accessible(page)
        await page.get_by_role("link", name="30 days").click()
        await expect(page.locator("#outcomes canvas")).to_be_visible()


async def test_a_key_is_made_shown_once_and_revoked(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with dashboard.open(f"{team.path}/keys", Role.DEVELOPER, team) as page:
        await page.get_by_label("Name").fill("shop backend")
        await page.get_by_role("button", name="Make key").click()
        await expect(page.get_by_text("Copy it now.")).to_be_visible()
        await looked_at(dashboard, page, "keys-made")
        await page.get_by_role("link", name="I have stored it").click()
        await expect(page.get_by_text("Copy it now.")).to_have_count(0)
        await looked_at(dashboard, page, "keys")
        await page.get_by_role("button", name="Revoke").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.get_by_role("button", name="Revoke key").click()
        await expect(page.get_by_text("is revoked. It opens nothing any more.")).to_be_visible()


async def test_event_types_and_an_own_one(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with dashboard.open(f"{team.path}/event-types", Role.DEVELOPER, team) as page:
        await page.get_by_label("Name").fill("order.paid")
        await page.get_by_role("button", name="Add type").click()
        await expect(page.get_by_role("link", name="order.paid")).to_be_visible()
        await looked_at(dashboard, page, "event-types")
        await page.get_by_role("link", name="message.incoming").click()
        await looked_at(dashboard, page, "event-type")
        await page.goto(f"{team.path}/event-types/order.paid")
        await page.get_by_role("button", name="Remove").click()
        await page.get_by_role("button", name="Remove type").click()
        await expect(page.get_by_text("order.paid is removed.")).to_be_visible()


async def test_team_settings_and_what_the_audit_log_says_of_them(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with dashboard.open(f"{team.path}/team", Role.OWNER, team) as page:
        await page.get_by_label("Mail address").fill("new.colleague@example.org")
        await page.get_by_role("radio", name="Support").check()
        await page.get_by_role("button", name="Invite").click()
        await expect(page.get_by_role("heading", name="Hand this link to new.colleague@example.org")).to_be_visible()
        await looked_at(dashboard, page, "team")
        await page.goto(f"{team.path}/settings")
        await page.get_by_label("Mail addresses").fill("ops@example.com")
        await page.get_by_label("Name").fill("Example & Sons")
        await looked_at(dashboard, page, "settings")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("The settings are stored")).to_be_visible()
        await page.goto(f"{team.path}/audit-log")
        await page.get_by_text("2 fields").first.click()
        await expect(page.get_by_text("Example & Sons").last).to_be_visible()
        await looked_at(dashboard, page, "audit-log")


async def test_help(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with dashboard.open(f"{team.path}/help", Role.DEVELOPER, team) as page:
        await expect(page.get_by_role("heading", name="Best practices")).to_be_visible()
        await looked_at(dashboard, page, "help")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download the bundle").click()
        assert (await download.value).suggested_filename == "whatsync-support.json"


async def test_accounts_of_the_installation(dashboard: Dashboard) -> None:
    async with dashboard.open("/accounts", OPERATOR) as page:
        await page.get_by_label("Name", exact=True).fill("Harbour Hotel")
        await page.get_by_role("button", name="Make account").click()
        await expect(page.get_by_text("The account Harbour Hotel is there.")).to_be_visible()
        await page.goto("/accounts")
        await looked_at(dashboard, page, "accounts")
        await page.get_by_role("link", name="Manage Harbour Hotel").click()
        await page.get_by_role("button", name="Make link").click()
        await expect(page.get_by_text("Sign-in link, once")).to_be_visible()
        await looked_at(dashboard, page, "account")
        await page.get_by_label("Type the account’s name to delete it").fill("Harbour Hotel")
        await page.get_by_role("button", name="Delete account").click()
        await expect(page.get_by_text("Harbour Hotel is being deleted.")).to_be_visible()
