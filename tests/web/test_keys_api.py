"""The routes of keys over real HTTP: shown once, with just the scopes they were given, revoked at once."""

from tests.web.running import Running


async def test_a_key_is_shown_once_and_works_at_once(web: Running) -> None:
    made = await web.call("POST", "/v1/keys", json={"name": "backend", "scopes": ["read"]})
    assert made.status_code == 201, made.text
    key = made.json()["key"]
    listed = (await web.call("GET", "/v1/keys")).json()
    assert [item["name"] for item in listed["items"]] == ["backend", "First key"]
    assert "key" not in listed["items"][0]
    assert listed["items"][0]["hint"] == key[-4:]
    assert (await web.call("GET", "/v1/endpoints", key=key)).status_code == 200
    assert (await web.call("GET", "/v1/keys", key=key)).status_code == 403
    ended = await web.call("DELETE", f"/v1/keys/{made.json()['id']}")
    assert ended.json()["revokedAt"] is not None
    assert (await web.call("GET", "/v1/endpoints", key=key)).status_code == 401


async def test_mistakes_are_named(web: Running) -> None:
    several = {"name": " ", "scopes": [], "expiresAt": "2020-01-01T00:00:00Z"}
    wrong = await web.call("POST", "/v1/keys", json=several)
    assert [error["field"] for error in wrong.json()["errors"]] == ["name", "scopes", "expiresAt"]
    bodies: list[dict[str, object]] = [
        {"name": "x", "scopes": ["everything"]},
        {"name": "x", "scopes": ["operator"]},
        {"name": "x", "scopes": ["read"], "expiresAt": "tomorrow"},
        {"scopes": ["read"]},
    ]
    for body in bodies:
        assert (await web.call("POST", "/v1/keys", json=body)).status_code == 422


async def test_the_last_admin_key_needs_force_to_end_itself(web: Running) -> None:
    path = f"/v1/keys/{web.first.account_key.key.id}"
    careless = await web.call("DELETE", path)
    assert (careless.status_code, careless.json()["code"]) == (409, "last_admin_key")
    assert (await web.call("DELETE", path + "?force=true")).status_code == 200
    assert (await web.call("GET", "/v1/keys")).status_code == 401


async def test_operators_keys_are_apart(web: Running) -> None:
    operator = web.operator_key
    assert (await web.call("GET", "/v1/operator-keys")).status_code == 403
    made = (await web.call("POST", "/v1/operator-keys", key=operator, json={"name": "second"})).json()
    assert made["key"].startswith("wso_")
    listed = (await web.call("GET", "/v1/operator-keys", key=made["key"])).json()
    assert [item["name"] for item in listed["items"]] == ["second", "First operator"]
    for key in (made["id"], web.first.operator_key.key.id):
        assert (await web.call("DELETE", f"/v1/keys/{key}")).status_code == 404
    first = web.first.account_key.key.id
    assert (await web.call("DELETE", f"/v1/operator-keys/{first}", key=operator)).status_code == 404
    assert (await web.call("DELETE", f"/v1/operator-keys/{made['id']}", key=operator)).status_code == 200
    last = f"/v1/operator-keys/{web.first.operator_key.key.id}"
    assert (await web.call("DELETE", last, key=operator)).status_code == 409


async def test_keys_of_other_accounts_are_not_there(web: Running) -> None:
    other = (await web.call("POST", "/v1/accounts", key=web.operator_key, json={"name": "Other"})).json()["id"]
    form = {"name": "theirs", "scopes": ["admin"]}
    theirs = (await web.call("POST", f"/v1/keys?account={other}", key=web.operator_key, json=form)).json()
    assert (await web.call("DELETE", f"/v1/keys/{theirs['id']}")).status_code == 404
    mine = f"/v1/keys/{web.first.account_key.key.id}"
    assert (await web.call("DELETE", mine, key=theirs["key"])).status_code == 404
    names = [item["name"] for item in (await web.call("GET", "/v1/keys", key=theirs["key"])).json()["items"]]
    assert names == ["theirs"]
