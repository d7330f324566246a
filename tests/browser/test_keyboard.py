"""The dashboard without a mouse: from an invitation to signing out, and focus where parts of a page come anew."""

import re

from playwright.async_api import Page, expect

from tests.browser.dashboard import Dashboard
from tests.browser.hands import Hands
from tests.browser.shop import Shop, opened_shop
from whatsync.model.delivery import State
from whatsync.model.user import Role

PASSWORD = "correct horse battery"


async def test_all_of_it_by_keyboard(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        invited = await dashboard.web.server.services.links.make_for(shop.team.users[Role.OWNER], "test")
        async with dashboard.open(invited.path) as page:
            hands = Hands(page)
            await hands.to("New password")
            await hands.type(PASSWORD)
            await hands.enter()
            await expect(page.get_by_role("heading", name="Blue Door Coffee")).to_be_visible()
            await first_delivery(hands, shop)
            await message_found_and_put_right(hands, shop)
            await many_at_once(hands)
            await account(hands)
            await hands.open("Your menu")
            await hands.follow("Sign out")
            await expect(page.get_by_text("You are signed out.")).to_be_visible()


async def first_delivery(hands: Hands, shop: Shop) -> None:
    """Past the navigation to the first URL, which is added and tested."""
    page = hands.page
    await hands.skip()
    await expect(page.locator("#main")).to_be_focused()
    await hands.open("Dismiss")
    await expect(page.locator(".flash")).to_have_count(0)
    await hands.follow("Add your first URL")
    receiver = await shop.receiver("desk")
    await hands.skip()
    await hands.to("URL")
    await hands.type(receiver.url)
    await expect(page.get_by_text("A program on WhatsSync’s own machine.")).to_be_visible()
    await hands.keeps("URL")
    await hands.follow("Add endpoint")
    await hands.skip()
    await hands.open("Send test")
    await expect(page.get_by_role("heading", name="Delivered")).to_be_visible()
    assert not (await hands.look())["lost"]
    await hands.to("Check signatures", key="Shift+Tab")


async def message_found_and_put_right(hands: Hands, shop: Shop) -> None:
    """A message that did not arrive is found from any page, looked into, and sent again."""
    page, receiver = hands.page, shop.receivers["desk"]
    receiver.status = 404
    (endpoint,) = shop.account.endpoints.values()
    await shop.change(endpoint, retry_schedule=[600, 600])
    await shop.message("Where is my order?", "+4915112345678")
    await shop.settled(1, State.RETRYING)
    await page.evaluate("document.activeElement.blur()")
    await hands.press("/")
    await hands.keeps("Find a message")
    await hands.type("+49 151 12345678")
    await hands.enter()
    await expect(page.locator("[data-verdict=waiting]")).to_be_visible()
    await hands.follow("Webhook History")
    await hands.press("j")
    await hands.enter()
    await hands.skip()
    await hands.open("Cancel")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await hands.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await hands.keeps("Cancel")
    await hands.open("Request as it was sent")
    await hands.to("Retry now", key="Shift+Tab")
    await hands.press("Enter")
    await expect(page.get_by_role("heading", name="Attempt 2")).to_be_visible()
    await hands.open("Cancel")
    await hands.follow("Cancel the delivery")
    await expect(page.get_by_text("It was cancelled")).to_be_visible()
    receiver.status = 200
    await hands.follow("Resend to this endpoint")
    await expect(page.locator("#now .state").first).to_have_class("state succeeded")


async def many_at_once(hands: Hands) -> None:
    """Filters, ticks, everything that matches as a job, and an export."""
    page = hands.page
    await hands.follow("Webhook History")
    await hands.skip()
    await hands.to("Delivery: Cancelled")
    async with page.expect_navigation(url=re.compile("state=cancelled")):
        await hands.press("Space")
    await expect(page.locator("#rows tr")).to_have_count(1)
    await hands.keeps("Delivery: Cancelled")  # over the page that came anew
    await hands.to("Select delivery")
    await hands.press("Space")
    await expect(page.locator("#selected")).to_contain_text("1 selected")
    await hands.to("Resend", key="Shift+Tab")
    await hands.keeps("Resend all that match…")
    await hands.enter()
    await expect(page.get_by_role("heading", name="There is nothing to resend.")).to_be_visible()
    await hands.follow("Leave it")
    await hands.open("Export")
    async with page.expect_download() as coming:
        await hands.open("As CSV")
    assert (await coming.value).suggested_filename.endswith(".csv")


async def account(hands: Hands) -> None:
    """A colleague, a key, a setting, and help."""
    page = hands.page
    await hands.follow("Team")
    await hands.skip()
    await hands.to("Mail address")
    await hands.type("colleague@example.com")
    await hands.press("Tab", "ArrowUp")
    await hands.follow("Invite")
    await expect(page.get_by_role("heading", name="Hand this link to colleague@example.com")).to_be_visible()
    await hands.follow("API keys")
    await hands.skip()
    await hands.to("Name")
    await hands.type("shop backend")
    await hands.enter()
    await hands.skip()
    await hands.follow("I have stored it")
    await hands.skip()
    await hands.open("Revoke")
    await hands.open("Leave it")
    await hands.keeps("Revoke")
    await hands.follow("Settings")
    await hands.skip()
    await hands.to("Name")
    await hands.type(" & Sons")
    await hands.enter()
    await expect(page.get_by_text("The settings are stored")).to_be_visible()
    await hands.follow("Help")
    await hands.skip()
    await hands.to("Contact Support")


async def test_focus_stays_where_it_is_while_the_page_changes(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 500)
        await shop.endpoint(receiver.url, retry_schedule=[600, 600])
        await shop.message("One")
        (delivery,) = await shop.settled(1, State.RETRYING)
        services = dashboard.web.server.services
        async with dashboard.open(f"{shop.path}/history", Role.SUPPORT, shop.team) as page:
            hands = Hands(page)
            await hands.press("j")
            await mark(page)
            receiver.status = 200
            await services.deliveries.retry(shop.account, delivery)
            await expect(page.locator("#rows .state.succeeded")).to_be_visible()
            await expect(page.locator(f"#{delivery} a.row")).to_be_focused()
            assert not await page.evaluate("document.activeElement.marked")  # another element than before
        receiver.status = 500
        await shop.message("Two")
        (delivery,) = await shop.settled(1, State.RETRYING)
        async with dashboard.open(f"{shop.path}/history/{delivery}", Role.SUPPORT, shop.team) as page:
            hands = Hands(page)
            await hands.to("Open the event")
            await services.deliveries.retry(shop.account, delivery)
            await expect(page.get_by_role("heading", name="Attempt 2")).to_be_visible()
            await hands.keeps("Open the event")
            await hands.to("Retry now", key="Shift+Tab")
            receiver.status = 200
            await services.deliveries.retry(shop.account, delivery)
            await expect(page.locator("#now .state").first).to_have_class("state succeeded")
            await expect(page.locator("#now")).to_be_focused()  # the button is gone; what it stood in is there


async def mark(page: Page) -> None:
    """Make the element that has focus known again."""
    await page.evaluate("document.activeElement.marked = true")


async def test_arrow_keys_pass_a_pick_list_without_leaving_it(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with dashboard.open(f"{team.path}/history", Role.VIEWER, team) as page:
        hands = Hands(page)
        await hands.to("Event", exact=True)
        await hands.press("ArrowDown", "ArrowDown")
        await hands.keeps("Event")
        assert "event=" not in page.url
        await hands.press("Tab")
        await page.wait_for_url("**event=message.status")
        assert not (await hands.look())["lost"]
