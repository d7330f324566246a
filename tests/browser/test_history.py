"""Webhook History as people use it: live rows, filters one can share, what failed and what to do about it."""

import asyncio
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Page, expect

from tests.browser.dashboard import PHONE, Dashboard, assert_accessible
from tests.browser.shop import ARABIC, HOSTILE, furnish, opened_shop
from whatsync.model.delivery import State
from whatsync.model.user import Role


async def test_the_history_of_a_busy_shop(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        await furnish(shop)
        path = f"{shop.path}/history"
        async with dashboard.open(path, Role.SUPPORT, shop.team) as page:
            await expect(page.locator("#rows tr")).to_have_count(32)
            await expect(page.get_by_text(ARABIC).first).to_be_visible()
            await expect(page.get_by_text(HOSTILE[:60]).first).to_be_visible()
            assert await page.title() == "Webhook History · WhatsSync"
            row = page.locator("#rows tr", has=page.locator(".whatsapp.failed")).first
            await expect(row.locator(".whatsapp.failed")).to_have_text(re.compile("WhatsApp.*failed"))
            await assert_accessible(page)
            await dashboard.shoot(page, "history")
            await page.get_by_role("link", name="Events", exact=True).click()
            await expect(page.get_by_role("heading", name="Webhook History")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "events")
            for state in (State.FAILED, State.SUCCEEDED, State.RETRYING):
                await page.goto(f"{path}/{(await shop.settled(1, state))[0]}")
                await expect(page.locator("#now .state").first).to_have_class(f"state {state}")
                await page.get_by_text("Request as it was sent").first.click()
                await assert_accessible(page)
                await dashboard.shoot(page, f"delivery-{state}")


async def test_rows_arrive_by_themselves_and_change(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 500)
        await shop.endpoint(receiver.url, retry_schedule=[2] * 15)
        async with dashboard.open(f"{shop.path}/history", Role.VIEWER, shop.team) as page:
            await expect(page.get_by_role("heading", name="Nothing in the last 24 hours")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "history-empty")
            await shop.message("Hello")
            row = page.locator("#rows tr").first
            await expect(row.locator(".state.retrying")).to_be_visible()
            receiver.status = 200
            await expect(row.locator(".state.succeeded")).to_be_visible()
            await expect(page.locator("#rows tr")).to_have_count(1)
            await page.get_by_role("button", name="Pause").click()
            await expect(page.get_by_text("Paused")).to_be_visible()
            await shop.message("While it was paused")
            await shop.settled(2, State.SUCCEEDED)
            await page.wait_for_timeout(3_000)  # longer than the page waits between two looks
            await expect(page.locator("#rows tr")).to_have_count(1)
            await page.keyboard.press("p")
            await expect(page.locator("#rows tr")).to_have_count(2)
            await expect(page.locator("#rows tr").first).to_contain_text("While it was paused")


async def test_who_has_scrolled_down_is_told_instead_of_moved(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk")
        await shop.endpoint(receiver.url)
        for at in range(30):
            await shop.message(f"Message {at}")
        await shop.settled(30, State.SUCCEEDED)
        async with dashboard.open(f"{shop.path}/history", Role.VIEWER, shop.team) as page:
            await page.mouse.wheel(0, 900)
            await page.wait_for_function("scrollY > 400")
            for at in range(3):
                await shop.message(f"New {at}")
            await page.get_by_role("button", name="3 new").click()
            await expect(page.locator("#rows tr").first).to_contain_text("New 2")
            await expect(page.get_by_role("button", name="3 new")).to_be_hidden()
            await expect(page.locator("#rows tr")).to_have_count(33)


async def test_filters_stand_in_an_address_that_can_be_shared(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        works, broken = await shop.receiver("works"), await shop.receiver("broken", 404)
        await shop.endpoint(works.url)
        endpoint = await shop.endpoint(broken.url, retry_schedule=[])
        await shop.message("Hello")
        await shop.status("msg_x", "read")
        await shop.settled(4, State.SUCCEEDED, State.FAILED)
        async with dashboard.open(f"{shop.path}/history", Role.SUPPORT, shop.team) as page:
            await page.get_by_label("Event", exact=True).select_option("message.incoming")
            await expect(page.locator("#rows tr")).to_have_count(2)
            await page.get_by_role("checkbox", name="Failed").check()
            await expect(page.locator("#rows tr")).to_have_count(1)
            await page.get_by_label("Endpoint", exact=True).select_option(endpoint.endpoint.id)
            await expect(page).to_have_url(re.compile("endpoint=ep_"))  # the list itself stays as it is
            await page.get_by_text("More filters").click()
            await page.get_by_label("Answer or failure").fill("http_404")
            await page.get_by_role("button", name="Show").click()
            await expect(page.locator("#rows tr")).to_have_count(1)
            shared = page.url
            assert parse_qs(urlsplit(shared).query) == {
                "event": ["message.incoming"],
                "state": ["failed"],
                "endpoint": [endpoint.endpoint.id],
                "code": ["http_404"],
            }
            await assert_accessible(page)
            await dashboard.shoot(page, "history-filtered")
            await page.get_by_role("link", name="Without the filter Answer").click()
            await expect(page).not_to_have_url(re.compile("code"))
            await page.get_by_role("link", name="Last hour").click()
            await expect(page).to_have_url(re.compile("since=20"))
            await page.get_by_label("Until").fill("2020-01-01T00:00")
            await page.get_by_role("button", name="Show").click()
            await expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
            await expect(page).to_have_url(re.compile(r"until=20(19|20)-\d\d-\d\dT\d\d%3A\d\d%3A\d\dZ"))
            await assert_accessible(page)
            await page.goto(f"{shop.path}/history?state=lost")
            await expect(page.get_by_role("alert")).to_contain_text("state")
            await assert_accessible(page)
        path = shared.removeprefix(dashboard.origin)
        async with dashboard.open(path, Role.VIEWER, shop.team, scripts=False) as other:
            await expect(other.locator("#rows tr")).to_have_count(1)
            await expect(other.get_by_role("checkbox", name="Failed")).to_be_checked()


async def test_a_failure_is_found_understood_and_put_right(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 401)
        await shop.endpoint(receiver.url, retry_schedule=[], headers={"X-Shop-Key": "kept-to-itself"})
        await shop.message(HOSTILE)
        (failed,) = await shop.settled(1, State.FAILED)
        async with dashboard.open(f"{shop.path}/history?state=failed", Role.SUPPORT, shop.team) as page:
            await page.keyboard.press("j")
            await page.keyboard.press("Enter")
            await expect(page).to_have_url(re.compile(failed))
            await expect(page.get_by_text("usually the signature check failed").first).to_be_visible()
            await page.get_by_text("Request as it was sent").click()
            await expect(page.get_by_text("X-WhatsSync-Attempt", exact=True)).to_be_visible()
            await expect(page.get_by_text("curl").first).to_be_visible()
            assert "kept-to-itself" not in await page.content()
            receiver.status = 200
            await page.get_by_role("button", name="Resend to this endpoint").click()
            await expect(page.get_by_text("It is resent")).to_be_visible()
            await expect(page.locator("#now .state").first).to_have_class("state succeeded")
            await page.get_by_role("link", name=re.compile("Failed")).click()
            await expect(page).to_have_url(re.compile(failed))


async def test_a_delivery_is_watched_retried_and_cancelled(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 500)
        await shop.endpoint(receiver.url, retry_schedule=[600, 600])
        await shop.message("One")
        (first,) = await shop.settled(1, State.RETRYING)
        async with dashboard.open(f"{shop.path}/history/{first}", Role.SUPPORT, shop.team) as page:
            await expect(page.locator(".countdown").first).to_have_text(re.compile(r"in \d+ min \d+ s"))
            await page.get_by_text("Request as it was sent").click()
            await page.get_by_role("button", name="Retry now").click()
            await expect(page.get_by_role("heading", name="Attempt 2")).to_be_visible()
            receiver.status = 200
            await page.get_by_role("button", name="Cancel", exact=True).click()
            dialog = page.get_by_role("dialog", name="Cancel this delivery?")
            await assert_accessible(page)
            await dialog.get_by_role("button", name="Cancel the delivery").click()
            await expect(page.get_by_text("It was cancelled: cancelled by request.")).to_be_visible()
            await expect(page.get_by_role("button", name="Retry now")).to_have_count(0)
            await dashboard.shoot(page, "delivery-cancelled")
            await page.get_by_role("link", name="Open the event").click()
            await page.get_by_label("To", exact=True).select_option(index=1)
            await page.get_by_role("button", name="Resend").click()
            await expect(page.locator("#now .state").first).to_have_class("state succeeded")


async def test_a_button_that_is_held_down_is_not_taken_away(dashboard: Dashboard) -> None:
    """The page comes anew between pressing and letting go: the click must count all the same."""
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 500)
        await shop.endpoint(receiver.url, retry_schedule=[600] * 5)
        await shop.message("One")
        (delivery,) = await shop.settled(1, State.RETRYING)
        async with dashboard.open(f"{shop.path}/history/{delivery}", Role.SUPPORT, shop.team) as page:
            await page.get_by_role("button", name="Retry now").hover()
            await page.mouse.down()
            async with page.expect_response(lambda answer: "mark=" in answer.url and answer.status == 200) as look:
                await shop.dashboard.web.server.services.deliveries.retry(shop.account, delivery)
            assert "Attempt 2" in await (await look.value).text()
            await page.mouse.up()
            await expect(page.get_by_role("heading", name="Attempt 3")).to_be_visible()
        assert len(receiver.bodies) == 3


async def test_an_event_that_matched_nothing_is_found_and_sent(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        message = await shop.message(ARABIC)
        async with dashboard.open(f"{shop.path}/history", Role.SUPPORT, shop.team) as page:
            await page.get_by_role("link", name="Events that matched no endpoint").first.click()
            await expect(page.get_by_text(ARABIC)).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "events-unmatched")
            await page.locator("a.row").click()
            await expect(page.get_by_text("No endpoint wanted it when it came in")).to_be_visible()
            await page.get_by_role("button", name="Resend").click()
            await expect(page.get_by_role("alert")).to_contain_text("No enabled endpoint wants this event now")
            receiver = await shop.receiver("desk")
            await shop.endpoint(receiver.url, "message.status")
            await page.reload()
            await assert_accessible(page)
            await dashboard.shoot(page, "event")
            await page.get_by_label("To", exact=True).select_option(index=1)
            await page.get_by_role("button", name="Resend").click()
            await expect(page.locator("#now .state").first).to_have_class("state succeeded")
            assert message.encode() in receiver.bodies[0]


async def test_keys_and_ticks(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 500)
        await shop.endpoint(receiver.url, retry_schedule=[])
        for at in range(4):
            await shop.message(f"Message {at}")
        await shop.settled(4, State.FAILED)
        async with dashboard.open(f"{shop.path}/history", Role.SUPPORT, shop.team) as page:
            for key in ("j", "x", "j", "j", "x", "k"):
                await page.keyboard.press(key)
            await expect(page.locator("#rows tr").nth(1).locator("a.row")).to_be_focused()
            await expect(page.locator("#selected")).to_contain_text("2 selected")
            await assert_accessible(page)
            await dashboard.shoot(page, "history-selected")
            receiver.status = 200
            await page.get_by_role("button", name="Resend", exact=True).click()
            await expect(page.get_by_role("heading", name="Resend 2 deliveries?")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "selected")
            await page.get_by_role("button", name="Resend 2").click()
            await expect(page.get_by_text("2 deliveries are resent.")).to_be_visible()
            assert len(await shop.settled(2, State.SUCCEEDED)) == 2
            await page.get_by_label("Select all on this page").check()
            await page.get_by_role("button", name="Cancel", exact=True).click()
            await expect(page.get_by_role("heading", name="Not possible for any of them")).to_be_visible()
            await expect(page.get_by_text("is delivered already").first).to_be_visible()


async def test_enter_opens_the_row_one_is_at_whatever_has_the_focus(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 500)
        await shop.endpoint(receiver.url, retry_schedule=[600, 600])
        for at in range(3):
            await shop.message(f"Message {at}")
        newest, middle, _ = await shop.settled(3, State.RETRYING)
        path = f"{shop.path}/history"
        async with dashboard.open(path, Role.SUPPORT, shop.team) as page:
            rows = page.locator("#rows tr")
            for key in ("j", "j", "x", "Enter"):  # selected, then opened
                await page.keyboard.press(key)
            await expect(page).to_have_url(re.compile(f"{middle}$"))
            await page.goto(path)
            await rows.first.locator("[name=ids]").check()  # the tick has the focus
            await page.keyboard.press("j")
            await page.keyboard.press("k")
            await page.keyboard.press("Shift+Tab")
            await expect(rows.first.locator("[name=ids]")).to_be_focused()
            await page.keyboard.press("Enter")
            await expect(page).to_have_url(re.compile(f"{newest}$"))
            await page.goto(path)
            await page.keyboard.press("j")
            receiver.status = 200
            await shop.dashboard.web.server.services.deliveries.retry(shop.account, newest)
            await expect(rows.first.locator(".state.succeeded")).to_be_visible()  # put anew, live
            await expect(rows.first.locator("a.row")).to_be_focused()
            await page.keyboard.press("Enter")
            await expect(page).to_have_url(re.compile(f"{newest}$"))


async def test_the_keys_are_told_by_a_key(dashboard: Dashboard) -> None:
    team = await dashboard.team()
    async with dashboard.open(f"{team.path}/history", Role.SUPPORT, team) as page:
        told = page.get_by_role("dialog", name="Keyboard")
        await page.keyboard.press("?")
        await expect(told).to_be_visible()
        for words in ("Next row", "Open the row", "Select the row", "Pause", "Find a message", "These keys"):
            await expect(told.get_by_text(words)).to_be_visible()
        await assert_accessible(page)
        await dashboard.shoot(page, "keyboard")
        await page.keyboard.press("j")  # nothing behind it moves
        await page.keyboard.press("Escape")
        await expect(told).to_be_hidden()
        await page.keyboard.press("/")
        await expect(page.get_by_label("Find a message")).to_be_focused()
        await page.keyboard.type("?")
        await expect(told).to_be_hidden()
        await page.goto(f"{team.path}/webhooks")
        await page.get_by_label("Your menu").click()
        await assert_accessible(page)
        await page.get_by_role("button", name="Keyboard").click()
        await expect(told.get_by_text("Find a message")).to_be_visible()
        await expect(told.get_by_text("Next row")).to_have_count(0)
        await told.get_by_role("button", name="Close").click()
        await expect(told).to_be_hidden()


async def download(page: Page, link: str, to: Path) -> str:
    """What a link of the export menu gives."""
    await page.get_by_text("Export").click()
    async with page.expect_download() as coming:
        await page.get_by_role("link", name=link).click()
    await (await coming.value).save_as(to)
    return await asyncio.to_thread(to.read_text, "utf-8-sig")


async def test_what_is_filtered_is_exported(dashboard: Dashboard, tmp_path: Path) -> None:
    async with opened_shop(dashboard) as shop:
        works, broken = await shop.receiver("works"), await shop.receiver("broken", 404)
        await shop.endpoint(works.url)
        await shop.endpoint(broken.url, retry_schedule=[])
        await shop.message("Hello")
        await shop.settled(2, State.SUCCEEDED, State.FAILED)
        async with dashboard.open(f"{shop.path}/history?state=failed", Role.VIEWER, shop.team) as page:
            lines = (await download(page, "As CSV", tmp_path / "a.csv")).splitlines()
            assert len(lines) == 2
            assert f"{broken.url},failed,1,404,http_404," in lines[1]
        async with dashboard.open(f"{shop.path}/history", Role.VIEWER, shop.team) as page:
            assert len((await download(page, "As NDJSON", tmp_path / "a.ndjson")).splitlines()) == 2


async def test_embedded_visitors_and_phones_have_the_history_too(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk")
        await shop.endpoint(receiver.url)
        await shop.message("Hello")
        await shop.settled(1, State.SUCCEEDED)
        token = await dashboard.embedded_token(shop.account, Role.SUPPORT)
        async with dashboard.open(f"{shop.path}/history", token=token, size=PHONE) as page:
            await page.get_by_text("Export").click()
            await expect(page.get_by_role("link", name="As CSV")).to_be_in_viewport(ratio=1)
            await page.keyboard.press("Escape")
            await page.locator("a.row").first.click()
            await expect(page.get_by_text("The endpoint got it and answered 200")).to_be_visible()
            await page.get_by_role("link", name="The message’s whole story").click()
            await expect(page.locator("[data-verdict]")).to_have_attribute("data-verdict", "delivered")
            await assert_accessible(page)


async def test_the_way_back_from_a_delivery_keeps_the_list_as_it_was(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 500)
        await shop.endpoint(receiver.url, retry_schedule=[])
        await shop.message("Hello")
        (delivery,) = await shop.settled(1, State.FAILED)
        listed = f"{shop.path}/history?state=failed&event=message.incoming"
        async with dashboard.open(listed, Role.SUPPORT, shop.team) as page:
            await page.locator("#rows a").first.click()
            await page.wait_for_url(f"**/history/{delivery}")
            await page.locator(".crumbs").get_by_role("link", name="Webhook History").click()
            await page.wait_for_url(dashboard.origin + listed)
            await page.goto(f"{shop.path}/history/{delivery}")  # from nowhere: to the whole list
            await page.locator(".crumbs").get_by_role("link", name="Webhook History").click()
            await page.wait_for_url(f"{dashboard.origin}{shop.path}/history")


async def test_a_list_without_events_is_alive_too(dashboard: Dashboard) -> None:
    """Keys and filters work where there is no table; nothing breaks in the scripts."""
    team = await dashboard.team()
    async with dashboard.open(f"{team.path}/history/events?matched=false", Role.SUPPORT, team) as page:
        await expect(page.get_by_role("heading", name="No event here")).to_be_visible()
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.get_by_label("Search").first.fill("words")
        await page.get_by_role("button", name="Show").click()
        await page.wait_for_url("**q=words*")
        assert "wamid=" not in page.url  # what is empty stays out of the address
