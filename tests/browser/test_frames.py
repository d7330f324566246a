"""Configuration and History in a frame of another product's page, on another site, in a browser that blocks third
parties' cookies: the page and its back end are those that the docs offer.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, FrameLocator, Page, async_playwright, expect

from tests.browser.conftest import CHROMIUM
from tests.browser.dashboard import OPERATOR, PATIENCE_MS, PHONE, WIDE, Dashboard, Watch, assert_accessible
from tests.browser.shop import Shop
from tests.conftest import ROOT
from tests.net.certificates import Authority
from tests.web.running import Running, running
from whatsync.model.delivery import State
from whatsync.model.user import Embedding, Role

# Cookies of other sites are blocked, as they are for most people: only partitioned ones are kept.
_ARGUMENTS = [
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
    "--disable-background-networking",
    "--disable-component-update",
    "--test-third-party-cookie-phaseout",
    "--no-sandbox",
]
Html = Callable[[], Awaitable[str]]


class Product:
    """Another product's web server at ``http://localhost``, with one page."""

    def __init__(self) -> None:
        self.html: Html = _nothing
        self.loads = 0
        self._server: asyncio.Server | None = None

    @property
    def origin(self) -> str:
        return self.at("localhost")

    def at(self, name: str) -> str:
        """Its origin by another of this machine's names."""
        assert self._server is not None
        return f"http://{name}:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        icon = b"GET /favicon" in head
        self.loads += not icon
        body = b"" if icon else (await self.html()).encode()
        top = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        writer.write(top.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()


async def _nothing() -> str:
    return ""


@dataclass
class Place:
    """A server that may be framed, the product that may, and one that may not."""

    dashboard: Dashboard
    product: Product
    stranger: Product

    def offered(self, language: str) -> str:
        """The docs' own example, with this server's address."""
        text = (ROOT / "docs" / "dashboard.md").read_text("utf-8")
        found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)[0]
        assert isinstance(found, str)
        return found.replace("https://hooks.example.com", self.dashboard.origin)

    def page_of(self, shop: Shop, **changes: str) -> Html:
        """The product's page, which asks for a link with each load, as the docs say."""
        code = self.offered("python")
        for old, new in changes.items():
            code = code.replace(old, new)
        names: dict[str, Callable[[str, str], str]] = {}
        exec(code, names)

        async def html() -> str:
            key = self.dashboard.web.operator_key
            link = await asyncio.to_thread(names["webhooks_link"], key, shop.account.account.id)
            return f"<!doctype html><title>Product</title><h1>Product</h1>{self.offered('html').replace('LINK', link)}"

        return html

    @asynccontextmanager
    async def open(
        self, product: Product, name: str = "localhost", origin: str | None = None
    ) -> AsyncIterator[tuple[Page, Watch]]:
        """The product's page in a browser of its own. At the end nothing must have gone wrong."""
        context = await self.dashboard.browser.new_context(
            viewport=WIDE, reduced_motion="reduce", ignore_https_errors=True
        )
        watch = Watch(origin or self.dashboard.origin, product.at(name))
        context.on("page", watch.follow)
        try:
            page = await context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            await page.goto(product.at(name))
            yield page, watch
        finally:
            await context.close()
        assert not watch.found, "\n".join(watch.found)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory, dashboard: Dashboard) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        product, stranger = Product(), Product()
        for one in (product, stranger):
            await one.start()
            stack.push_async_callback(one.stop)
        server = running(
            tmp_path_factory.mktemp("framed"),
            in_memory=False,
            WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8",
            WHATSYNC_EMBED_ORIGINS=f"{product.origin} {product.at('127.0.0.1')}",
        )
        web = await stack.enter_async_context(server)
        playwright = await stack.enter_async_context(async_playwright())
        browser: Browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        stack.push_async_callback(browser.close)
        yield Place(Dashboard(web, browser, dashboard.shots), product, stranger)


@asynccontextmanager
async def opened_shop(place: Place) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield Shop(place.dashboard, await place.dashboard.team("Blue Door Coffee"), stack)


def inside(page: Page) -> FrameLocator:
    return page.frame_locator("#webhooks")


