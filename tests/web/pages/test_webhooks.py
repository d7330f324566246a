"""Webhooks Configuration over HTTP: forms and their errors, what is never shown, conflicts, size and speed."""

import asyncio
import html
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.people import Team, make_team, post, sign_in, token_of, visitor
from tests.web.receiver import receiving
from tests.web.running import Running, running
from whatsync.engine.directory import ENDPOINT, RunningEndpoint
from whatsync.model import limits
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.health import Health
from whatsync.model.request import MASK
from whatsync.model.source import NewNumberForm, SourceForm
from whatsync.model.user import Role
from whatsync.ports.store import Change, Put

BODY = b'{"event":"message.status","data":{"messageId":"msg_1","status":"read"}}'


def only(team: Team) -> RunningEndpoint:
    """The account's one endpoint."""
    (endpoint,) = team.account.endpoints.values()
    return endpoint


async def made(web: Running, team: Team, url: str = "https://8.8.8.8/hook", **fields: Any) -> RunningEndpoint:
    form = EndpointForm(url=url, **{"events": ["*"], **fields})
    return (await web.server.services.endpoints.create(team.account, form, "test")).running


async def test_a_form_becomes_exactly_what_the_api_would_have_made(web: Running) -> None:
    team = await make_team(web)
    data = {
        "url": "https://8.8.8.8/hook",
        "events": ["message.status", "number.quiet"],
        "events.more": "whatsapp.reaction, whatsapp.template",
        "numbers.more": "106540352242922 106540352242923",
        "filters.message.status.status": ["failed", "read"],
        "filters.message.status.status.more": "odd one\n",
        "header-name-0": "X-Team",
        "header-value-0": "a secret value",
        "retry": "once",
        "retrySchedule": "5s",
        "timeoutSeconds": "2.5",
        "maxInFlight": "3",
        "rateLimitPerSecond": "0.5",
        "ordering": "on",
        "orderingMaxWaitSeconds": "60",
        "format": "whatsync",
        "signing": "own",
    }
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        answer = await client.post(f"{team.path}/webhooks/new", data={"csrf": await token_of(client), **data})
        assert answer.status_code == 303, answer.text
        endpoint = only(team).endpoint
        assert answer.headers["location"] == f"{team.path}/webhooks/{endpoint.id}"
        assert endpoint.events == ("message.status", "number.quiet", "whatsapp.reaction", "whatsapp.template")
        assert endpoint.numbers == ("106540352242922", "106540352242923")
        assert endpoint.filters == {"message.status": {"status": ("failed", "read", "odd one")}}
        assert only(team).headers == {"X-Team": "a secret value"}
        assert endpoint.retry_schedule is not None
        assert not endpoint.retry_schedule
        assert (endpoint.timeout_seconds, endpoint.max_in_flight, endpoint.rate_limit_per_second) == (2.5, 3, 0.5)
        assert (endpoint.ordering.value, endpoint.ordering_max_wait_seconds) == ("contact", 60)
        assert endpoint.secrets is not None
        text = (await client.get(f"{team.path}/webhooks/{endpoint.id}/edit")).text
        assert "a secret value" not in text
        assert "odd one" in text


async def test_a_value_no_event_has_is_refused_at_its_filter(web: Running) -> None:
    team = await make_team(web)
    data = {
        "url": "https://8.8.8.8/hook",
        "events": ["message.status"],
        "filters.message.status.status.more": "x" * 300,
    }
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        answer = await client.post(f"{team.path}/webhooks/new", data={"csrf": await token_of(client), **data})
    assert answer.status_code == 422
    at = answer.text.index('id="filters.message.status.status-label"')
    assert "it has 300 characters" in answer.text[at : at + 600]
    assert not team.account.endpoints


