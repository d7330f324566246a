"""Makes the pictures of README and docs anew: ``python -m tests.browser.pictures docs/images``.

A shop with 30 days of history behind it and one endpoint that fails now; a real server, a real browser.
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, ViewportSize, async_playwright

from benchmarks.history import SPAN_MS, Owner, fill
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.dashboard import PHONE, Dashboard, Theme
from tests.browser.shop import NUMBER, Shop
from tests.web.people import ACTOR, Team, make_operator, sign_in
from tests.web.receiver import Receiver, receiving
from tests.web.running import Running, running
from whatsync.engine.bootstrap import FirstKeys
from whatsync.model.account_form import AccountForm
from whatsync.model.delivery import State
from whatsync.model.endpoint_form import EndpointForm

DELIVERIES = 60_000
PLACES = ("CRM", "Order service", "Data warehouse")
TALK = (
    ("+4915112345678", "Hello, is my order on its way?"),
    ("+201001234567", "مرحبا، هل وصل طلبي رقم ٤٧١١؟"),
    ("+4917012345678", "Danke, bis morgen!"),
    ("+12025550143", "Can I change the address?"),
)


@asynccontextmanager
async def served(folder: Path, keys: FirstKeys | None = None) -> AsyncIterator[tuple[Running, Team]]:
    """The server over this folder, and its first account."""
    async with running(
        folder,
        in_memory=False,
        keys=keys,
        WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8",
        WHATSYNC_PUBLIC_URL="https://hooks.example.com",
        WHATSYNC_RETENTION_DAYS="90",
    ) as web:
        yield web, Team(next(iter(web.server.services.directory.accounts.values())), {})


async def prepared(folder: Path, receiver: Receiver) -> FirstKeys:
    """An account with endpoints that have been there for 30 days."""
    async with served(folder) as (web, team):
        services = web.server.services
        await services.accounts.patch(team.account, AccountForm(name="Example Shop"), ACTOR)
        rows = []
        for name in PLACES:
            url = f"{receiver.url}/{name.lower().replace(' ', '-')}"
            form = EndpointForm(url=url, events=["*"], description=name)
            rows.append((await services.endpoints.create(team.account, form, ACTOR)).running.row)
        first, owner = web.first, Owner(team.account.row, len(rows), rows[0], 2)
    database = folder / "whatsync.db"
    await asyncio.to_thread(fill, database, DELIVERIES, owner, int(time.time() * 1000) - SPAN_MS)
    with sqlite3.connect(database) as db:  # what was open all that time has arrived
        db.execute("UPDATE delivery SET state = 1, queued = 0, reason = NULL WHERE state IN (0, 2, 5)")
    return first


async def today(shop: Shop) -> None:
    """One more endpoint, which fails; and what people wrote lately."""
    broken = await shop.receiver("broken", 500)
    await shop.endpoint(broken.url.replace("/hook", "/helpdesk"), description="Old helpdesk", retry_schedule=[600])
    for status in ("sent", "delivered", "read"):
        await shop.status("msg_of_ours", status)
    for phone, text in TALK:
        await shop.message(text, phone, details={"number": NUMBER, "profileName": "Ada"})
    await shop.settled(7, State.RETRYING)


async def picture(page: Page, folder: Path, name: str, height: int, path: str, theme: Theme = "light") -> None:
    """One page as it is seen without scrolling."""
    narrow = name.endswith("phone")
    await page.set_viewport_size(ViewportSize(width=PHONE["width"] if narrow else 1280, height=height))
    await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    await page.goto(path)
    await page.wait_for_timeout(500)  # charts are drawn
    if name == "endpoint":
        await page.get_by_role("button", name="Send test").click()
        await page.get_by_role("heading", name="Delivered").wait_for()
        await page.locator(".test-panel").evaluate("(panel) => panel.scrollIntoView()")
    await page.screenshot(path=folder / f"{name}.png")


async def whole(folder: Path, to: Path) -> None:
    """All pictures."""
    async with AsyncExitStack() as stack:
        keys = await prepared(folder, await stack.enter_async_context(receiving()))
        web, team = await stack.enter_async_context(served(folder, keys))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        dashboard = Dashboard(web, browser)
        shop = Shop(dashboard, team, stack)
        await today(shop)
        token = await sign_in(web, await make_operator(web, "ada@example.com"))
        crm = next(one.endpoint.id for one in team.account.endpoints.values() if one.endpoint.description == "CRM")
        async with dashboard.open("/", token=token) as page:
            await picture(page, to, "overview", 1000, team.path)
            await picture(page, to, "webhooks", 900, f"{team.path}/webhooks")
            await picture(page, to, "endpoint", 900, f"{team.path}/webhooks/{crm}")
            await picture(page, to, "history", 900, f"{team.path}/history")
            await picture(page, to, "message", 930, f"{team.path}/messages?q=%2B12025550143")
            await picture(page, to, "message-phone", 844, f"{team.path}/messages?q=%2B12025550143", "dark")
        await browser.close()


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    to: Path = parser.parse_args().folder
    with tempfile.TemporaryDirectory(prefix="whatsync-pictures-") as folder:
        asyncio.run(whole(Path(folder), to))


if __name__ == "__main__":
    main()
