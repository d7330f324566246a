"""Connecting a source and giving its numbers away, as operators see it."""

from playwright.async_api import Page, expect

from tests.browser.dashboard import OPERATOR, Dashboard, assert_accessible
from tests.sources.whatsapp.cloud import SECRET, escaped, incoming, message, signed
from whatsync.model.user import Role

NUMBER = "710000000000001"


async def test_from_no_source_to_an_assigned_number(dashboard: Dashboard) -> None:
    team = await dashboard.team("Old Mill")
    services = dashboard.web.server.services
    async with dashboard.open("/sources", OPERATOR) as page:
        await expect(page.get_by_text("No public URL is set")).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "sources-empty")
        await page.get_by_role("link", name="Add source").first.click()
        await page.get_by_label("Name", exact=True).fill("Bakery’s app")
        await page.get_by_role("textbox", name="App secret").fill(SECRET)
        await assert_accessible(page)
        await dashboard.shoot(page, "source-form")
        await page.get_by_role("button", name="Add source").click()
        await expect(page.get_by_role("heading", name="Bakery’s app")).to_be_visible()
        await page.get_by_role("link", name="Check now").click()
        await expect(page.get_by_text("No webhook has come in the last 7 days.")).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "source-new")

        source = page.url.split("/sources/")[1].split("?")[0].split("#")[0]
        raw = escaped(incoming(message("wamid.browser"), number=NUMBER))
        door = f"/sources/whatsapp/{source}"
        assert (await dashboard.web.client.post(door, content=raw, headers=signed(raw, "wrong"))).status_code >= 400
        assert (await dashboard.web.client.post(door, content=raw, headers=signed(raw))).status_code == 200
        assert (await dashboard.web.client.post(door, content=raw, headers=signed(raw, "wrong"))).status_code >= 400
        await services.numbers.noted()
        await page.goto(f"/sources/{source}")
        await expect(page.get_by_text("of its numbers belongs to nobody")).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "source")
        await page.get_by_role("link", name="Look").click()
        await expect(page.get_by_role("heading", name="A request as it came")).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "source-body")
        await processed_again(dashboard, page, source)
        here = f"/sources/{source}"
        for path in (f"{here}/edit", f"{here}/set-aside", f"{here}/bodies", "/numbers/new", "/audit-log", "/help"):
            await page.goto(path)
            await assert_accessible(page)

        await page.goto("/numbers")
        await page.get_by_role("searchbox", name="Search").fill("15550100200")
        await page.wait_for_url("**/numbers?q=15550100200*")
        await page.get_by_role("checkbox").first.check()
        await assert_accessible(page)
        await dashboard.shoot(page, "numbers")
        await page.get_by_label("Give the chosen ones to").select_option("Old Mill")
        await page.get_by_role("button", name="Assign").click()
        await expect(page.get_by_text("1 number assigned.")).to_be_visible()
        await services.reprocessing.done()
        await page.goto(f"/sources/{source}")
        await expect(page.get_by_text("Nothing is set aside.")).to_be_visible()
        await page.goto(f"/numbers/{NUMBER}")
        await assert_accessible(page)
        await dashboard.shoot(page, "number")
    async with dashboard.open(f"{team.path}/numbers", Role.VIEWER, team) as page:
        await expect(page.get_by_text(NUMBER)).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "own-numbers")


async def processed_again(dashboard: Dashboard, page: Page, source: str) -> None:
    """A time of the source is looked at, and processed again as a job."""
    await page.goto(f"/sources/{source}/bodies")
    await page.get_by_role("link", name="Process a time again").click()
    await page.get_by_label("Listed under the jobs of").select_option("Old Mill")
    await page.get_by_role("button", name="Show what would be done").click()
    await expect(page.get_by_role("heading", name="This would be done")).to_be_visible()
    await assert_accessible(page)
    await dashboard.shoot(page, "source-span")
    await page.get_by_role("button", name="Process again").click()
    await page.get_by_role("dialog").get_by_role("button", name="Process again").click()
    await expect(page.get_by_role("heading", name="Done: 0 events made that were missing.")).to_be_visible()
