"""Find a message: each verdict is reached from the field on top of every page, and its next step works."""

import json
import re

from playwright.async_api import Page, expect

from tests.browser.dashboard import Dashboard, assert_accessible
from tests.browser.shop import ARABIC, HOSTILE, NUMBER, WAMID, Shop, opened_shop
from tests.sources.whatsapp import cloud
from whatsync.model.delivery import Happening, State
from whatsync.model.ids import delivery_row
from whatsync.model.user import Role
from whatsync.ports.store import Settlement


async def ask(page: Page, words: str) -> None:
    """Type into the field that every page has, and be at the page that answers: the one before may read alike."""
    await page.keyboard.press("/")
    await expect(page.get_by_label("Find a message")).to_be_focused()
    await page.keyboard.type(words)
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


async def find(page: Page, words: str, verdict: str) -> None:
    """Ask from any page, and read the verdict."""
    await ask(page, words)
    await stands(page, verdict)


async def stands(page: Page, verdict: str) -> None:
    await expect(page.locator("[data-verdict]")).to_have_attribute("data-verdict", verdict)


async def test_what_was_delivered_has_a_proof(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk")
        await shop.endpoint(receiver.url, description="Order desk")
        details = {"number": NUMBER, "wamid": WAMID, "profileName": "Ada"}
        message = await shop.message(HOSTILE, "+4915112345678", details=details)
        await shop.status(message, "read", wamid=WAMID)
        media = {"mediaType": "image", "mediaUrl": "https://x.example/1.jpg", "mimeType": "image/jpeg"}
        await shop.event("media.upload", {"messageId": message, **media, "caption": ARABIC})
        (delivery, *_) = await shop.settled(3, State.SUCCEEDED)
        rights = ["clipboard-read", "clipboard-write"]
        async with dashboard.open(f"{shop.path}", Role.VIEWER, shop.team, permissions=rights) as page:
            for words in (message, WAMID, delivery, "+49 151 12345678", "0049 (151) 12345678 today"):
                await page.goto(shop.path)
                await find(page, words, "delivered")
            await expect(page.get_by_text(HOSTILE)).to_be_visible()
            assert "taken" not in await page.title()
            await expect(page.get_by_text(ARABIC)).to_be_visible()
            await expect(page.locator(".whatsapp.read")).to_be_visible()
            await page.get_by_role("link", name="Proof of delivery").click()
            await page.get_by_role("button", name="Copy: Delivered to").first.click()
            proof = await page.evaluate("navigator.clipboard.readText()")
            assert re.search(
                rf"Delivered: 20\d\d-.*Z \(UTC\)\nTo: +{re.escape(receiver.url)}\nAnswer: +HTTP 200", proof
            )
            await assert_accessible(page)
            await dashboard.shoot(page, "message-delivered")
            await page.get_by_role("link", name="Body, raw and details").click()
            await expect(page.get_by_role("listitem").filter(has_text="Order desk").first).to_contain_text(
                receiver.url.partition("://")[2]
            )
            await assert_accessible(page)
            await expect(page.get_by_role("region", name="Delivered to Order desk")).to_contain_text("HTTP 200 after")
            await dashboard.shoot(page, "event-delivered")


async def test_what_failed_is_understood_repaired_and_resent(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 500)
        await shop.endpoint(receiver.url, retry_schedule=[])
        message = await shop.message("Where is my order?")
        await shop.settled(1, State.FAILED)
        async with dashboard.open(shop.path, Role.SUPPORT, shop.team) as page:
            await find(page, message, "delivery_failed")
            await expect(page.get_by_role("heading", level=1)).to_contain_text("answered 500")
            await assert_accessible(page)
            await dashboard.shoot(page, "message-failed")
            await page.get_by_role("link", name="See what came back").click()
            await expect(page.get_by_text("it failed on its own side").first).to_be_visible()
            receiver.status = 200
            await page.go_back()
            await page.get_by_role("button", name="Resend to").click()
            await stands(page, "delivered")
            assert len(receiver.bodies) == 2
            assert receiver.bodies[0] == receiver.bodies[1]


async def test_what_waits_is_retried(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 503)
        await shop.endpoint(receiver.url, retry_schedule=[3600])
        message = await shop.message("Where is my order?")
        await shop.settled(1, State.RETRYING)
        async with dashboard.open(shop.path, Role.SUPPORT, shop.team) as page:
            await find(page, message, "waiting")
            await expect(page.get_by_text(re.compile(r"next in \d"))).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "message-waiting")
            receiver.status = 200
            await page.get_by_role("button", name="Retry now").click()
            await stands(page, "delivered")


