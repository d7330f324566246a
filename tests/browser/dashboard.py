"""The dashboard as people meet it: a real server, a real Chromium, signed-in browsers. Whatever a page should never do
(an error on the console, a breach of its policy, a request that leaves the machine) fails the test that did it.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize

from tests.conftest import ROOT
from tests.web.people import SESSION_COOKIE, Team, make_operator, make_team, sign_in
from tests.web.running import Running
from whatsync.engine.directory import RunningAccount
from whatsync.engine.sessions import Visitor
from whatsync.model.user import Role
from whatsync.ports.store import Change

Theme = Literal["light", "dark"]
PATIENCE_MS = 30_000
"""How long a page may take for anything on a busy machine: whoever waits goes on as soon as it is there."""
WIDE = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)
OPERATOR = "operator"
AXE = ROOT / "front" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_SETTLED = """() => {
    scrollTo(0, 0);
    return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
_LABELS_OVER_VALUES = """() => [...document.querySelectorAll(".cards td[data-label]")].filter((cell) => {
    const label = getComputedStyle(cell, "::before");
    const shown = label.position === "absolute" && cell.checkVisibility() && cell.textContent.trim();
    return shown && parseFloat(label.width) > parseFloat(getComputedStyle(cell).paddingLeft);
}).map((cell) => `${cell.dataset.label}: ${cell.textContent.trim()}`)"""
_REFUSAL = re.compile(r"Failed to load resource: the server responded with a status of (4\d\d|503) ")


@dataclass
class Watch:
    """Keeps what one browser did that it never should."""

    origin: str
    around: str | None = None
    """Another product's origin, whose page frames ours."""
    found: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Listen to a page from its first request on."""
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.found.append(f"error in a script: {error}"))
        page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        # A page that is refused on purpose is told by its status; that its parts load is another matter.
        refused = _REFUSAL.match(message.text) and "/assets/" not in message.location.get("url", "")
        if message.type in ("error", "warning") and not refused:
            self.found.append(f"on the console: {message.text} ({message.location})")

    def _asked(self, request: Request) -> None:
        known = [f"{origin}/" for origin in (self.origin, self.around) if origin is not None]
        if not request.url.startswith((*known, "data:", "blob:")):
            self.found.append(f"a request left the machine: {request.url}")


@dataclass
class Dashboard:
    """One server and one browser for all tests of a session; each test takes a team and pages of its own."""

    web: Running
    browser: Browser
    shots: Path | None = None
    """Where pictures go, if any are wanted."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.web.port}"

    async def team(self, name: str = "Example Ltd") -> Team:
        """An account of its own with a user for each role."""
        return await make_team(self.web, name)

    async def token(self, who: Role | str | None, team: Team | None) -> str | None:
        """A session of somebody: a role in the team, the operator, or nobody."""
        if who is None:
            return None
        if who == OPERATOR:
            return await sign_in(self.web, await make_operator(self.web))
        assert team is not None
        return await sign_in(self.web, team.users[Role(who)])

    async def embedded_token(self, account: RunningAccount, role: Role) -> str:
        """A session of another product's user."""
        services = self.web.server.services
        begun = services.sessions.draft_embedded(Visitor(), account.account.id, role)
        await services.configuration.change(Change(account.row, (begun.put,), routing=False))
        return begun.token

    @asynccontextmanager
    async def open(
        self,
        path: str = "/",
        who: Role | str | None = None,
        team: Team | None = None,
        *,
        token: str | None = None,
        size: ViewportSize = WIDE,
        scripts: bool = True,
        **options: Any,
    ) -> AsyncIterator[Page]:
        """A page in a browser of its own, signed in as ``who``. At the end nothing must have gone wrong in it."""
        context = await self.browser.new_context(
            base_url=self.origin, viewport=size, java_script_enabled=scripts, reduced_motion="reduce", **options
        )
        watch = Watch(self.origin)
        context.on("page", watch.follow)
        try:
            token = token or await self.token(who, team)
            if token is not None:
                await _let_in(context, self.origin, token)
            page = await context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            await page.goto(path)
            yield page
        finally:
            await context.close()
        assert not watch.found, "\n".join(watch.found)

    async def shoot(self, page: Page, name: str) -> None:
        """Pictures of the page as it is: wide and narrow, light and dark. Only where a folder for them was given."""
        if self.shots is None:
            return
        before = page.viewport_size
        for size in (WIDE, PHONE):
            await page.set_viewport_size(size)
            for theme in ("light", "dark"):
                await page.emulate_media(color_scheme=theme)
                await page.evaluate(_SETTLED)
                await page.screenshot(path=self.shots / f"{name}-{size['width']}-{theme}.png", full_page=True)
        await page.emulate_media(color_scheme="light")
        if before is not None:
            await page.set_viewport_size(before)


async def _let_in(context: BrowserContext, origin: str, token: str) -> None:
    await context.add_cookies(
        [{"name": SESSION_COOKIE, "value": token, "url": origin, "httpOnly": True, "sameSite": "Lax"}]
    )


async def assert_accessible(page: Page) -> None:
    """axe finds nothing, in light and in dark; on a phone nothing is too wide, and no label lies over a value."""
    await page.evaluate(AXE.read_text("utf-8"))
    problems = []
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        run = "(rules) => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})"
        result = await page.evaluate(run, RULES)
        for violation in result["violations"]:
            for node in violation["nodes"]:
                problems.append(f"{theme}: {violation['id']}: {violation['help']}: {node['html'][:200]}")
                problems.append("    " + node.get("failureSummary", "").replace("\n", "\n    "))
    await page.emulate_media(color_scheme="light")
    before = page.viewport_size
    await page.set_viewport_size(PHONE)
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if overflow > 0:
        problems.append(f"on a phone the page is {overflow} px too wide")
    problems += [f"on a phone a label lies over its value: {cell}" for cell in await page.evaluate(_LABELS_OVER_VALUES)]
    if before is not None:
        await page.set_viewport_size(before)
    assert not problems, f"{page.url}\n" + "\n".join(problems)
