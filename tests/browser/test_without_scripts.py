"""The dashboard in a browser that runs no script: every link and form of the main paths does its work."""

import asyncio
import re

from playwright.async_api import Page, expect

from tests.browser.dashboard import OPERATOR, PATIENCE_MS, Dashboard
from tests.browser.shop import Shop, opened_shop
from tests.sources.whatsapp.cloud import SECRET
from whatsync.model.delivery import State
from whatsync.model.user import Role


async def test_from_an_endpoint_to_what_it_missed(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        path = f"{shop.path}/webhooks"
        async with dashboard.open(path, Role.OWNER, shop.team, scripts=False) as page:
            await endpoint_made_and_tested(page, shop)
            await failure_put_right(page, shop)
            await many_resent(page, shop)
            await endpoint_paused_and_recovered(page, shop)


async def endpoint_made_and_tested(page: Page, shop: Shop) -> None:
    """A wrong URL is named, a right one is added, tested, and shown with its secret and code in another language."""
    receiver = await shop.receiver("desk")
    await page.get_by_label("URL").fill("https://user@example.com/hook")
    await page.get_by_role("button", name="Add endpoint").click()
    await expect(page.locator("#url-error")).to_be_visible()
    await page.get_by_label("URL", exact=True).fill(receiver.url)
    await page.get_by_role("button", name=re.compile("Add endpoint|Save")).click()
    await page.get_by_label("Event type of the test").select_option("message.status")
    await page.get_by_role("button", name="Send test").click()
    await expect(page.get_by_role("heading", name="Delivered")).to_be_visible()
    await page.get_by_role("button", name="Check signatures").click()
    await expect(page.get_by_role("region", name="Signed as always")).to_be_visible()
    assert len(receiver.bodies) == 3
    await page.get_by_text("Verification code for this URL").click()
    await page.get_by_role("link", name="Django").click()
    await expect(page.get_by_role("region", name="django_webhook.py")).to_be_visible()
    await page.get_by_role("link", name="Signing secret", exact=True).click()
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_text(re.compile(r"^whsec_[\w+/=]{32,}$"))).to_be_visible()
    await page.get_by_role("navigation", name="This endpoint").get_by_role("link", name="Settings").click()
    await page.get_by_label("Description").fill("Order desk")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="Order desk")).to_be_visible()


async def failure_put_right(page: Page, shop: Shop) -> None:
    """A message that waits for its next try is found, retried, cancelled with a question, and resent."""
    receiver = shop.receivers["desk"]
    (endpoint,) = shop.account.endpoints.values()
    await shop.change(endpoint, retry_schedule=[600, 600])
    receiver.status = 500
    await shop.message("Where is my order?", "+4915112345678")
    await shop.settled(1, State.RETRYING)
    await page.get_by_label("Find a message").fill("+49 151 12345678")
    await page.get_by_label("Find a message").press("Enter")
    await expect(page.locator("[data-verdict=waiting]")).to_be_visible()
    await page.get_by_role("link", name="See what came back").click()
    await page.get_by_role("button", name="Retry now").click()
    await expect(page.get_by_text("It is sent now")).to_be_visible()
    await shop.settled(1, State.RETRYING)
    await page.get_by_role("link", name="Look again").click()
    await expect(page.get_by_role("heading", name="Attempt 2")).to_be_visible()
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("button", name="Cancel the delivery").click()
    await expect(page.get_by_text("It was cancelled")).to_be_visible()
    receiver.status = 200
    await page.get_by_role("button", name="Resend to this endpoint").click()
    await expect(page.get_by_text("It is resent")).to_be_visible()
    await shop.settled(1, State.SUCCEEDED)


