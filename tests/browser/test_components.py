"""Every component of `ui.html` on one page that exists here only: accessible in both themes, doing what it says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jinja2
import pytest
from playwright.async_api import expect

from tests.browser.dashboard import Dashboard, assert_accessible
from whatsync.model.user import Role
from whatsync.web.api.routes import ROUTES
from whatsync.web.app import Application
from whatsync.web.auth import Gate
from whatsync.web.listener import Listener, bind
from whatsync.web.pages.page import Filled, Given, Need, Page, Show, Visit
from whatsync.web.pages.rendering import environment
from whatsync.web.pages.site import Site
from whatsync.web.pages.table import ENTRIES, PAGES
from whatsync.web.request_ids import RequestIds
from whatsync.web.slots import Door

GALLERY = Path(__file__).with_name("gallery.html").read_text("utf-8")
HOURS = list(range(1_780_000_000, 1_780_000_000 + 24 * 3600, 3600))


@dataclass(frozen=True)
class GalleryPage:
    form: Filled
    body: dict[str, Any] = field(default_factory=lambda: {"event": "message.status", "data": {"status": "read"}})

    @property
    def chart(self) -> dict[str, Any]:
        good = [400 + 37 * (at * 7 % 11) for at in range(24)]
        series = [
            {"label": "Delivered", "tone": "good", "values": good},
            {"label": "Failed", "tone": "bad", "values": [at * 13 % 60 for at in range(24)]},
        ]
        return {"kind": "bars", "x": HOURS, "series": series}

    @property
    def lines(self) -> dict[str, Any]:
        series = [
            {"label": "p50", "tone": "accent", "values": [80 + at * 17 % 40 for at in range(24)]},
            {"label": "p95", "tone": "spark", "values": [None if at == 9 else 210 + at * 41 % 90 for at in range(24)]},
        ]
        return {"kind": "lines", "unit": "ms", "x": HOURS, "series": series}


async def gallery(visit: Visit) -> Given:
    form = Filled({"url": "http://10.0.0.1/", "events": ["message.status"]}, {"url": "is a private address"})
    return Show("gallery.html", GalleryPage(form), fragment="rows")


@asynccontextmanager
async def with_gallery(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Dashboard]:
    """The same server's services behind one more page, on a port of its own."""
    running = dashboard.web
    services, config = running.server.services, running.server.config
    templates = environment()
    assert templates.loader is not None
    both = jinja2.ChoiceLoader([templates.loader, jinja2.DictLoader({"gallery.html": GALLERY})])
    monkeypatch.setattr(templates, "loader", both)
    site = Site(services, config, [*PAGES, Page("GET", "/a/{account}/gallery", Need.VIEWER, gallery)], ENTRIES)
    gate, names = Gate(services.directory, services.clock), RequestIds(b"test")
    listener = Listener(Application(services, gate, names, ROUTES, site.routes), Door(services, gate, names))
    bound = bind("127.0.0.1", 0)
    await listener.start([bound])
    try:
        yield replace(dashboard, web=replace(running, port=bound.getsockname()[1]))
    finally:
        await listener.stop()


async def test_every_component(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    team = await dashboard.team()
    async with with_gallery(dashboard, monkeypatch) as shown:
        path = f"{team.path}/gallery"
        async with shown.open(path, Role.OWNER, team) as page:
            await expect(page.locator(".chart canvas")).to_have_count(2)
            await assert_accessible(page)
            await dashboard.shoot(page, "components")
            await page.get_by_role("button", name="Delete").click()
            dialog = page.get_by_role("dialog", name="Delete this endpoint?")
            await expect(dialog).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "dialog")
            await dialog.get_by_role("button", name="Leave it").click()
            await expect(dialog).to_be_hidden()
            await page.get_by_text("In numbers").first.click()
            await expect(page.get_by_role("region", name="Deliveries by outcome, in numbers")).to_be_visible()
            before = await page.locator("#rows").get_attribute("data-time-now")
            await page.evaluate("htmx.trigger('#rows', 'refresh')")
            await expect(page.locator("#rows")).not_to_have_attribute("data-time-now", before or "")
            await expect(page.locator("#rows time")).not_to_contain_text("UTC")  # dressed again


async def test_copying(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    team = await dashboard.team()
    async with with_gallery(dashboard, monkeypatch) as shown:
        rights = ["clipboard-read", "clipboard-write"]
        async with shown.open(f"{team.path}/gallery", Role.VIEWER, team, permissions=rights) as page:
            await page.get_by_role("button", name="Copy msg_").click()
            await expect(page.get_by_text("Copied.")).to_be_attached()
            assert (await page.evaluate("navigator.clipboard.readText()")).startswith("msg_3q5c")
