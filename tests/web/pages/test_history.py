"""The history's pages over HTTP: who sees which buttons, exports cell by cell, live parts, and nobody else's rows."""

import asyncio
import csv
import html
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.people import Team, make_team, post, sign_in, visitor
from tests.web.receiver import Receiver, receiving
from tests.web.running import Running, running
from whatsync.engine.inspection import Inspection
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.user import Role
from whatsync.ports.history import EventPage, EventQuery
from whatsync.web.pages.export import safe_cell
from whatsync.web.pages.history_filters import ENDPOINTS_MAX

SCOPES = (Scope.ADMIN, Scope.READ, Scope.EVENTS_WRITE)


class Desk:
    """A team's account with an endpoint, seen through the API and through a browser of one of its users."""

    def __init__(self, web: Running, team: Team, key: str, receiver: Receiver, client: httpx.AsyncClient) -> None:
        self.web, self.team, self.key, self.receiver, self.client = web, team, key, receiver, client
        self.path = team.path

    async def call(self, method: str, path: str, json: object = None) -> httpx.Response:
        return await self.web.call(method, path, key=self.key, json=json)

    async def message(self, text: str = "Hello", phone: str = "+1234567890") -> str:
        data = {"from": phone, "to": "+0987654321", "text": text}
        answer = await self.call("POST", "/v1/events", {"event": "message.incoming", "data": data})
        assert answer.status_code == 202, answer.text
        name: str = answer.json()["id"]
        return name

    async def settled(self, count: int, state: str) -> list[str]:
        """Wait until so many deliveries are in a state; their ids, newest first."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                items = (await self.call("GET", f"/v1/deliveries?state={state}")).json()["items"]
                if len(items) >= count:
                    return [one["id"] for one in items]
                await asyncio.sleep(0.01)

    async def page(self, path: str, **headers: str) -> str:
        answer = await self.client.get(self.path + path, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    """A server over SQLite whose accounts may send to this machine."""
    async with running(tmp_path, in_memory=False, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8") as started:
        yield started


@asynccontextmanager
async def desk(web: Running, role: Role = Role.SUPPORT, **endpoint: object) -> AsyncIterator[Desk]:
    team = await make_team(web)
    made_key = await web.server.services.keys.create(team.account, "test", SCOPES, "test")
    key = made_key.secret
    async with receiving() as receiver, visitor(web, await sign_in(web, team.users[role])) as client:
        made = Desk(web, team, key, receiver, client)
        form = {"url": receiver.url, "events": ["*"], **endpoint}
        assert (await made.call("POST", "/v1/endpoints", form)).status_code == 201
        yield made


async def test_viewers_see_and_support_also_acts(web: Running) -> None:
    for role, acts in ((Role.VIEWER, False), (Role.SUPPORT, True)):
        async with desk(web, role, retrySchedule=[600]) as one:
            one.receiver.status = 500
            await one.message()
            (waiting,) = await one.settled(1, "retrying")
            event = (await one.call("GET", f"/v1/deliveries/{waiting}")).json()["eventId"]
            pages = [f"/history/{waiting}", "/history", f"/events/{event}", f"/messages?q={event}"]
            words = ["Retry now", 'name="ids"', "Resend</h2>", "Retry now"]
            for path, word in zip(pages, words, strict=True):
                assert (word in await one.page(path)) is acts, (role, path)
            answer = await post(one.client, f"{one.path}/history/{waiting}/cancel")
            assert answer.status_code == (303 if acts else 403)


async def test_an_endpoint_is_called_by_its_description_and_its_url(web: Running) -> None:
    async with desk(web, description="Shop in Ulm") as one:
        await one.message()
        await one.settled(1, "succeeded")
        page = await one.page("/history")
        assert page.count("Shop in Ulm") >= 2  # in the row, and to choose from
        row = page[page.index('class="place named"') :]
        assert one.receiver.url.partition("://")[2] in row[:400]


async def test_stories_call_endpoints_by_description_and_url(web: Running) -> None:
    async with desk(web, description="Order desk", retrySchedule=[]) as one:
        one.receiver.status = 500
        message = await one.message()
        await one.settled(1, "failed")
        url = one.receiver.url.partition("://")[2]
        other = {"url": "https://8.8.8.8/quiet", "events": ["contact.update"], "description": "Quiet one"}
        assert (await one.call("POST", "/v1/endpoints", other)).status_code == 201
        named = f'<strong>Order desk</strong><span class="beneath">{url}</span>'
        for path in (f"/messages?q={message}", f"/events/{message}"):
            page = await one.page(path)
            assert named in page, path
            assert '<strong>Quiet one</strong><span class="beneath">8.8.8.8/quiet</span>' in page, path
        assert "Resend to Order desk" in await one.page(f"/messages?q={message}")


async def test_several_endpoints_in_trouble_have_one_button_together_and_one_each(web: Running) -> None:
    async with desk(web, description="Order desk", retrySchedule=[600]) as one, receiving() as second:
        one.receiver.status = second.status = 500
        form = {"url": second.url, "events": ["*"], "description": "Archive", "retrySchedule": [600]}
        assert (await one.call("POST", "/v1/endpoints", form)).status_code == 201
        message = await one.message()
        waiting = await one.settled(2, "retrying")
        page = await one.page(f"/messages?q={message}")
        assert page.count("Retry all 2 now") == 1
        assert page.count("<span>Retry now</span>") == 2  # one beside each endpoint
        assert "2 of 2 endpoints have not got it yet." in page
        assert "Retry all 2 now" in await one.page(f"/events/{message}")
        one.receiver.status = second.status = 200
        asked = {"deliveries": ",".join([*waiting, "dlv_gone"]), "story": message}
        answer = await post(one.client, f"{one.path}/history/retry", asked)
        assert answer.headers["location"].endswith(f"/messages?q={message}")
        await one.settled(2, "succeeded")
        assert "2 of 3 are tried now" in await one.page(f"/messages?q={message}")


async def test_a_time_alone_begins_the_list_shortly_after_it(web: Running) -> None:
    async with desk(web) as one:
        text = "Only a minute ago"
        await one.message(text)
        await one.message("And once more")
        now = datetime.now(UTC)
        assert text in await one.page(f"/messages?q={now:%Y-%m-%dT%H:%M:%SZ}")
        earlier = now - timedelta(hours=1)
        assert text not in await one.page(f"/messages?q={earlier:%Y-%m-%dT%H:%M:%SZ}")
        assert text in await one.page(f"/messages?q=%2B1234567890 {earlier:%Y-%m-%dT%H:%M:%SZ}")


async def test_the_very_fault_is_named_where_the_reason_is(web: Running) -> None:
    async def speak_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak_no_tls, "127.0.0.1", 0)
    async with server, desk(web, Role.DEVELOPER, events=["contact.update"]) as one:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        form = {"url": url, "events": ["message.incoming"], "retrySchedule": [600]}
        endpoint = (await one.call("POST", "/v1/endpoints", form)).json()["id"]
        await one.message()
        (delivery,) = await one.settled(1, "retrying")
        (attempt,) = (await one.call("GET", f"/v1/deliveries/{delivery}/attempts")).json()["items"]
        assert attempt["code"] == "tls_error"
        assert attempt["detail"]
        page = await one.page(f"/history/{delivery}")
        because = page[page.index('class="because"') :]
        assert f"({attempt['detail']})" in html.unescape(because[: because.index("</div>")])
        tested = await post(one.client, f"{one.path}/webhooks/{endpoint}/test", {"event": "message.incoming"})
        shown = await one.client.get(tested.headers["location"])
        assert "No answer came." in shown.text
        assert "Download</dt>" not in shown.text  # there was nothing to download


async def test_own_notices_do_not_hide_what_matched_no_endpoint(web: Running) -> None:
    async with desk(web, retrySchedule=[], events=["message.incoming"]) as one:
        one.receiver.status = 500
        await one.message()
        await one.settled(1, "failed")
        status = {"messageId": "msg_1", "status": "read", "timestamp": "2023-06-15T14:22:33Z"}
        missed = (await one.call("POST", "/v1/events", {"event": "message.status", "data": status})).json()["id"]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                notices = await listed_ids(one, "event=delivery.exhausted")
                if notices:
                    break
                await asyncio.sleep(0.01)
        assert await listed_ids(one, "matched=false") == [missed]
        assert await listed_ids(one, "matched=false&event=delivery.exhausted") == notices
        assert len(await listed_ids(one, "")) == 3
        for query, shown in (
            ("matched=false", [missed]),
            ("matched=false&event=delivery.exhausted", notices),
            ("", await listed_ids(one, "")),
        ):
            page = await one.page(f"/history/events?{query}")
            assert re.findall(r'<a class="row" href="[^"]*/events/([^"?]+)', page) == shown, query


async def listed_ids(one: Desk, query: str) -> list[str]:
    """What the API lists."""
    answer = await one.call("GET", f"/v1/events?{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_nobody_elses_rows_are_found(web: Running) -> None:
    async with desk(web) as mine, desk(web) as other:
        event = await mine.message("Only mine")
        (delivery,) = await mine.settled(1, "succeeded")
        for path in (f"/history/{delivery}", f"/events/{event}"):
            assert (await other.client.get(other.path + path)).status_code == 404
        assert "Only mine" not in await other.page(f"/messages?q={event}")
        assert 'data-verdict="not_received"' in await other.page(f"/messages?q={delivery}")
        assert delivery not in await other.page("/history")
        assert delivery not in await other.page(f"/history?after=none&open={delivery}", **{"hx-request": "true"})
        for path in (f"/history/{delivery}/retry", f"/events/{event}/resend"):
            assert (await post(other.client, other.path + path)).status_code == 404
        gone = await post(other.client, f"{other.path}/history/selected", {"ids": delivery, "verb": "cancel"})
        assert delivery not in gone.text


async def test_live_looks_bring_only_what_is_new_or_has_changed(web: Running) -> None:
    async with desk(web, retrySchedule=[600]) as one:
        one.receiver.status = 500
        await one.message("first")
        (first,) = await one.settled(1, "retrying")
        one.receiver.status = 200
        await one.message("second")
        (second,) = await one.settled(1, "succeeded")
        htmx = {"hx-request": "true"}
        look = await one.page(f"/history?after={first}&open={first},dlv_nothing", **htmx)
        assert "<html" not in look
        assert look.index(f'id="{second}"') < look.index(f'id="{first}"')
        assert look.count("hx-swap-oob") == 1
        assert "<tr" not in await one.page(f"/history?after={second}", **htmx)
        assert "<tr" not in await one.page(f"/history?after={first}&state=failed", **htmx)
        now = await one.page(f"/history/{first}", **htmx)
        mark = now.split("mark=")[1].split('"')[0]
        same = await one.client.get(f"{one.path}/history/{first}?mark={mark}", headers=htmx)
        assert same.headers["hx-reswap"] == "none"


async def test_lists_read_only_how_long_bodies_begin(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    history = web.server.services.history
    asked = history.events

    async def measured(query: EventQuery) -> EventPage:
        page = await asked(query)
        read.extend(len(event.body) for event in page.items)
        return page

    async with desk(web) as one:
        for _ in range(3):
            await one.message("How it begins " + "and goes on " * 5_000, "+4915100000001")
        (*_, oldest) = await one.settled(3, "succeeded")
        monkeypatch.setattr(history, "events", measured)
        for path in ("/history", "/history/events", f"/history?after=none&open={oldest}"):
            shown = await one.page(path, **({"hx-request": "true"} if "after" in path else {}))
            assert "How it begins" in shown
            assert "+4915100000001" in shown
    assert len(read) >= 9
    assert max(read) <= limits.EVENT_BEGINNING_BYTES


async def test_a_list_goes_on_page_by_page(web: Running) -> None:
    async with desk(web) as one:
        for at in range(5):
            await one.message(f"number {at}")
        await one.settled(5, "succeeded")
        first = await one.page("/history?limit=3")
        assert [f"number {at}" in first for at in range(5)] == [False, False, True, True, True]
        older = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
        second = (await one.client.get(older)).text
        assert [f"number {at}" in second for at in range(5)] == [True, True, False, False, False]
        assert 'id="live"' not in second


async def test_exports_go_page_by_page_and_hold_no_formula(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXPORT_PAGE_ITEMS", 2)
    async with desk(web) as one:
        for at in range(5):
            await one.message(f"number {at}")
        newest = await one.settled(5, "succeeded")
        answer = await one.client.get(f"{one.path}/history/export?format=csv")
        assert answer.headers["content-disposition"] == 'attachment; filename="deliveries.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert [row["delivery"] for row in rows] == newest
        assert {(row["state"], row["status"], row["attempts"]) for row in rows} == {("succeeded", "200", "1")}
        lines = (await one.client.get(f"{one.path}/history/export?format=ndjson&limit=1")).text.splitlines()
        assert [json.loads(line)["id"] for line in lines] == newest
        assert (await one.client.get(f"{one.path}/history/export?format=pdf")).status_code == 422
        assert (await one.client.get(f"{one.path}/history/export?endpoint=ep_none")).status_code == 422


@pytest.mark.parametrize("text", ["=1+1", "+49151", "-2+3", "@SUM(A1)", "\tx", "\rx"])
def test_cells_that_would_be_formulas_become_text(text: str) -> None:
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize("value", ["dlv_1", "https://x.example/?a=1", "", None, 5, -1.5])
def test_other_cells_stay(value: object) -> None:
    assert safe_cell(value) == value


async def test_a_cut_export_stops_looking(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXPORT_PAGE_ITEMS", 1)
    asked: list[int | None] = []
    read = Inspection.deliveries

    async def endless(self: Inspection, account: object, wanted: object, before: int | None = None, limit: int = 50):  # type: ignore[no-untyped-def]
        asked.append(before)
        page = await read(self, account, wanted, None, limit)  # type: ignore[arg-type]
        return type(page)(page.items * 500, next=1)

    async with desk(web) as one:
        await one.message()
        await one.settled(1, "succeeded")
        monkeypatch.setattr(Inspection, "deliveries", endless)
        async with one.client.stream("GET", f"{one.path}/history/export?format=csv") as answer:
            async for _ in answer.aiter_bytes():
                break
        count = -1
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}") as bystander:
            while count != len(asked):  # ends only where the export does
                count = len(asked)
                for _ in range(20):
                    assert (await bystander.get("/healthz")).status_code == 200


async def test_what_is_ticked_is_asked_about_and_then_done(web: Running) -> None:
    async with desk(web, retrySchedule=[600]) as one:
        one.receiver.status = 500
        await one.message("first")
        await one.message("second")
        names = await one.settled(2, "retrying")
        path = f"{one.path}/history/selected"
        asked = await post(one.client, path, {"ids": names[0], "verb": "cancel"})
        assert "Cancel 1 delivery?" in asked.text
        done = await post(one.client, path, {"ids": names[0], "verb": "cancel", "sure": "yes"})
        assert done.status_code == 303
        assert "1 delivery is cancelled." in await one.page("/history")
        assert await one.settled(1, "cancelled") == [names[0]]
        refused = await post(one.client, path, {"ids": names[0], "verb": "retry"})
        assert "is cancelled: resend it instead" in refused.text
        assert (await post(one.client, path, {"verb": "retry"})).status_code == 303
        assert (await post(one.client, path, {"ids": names[0], "verb": "explode"})).status_code == 303


async def test_jobs_of_the_page_are_those_of_the_api(web: Running) -> None:
    async with desk(web, retrySchedule=[]) as one:
        one.receiver.status = 500
        await one.message()
        await one.settled(1, "failed")
        one.receiver.status = 200
        ahead = await one.page("/history/bulk?state=failed")
        assert "1 delivery would be made." in ahead
        begun = await post(one.client, f"{one.path}/history/bulk", {"state": "failed"})
        job = begun.headers["location"].rsplit("/", 1)[1]
        await one.settled(1, "succeeded")
        assert (await one.call("GET", f"/v1/jobs/{job}")).json()["kind"] == "resend"
        assert job in await one.page("/jobs")
        ended = await post(one.client, f"{one.path}/jobs/{job}/cancel")
        assert ended.status_code == 303
        assert (await one.client.get(f"{one.path}/jobs/job_none")).status_code == 404


async def test_a_look_ahead_goes_on_in_parts(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOB_STEP_ITEMS", 2)
    monkeypatch.setattr(limits, "JOB_PREVIEW_PART_SECONDS", 0.0)
    async with desk(web, retrySchedule=[]) as one:
        one.receiver.status = 500
        for _ in range(5):
            await one.message()
        await one.settled(5, "failed")
        part = await one.page("/history/bulk?state=failed")
        looks = 1

        def further(shown: str) -> str:
            found: str = re.findall(r'id="ahead" hx-get="([^"]+)"', shown)[0]
            return found.replace("&amp;", "&").removeprefix(one.path)

        while "Counting goes on" in part:
            assert f"{2 * looks} or more deliveries would be made." in part
            part = await one.page(further(part), **{"hx-request": "true"})
            assert "<html" not in part
            looks += 1
        assert looks == 3
        assert "5 deliveries would be made." in part
        assert "4 deliveries" not in await one.page("/history/bulk?state=failed&soFar=nonsense")
        monkeypatch.setattr(limits, "JOB_PREVIEW_ITEMS_MAX", 4)
        bounded = await one.page("/history/bulk?state=failed")
        bounded = await one.page(
            re.findall(r'id="ahead" hx-get="([^"]+)"', bounded)[0].replace("&amp;", "&").removeprefix(one.path)
        )
        assert "4 or more deliveries would be made." in bounded
        assert "Counting goes on" not in bounded


async def test_a_page_with_hundreds_of_endpoints_is_light(web: Running) -> None:
    async with desk(web) as one:
        services, account = web.server.services, one.team.account
        for at in range(300):
            form = EndpointForm(
                url=f"https://customer-{at}.example/hooks/whatsapp/{at * 7919}", events=["message.status"]
            )
            await services.endpoints.create(account, form, "test")
        answer = await one.client.get(f"{one.path}/history", headers={"accept-encoding": "gzip"})
        assert "customer-299.example" in answer.text
        assert int(answer.headers["content-length"]) < 50_000


async def test_one_of_a_thousand_endpoints_is_found_by_a_part_of_its_url(web: Running) -> None:
    async with desk(web) as one:
        services, account = web.server.services, one.team.account
        made = []
        for at in range(ENDPOINTS_MAX):
            form = EndpointForm(
                url=f"https://customer-{at}.example/hook", events=["message.status"], description="x" * 60
            )
            made.append((await services.endpoints.create(account, form, "test")).running.endpoint.id)
        page = await one.page("/history?state=failed")
        assert "customer-299.example" not in page
        assert 'placeholder="Part of its URL or name"' in page
        assert len(page.encode()) < 60_000
        found = await one.client.get(f"{one.path}/history?state=failed&state=held&endpoint=CUSTOMER-300.")
        assert found.status_code == 303
        here = f"{one.path}/history?state=failed&state=held&endpoint="
        assert found.headers["location"] == here + made[300]
        assert 'class="words" title="xxx' in (await one.client.get(found.headers["location"])).text
        several = await one.client.get(f"{one.path}/history?state=failed&state=held&endpoint=customer-29")
        assert several.status_code == 422
        assert "is in the URL or description of 11 endpoints: choose one below" in several.text
        assert several.text.count(here.replace("&", "&amp;")) == 11
        # What would be resent or exported without the filter is not offered.
        assert "/history/bulk" not in several.text
        assert "/history/export" not in several.text
        await resent_by_words(one)
        none = await one.client.get(f"{one.path}/history?endpoint=nobody")
        assert "is in the URL or description of no endpoint" in none.text


async def resent_by_words(one: Desk) -> None:
    """An event's page takes a part of the endpoint's URL where there are too many for a list."""
    form = {"url": f"{one.receiver.url}/till-of-the-harbour", "events": ["contact.update"]}
    assert (await one.call("POST", "/v1/endpoints", form)).status_code == 201
    event = await one.message()
    path = f"{one.path}/events/{event}"
    page = await one.page(f"/events/{event}")
    assert "A part of an endpoint’s URL or description" in page
    assert "customer-299.example" not in page
    for words, said in (("customer-29", "11 endpoints; type more of it"), ("nobody", "of no endpoint")):
        assert (await post(one.client, f"{path}/resend", {"endpointId": words})).headers["location"] == path
        assert said in (await one.client.get(path)).text
    found = await post(one.client, f"{path}/resend", {"endpointId": "Till-of-the"})
    assert "/history/dlv_" in found.headers["location"]


async def test_an_event_of_any_type_says_where_it_stands_and_why(web: Running) -> None:
    async with desk(web, events=["message.status"], description="Statuses only", retrySchedule=[600]) as one:
        for name in ("order.held", "order.lost"):
            assert (await one.call("POST", "/v1/event-types", {"name": name})).status_code == 201
        form = {"url": f"{one.receiver.url}/orders", "events": ["order.held"], "retrySchedule": [600]}
        assert (await one.call("POST", "/v1/endpoints", form)).status_code == 201
        one.receiver.status = 404
        held = await one.call("POST", "/v1/events", {"event": "order.held", "data": {"order": 7}})
        (delivery,) = await one.settled(1, "retrying")
        page = await one.page(f"/events/{held.json()['id']}")
        assert 'data-verdict="waiting"' in page
        assert f"/history/{delivery}/retry" in page
        assert "It does not subscribe to this type of event." in page
        lost = await one.call("POST", "/v1/events", {"event": "order.lost", "data": {"order": 8}})
        page = await one.page(f"/events/{lost.json()['id']}")
        assert 'data-verdict="no_endpoint"' in page
        assert page.count("It does not subscribe to this type of event.") == 2
        assert "/retry" not in page
