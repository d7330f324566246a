"""The routes of endpoints over real HTTP: the whole life of one, its secret, a test send, every mistake in words."""

import hashlib
import hmac
from typing import Any

import httpx
import pytest

from tests.web.receiver import receiving
from tests.web.running import Running
from whatsync.model.request import MASK

URL = "https://shop.example/hook"


async def make(web: Running, **fields: Any) -> dict[str, Any]:
    """Make an endpoint."""
    answer = await web.call("POST", "/v1/endpoints", json={"url": URL, "events": ["*"], **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def fields_of(answer: httpx.Response) -> list[str]:
    """The fields a problem names."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return [error["field"] for error in answer.json()["errors"]]


async def test_a_life(web: Running) -> None:
    made = await make(web, headers={"X-Key": "hunter2"}, retrySchedule="5s,30s", description="For the shop")
    path = f"/v1/endpoints/{made['id']}"
    assert made["headers"] == {"X-Key": MASK}
    assert made["retrySchedule"] == [5, 30]
    assert made["effective"] == {"retrySchedule": [5, 30], "timeoutSeconds": 15, "maxInFlight": 20}
    assert made["health"]["state"] == "healthy"
    assert "5 days" in made["health"]["rule"]
    assert made["counts"] == {"waiting": 0, "held": 0, "atLeast": False, "oldestDueAt": None}
    read = await web.call("GET", path)
    assert read.json() == made
    assert read.headers["etag"] == '"1"'
    changed = await web.call("PATCH", path, json={"maxInFlight": 2, "headers": {"X-Key": MASK}, "enabled": False})
    assert changed.status_code == 200
    body = changed.json()
    assert (body["maxInFlight"], body["enabled"], body["disabledBy"], body["held"]) == (2, False, "user", None)
    enabled = (await web.call("PATCH", path, json={"enabled": True})).json()
    assert enabled["held"] == {"action": "keep", "count": 0, "atLeast": False, "sentence": "Nothing is held."}
    listed = (await web.call("GET", "/v1/endpoints")).json()
    assert [item["id"] for item in listed["items"]] == [made["id"]]
    assert listed["items"][0]["counts"] is None
    assert (await web.call("DELETE", path)).status_code == 204
    assert (await web.call("GET", path)).status_code == 404
    assert (await web.call("DELETE", path)).status_code == 404


async def test_pages(web: Running) -> None:
    names = [(await make(web))["id"] for _ in range(3)]
    first = (await web.call("GET", "/v1/endpoints?limit=2")).json()
    last = (await web.call("GET", f"/v1/endpoints?limit=2&cursor={first['nextCursor']}")).json()
    assert [item["id"] for item in first["items"] + last["items"]] == names[::-1]
    assert last["nextCursor"] is None
    assert fields_of(await web.call("GET", "/v1/endpoints?cursor=nonsense")) == ["cursor"]


async def test_a_version_can_be_insisted_on(web: Running) -> None:
    made = await make(web)
    path = f"/v1/endpoints/{made['id']}"
    good = await web.call("PATCH", path, json={"description": "one"}, headers={"If-Match": '"1"'})
    assert (good.status_code, good.headers["etag"]) == (200, '"2"')
    for method in ("PATCH", "DELETE"):
        late = await web.call(method, path, json={} if method == "PATCH" else None, headers={"If-Match": '"1"'})
        assert (late.status_code, late.json()["code"]) == (409, "changed_meanwhile")
    odd = await web.call("PATCH", path, json={}, headers={"If-Match": "W/abc"})
    assert fields_of(odd) == ["If-Match"]
    assert (await web.call("PATCH", path, json={}, headers={"If-Match": "*"})).status_code == 200


MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({"url": None, "events": None}, ["url"]),
    "url": ({"url": "shop.example"}, ["url"]),
    "private": ({"url": "http://10.0.0.1/"}, ["url"]),
    "events": ({"events": ["message.incoming", "nonsense"]}, ["events[1]"]),
    "several": ({"url": "x", "maxInFlight": 0, "timeoutSeconds": 99}, ["url", "timeoutSeconds", "maxInFlight"]),
    "filter": ({"filters": {"message.status": {"colour": ["red"]}}}, ["filters.message.status.colour"]),
    "filter's value": ({"filters": {"message.status": {"status": [5]}}}, ["filters.message.status.status"]),
    "header": ({"headers": {"Content-Type": "x"}}, ["headers.Content-Type"]),
    "kind": ({"maxInFlight": "many"}, ["maxInFlight"]),
    "unknown": ({"colour": "red"}, ["colour"]),
    "format": ({"format": "meta", "events": ["contact.update"]}, ["events"]),
    "ordering": ({"ordering": "strict"}, ["ordering"]),
    "secret": ({"secret": "hunter2"}, ["secret"]),
    "held": ({"held": "send"}, ["held"]),
}


@pytest.mark.parametrize("case", MISTAKES)
async def test_mistakes_are_named(web: Running, case: str) -> None:
    fields, expected = MISTAKES[case]
    answer = await web.call("POST", "/v1/endpoints", json={"url": URL, "events": ["*"], **fields})
    assert fields_of(answer) == expected
    assert "hunter2" not in answer.text
    assert (await web.call("GET", "/v1/endpoints")).json()["items"] == []


async def test_a_private_address_is_refused_with_the_setting_to_paste(web: Running) -> None:
    answer = await web.call("POST", "/v1/endpoints", json={"url": "http://192.168.1.5/x", "events": ["*"]})
    assert "WHATSYNC_ALLOW_ADDRESSES=192.168.1.5/32" in answer.json()["detail"]
    own = await web.call("POST", "/v1/endpoints", json={"url": f"http://127.0.0.1:{web.port}/", "events": ["*"]})
    assert "WhatsSync itself" in own.json()["detail"]


async def test_secrets_are_shown_and_rotated_for_admins_only(web: Running) -> None:
    made = await make(web)
    path = f"/v1/endpoints/{made['id']}/secret"
    reader = (await web.call("POST", "/v1/keys", json={"name": "r", "scopes": ["read"]})).json()["key"]
    for method, below in (("GET", ""), ("POST", "/rotate"), ("POST", "/switch")):
        assert (await web.call(method, path + below, key=reader)).status_code == 403
    shown = await web.call("GET", path)
    assert shown.headers["cache-control"] == "no-store"
    assert shown.json()["own"] is False
    assert shown.json()["secret"] == (await web.call("GET", "/v1/account/secret")).json()["secret"]
    rotated = (await web.call("POST", path + "/rotate")).json()
    assert (rotated["own"], rotated["previousSecret"]) == (True, shown.json()["secret"])
    assert rotated["signatureMadeWith"] == "previousSecret"
    assert (await web.call("POST", path + "/switch")).json()["signatureMadeWith"] == "secret"
    again = await web.call("POST", path + "/rotate", json={"switchAt": "end"})
    assert (again.status_code, again.json()["code"]) == (409, "rotation_running")
    leaked = (await web.call("POST", path + "/rotate", json={"switchAt": "now", "overlapSeconds": 0})).json()
    assert (leaked["previousSecret"], leaked["overlapUntil"]) == (None, None)
    wrong = await web.call("POST", path + "/rotate", json={"switchAt": "soon", "overlapSeconds": 1})
    assert fields_of(wrong) == ["switchAt"]
    everywhere = (await web.call("GET", "/v1/endpoints")).text + (await web.call("GET", path[:-7])).text
    assert "whsec_" not in everywhere


async def test_a_test_send_answers_with_the_attempt(web: Running) -> None:
    async with receiving() as receiver:
        made = await make(web, url=receiver.url, headers={"X-Key": "hunter2"})
        path = f"/v1/endpoints/{made['id']}/test"
        answer = await web.call("POST", path, json={"event": "message.status"})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["succeeded"] is True
        attempt = body["attempt"]
        assert (attempt["number"], attempt["status"], attempt["code"]) == (1, 200, None)
        assert attempt["response"]["body"] == "OK"
        sent = attempt["request"]
        assert sent["body"].encode() == receiver.bodies[0]
        assert ["X-Key", MASK] in sent["headers"]
        assert "hunter2" not in answer.text
        assert "X-WhatsSync-Test: true" in receiver.heads[0]
        secret = (await web.call("GET", "/v1/account/secret")).json()["secret"]
        signature = hmac.new(secret.encode(), receiver.bodies[0], hashlib.sha256).hexdigest()
        assert f"X-WhatsSync-Signature: {signature}" in receiver.heads[0]
        receiver.status = 500
        failed = (await web.call("POST", path)).json()
        assert (failed["succeeded"], failed["attempt"]["code"]) == (False, "http_500")
        assert failed["attempt"]["explanation"]["nextStep"]
        assert fields_of(await web.call("POST", path, json={"event": "nonsense"})) == ["event"]
        read = (await web.call("GET", f"/v1/endpoints/{made['id']}")).json()
        assert read["health"]["failedAttempts"] == 0


async def test_nothing_is_shown_or_changed_across_accounts(web: Running) -> None:
    made = await make(web)
    other = (await web.call("POST", "/v1/accounts", key=web.operator_key, json={"name": "Other"})).json()["id"]
    form = {"name": "theirs", "scopes": ["admin"]}
    key = (await web.call("POST", f"/v1/keys?account={other}", key=web.operator_key, json=form)).json()["key"]
    path = f"/v1/endpoints/{made['id']}"
    calls = [
        ("GET", path, None),
        ("PATCH", path, {"enabled": False}),
        ("DELETE", path, None),
        ("GET", path + "/secret", None),
        ("POST", path + "/secret/rotate", {}),
        ("POST", path + "/secret/switch", None),
        ("POST", path + "/test", {}),
    ]
    for method, where, body in calls:
        answer = await web.call(method, where, key=key, json=body)
        nothing = await web.call(method, where.replace(made["id"], "ep_nothing"), key=key, json=body)
        assert (answer.status_code, nothing.status_code) == (404, 404)
        assert answer.json()["code"] == nothing.json()["code"]
    assert (await web.call("GET", "/v1/endpoints", key=key)).json()["items"] == []
    assert (await web.call("GET", path)).json()["version"] == made["version"]
