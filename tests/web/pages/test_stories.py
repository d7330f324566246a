"""A message's story where very many endpoints did not get it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.pages.test_history import desk
from tests.web.people import post
from tests.web.running import Running, running
from whatsync.model import limits

ENDPOINTS = limits.RESEND_BUTTONS_SHOWN + 2


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    """A server over SQLite whose accounts may send to this machine."""
    async with running(tmp_path, in_memory=False, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8") as started:
        yield started


async def test_very_many_endpoints_have_one_button_for_all_and_some_of_their_own(web: Running) -> None:
    async with desk(web, description="Desk 1", retrySchedule=[]) as one:
        for number in range(2, ENDPOINTS + 1):
            form = {"url": one.receiver.url, "events": ["*"], "description": f"Desk {number}", "retrySchedule": []}
            assert (await one.call("POST", "/v1/endpoints", form)).status_code == 201
        one.receiver.status = 500
        message = await one.message()
        await one.settled(ENDPOINTS, "failed")
        page = await one.page(f"/messages?q={message}")
        top, _, below = page.partition('id="ends-title"')
        assert top.count(f"<span>Resend to all {ENDPOINTS}</span>") == 1
        assert len(re.findall("<span>Resend to Desk ", top)) == limits.RESEND_BUTTONS_SHOWN
        assert top.count("button main") == 1
        assert below.count("<span>Resend</span>") == ENDPOINTS - limits.RESEND_BUTTONS_SHOWN
        named = re.search('name="endpoints" value="([^"]+)"', top)
        assert named
        assert len(set(named[1].split(","))) == ENDPOINTS
        one.receiver.status = 200
        asked = {"endpoints": named[1] + ",ep_gone", "story": message}
        answer = await post(one.client, f"{one.path}/events/{message}/resend-each", asked)
        assert answer.headers["location"].endswith(f"/messages?q={message}")
        await one.settled(ENDPOINTS, "succeeded")
        told = await one.page(f"/messages?q={message}")
        assert f"It is resent to {ENDPOINTS} of {ENDPOINTS + 1} endpoints." in told
        assert "Resend to" not in told


async def test_few_endpoints_have_a_button_each_and_none_together(web: Running) -> None:
    async with desk(web, description="Desk 1", retrySchedule=[]) as one:
        form = {"url": one.receiver.url, "events": ["*"], "description": "Desk 2", "retrySchedule": []}
        assert (await one.call("POST", "/v1/endpoints", form)).status_code == 201
        one.receiver.status = 500
        message = await one.message()
        await one.settled(2, "failed")
        page = await one.page(f"/messages?q={message}")
        assert "Resend to all" not in page
        assert page.count("<span>Resend to Desk ") == 2
        assert "<span>Resend</span>" not in page