async def test_a_product_shows_history_and_configuration(place: Place) -> None:
    async with opened_shop(place) as shop:
        receiver = await shop.receiver("desk", 500)
        made = await shop.endpoint(receiver.url, retry_schedule=[])
        await shop.message("Hello")
        await shop.settled(1, State.FAILED)
        place.product.html = place.page_of(shop)
        async with place.open(place.product) as (page, _):
            frame = inside(page)
            await expect(frame.locator("#rows tr")).to_have_count(1)  # opened at /history?state=failed, signed in
            await expect(frame.locator("html")).to_have_attribute("data-theme", "light")
            await (
                frame.get_by_role("link", name="Without filters")
                .or_(frame.get_by_role("link", name=re.compile("Without the filter")))
                .first.click()
            )
            receiver.status = 200
            await shop.message("It comes in by itself")
            await expect(frame.locator("#rows tr").first).to_contain_text("It comes in by itself")
            await expect(frame.locator("#rows tr").first.locator(".state.succeeded")).to_be_visible()
            await place.dashboard.shoot(page, "frame-history")
            await frame.get_by_role("link", name="Webhooks", exact=True).click()
            await frame.get_by_role("link", name=re.compile("desk|127.0.0.1")).first.click()
            await frame.get_by_role("link", name="Edit").first.click()
            await frame.get_by_label("Description").fill("Order desk")
            await frame.get_by_role("button", name="Save").click()
            await expect(frame.get_by_role("heading", name="Order desk")).to_be_visible()
            await frame.get_by_role("button", name="Send test").first.click()
            await expect(frame.locator(".test-verdict")).to_be_visible()
            await place.dashboard.shoot(page, "frame-endpoint")
            await frame.get_by_role("link", name="WhatsSync").click()  # the mark leads to the start, inside
            await expect(frame.get_by_role("heading", name="Blue Door Coffee")).to_be_visible()
            await expect(frame.get_by_role("button", name="Sign out")).to_have_count(0)
            await page.set_viewport_size(PHONE)
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await page.frames[1].evaluate(wide) <= 0
            cookies = await page.context.cookies(place.dashboard.origin)
            (cookie,) = [one for one in cookies if one["name"] == "whatsync-frame-session"]
            assert (cookie["sameSite"], cookie["secure"], cookie["httpOnly"]) == ("None", True, True)
            assert cookie["partitionKey"] == "http://localhost"
            assert not [one for one in cookies if one["name"] == "whatsync-session"]
        services = place.dashboard.web.server.services
        endpoint = services.endpoints.find(shop.account, made.endpoint.id).endpoint
        assert endpoint.description == "Order desk"
        entries = await services.history.audit(shop.account.row, None, 10)
        assert any(entry.action == "endpoint.changed" and entry.actor.startswith("embedded:") for entry in entries)


async def test_who_is_not_listed_shows_an_empty_frame(place: Place) -> None:
    async with opened_shop(place) as shop:
        html = place.page_of(shop)
        place.stranger.html = html
        with_refusal = re.compile("frame-ancestors")
        async with place.open(place.stranger) as (page, watch):
            await expect(page.get_by_role("heading", name="Product")).to_be_visible()
            while not any(with_refusal.search(line) for line in watch.found):
                await page.wait_for_timeout(50)
            assert "WhatsSync" not in await page.frames[-1].content()
            watch.found = [line for line in watch.found if not with_refusal.search(line)]
        links = [link for _, link in place.dashboard.web.server.services.directory.links.values()]
        assert all(link.used_ms is None for link in links if link.account == shop.account.account.id)


async def test_who_is_signed_in_outside_is_nobody_inside(place: Place) -> None:
    """A listed page frames the dashboard's own address, in a browser where an owner is signed in."""
    async with opened_shop(place) as shop:
        dashboard = place.dashboard
        token = await dashboard.token(Role.OWNER, shop.team)
        assert token is not None

        async def html() -> str:
            return f'<h1>Product</h1><iframe id="webhooks" src="{dashboard.origin}{shop.path}/team"></iframe>'

        place.product.html = html
        for name in ("localhost", "127.0.0.1"):  # another site, and another origin of the same site
            async with place.open(place.product, name) as (page, _):
                await page.context.add_cookies(
                    [{"name": "whatsync-session", "value": token, "url": dashboard.origin, "sameSite": "Lax"}]
                )
                window = await page.context.new_page()
                await window.goto(f"{dashboard.origin}{shop.path}/team")
                await expect(window.get_by_role("heading", name="Team")).to_be_visible()
                await page.reload()
                await expect(inside(page).get_by_role("heading", name="This visit has ended")).to_be_visible()