async def test_what_no_endpoint_wanted_is_sent_anyway(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        message = await shop.message("Anybody there?")
        async with dashboard.open(shop.path, Role.SUPPORT, shop.team) as page:
            await find(page, message, "no_endpoint")
            receiver = await shop.receiver("desk")
            await shop.endpoint(receiver.url, "message.status")
            await page.reload()
            await expect(page.get_by_text("It was made later.")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "message-no-endpoint")
            await page.get_by_role("button", name="Send to").click()
            await stands(page, "delivered")


async def test_what_is_held_says_why(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 410)
        endpoint = await shop.endpoint(receiver.url)
        message = await shop.message("Hello?")
        (delivery,) = await shop.settled(1, State.HELD)
        async with dashboard.open(shop.path, Role.SUPPORT, shop.team) as page:
            await find(page, message, "held")
            await expect(page.get_by_text("disabled").first).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "message-held")
            receiver.status = 200
            await shop.change(endpoint, enabled=True, held="keep")
            await page.reload()
            await stands(page, "held")
            await page.get_by_role("button", name="Retry now").click()
            await stands(page, "delivered")
            assert await shop.settled(1, State.SUCCEEDED) == [delivery]


async def test_what_was_held_too_long_is_expired(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 410)
        endpoint = await shop.endpoint(receiver.url)
        message = await shop.message("Hello?")
        (delivery,) = await shop.settled(1, State.HELD)
        row = delivery_row(delivery) or 0
        services = dashboard.web.server.services
        ending = Settlement(shop.account.row, Happening.EXPIRED, services.clock.now_ms(), (row,), reason="retention")
        await services.store.settle(ending)
        receiver.status = 200
        await shop.change(endpoint, enabled=True)
        async with dashboard.open(shop.path, Role.SUPPORT, shop.team) as page:
            await find(page, message, "expired")
            await assert_accessible(page)
            await dashboard.shoot(page, "message-expired")
            await page.get_by_role("button", name="Send it now to").click()
            await stands(page, "delivered")


async def test_what_whatsapp_could_not_deliver_has_its_code_in_words(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk")
        await shop.endpoint(receiver.url)
        error = {"code": 131047, "title": "Re-engagement message", "explanation": "Send a template instead."}
        await shop.status("msg_ours", "sent")
        failed = await shop.status("msg_ours", "failed", error=error)
        await shop.settled(2, State.SUCCEEDED)
        async with dashboard.open(shop.path, Role.VIEWER, shop.team) as page:
            for words in (failed, "msg_ours"):
                await find(page, words, "whatsapp_failed")
            await expect(page.get_by_text("Send a template instead.").first).to_be_visible()
            await expect(page.get_by_text("131047").first).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "message-whatsapp-failed")
            await page.get_by_role("link", name="See what WhatsApp said").click()
            await expect(page.get_by_role("heading", name="message.status")).to_be_visible()


async def set_aside(shop: Shop, wamid: str) -> None:
    """A signed body of Meta's with a message that does not say who wrote it."""
    web, account = shop.dashboard.web, shop.account.account.id
    form = {"name": "Shop app", "appSecret": cloud.SECRET, "account": account}
    made = (await web.call("POST", "/v1/sources", key=web.operator_key, json=form)).json()
    await web.call(
        "POST",
        "/v1/numbers",
        key=web.operator_key,
        json={"phoneNumberId": cloud.NUMBER, "source": made["id"], "account": account},
    )
    nobody = cloud.message(wamid)
    del nobody["from"]
    raw = json.dumps(cloud.body(cloud.change(cloud.value(messages=[nobody])))).encode()
    answer = await web.client.post(f"/sources/whatsapp/{made['id']}", content=raw, headers=cloud.signed(raw))
    assert answer.status_code == 200