async def test_saving_what_is_shown_changes_nothing(web: Running) -> None:
    team = await make_team(web)
    filters = {"message.status": {"status": ["failed", "new"]}, "endpoint.failing": {"failedAttempts": [3]}}
    fields: dict[str, Any] = {
        "events": ["message.status", "endpoint.failing", "whatsapp.reaction"],
        "filters": filters,
        "headers": {"X-One": "1", "X-Two": "2"},
        "retry_schedule": "5s,2m",
        "timeout_seconds": 7.25,
        "numbers": ["106540352242922"],
        "include_details": True,
        "ordering": "contact",
        "description": "two\nlines",
        "rate_limit_per_second": 1234.5678,
    }
    endpoint = (await made(web, team, **fields)).endpoint
    path = f"{team.path}/webhooks/{endpoint.id}/edit"
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        answer = await client.post(path, data=fields_of((await client.get(path)).text))
        assert answer.status_code == 303, answer.text
    assert only(team).endpoint == endpoint
    assert only(team).headers == {"X-One": "1", "X-Two": "2"}


def fields_of(text: str) -> dict[str, list[str]]:
    """The fields of the endpoint's form as a browser without scripts would send them."""
    form = text[text.index('class="stack endpoint-form"') :]
    form = form[: form.index("</form>")]
    fields: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = attribute(tag, "name"), attribute(tag, "value")
        kind = attribute(tag, "type") or "text"
        if name and (kind not in ("checkbox", "radio") or " checked" in tag):
            fields.setdefault(name, []).append(value if value is not None else "on")
    for name, value in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        fields.setdefault(name, []).append(value)
    return fields


def attribute(tag: str, name: str) -> str | None:
    found = re.search(rf' {name}="([^"]*)"', tag)
    return None if found is None else found[1]


@pytest.mark.parametrize(
    ("data", "at", "words"),
    [
        ({"url": "nonsense"}, "url", "must begin with https:// or http://"),
        ({"url": "https://10.0.0.1/"}, "url", "10.0.0.1 is a private address"),
        ({"events": ""}, "events", "must name at least one event type"),
        ({"timeoutSeconds": "99"}, "timeoutSeconds", "must be from 1 to 30 seconds"),
        ({"maxInFlight": "2.5"}, "maxInFlight", "must be a whole number"),
        ({"rateLimitPerSecond": "nan"}, "rateLimitPerSecond", "must be from"),
        ({"retry": "own", "retrySchedule": "soon"}, "retrySchedule", "is not a wait"),
        ({"header-name-0": "Host", "header-value-0": "x"}, "headers", "is set by WhatsSync itself"),
        ({"signing": "given", "secret": "short"}, "secret", "must begin with whsec_"),
        ({"format": "meta", "events": "contact.update"}, "events", "has no shape at Meta"),
    ],
)
async def test_errors_stand_at_their_fields(web: Running, data: dict[str, str], at: str, words: str) -> None:
    team = await make_team(web)
    whole = {"url": "https://8.8.8.8/hook", "events": "message.incoming", "description": "<b>mine</b>", **data}
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        answer = await post(client, f"{team.path}/webhooks/new", whole)
        assert answer.status_code == 422
        errors = re.findall(r'<p class="error"[^>]*>.*?</p>', answer.text, re.DOTALL)
        assert any(words in error.replace("&#39;", "'") for error in errors), errors
        assert "&lt;b&gt;mine&lt;/b&gt;" in answer.text
        assert "<b>mine</b>" not in answer.text
        assert at == "headers" or f'name="{at}"' in answer.text
    assert not team.account.endpoints


async def test_a_header_is_kept_replaced_and_removed(web: Running) -> None:
    team = await make_team(web)
    endpoint = await made(web, team, headers={"X-Keep": "1", "X-Change": "2", "X-Drop": "3"})
    path = f"{team.path}/webhooks/{endpoint.endpoint.id}/edit"
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        fields = fields_of((await client.get(path)).text)
        assert MASK not in str(fields)
        fields |= {"header-value-1": ["22"], "header-drop-2": ["on"]}
        assert (await client.post(path, data=fields)).status_code == 303
    assert only(team).headers == {"X-Keep": "1", "X-Change": "22"}


