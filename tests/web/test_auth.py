"""Every route, whatever it does: no key, no scope, another account's key. The table of routes itself is the list."""

import hmac
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.web.following import read_until
from tests.web.running import TOKEN, Running, running
from whatsync.model.account import Scope
from whatsync.web.api.call import Route
from whatsync.web.api.routes import ROUTES

GUARDED = [route for route in ROUTES if route.scope is not None]
IN_AN_ACCOUNT = [route for route in GUARDED if route.scope is not Scope.OPERATOR]
BODIES: dict[str, Any] = {
    "POST /v1/events": {"event": "message.status", "data": {"messageId": "msg_9", "status": "read"}},
    "POST /v1/endpoints": {"url": "https://example.com/hook", "events": ["*"]},
    "PATCH /v1/endpoints/{endpoint_id}": {"description": "mine now"},
    "POST /v1/endpoints/{endpoint_id}/test": {"event": "message.status"},
    "POST /v1/endpoints/{endpoint_id}/recover": {"since": "2023-06-15T14:22:33Z", "states": ["failed"]},
    "POST /v1/deliveries/resend": {"filter": {"event": "message.status"}},
    "POST /v1/event-types": {"name": "order.taken", "description": "taken"},
    "POST /v1/erasures": {"phone": "+1234567890"},
    "POST /v1/keys": {"name": "k", "scopes": ["read"]},
    "POST /v1/accounts": {"name": "a"},
    "POST /v1/users": {"email": "new@example.com"},
    "POST /v1/operator-keys": {"name": "o"},
    "POST /v1/sources": {"name": "app"},
    "POST /v1/numbers": {"phoneNumberId": "1", "source": "src_x"},
}


FILE = {"file": ("first-hook.txt", b"a file", "text/plain")}


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


