"""Bulk work seen in the browser: previewed, started, watched through the death of the server, and cancelled."""

import asyncio
import json
import os
import re
import signal
import sys
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.browser.dashboard import Dashboard, assert_accessible
from tests.browser.shop import opened_shop
from tests.ports import free_port
from tests.web.receiver import Receiver, receiving
from whatsync.model.delivery import State
from whatsync.model.user import Role

EVENTS = 2_000
SERVE = ("-m", "whatsync", "serve")
UNHURRIED = """
from whatsync.model import limits
limits.JOB_PAUSE_SECONDS = 600
from whatsync.cli.app import main
main()
"""
"""The command whose jobs rest after their first step, so that however slow the browser is, it sees one run."""
KEY = "wsk_" + urlsafe_b64encode(b"0123456789abcdef" * 2).decode().rstrip("=")
EMAIL, PASSWORD = "owner@example.com", "correct horse battery"


async def test_all_that_match_are_resent_after_a_look_ahead(dashboard: Dashboard) -> None:
    async with opened_shop(dashboard) as shop:
        receiver = await shop.receiver("desk", 500)
        await shop.endpoint(receiver.url, retry_schedule=[])
        for at in range(3):
            await shop.message(f"Message {at}")
        await shop.settled(3, State.FAILED)
        async with dashboard.open(f"{shop.path}/jobs", Role.SUPPORT, shop.team) as page:
            await expect(page.get_by_role("heading", name="No job yet")).to_be_visible()
            await assert_accessible(page)
            await page.get_by_role("link", name="Open the history").click()
            await page.get_by_role("link", name="Resend all that match…").click()
            await expect(page.get_by_role("heading", name="3 deliveries would be made.")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "bulk")
            receiver.status = 200
            await page.get_by_role("button", name="Resend them").click()
            await expect(page.get_by_role("heading", name="Done: 3 new deliveries made.")).to_be_visible()
            await assert_accessible(page)
            await dashboard.shoot(page, "job")
            await shop.settled(3, State.SUCCEEDED)
            await page.goto(f"{shop.path}/history/bulk?state=failed")
            await expect(page.get_by_role("heading", name="There is nothing to resend.")).to_be_visible()
            await expect(page.get_by_text("have arrived since")).to_be_visible()
            await page.goto(f"{shop.path}/jobs")
            await assert_accessible(page)
            await dashboard.shoot(page, "jobs")


@asynccontextmanager
async def served(folder: Path, port: int, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The real command over a data folder, ready; killed at the end where it still runs."""
    environment = {
        "PATH": os.environ["PATH"],
        "WHATSYNC_DATA_DIR": str(folder),
        "WHATSYNC_PORT": str(port),
        "WHATSYNC_BOOTSTRAP_EMAIL": EMAIL,
        "WHATSYNC_BOOTSTRAP_PASSWORD": PASSWORD,
        "WHATSYNC_BOOTSTRAP_API_KEY": KEY,
        "WHATSYNC_RETRY_SCHEDULE": "",
    }
    log = (folder.parent / "server.log").open("ab")
    process = await asyncio.create_subprocess_exec(*(sys.executable, *command), env=environment, stdout=log, stderr=log)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(60):
            while not await _ready(client):
                assert process.returncode is None, "the server ended"
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        log.close()


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.HTTPError:
        return False


async def fill(port: int, receiver: Receiver) -> None:
    """Deliveries, so many that a job over them takes a while."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {KEY}"}, timeout=60
    ) as client:
        form = {"url": receiver.url, "events": ["*"], "retrySchedule": []}
        assert (await client.post("/v1/endpoints", json=form)).status_code == 201
        one = {"event": "message.incoming", "data": {"from": "+1234567890", "to": "+0987654321", "text": "Hello"}}
        for _ in range(EVENTS // 1_000):
            assert (await client.post("/v1/events", content=json.dumps([one] * 1_000))).status_code == 202
        async with asyncio.timeout(60):
            while (await client.get("/v1/deliveries?state=pending&limit=1")).json()["items"]:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.1)


async def only_job(port: int) -> dict[str, Any]:
    """The one job there is."""
    head = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=head, timeout=60) as client:
        (job,) = (await client.get("/v1/jobs")).json()["items"]
    found: dict[str, Any] = job
    return found


async def enter(page: Page, origin: str) -> None:
    await page.goto(f"{origin}/sign-in")
    await page.get_by_label("Mail address").fill(EMAIL)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/a/acc_"))


@pytest.mark.slow
async def test_a_job_goes_on_through_the_death_of_the_server(dashboard: Dashboard, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    context = await dashboard.browser.new_context(reduced_motion="reduce")
    page = await context.new_page()
    try:
        async with receiving() as receiver:
            async with served(folder, port, "-c", UNHURRIED, "serve") as first:
                await fill(port, receiver)
                await enter(page, origin)
                account = page.url.split("/a/")[1].split("/")[0]
                await page.goto(f"{origin}/a/{account}/history/bulk?state=succeeded")
                await expect(page.get_by_role("heading", name=re.compile("would be made"))).to_be_visible()
                await page.get_by_role("button", name="Resend them").click()
                await expect(page.locator("[data-job-state=running]")).to_be_visible()
                assert (await only_job(port))["state"] == "running"
                first.send_signal(signal.SIGKILL)
                await first.wait()
            async with served(folder, port, *SERVE):
                done = page.get_by_role("heading", name=f"Done: {EVENTS // 1000}\u202f000 new deliveries made.")
                await expect(done).to_be_visible(timeout=60_000)
                job = await only_job(port)
                assert (job["done"], job["skipped"]) == (EVENTS, 0)
    finally:
        await context.close()