async def test_the_second_of_two_who_save_is_asked_and_may_insist(web: Running) -> None:
    team = await make_team(web)
    endpoint = await made(web, team)
    path = f"{team.path}/webhooks/{endpoint.endpoint.id}/edit"
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        fields = fields_of((await client.get(path)).text)
        form = EndpointForm(description="theirs", timeout_seconds=5)
        await web.server.services.endpoints.patch(team.account, endpoint.endpoint.id, form, "another")
        answer = await client.post(path, data={**fields, "description": ["mine"]})
        assert answer.status_code == 409
        assert "description, timeout" in answer.text
        assert only(team).endpoint.description == "theirs"
        again = fields_of(answer.text)
        assert again["description"] == ["mine"]
        assert (await client.post(path, data=again)).status_code == 303
    assert only(team).endpoint.description == "mine"


async def test_another_accounts_endpoint_is_not_there(web: Running) -> None:
    team, others = await make_team(web), await make_team(web, "Others")
    endpoint = await made(web, others)
    async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as client:
        base = f"{team.path}/webhooks/{endpoint.endpoint.id}"
        for path in ("", "/edit", "/secret", "/recover"):
            assert (await client.get(base + path)).status_code == 404, path
        for path in ("edit", "test", "check", "pause", "enable", "delete", "recover", "secret/reveal", "secret/share"):
            assert (await post(client, f"{base}/{path}")).status_code == 404, path
    assert only(others).endpoint.enabled


async def test_a_secret_is_shown_when_asked_for_and_that_is_written_down(web: Running) -> None:
    team = await make_team(web)
    endpoint = await made(web, team, secret="generate")
    own, shared = endpoint.keyring, team.account.keyring
    assert own is not None
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        for path, secret, action in (
            (f"{team.path}/webhooks/secret", shared.secrets.current, "account.secret_shown"),
            (f"{team.path}/webhooks/{endpoint.endpoint.id}/secret", own.secrets.current, "endpoint.secret_shown"),
        ):
            assert secret not in (await client.get(path)).text
            shown = await post(client, f"{path}/reveal")
            assert secret in shown.text.replace("&#43;", "+")
            assert shown.headers["cache-control"] == "no-store"
            log = await web.server.services.history.audit(team.account.row, None, 1)
            assert (log[0].action, log[0].actor) == (action, f"user:{team.users[Role.DEVELOPER].id}")
        assert (await post(client, f"{path}/share")).status_code == 303
    assert only(team).endpoint.secrets is None


async def test_a_rotation_can_wait_for_a_time_and_says_what_is_wrong(web: Running) -> None:
    team = await make_team(web)
    path = f"{team.path}/webhooks/secret"
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        for data, words in (
            ({"hours": "24", "switchAt": "time"}, "give a date and time"),
            ({"hours": "24", "switchAt": "time", "at": "2001-01-01T00:00"}, "must lie between now"),
            ({"hours": "5"}, "choose one of the times"),
            ({"hours": "24", "secret": "nothing"}, "must begin with whsec_"),
        ):
            answer = await post(client, f"{path}/rotate", data)
            assert answer.status_code == 422
            assert words in answer.text, data
        assert (await post(client, f"{path}/rotate", {"hours": "24", "switchAt": "end"})).status_code == 200
        again = await post(client, f"{path}/rotate", {"hours": "24", "switchAt": "end"})
        assert (again.status_code, "A rotation is running." in again.text) == (409, True)
        assert (await post(client, f"{path}/switch")).status_code == 303
        assert (await post(client, f"{path}/rotate", {"leaked": "1"})).status_code == 200
    assert team.account.keyring.secrets.previous is None


