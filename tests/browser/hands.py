"""Somebody who uses the keyboard alone. Wherever Tab leads, focus is seen: it has a ring, and nothing lies over it."""

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page

TABS_MAX = 120
_LOOK = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return {name: '', ring: true, seen: true, lost: true};
    let ring = false;
    for (let at = one, up = 0; at && up < 4; at = at.parentElement, up += 1) {
        const style = getComputedStyle(at);
        if (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) ring = true;
    }
    const box = one.getBoundingClientRect();
    const lit = (x, y) => {
        const top = document.elementFromPoint(box.left + box.width * x, box.top + box.height * y);
        return !!top && (one.contains(top) || top.contains(one));
    };
    const seen = [0.1, 0.5, 0.9].some((x) => [0.2, 0.5, 0.8].some((y) => lit(x, y)));
    const label = one.labels?.[0]?.textContent ?? '';
    const said = one.getAttribute('aria-label') || label || one.textContent;
    return {name: said.replace(/\\s+/g, ' ').trim(), ring, seen, lost: false};
}"""


@dataclass
class Hands:
    """A keyboard before one page."""

    page: Page

    async def press(self, *keys: str) -> None:
        """Press one key after the other."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def type(self, text: str) -> None:
        """Type into what has focus."""
        await self.page.keyboard.type(text)

    async def look(self) -> dict[str, Any]:
        """What has focus; that it is seen."""
        found: dict[str, Any] = await self.page.evaluate(_LOOK)
        where = f"{found['name'][:60]!r} at {self.page.url}"
        assert found["ring"], f"focus is not seen on {where}"
        assert found["seen"], f"something lies over {where}"
        return found

    async def to(self, name: str, key: str = "Tab", *, exact: bool = False) -> None:
        """Go on with Tab until something has focus whose name begins like this, or is this."""
        passed: list[str] = []
        for _ in range(TABS_MAX):
            await self.press(key)
            found = await self.look()
            if found["name"] == name or (not exact and found["name"].startswith(name)):
                return
            passed.append(found["name"][:30])
        raise AssertionError(f"{name!r} is not reached at {self.page.url}; passed {passed}")

    async def skip(self) -> None:
        """Past the navigation of a page that has just come."""
        await self.press("Tab")
        await self.keeps("Skip to the content")
        await self.press("Enter")

    async def open(self, name: str) -> None:
        """Go to a button that acts on this page and press it."""
        await self.to(name)
        await self.press("Enter")

    async def follow(self, name: str) -> None:
        """Go to a link or button that leads to another page, and be there."""
        await self.to(name)
        await self.enter()

    async def enter(self) -> None:
        """Press Enter, and be at the page where it leads."""
        async with self.page.expect_navigation():
            await self.press("Enter")

    async def keeps(self, name: str) -> None:
        """Focus is still on this."""
        found = await self.look()
        assert found["name"].startswith(name), f"focus went from {name!r} to {found['name'][:60]!r}"
