"""The routes of accounts over real HTTP: one's own, and the operators' whole list."""

import asyncio

from tests.patience import PATIENCE_SECONDS
from tests.web.running import Running
from whatsync.model import limits
from whatsync.model.request import MASK


async def test_ones_own_account(web: Running) -> None:
    read = await web.call("GET", "/v1/account")
    body = read.json()
    assert body["id"] == web.first.account.account.id
    assert body["limits"]["endpoints"] == limits.ACCOUNT_ENDPOINTS
    assert body["retentionDays"] is None
    alerts = {"emails": ["a@example.com"], "url": "https://chat.example/T0/hunter2"}
    changed = await web.call("PATCH", "/v1/account", json={"name": "Shop", "alerts": alerts})
    assert changed.status_code == 200, changed.text
    shown = changed.json()["alerts"]
    assert shown == {"emails": ["a@example.com"], "url": f"https://chat.example/{MASK}"}
    kept = await web.call("PATCH", "/v1/account", json={"alerts": shown}, headers={"If-Match": changed.headers["etag"]})
    assert kept.status_code == 200
    assert kept.json() == changed.json()
    late = await web.call("PATCH", "/v1/account", json={"name": "x"}, headers={"If-Match": read.headers["etag"]})
    assert late.status_code == 409


async def test_an_account_does_not_set_what_is_the_operators(web: Running) -> None:
    bodies: list[dict[str, object]] = [{"suspended": False}, {"limits": {}}, {"retentionDays": 3}, {"name": ""}]
    for body in bodies:
        assert (await web.call("PATCH", "/v1/account", json=body)).status_code == 422


async def test_the_accounts_secret(web: Running) -> None:
    shown = (await web.call("GET", "/v1/account/secret")).json()
    assert (shown["own"], shown["previousSecret"], shown["signatureMadeWith"]) == (False, None, "secret")
    nothing = await web.call("POST", "/v1/account/secret/switch")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "no_rotation")
    rotated = (await web.call("POST", "/v1/account/secret/rotate", json={"overlapSeconds": 60})).json()
    assert rotated["previousSecret"] == shown["secret"]
    assert rotated["switchAt"] == rotated["overlapUntil"]
    switched = (await web.call("POST", "/v1/account/secret/switch")).json()
    assert switched["signatureMadeWith"] == "secret"
    assert "whsec_" not in (await web.call("GET", "/v1/account")).text


async def test_operators_make_change_and_list(web: Running) -> None:
    key = web.operator_key
    made = await web.call("POST", "/v1/accounts", key=key, json={"name": "Other", "limits": {"endpoints": 3}})
    assert made.status_code == 201, made.text
    path = f"/v1/accounts/{made.json()['id']}"
    assert made.json()["limits"]["endpoints"] == 3
    changed = await web.call("PATCH", path, key=key, json={"suspended": True, "retentionDays": 7})
    assert (changed.json()["suspended"], changed.json()["retentionDays"]) == (True, 7)
    listed = (await web.call("GET", "/v1/accounts?limit=1", key=key)).json()
    assert [item["name"] for item in listed["items"]] == ["Other"]
    rest = (await web.call("GET", f"/v1/accounts?cursor={listed['nextCursor']}", key=key)).json()
    assert [item["id"] for item in rest["items"]] == [web.first.account.account.id]
    assert (await web.call("GET", path, key=key)).json() == changed.json()
    wrong = await web.call("PATCH", path, key=key, json={"limits": {"endpoints": 0}, "retentionDays": 0})
    assert {error["field"] for error in wrong.json()["errors"]} == {"limits.endpoints", "retentionDays"}


async def test_accounts_are_the_operators_business(web: Running) -> None:
    path = f"/v1/accounts/{web.first.account.account.id}"
    for method, where in (
        ("GET", "/v1/accounts"),
        ("POST", "/v1/accounts"),
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
    ):
        answer = await web.call(method, where, json={} if method in ("POST", "PATCH") else None)
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


async def test_removing_an_account(web: Running) -> None:
    key = web.operator_key
    made = (await web.call("POST", "/v1/accounts", key=key, json={"name": "Other"})).json()
    path, named = f"/v1/accounts/{made['id']}", f"?account={made['id']}"
    endpoint = {"url": "https://shop.example/", "events": ["*"]}
    theirs = (await web.call("POST", "/v1/keys" + named, key=key, json={"name": "x", "scopes": ["admin"]})).json()
    assert (await web.call("POST", "/v1/endpoints", key=theirs["key"], json=endpoint)).status_code == 201
    careless = await web.call("DELETE", path, key=key)
    assert (careless.status_code, careless.json()["code"]) == (409, "account_not_empty")
    removed = await web.call("DELETE", f"{path}?confirm={made['id']}", key=key)
    assert removed.status_code == 202, removed.text
    assert removed.json()["deletedAt"] is not None
    assert (await web.call("GET", "/v1/endpoints", key=theirs["key"])).status_code == 401
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await web.call("GET", path, key=key)).status_code != 404:
            assert (await web.call("GET", "/v1/account")).status_code == 200
    assert (await web.call("DELETE", path, key=key)).status_code == 404