@dataclass(frozen=True)
class Two:
    """Two accounts: the first has one of everything."""

    web: Running
    ids: dict[str, str]
    second_key: str
    second: str

    async def ask(self, route: Route, key: str | None, query: str = "") -> tuple[int, str, dict[str, str]]:
        """Call a route about the first account's things."""
        path = re.sub(r"{(\w+)}", lambda match: self.ids[match[1]], route.path)
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        if route.streams:
            answer = await self.web.client.request(route.method, path + query, headers=headers, files=FILE)
            return answer.status_code, answer.text, dict(answer.headers)
        body = BODIES.get(name_of(route), {} if route.takes is not None else None)
        answer = await self.web.client.request(route.method, path + query, headers=headers, json=body)
        return answer.status_code, answer.text, dict(answer.headers)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with running(tmp_path, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8") as web:
        made = await web.call("POST", "/v1/accounts", key=web.operator_key, json={"name": "second"})
        second = made.json()["id"]
        key = await web.call(
            "POST", f"/v1/keys?account={second}", key=web.operator_key, json={"name": "b", "scopes": ["admin"]}
        )
        assert key.status_code == 201, key.text
        yield Two(web, await furnish(web), key.json()["key"], second)


async def furnish(web: Running) -> dict[str, str]:
    """One of everything in the first account, come to rest; the endpoint refuses connections, so that its deliveries
    stay open, for longer than any test takes.
    """
    own = {"name": "order.made", "description": "made"}
    assert (await web.call("POST", "/v1/event-types", json=own)).status_code == 201
    form = {"url": "http://127.0.0.1:9/first-hook", "events": ["*"], "retrySchedule": [86_400]}
    endpoint = (await web.call("POST", "/v1/endpoints", json=form)).json()["id"]
    incoming = {"from": "+4915112345678", "to": "+15550001111", "text": "words of the first account", "media": None}
    event = (await web.call("POST", "/v1/events", json={"event": "message.incoming", "data": incoming})).json()["id"]
    delivery = (await web.call("GET", f"/v1/events/{event}/deliveries")).json()["items"][0]["id"]
    job = await web.call("POST", "/v1/deliveries/resend", json={"filter": {"event": "message.incoming"}})
    await read_until(web, f"/v1/jobs/{job.json()['id']}", lambda job: job["state"] == "done")
    key = await web.call("POST", "/v1/keys", json={"name": "first's other key", "scopes": ["read"]})
    user = await web.call("POST", "/v1/users", key=web.operator_key, json={"email": "first@example.com"})
    file = (await web.call("POST", "/v1/media", files=FILE)).json()["mediaUrl"].rpartition("/")[2]
    await read_until(web, "/v1/deliveries", lambda page: {one["state"] for one in page["items"]} == {"retrying"})
    return {
        "user_id": user.json()["user"]["id"],
        **await furnish_source(web),
        "endpoint_id": endpoint,
        "event_id": event,
        "message_id": event,
        "delivery_id": delivery,
        "job_id": job.json()["id"],
        "name": "order.made",
        "key_id": key.json()["id"],
        "file": file,
        "account_id": web.first.account.account.id,
    }


async def furnish_source(web: Running) -> dict[str, str]:
    """A source with a number of the first account, and a request that was kept."""
    key, account = web.operator_key, web.first.account.account.id
    form = {"name": "first's app", "appSecret": "0" * 32, "account": account}
    source = (await web.call("POST", "/v1/sources", key=key, json=form)).json()["id"]
    number = {"phoneNumberId": "299911122233344", "source": source, "account": account}
    assert (await web.call("POST", "/v1/numbers", key=key, json=number)).status_code == 201
    raw = b'{"entry":[{"changes":[{"field":"weather","value":{}}]}]}'
    headers = {"x-hub-signature-256": "sha256=" + hmac.new(b"0" * 32, raw, "sha256").hexdigest()}
    taken = await web.client.post(f"/sources/whatsapp/{source}", content=raw, headers=headers)
    assert taken.status_code == 200
    body = (await web.call("GET", f"/v1/sources/{source}/bodies", key=key)).json()["items"][0]["id"]
    return {"source_id": source, "body_id": body, "number": number["phoneNumberId"]}


async def test_no_route_answers_without_a_key(two: Two) -> None:
    for route in GUARDED:
        for key in (None, "wsk_" + "x" * 43, "nonsense"):
            status, text, headers = await two.ask(route, key)
            assert (status, "www-authenticate" in headers) == (401, True), f"{name_of(route)}: {text}"


async def test_every_route_names_the_scope_that_a_key_lacks(two: Two) -> None:
    weaker = {
        Scope.EVENTS_WRITE: ["read"],
        Scope.READ: ["events:write"],
        Scope.ADMIN: ["read", "events:write"],
        Scope.OPERATOR: ["admin"],
    }
    for route in GUARDED:
        assert route.scope is not None
        made = await two.web.call("POST", "/v1/keys", json={"name": "weak", "scopes": weaker[route.scope]})
        status, text, _ = await two.ask(route, made.json()["key"])
        assert status == 403, f"{name_of(route)}: {status} {text}"
        assert route.scope.value in text, name_of(route)


async def test_nothing_of_one_account_is_seen_or_touched_with_the_key_of_another(two: Two) -> None:
    before = await inventory(two)
    for route in IN_AN_ACCOUNT:
        status, text, _ = await two.ask(route, two.second_key)
        where = f"{name_of(route)}: {status} {text}"
        if "{" in route.path and route.path != "/v1/messages/{message_id}":
            assert status == 404, where
        else:
            assert status < 500, where
        asked = {two.ids[name] for name in re.findall(r"{(\w+)}", route.path)}
        for value in set(two.ids.values()) - asked:
            assert value not in text, where
        assert "first account" not in text, where
        assert "first-hook" not in text, where
    assert await inventory(two) == before


async def inventory(two: Two) -> list[str]:
    """What the first account has, as its owner sees it."""
    reads = [route for route in IN_AN_ACCOUNT if route.method == "GET" and "feed" not in route.path]
    texts = []
    for route in reads:
        status, text, _ = await two.ask(route, two.web.account_key)
        assert status == 200, f"{name_of(route)}: {text}"
        texts.append(re.sub(r'"(attempts|lastAttempt\w*|updatedAt|dueAt|version)":[^,}]*', "", text))
    return [text for text in texts if "working" not in text]


async def test_a_key_can_not_choose_another_account(two: Two) -> None:
    first = two.web.first.account.account.id
    for route in IN_AN_ACCOUNT:
        status, text, _ = await two.ask(route, two.second_key, f"?account={first}")
        assert status == 404, f"{name_of(route)}: {status} {text}"
        assert "account_not_found" in text


async def test_an_operator_names_the_account_once_there_are_several(two: Two) -> None:
    web, key = two.web, two.web.operator_key
    undecided = await web.call("GET", "/v1/account", key=key)
    assert (undecided.status_code, undecided.json()["code"]) == (422, "account_required")
    by_query = await web.call("GET", f"/v1/account?account={two.second}", key=key)
    by_header = await web.call("GET", "/v1/account", key=key, headers={"x-whatssync-account": two.second})
    assert by_query.json()["id"] == by_header.json()["id"] == two.second
    assert (await web.call("GET", "/v1/account?account=acc_nobody", key=key)).status_code == 404


async def test_an_operator_need_not_name_the_only_account(web: Running) -> None:
    answer = await web.call("GET", "/v1/account", key=web.operator_key)
    assert answer.json()["id"] == web.first.account.account.id


async def test_the_local_token_is_an_operator(web: Running) -> None:
    assert (await web.call("GET", "/v1/accounts", key=TOKEN)).status_code == 200
    assert (await web.call("GET", "/v1/accounts", key=TOKEN[:-1] + "1")).status_code == 401


async def test_a_suspended_account_is_refused_until_it_is_not(web: Running) -> None:
    path = f"/v1/accounts/{web.first.account.account.id}"
    assert (await web.call("PATCH", path, key=web.operator_key, json={"suspended": True})).status_code == 200
    for method, place in (("GET", "/v1/account"), ("POST", "/v1/events")):
        answer = await web.call(method, place, json={} if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (403, "account_suspended")
    await web.call("PATCH", path, key=web.operator_key, json={"suspended": False})
    assert (await web.call("GET", "/v1/account")).status_code == 200


async def test_a_revoked_key_ends_at_once(web: Running) -> None:
    made = (await web.call("POST", "/v1/keys", json={"name": "k", "scopes": ["events:write"]})).json()
    event = {"event": "message.status", "data": {"messageId": "msg_9", "status": "read"}}
    assert (await web.call("POST", "/v1/events", key=made["key"], json=event)).status_code == 202
    assert (await web.call("DELETE", f"/v1/keys/{made['id']}")).status_code == 200
    refused = await web.call("POST", "/v1/events", key=made["key"], json=event)
    assert (refused.status_code, refused.json()["code"]) == (401, "key_revoked")


async def test_an_expired_key_is_refused(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    form = {"name": "k", "scopes": ["read"], "expiresAt": "2099-01-01T00:00:00Z"}
    made = (await web.call("POST", "/v1/keys", json=form)).json()
    assert (await web.call("GET", "/v1/account", key=made["key"])).status_code == 200
    monkeypatch.setattr(type(web.server.services.clock), "now_ms", lambda _: 4_070_908_800_000)
    refused = await web.call("GET", "/v1/account", key=made["key"])
    assert (refused.status_code, refused.json()["code"]) == (401, "key_expired")


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.scope is None and "{" not in route.path], ids=name_of
)
async def test_open_routes_need_no_key(web: Running, route: Route) -> None:
    ids = await furnish(web) if "{" in route.path else {}
    path = re.sub(r"{(\w+)}", lambda match: ids[match[1]], route.path)
    assert (await web.client.request(route.method, path)).status_code == 200
