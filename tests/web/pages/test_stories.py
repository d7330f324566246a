"""A message's story where very many endpoints did not get it; old links to an endpoint that was deleted."""

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


async def test_an_old_link_to_a_deleted_endpoint_leads_on(web: Running) -> None:
    async with desk(web, description="Desk 1") as one:
        endpoint = (await one.call("GET", "/v1/endpoints")).json()["items"][0]["id"]
        await one.message()
        await one.settled(1, "succeeded")
        assert (await one.call("DELETE", f"/v1/endpoints/{endpoint}")).status_code == 204
        answer = await one.client.get(
            f"{one.path}/history?endpoint={endpoint}&state=succeeded&since=2020-01-01T00:00:00Z"
        )
        assert answer.status_code == 404
        assert "This endpoint is not there any more" in answer.text
        on = re.search('href="([^"]+)"[^>]*>(?:(?!</a>).)*Deliveries to all endpoints', answer.text)
        assert on
        assert "Resend all that match" not in answer.text
        assert "/history/export" not in answer.text
        found = await one.page(on[1].replace("&amp;", "&").removeprefix(one.path))
        assert "state=succeeded" in on[1]
        assert "since=2020" in on[1]
        assert "Desk 1" in found
        for path in (f"/webhooks/{endpoint}", f"/messages?q={endpoint}"):
            led = await one.client.get(one.path + path, follow_redirects=True)
            assert led.status_code == 404
            assert f'href="{one.path}/webhooks"' in led.text[led.text.index("<h1") :]
            assert f'href="{one.path}/history"' in led.text[led.text.index("<h1") :]
            assert "It was deleted, or the address is mistyped." in led.text
        lost = await one.client.get(f"{one.path}/history/dlv_gone")
        assert f'href="{one.path}/history"' in lost.text[lost.text.index("<h1") :]
        lost = await one.client.get(f"{one.path}/events/evt_gone")
        assert f'href="{one.path}/history/events"' in lost.text[lost.text.index("<h1") :]


async def test_a_story_says_what_was_resent_and_leads_to_its_endpoints(web: Running) -> None:
    async with desk(web, description="Desk 1", retrySchedule=[]) as one:
        one.receiver.status = 500
        message = await one.message("One of a kind")
        (failed,) = await one.settled(1, "failed")
        story = await one.page(f"/messages?q={message}")
        endpoint = (await one.call("GET", "/v1/endpoints")).json()["items"][0]["id"]
        link = f'<a href="{one.path}/webhooks/{endpoint}">'
        assert link in story
        assert link in await one.page(f"/history/{failed}")
        assert ">resent<" not in story
        asked = {"endpointId": endpoint, "story": message}
        assert (await post(one.client, f"{one.path}/events/{message}/resend", asked)).status_code == 303
        await one.settled(2, "failed")
        story = await one.page(f"/messages?q={message}")
        assert "It is resent: what comes of it is shown below." in story
        assert story.count(">resent<") == 1
        found = await one.page("/messages?q=kind 2020-01-01")
        assert "1 message fits. Is it this one?" in found


async def test_who_acts_on_ticked_rows_comes_back_to_the_same_list(web: Running) -> None:
    async with desk(web, description="Desk 1", retrySchedule=[]) as one:
        one.receiver.status = 500
        await one.message()
        (failed,) = await one.settled(1, "failed")
        page = await one.page("/history?state=failed&state=held&q=Hello")
        named = re.search('name="asked" value="([^"]*)"', page)
        assert named
        asked = named[1].replace("&amp;", "&")
        assert asked == "q=Hello&state=failed&state=held"
        back = f"{one.path}/history?{asked}"
        form = {"ids": failed, "verb": "resend", "asked": asked}
        shown = await post(one.client, f"{one.path}/history/selected", form)
        assert shown.text.count(back.replace("&", "&amp;")) >= 2  # the way back and "Leave it"
        assert named[0] in shown.text
        done = await post(one.client, f"{one.path}/history/selected", {**form, "sure": "yes"})
        assert done.headers["location"] == back
        strange = {**form, "sure": "yes", "asked": "path=//evil.example&state=nonsense"}
        done = await post(one.client, f"{one.path}/history/selected", strange)
        assert done.headers["location"] == f"{one.path}/history"
        assert re.search('aria-current="true">All<', page)  # a search looks at all times