async def test_a_visit_that_ended_begins_anew_with_the_page_around_it(place: Place) -> None:
    async with opened_shop(place) as shop:
        place.product.html = place.page_of(shop, **{"/history?state=failed": "/webhooks", '"light"': '"dark"'})
        services = place.dashboard.web.server.services
        async with place.open(place.product) as (page, _):
            frame = inside(page)
            await expect(frame.get_by_role("heading", name="Webhooks", exact=True)).to_be_visible()
            await expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
            sessions = [s for _, s in services.directory.sessions.values() if s.account == shop.account.account.id]
            assert [(s.frame, s.role, s.user) for s in sessions] == [(True, Role.DEVELOPER, None)]
            before = place.product.loads
            await services.sessions.end(sessions[0].id, None, "test")
            await frame.get_by_role("link", name="Webhook History").click()  # it has ended: the page loads itself anew
            await expect(frame.get_by_role("heading", name="Webhooks", exact=True)).to_be_visible()
            assert place.product.loads == before + 1


async def test_an_operator_makes_the_frame_by_hand(place: Place) -> None:
    async with opened_shop(place) as shop:
        dashboard = place.dashboard
        path = f"/accounts/{shop.account.account.id}"
        async with dashboard.open(path, OPERATOR) as page:
            await page.get_by_text("How your page shows it in a frame").click()
            await expect(page.get_by_text(place.product.origin)).to_be_visible()
            await expect(page.get_by_text(f"{dashboard.origin}/v1{path}/sign-in-link")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "account-frame")
            await page.get_by_label("With", exact=True).select_option("Webhook History")
            await page.get_by_label("Shown").select_option("in a frame of your page")
            await page.get_by_role("button", name="Make link").click()
            made = await page.get_by_role("region", name="Frame for your page, once").inner_text()
            await assert_accessible(page)

        async def html() -> str:
            return f"<h1>Product</h1>{made.replace('<iframe', '<iframe id=webhooks width=1200 height=700')}"

        place.product.html = html
        async with place.open(place.product) as (page, _):
            await expect(inside(page).get_by_role("heading", name="Webhook History")).to_be_visible()
            await page.reload()  # the same link again, in the browser that used it: its visit goes on
            await expect(inside(page).get_by_role("heading", name="Blue Door Coffee")).to_be_visible()
            await page.context.clear_cookies()
            await page.reload()
            await expect(inside(page).get_by_role("heading", name="This link does nothing")).to_be_visible()
            await dashboard.shoot(page, "frame-over")


@asynccontextmanager
async def encrypted(folder: Path, port_of: Callable[[], int]) -> AsyncIterator[int]:
    """A port that speaks TLS before a server's own, as a proxy does."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port_of())
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    context = Authority(folder).context("127.0.0.1")
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_over_https_the_cookies_are_bound_to_the_host(place: Place, tmp_path: Path) -> None:
    web: Running | None = None
    async with encrypted(tmp_path, lambda: 0 if web is None else web.port) as port:
        origin = f"https://127.0.0.1:{port}"
        framed = place.product.origin
        async with running(tmp_path, WHATSYNC_PUBLIC_URL=origin, WHATSYNC_EMBED_ORIGINS=framed) as web:
            services = web.server.services
            embedding = Embedding(frame=True, path="/webhooks")

            async def html() -> str:
                made = await services.links.make_embedded(web.first.account, Role.DEVELOPER, "test", embedding)
                return f'<h1>Product</h1><iframe id="webhooks" width="900" height="700" src="{made.url}"></iframe>'

            place.product.html = html
            async with place.open(place.product, origin=origin) as (page, _):
                await inside(page).get_by_label("URL").fill("https://8.8.8.8/hook")
                await inside(page).get_by_role("button", name="Add endpoint").click()
                await expect(inside(page).get_by_role("heading", name="8.8.8.8/hook")).to_be_visible()
                cookies = {one["name"]: one for one in await page.context.cookies(origin)}
            assert {"__Host-whatsync-frame-session"} <= set(cookies)
            assert cookies["__Host-whatsync-frame-session"]["partitionKey"] == "http://localhost"
            assert all(name.startswith("__Host-whatsync-frame-") for name in cookies)