async def test_what_was_set_aside_and_what_never_came(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        wamid = f"wamid.ASIDE{shop.account.row}"
        await set_aside(shop, wamid)
        async with dashboard.open(shop.path, Role.SUPPORT, shop.team) as page:
            await find(page, wamid, "set_aside")
            await expect(page.get_by_role("heading", level=1)).to_contain_text("does not say who wrote it")
            await expect(page.get_by_text("The account has no endpoint.")).to_have_count(0)
            await assert_accessible(page)
            await dashboard.shoot(page, "message-set-aside")
            await find(page, "wamid.NEVER", "not_received")
            await assert_accessible(page)
            await dashboard.shoot(page, "message-not-received")
            await page.get_by_role("link", name="Newest messages").click()
            await expect(page.get_by_role("heading", name="No message yet")).to_be_visible()
            await page.get_by_role("searchbox", name="What you have in hand").fill("+49 151 00000000")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", name="What to check")).to_be_visible()
            await expect(page.get_by_text("the last came at")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "message-nobody")


async def test_what_came_while_the_endpoint_was_paused_says_enable_it(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk")
        endpoint = await shop.endpoint(receiver.url)
        await shop.change(endpoint, enabled=False)
        message = await shop.message("Anybody there?")
        async with dashboard.open(shop.path, Role.SUPPORT, shop.team) as page:
            await find(page, message, "no_endpoint")
            await expect(page.get_by_text("Enable that endpoint;")).to_be_visible()
            await expect(page.get_by_role("button", name="Send to")).to_have_count(0)
            await page.get_by_role("link", name="Open the endpoint").click()
            await expect(page.get_by_role("heading", level=1)).to_contain_text(receiver.url)


async def test_several_messages_are_a_list_to_choose_from(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk")
        await shop.endpoint(receiver.url)
        for text in ("First", HOSTILE, ARABIC):
            await shop.message(text, "+4915112345678")
        await shop.settled(3, State.SUCCEEDED)
        async with dashboard.open(f"{shop.path}/messages", Role.SUPPORT, shop.team) as page:
            await expect(page.get_by_text("The newest incoming messages.")).to_be_visible()
            await page.get_by_role("searchbox", name="What you have in hand").fill("+49 151 12345678")
            await page.get_by_role("button", name="Find").click()
            await expect(page.get_by_text("Which one is it?")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "messages")
            await page.get_by_role("searchbox", name="What you have in hand").fill("+4915112345678 2020-01-01 10:00")
            await page.keyboard.press("Enter")
            await expect(page.get_by_text("These are from other times.")).to_be_visible()
            await page.get_by_role("link", name="First").click()
            await stands(page, "delivered")


async def test_a_customers_own_words_and_a_number_without_its_country_lead_to_the_message(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk")
        endpoint = await shop.endpoint(receiver.url, description="Order desk")
        message = await shop.message("Is the blue jacket still there?", "+4915112345678")
        await shop.message("And the blue umbrella?", "+4915187654321")
        await shop.settled(2, State.SUCCEEDED)
        async with dashboard.open(shop.path, Role.SUPPORT, shop.team) as page:
            for words in ("blue jacket", "0151 12345678", "jacket today"):
                await find(page, words, "delivered")
                await expect(page.get_by_text(message, exact=True)).to_be_visible()
            await ask(page, "blue")
            await expect(page.get_by_text("2 messages fit")).to_be_visible()
            await find(page, "green jacket", "not_received")
            await expect(page.get_by_text("in the texts of messages too")).to_be_visible()
            await find(page, "order desk", "not_received")
            await expect(page.get_by_role("link", name="1 endpoint is called so")).to_be_visible()
            await ask(page, endpoint.endpoint.id)
            await expect(page.get_by_role("heading", level=1)).to_contain_text("Order desk")