async def many_resent(page: Page, shop: Shop) -> None:
    """Filters are set with their button; what is ticked and what matches is resent; what is filtered is exported."""
    await page.get_by_role("link", name="Webhook History").first.click()
    await page.get_by_role("checkbox", name="Cancelled").check()
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("#rows tr")).to_have_count(1)
    await page.get_by_role("checkbox", name=re.compile("Select delivery")).check()
    await page.get_by_role("button", name="Resend", exact=True).click()
    await page.get_by_role("button", name="Resend 1").click()
    await expect(page.get_by_text("is resent").first).to_be_visible()
    await shop.settled(2, State.SUCCEEDED)
    await page.goto(f"{shop.path}/history?state=succeeded&test=false")
    await page.get_by_role("link", name="Resend all that match…").click()
    await expect(page.get_by_role("heading", name="1 delivery would be made.")).to_be_visible()
    await page.get_by_role("button", name="Resend them").click()
    await expect(page).to_have_url(re.compile("/jobs/"))
    await shop.dashboard.web.server.services.jobs.ended()
    await page.get_by_role("link", name="Jobs").first.click()
    await page.get_by_role("link", name="Resend").first.click()
    await expect(page.get_by_role("heading", name="Done: 1 new delivery made.")).to_be_visible()
    await page.get_by_role("link", name="See the deliveries").click()
    await page.get_by_text("Export").click()
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="As NDJSON").click()
    assert (await coming.value).suggested_filename.endswith(".ndjson")


async def endpoint_paused_and_recovered(page: Page, shop: Shop) -> None:
    """Paused, it misses a message; enabled again it keeps that one out; recovering brings it."""
    receiver = shop.receivers["desk"]
    before = len(receiver.bodies)
    await page.get_by_role("link", name="Webhooks", exact=True).click()
    await page.get_by_role("link", name=re.compile(r"127\.0\.0\.1")).first.click()
    await page.get_by_role("button", name="Pause", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("heading", name=re.compile("Paused"))).to_be_visible()
    await shop.message("Is anybody there?", "+4915112345678")
    await page.get_by_role("button", name="Enable", exact=True).click()
    await page.get_by_role("checkbox", name="Send them too").uncheck()
    await page.get_by_role("dialog").get_by_role("button", name="Enable").click()
    await page.get_by_role("link", name="Recover", exact=True).click()
    await page.get_by_role("button", name="Show what would be done").click()
    await expect(page.get_by_role("heading", name="This would be done")).to_be_visible()
    await page.get_by_role("button", name="Recover now").click()
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while len(receiver.bodies) == before:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.02)
    assert b"Is anybody there?" in receiver.bodies[-1]


async def test_the_account_and_the_installation(dashboard: Dashboard) -> None:
    team = await dashboard.team("Old Mill")
    async with dashboard.open(f"{team.path}/keys", Role.OWNER, team, scripts=False) as page:
        await page.get_by_label("Name").fill("shop backend")
        await page.get_by_role("button", name="Make key").click()
        await page.get_by_role("link", name="I have stored it").click()
        await page.get_by_role("button", name="Revoke").click()
        await page.get_by_role("button", name="Revoke key").click()
        await expect(page.get_by_text("is revoked. It opens nothing any more.")).to_be_visible()
        await page.get_by_role("link", name="Team").click()
        await page.get_by_label("Mail address").fill("colleague@old-mill.example")
        await page.get_by_role("button", name="Invite").click()
        await expect(page.get_by_role("heading", name="Hand this link to colleague@old-mill.example")).to_be_visible()
        await page.get_by_role("link", name="Settings").click()
        await page.get_by_label("Name").fill("Old Mill & Sons")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("The settings are stored")).to_be_visible()
        await page.get_by_role("link", name="Audit log").click()
        await page.get_by_text(re.compile(r"^\d fields?: .*name")).first.click()
        await expect(page.get_by_text("Old Mill & Sons").last).to_be_visible()
        await page.get_by_label("Your menu").click()
        await page.get_by_role("button", name="Dark").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    async with dashboard.open("/sources", OPERATOR, scripts=False) as page:
        await page.get_by_role("link", name="Add source").first.click()
        await page.get_by_label("Name", exact=True).fill("Mill’s app")
        await page.get_by_role("textbox", name="App secret").fill(SECRET)
        await page.get_by_role("button", name="Add source").click()
        await page.get_by_role("link", name="Check now").click()
        await expect(page.get_by_text("No webhook has come in the last 7 days.")).to_be_visible()
        await page.get_by_role("link", name="Accounts").click()
        await page.get_by_label("Search").fill("Old Mill & Sons")
        await page.get_by_role("button", name="Search").click()
        await page.get_by_role("link", name="Manage Old Mill & Sons").click()
        await page.get_by_role("button", name="Suspend", exact=True).click()
        await page.get_by_role("button", name="Suspend account").click()
        await expect(page.get_by_text("It is suspended")).to_be_visible()
