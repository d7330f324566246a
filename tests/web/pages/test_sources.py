"""Sources and numbers as pages over HTTP: made, connected, looked into, processed again, given to accounts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import httpx
import pytest

from tests.graph.apps import App
from tests.graph.server import GraphServer
from tests.patience import PATIENCE_SECONDS
from tests.sources.whatsapp.cloud import NUMBER, SECRET, escaped, incoming, message, signed
from tests.web.people import ACTOR, make_operator, make_team, post, sign_in, visitor
from tests.web.running import Running, running
from whatsync.model.source import NewNumberForm, SourceForm
from whatsync.model.user import Role
from whatsync.web.api.sources import SampleForm
from whatsync.web.pages.moments import written_time
from whatsync.web.pages.source import SAMPLES

PUBLIC = "https://hooks.example.com"


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, WHATSYNC_PUBLIC_URL=PUBLIC) as server:
        yield server


@pytest.fixture
async def operator(public: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with visitor(public, await sign_in(public, await make_operator(public))) as client:
        yield client


async def made(client: httpx.AsyncClient, **more: str) -> str:
    """A source by its form; the path of its page."""
    form = {"name": "Our app", "appSecret": SECRET, "verifyToken": "paste-me-at-meta", "auth": "signature", **more}
    answer = await post(client, "/sources/new", form)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def meta_posts(web: Running, path: str, raw: bytes, secret: str = SECRET) -> int:
    answer = await web.client.post(
        path.replace("/sources/", "/sources/whatsapp/"), content=raw, headers=signed(raw, secret)
    )
    return answer.status_code


async def test_a_source_shows_what_to_paste_at_meta_and_never_its_secret(
    public: Running, operator: httpx.AsyncClient
) -> None:
    path = await made(operator, accessToken="EAAB-a-token-of-a-system-user")
    page = (await operator.get(path)).text
    assert f"{PUBLIC}{path.replace('/sources/', '/sources/whatsapp/')}" in page
    assert "paste-me-at-meta" in page
    form = (await operator.get(f"{path}/edit")).text
    for text in (page, form, (await operator.get("/sources")).text):
        assert SECRET not in text
        assert "EAAB-a-token" not in text


async def test_a_wrong_form_names_its_fields_and_forgets_secrets(operator: httpx.AsyncClient) -> None:
    answer = await post(
        operator, "/sources/new", {"name": "", "appSecret": SECRET, "appId": "letters", "auth": "basic"}
    )
    assert answer.status_code == 422
    assert SECRET not in answer.text
    for words in ("must have at least one character", "must be Meta&#39;s id", "is needed with auth basic"):
        assert words in answer.text


async def test_an_old_form_does_not_overwrite_what_somebody_else_changed(
    public: Running, operator: httpx.AsyncClient
) -> None:
    path = await made(operator)
    first = {"name": "One", "auth": "signature", "version": "1"}
    assert (await post(operator, f"{path}/edit", first)).status_code == 303
    answer = await post(operator, f"{path}/edit", first | {"name": "Two"})
    assert answer.status_code == 409
    assert "read it and try again" in answer.text
    source = public.server.services.sources.find(path.removeprefix("/sources/"))
    assert (source.source.name, source.secret) == ("One", SECRET)


async def test_refused_signatures_are_told_loudly(public: Running, operator: httpx.AsyncClient) -> None:
    path = await made(operator)
    raw = escaped(incoming(message()))
    assert await meta_posts(public, path, raw, "another secret") in (401, 403)
    assert "1 request in a row was refused" in (await operator.get(path)).text
    assert "Refusing requests" in (await operator.get("/sources")).text
    assert await meta_posts(public, path, raw) == 200
    page = (await operator.get(path)).text
    assert "in a row" not in page
    assert "Nobody’s" in page


async def test_what_waited_for_a_number_becomes_an_event_when_it_is_assigned(
    public: Running, operator: httpx.AsyncClient
) -> None:
    services, team = public.server.services, await make_team(public)
    path = await made(operator)
    assert await meta_posts(public, path, escaped(incoming(message("wamid.waited")))) == 200
    await services.numbers.noted()
    page = (await operator.get(path)).text
    assert "unassigned" in page
    body_path = page.split(f'href="{path}/bodies/')[1].split('"')[0]
    whole = await operator.get(f"{path}/bodies/{body_path}")
    assert "wamid.waited" in whole.text
    raw = await operator.get(f"{path}/bodies/{body_path}/raw")
    assert raw.content == escaped(incoming(message("wamid.waited")))
    assert raw.headers["content-disposition"].startswith("attachment")
    form = {"number": NUMBER, "account": team.account.account.id}
    assert (await post(operator, "/numbers/assign", form)).status_code == 303
    await services.reprocessing.done()
    found = await services.history.find(team.account.row, ["wamid:wamid.waited"], 5)
    assert [event.type for event in found] == ["message.incoming"]
    assert "Nothing is set aside." in (await operator.get(path)).text
    again = await post(operator, f"{path}/bodies/{body_path}/process")
    assert again.status_code == 303
    assert len(await services.history.find(team.account.row, ["wamid:wamid.waited"], 5)) == 1


async def test_a_source_with_numbers_is_not_deleted(public: Running, operator: httpx.AsyncClient) -> None:
    path = await made(operator)
    form = {"phoneNumberId": NUMBER, "source": path.removeprefix("/sources/"), "name": "Support"}
    assert (await post(operator, "/numbers/new", form)).status_code == 303
    assert (await post(operator, f"{path}/delete")).status_code == 409
    assert (await post(operator, f"/numbers/{NUMBER}/forget")).status_code == 303
    assert (await post(operator, f"{path}/delete")).status_code == 303
    assert (await operator.get(path)).status_code == 404


async def test_the_check_names_each_gap(operator: httpx.AsyncClient) -> None:
    path = await made(operator)
    page = (await operator.get(f"{path}?check=1")).text
    assert f"Meta is to call {PUBLIC}." in page
    assert "No webhook has come in the last 7 days." in page
    refused = await post(operator, f"{path}/connect")
    assert refused.status_code == 422
    assert "Store app id, app secret and access token" in refused.text


async def test_a_sample_is_taken_in(public: Running, operator: httpx.AsyncClient) -> None:
    path = await made(operator)
    answer = await post(operator, f"{path}/sample", {"kind": "text", "number": NUMBER})
    assert answer.status_code == 303
    assert (await post(operator, f"{path}/sample", {"kind": "text", "number": "no number"})).status_code == 422
    assert (await post(operator, f"{path}/sample", {"kind": "nonsense", "number": NUMBER})).status_code == 422
    await public.server.services.numbers.noted()
    assert NUMBER in (await operator.get("/numbers")).text


async def test_without_a_public_url_the_pages_warn(web: Running) -> None:
    async with visitor(web, await sign_in(web, await make_operator(web))) as client:
        path = await made(client)
        for page in (path, "/sources", "/numbers"):
            assert "WHATSYNC_PUBLIC_URL" in (await client.get(page)).text


async def test_three_hundred_numbers_are_searched_and_paged(public: Running, operator: httpx.AsyncClient) -> None:
    services, team = public.server.services, await make_team(public, "Bakery")
    source = await services.sources.create(SourceForm(name="App", app_secret=SECRET), ACTOR)
    for at in range(301):
        account = team.account.account.id if at != 200 else None
        form = NewNumberForm(
            phone_number_id=f"7{at:014}", source=source.source.id, name=f"Branch {at}", account=account
        )
        await services.numbers.create(form, ACTOR)
    first = (await operator.get("/numbers")).text
    assert first.index("Branch 200") < first.index("Branch 0<")
    assert "from=100" in first
    last = (await operator.get("/numbers?from=300")).text
    assert last.count('name="number"') == 1
    assert "1 number" in (await operator.get("/numbers?q=branch+217")).text
    assert "301 numbers" in (await operator.get("/numbers?q=%20")).text
    rows = (await operator.get("/numbers?show=unassigned", headers={"hx-request": "true"})).text
    assert rows.count('name="number"') == 1
    assert "<html" not in rows
    async with visitor(public, await sign_in(public, team.users[Role.VIEWER])) as viewer:
        own = (await viewer.get(f"{team.path}/numbers?q=branch+2")).text
        assert "Branch 20<" in own
        assert "Branch 200" not in own
        assert "/numbers/assign" not in own


async def test_a_time_is_processed_again_as_a_job_after_a_look(public: Running, operator: httpx.AsyncClient) -> None:
    path = await made(operator)
    team, services = await make_team(public), public.server.services
    raw = escaped(incoming(message("wamid.one", "text", text={"body": "Hello"})))
    assert await meta_posts(public, path, raw) == 200
    await post(operator, "/numbers/assign", {"number": NUMBER, "account": team.account.account.id})
    since = written_time(services.clock.now_ms() - 60_000)
    assert "Process a time again" in (await operator.get(f"{path}/bodies")).text
    look = (await operator.get(f"{path}/span", params={"since": since, "account": team.account.account.id})).text
    assert "This would be done" in look
    assert "<dt>Requests read again</dt>" in look
    for form in (
        {"since": "yesterday"},
        {"since": ""},
        {"since": "2300-01-01"},
        {"since": since, "until": "2001-01-01"},
    ):
        refused = await post(operator, f"{path}/span", form)
        assert refused.status_code == 422, form
        assert 'id="since-error"' in refused.text
    assert "name the account whose jobs list this work" in (await post(operator, f"{path}/span", {"since": since})).text
    begun = await post(operator, f"{path}/span", {"since": since, "account": team.account.account.id})
    assert begun.status_code == 303, begun.text
    assert begun.headers["location"].startswith(f"{team.path}/jobs/job_")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await services.jobs.ended()
    page = (await operator.get(begun.headers["location"])).text
    assert "Done:" in page
    assert "Our app" in page
    assert 'value="1000"' in page


async def test_quiet_numbers_are_marked(public: Running, operator: httpx.AsyncClient) -> None:
    services = public.server.services
    path = await made(operator)
    await post(operator, "/numbers/new", {"phoneNumberId": NUMBER, "source": path.removeprefix("/sources/")})
    services.quiet.standing[NUMBER] = services.clock.now_ms() - 7_200_000
    page = (await operator.get("/numbers?show=quiet")).text
    assert "1 is quiet at a time that is usually busy" in page
    assert "2 h ago" in page
    assert "Quiet since" in (await operator.get(f"/numbers/{NUMBER}")).text


def test_the_samples_offered_are_those_there_are() -> None:
    assert [kind for kind, _ in SAMPLES] == list(get_args(SampleForm.__annotations__["kind"]))


async def test_a_source_connects_by_itself_and_its_check_finds_nothing_missing(tmp_path: Path) -> None:
    numbers = [{"id": NUMBER, "display_phone_number": "+1 555-010-0200", "verified_name": "Shop"}]
    app = App("1234567890", SECRET, "EAAtoken", {"800000000000001": numbers})
    async with (
        GraphServer(app.routes()) as graph,
        running(
            tmp_path, graph_url=graph.url, WHATSYNC_PUBLIC_URL=PUBLIC, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8"
        ) as server,
        visitor(server, await sign_in(server, await make_operator(server))) as client,
    ):
        app.reach = f"http://127.0.0.1:{server.port}"
        path = await made(client, appId=app.id, accessToken=app.token)
        app.callback = "https://elsewhere.example.com/"
        refused = await post(client, f"{path}/connect")
        assert refused.status_code == 409
        assert "https://elsewhere.example.com/" in refused.text
        assert (await post(client, f"{path}/connect", {"replace": "on"})).status_code == 303
        assert app.callback == f"{PUBLIC}{path.replace('/sources/', '/sources/whatsapp/')}"
        page = (await client.get(f"{path}?check=1")).text
        assert "The callback is set and subscribed to messages." in page
        assert page.count('<span class="sr">Missing: </span>') == 1  # no webhook has come yet
        assert NUMBER in page