async def test_what_came_while_it_was_off_is_sent_when_it_is_enabled(tmp_path: Path) -> None:
    async with running(tmp_path, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8") as web, receiving() as receiver:
        team = await make_team(web)
        endpoint = await made(web, team, receiver.url)
        base = f"{team.path}/webhooks/{endpoint.endpoint.id}"
        async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
            assert (await post(client, f"{base}/pause")).status_code == 303
            await web.server.services.ingest.accept(team.account, BODY)
            enabled = await post(client, f"{base}/enable", {"held": "keep", "missed": "on"})
            assert enabled.status_code == 303
            assert "What came meanwhile is being sent." in (await client.get(base)).text
            await web.server.services.jobs.ended()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not receiver.bodies:  # noqa: ASYNC110 - the receiver has no event to wait for
                    await asyncio.sleep(0.02)
        assert b"msg_1" in receiver.bodies[0]


async def test_much_is_fast_and_small(web: Running) -> None:
    team = await make_team(web)
    template = (await made(web, team)).endpoint
    puts = []
    for at in range(1_000):
        one = msgspec.structs.replace(
            template,
            id=f"ep_many{at}",
            url=f"https://host-{at}.example/hooks/whatsync",
            numbers=None if at % 3 else tuple(f"1065403522{number:05}" for number in range(at % 300, at % 300 + 3)),
        )
        puts.append(Put(ENDPOINT, one.id, team.account.row, msgspec.json.encode(one), 0))
    await web.server.services.configuration.change(Change(team.account.row, tuple(puts)))
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        for path, words in (
            ("/webhooks", "and 997 more"),
            ("/webhooks/endpoints", "1\u202f001 endpoints found"),
            ("/webhooks/endpoints?q=host-77&event=media.upload&state=quiet", "11 endpoints found"),
            ("/webhooks/new", "Search 300 numbers"),
            ("/webhooks/secret", "1\u202f001 endpoints"),
        ):
            answer = await client.get(f"{team.path}{path}")
            begun = time.process_time()  # its own time, whoever else is at work on this machine
            answer = await client.get(f"{team.path}{path}")
            seconds = time.process_time() - begun
            assert words in answer.text, path
            assert len(answer.content) < 200_000, path
            assert seconds < 1, (path, seconds)


async def test_an_endpoint_is_recovered_from_a_typed_time(tmp_path: Path) -> None:
    async with (
        running(tmp_path, in_memory=False, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8") as web,
        receiving() as receiver,
    ):
        team = await make_team(web)
        endpoint = await made(web, team, receiver.url)
        path = f"{team.path}/webhooks/{endpoint.endpoint.id}/recover"
        async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
            form = {"hours": "1", "states": "missing"}
            odd = await post(client, path, form | {"since": "last week"})
            assert odd.status_code == 422
            assert 'id="since-error"' in odd.text
            assert (await post(client, path, form | {"since": "2200-01-01T00:00"})).status_code == 422
            day = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) - timedelta(days=20)
            since, until = (f"{one:%Y-%m-%dT%H:%M}" for one in (day, day + timedelta(days=1)))
            look = (await post(client, path, form | {"since": since, "until": until})).text
            assert f'datetime="{since}:00.000Z"' in look
            assert f'datetime="{until}:00.000Z"' in look
            begun = await post(client, path, form | {"since": f"{since}:00.000Z", "sure": "1"})
            assert begun.status_code == 303
        ((_, job),) = web.server.services.directory.jobs.values()
        assert msgspec.json.decode(job.parameters)["sinceMs"] == day.timestamp() * 1000


async def test_a_look_at_a_recovery_goes_on_from_what_it_has_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOB_STEP_ITEMS", 2)
    monkeypatch.setattr(limits, "JOB_PREVIEW_PART_SECONDS", 0.0)
    server = running(tmp_path, in_memory=False, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8")
    async with server as web, receiving() as receiver:
        team = await make_team(web)
        for _ in range(5):
            data = {"from": "+4915100000001", "to": "+4930000000", "text": "hello", "media": None}
            event = msgspec.json.encode({"event": "message.incoming", "data": data})
            await web.server.services.ingest.accept(team.account, event)
        endpoint = await made(web, team, receiver.url)
        path = f"{team.path}/webhooks/{endpoint.endpoint.id}/recover"
        async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
            look = await post(client, path, {"hours": "1", "states": "missing"})
            counts, values = list[str](), dict[str, str]()
            while "Counting goes on" in look.text:
                counts += re.findall(r"(\d+)\+<", look.text)
                fields = re.findall(r'<form [^>]*class="count-on".*?</form>', look.text, re.DOTALL)[0]
                hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', fields))
                values = {name: html.unescape(value) for name, value in hidden.items()}
                look = await client.post(path, data=values, headers={"hx-request": "true"})
                assert "<html" not in look.text
            assert counts == ["2", "4"]
            assert "5 deliveries go to" in look.text
            for odd in ("nonsense", values["soFar"].replace('"phase":0', '"phase":7')):
                again = await client.post(path, data=values | {"soFar": odd})
                assert (again.status_code, "2 or more deliveries go to" in again.text) == (200, True), odd
            assert not web.server.services.directory.jobs
            monkeypatch.setattr(limits, "JOB_PREVIEW_ITEMS_MAX", 2)
            bounded = (await post(client, path, {"hours": "1", "states": "missing"})).text
            assert "there is more" in bounded
            assert "Counting goes on" not in bounded


async def test_contacts_that_wait_for_a_failed_one_are_named(tmp_path: Path) -> None:
    server = running(tmp_path, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8", WHATSYNC_RETRY_SCHEDULE="1h")
    async with server as web, receiving() as receiver:
        receiver.status = 500
        team = await make_team(web)
        endpoint = await made(web, team, receiver.url, ordering="contact")
        for sender in ("+4915100000001", "+4915100000001", "+4915100000002"):
            data = {"from": sender, "to": "+4930000000", "text": "hello", "media": None}
            event = msgspec.json.encode({"event": "message.incoming", "data": data})
            await web.server.services.ingest.accept(team.account, event)
        async with (
            visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client,
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            path = f"{team.path}/webhooks/{endpoint.endpoint.id}"
            text = ""
            while text.count("<code>+49151") < 2:
                text = (await client.get(path)).text
            assert text.count("<code>+4915100000001</code>") == 1
            assert text.count("<code>+4915100000002</code>") == 1
            assert "Contacts that wait for one that failed" in text


async def test_the_countdown_to_the_disabling_is_shown_with_its_rule(web: Running) -> None:
    team = await make_team(web)
    endpoint = await made(web, team)
    now_ms = web.server.services.clock.now_ms()
    failing = Health(30, 3, (1, 2, 3), 30, now_ms - 4 * 86_400_000, now_ms - 60_000, "timeout", announced_failing=True)
    web.server.services.dispatcher.lane(endpoint).health = failing
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        for path in (f"/webhooks/{endpoint.endpoint.id}", "/webhooks", "/webhooks/endpoints?state=failing"):
            text = (await client.get(team.path + path)).text
            assert "in 23 h" in text, path
            assert "The receiver did not answer in time." in text
        text = (await client.get(f"{team.path}/webhooks/{endpoint.endpoint.id}")).text
        assert "nothing has succeeded for 5 days" in text


async def test_known_numbers_are_picked_by_name(web: Running) -> None:
    team = await make_team(web)
    services = web.server.services
    source = await services.sources.create(SourceForm(name="Meta"), "test")
    form = NewNumberForm(
        phone_number_id="106540352242922",
        source=source.source.id,
        name="Shop",
        account=team.account.account.id,
    )
    await services.numbers.create(form, "test")
    async with visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client:
        text = (await client.get(f"{team.path}/webhooks/new")).text
        box = r'name="numbers" value="106540352242922".*?Shop</span><span class="hint">106540352242922'
        assert re.search(box, text, re.DOTALL)
        text = (await client.get(f"{team.path}/webhooks/new?event=whatsapp.reaction")).text
        assert 'name="events.more" value="whatsapp.reaction"' in text


async def test_what_is_shown_leads_into_history(tmp_path: Path) -> None:
    server = running(tmp_path, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8", WHATSYNC_RETRY_SCHEDULE="1h")
    async with server as web, receiving() as receiver:
        receiver.status = 500
        team = await make_team(web)
        endpoint = await made(web, team, receiver.url)
        await web.server.services.ingest.accept(team.account, BODY)
        async with (
            visitor(web, await sign_in(web, team.users[Role.DEVELOPER])) as client,
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            text, path = "", f"{team.path}/webhooks/{endpoint.endpoint.id}"
            while "code=http_500" not in text:
                text = (await client.get(path)).text
            tested = await post(client, f"{path}/test", {"event": "message.status"})
            text += (await client.get(tested.headers["location"])).text
            links = {link.replace("&amp;", "&") for link in re.findall(rf'href="({team.path}/history[^"]*)"', text)}
            assert len(links) >= 4
            for link in links:
                assert (await client.get(link)).status_code == 200, link
