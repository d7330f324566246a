"""One server and one Chromium for all tests in this folder, on one event loop.

`--screenshots FOLDER` keeps pictures of the pages.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from tests.browser.dashboard import PATIENCE_MS, Dashboard
from tests.web.running import running

CHROMIUM = "/usr/bin/chromium"
_HERE = Path(__file__).parent
# Nothing but this machine can be reached, whatever a page may try; and nothing is fetched in the background.
ARGUMENTS = [
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-sandbox",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests on the session's loop, which is the browser's."""
    for item in items:
        if _HERE in item.path.parents and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dashboard(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Dashboard]:
    """The dashboard of a real server over SQLite, and a browser before it."""
    folder = request.config.getoption("--screenshots")
    shots = None if folder is None else Path(folder)
    if shots is not None:
        shots.mkdir(parents=True, exist_ok=True)
    data = tmp_path_factory.mktemp("data")
    server = running(data, in_memory=False, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8", WHATSYNC_RETRY_SCHEDULE="1s,2s")
    expect.set_options(timeout=PATIENCE_MS)
    async with server as web, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield Dashboard(web, browser, shots)
        finally:
            await browser.close()
