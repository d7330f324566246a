"""The routes of people over real HTTP: added, given roles, removed; links made. They are the operators' business."""

from typing import Any

import pytest

from tests.web.people import post, visitor
from tests.web.running import Running


async def add(web: Running, email: str, **form: object) -> dict[str, Any]:
    made = await web.call("POST", "/v1/users", key=web.operator_key, json={"email": email, **form})
    assert made.status_code == 201, made.text
    user: dict[str, Any] = made.json()["user"]
    return user | {"link": made.json()["link"]["url"]}


async def test_an_added_user_comes_in_by_the_link(web: Running) -> None:
    account = web.first.account.account.id
    user = await add(web, "Ana@Example.com", memberships={account: "developer"})
    assert (user["email"], user["canSignIn"], user["signedInAt"]) == ("ana@example.com", False, None)
    assert user["link"].startswith(f"http://127.0.0.1:{web.port}/link/")
    async with visitor(web) as client:
        entered = await post(client, user["link"], {"password": "correct horse battery"})
        assert entered.status_code == 303, entered.text
        assert (await client.get(f"/a/{account}")).status_code == 200
        listed = (await web.call("GET", "/v1/users", key=web.operator_key)).json()["items"]
        assert [item["canSignIn"] for item in listed] == [True]
        gone = await web.call(
            "PATCH", f"/v1/users/{user['id']}", key=web.operator_key, json={"memberships": {account: None}}
        )
        assert gone.json()["memberships"] == {}
        assert (await client.get(f"/a/{account}")).status_code == 404
        removed = await web.call("DELETE", f"/v1/users/{user['id']}", key=web.operator_key)
        assert removed.status_code == 204
        assert (await client.get("/profile")).status_code == 303
    assert "password" not in (await web.call("GET", "/v1/users", key=web.operator_key)).text


async def test_lists_are_paged_newest_first(web: Running) -> None:
    for name in "abc":
        await add(web, f"{name}@example.com")
    page = (await web.call("GET", "/v1/users?limit=2", key=web.operator_key)).json()
    assert [item["email"][0] for item in page["items"]] == ["c", "b"]
    rest = (await web.call("GET", f"/v1/users?cursor={page['nextCursor']}", key=web.operator_key)).json()
    assert [item["email"][0] for item in rest["items"]] == ["a"]
    assert rest["nextCursor"] is None


async def test_wrong_forms_name_the_field(web: Running) -> None:
    key = web.operator_key
    await add(web, "a@example.com")
    cases: list[tuple[dict[str, object], int, str]] = [
        ({"email": "no address"}, 422, "email"),
        ({"email": "b@example.com", "memberships": {"acc_none": "owner"}}, 422, "account"),
        ({"email": "b@example.com", "memberships": {"acc_none": "king"}}, 422, "memberships"),
        ({"email": "A@example.com"}, 409, ""),
    ]
    for form, status, field in cases:
        answer = await web.call("POST", "/v1/users", key=key, json=form)
        assert answer.status_code == status, answer.text
        if field:
            assert answer.json()["errors"][0]["field"].startswith(field)


async def test_the_last_owner_and_the_last_operator_stay(web: Running) -> None:
    account, key = web.first.account.account.id, web.operator_key
    owner = await add(web, "owner@example.com", memberships={account: "owner"})
    viewer = await add(web, "viewer@example.com", memberships={account: "viewer"})
    operator = await add(web, "operator@example.com", operator=True)
    for user, form in (
        (owner, {"memberships": {account: "viewer"}}),
        (owner, {"memberships": {account: None}}),
        (operator, {"operator": False}),
    ):
        answer = await web.call("PATCH", f"/v1/users/{user['id']}", key=key, json=form)
        assert (answer.status_code, answer.json()["code"][:5]) == (409, "last_"), answer.text
    for user in (owner, operator):
        assert (await web.call("DELETE", f"/v1/users/{user['id']}", key=key)).status_code == 409
    promoted = await web.call("PATCH", f"/v1/users/{viewer['id']}", key=key, json={"memberships": {account: "owner"}})
    assert promoted.status_code == 200
    assert (await web.call("DELETE", f"/v1/users/{owner['id']}", key=key)).status_code == 204


async def test_reset_links(web: Running) -> None:
    key = web.operator_key
    first = await web.call("POST", "/v1/users/reset-link", key=key)
    assert (first.status_code, first.json()["purpose"]) == (201, "first")
    await add(web, "a@example.com")
    assert (await web.call("POST", "/v1/users/reset-link", key=key, json={})).status_code == 422
    nobody = await web.call("POST", "/v1/users/reset-link", key=key, json={"email": "b@example.com"})
    assert nobody.status_code == 404
    again = await web.call("POST", "/v1/users/reset-link", key=key, json={"email": "A@example.com"})
    assert again.json()["purpose"] == "invite"


@pytest.mark.parametrize("role", ["viewer", "support", "developer", "owner"])
async def test_a_link_for_another_product_opens_with_its_role(web: Running, role: str) -> None:
    account = web.first.account.account.id
    path = f"/v1/accounts/{account}/sign-in-link"
    made = await web.call("POST", path, key=web.operator_key, json={"role": role})
    assert made.status_code == 201, made.text
    async with visitor(web) as client:
        entered = await post(client, made.json()["url"])
        assert entered.headers["location"] == f"/a/{account}"
    session = next(session for _, session in web.server.services.directory.sessions.values())
    assert (session.role, session.account, session.user) == (role, account, None)
    assert (await web.call("POST", path)).status_code == 403
    missing = await web.call("POST", "/v1/accounts/acc_none/sign-in-link", key=web.operator_key)
    assert missing.status_code == 404
