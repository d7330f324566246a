"""Keys, event types, team, audit log and settings of an account, over HTTP."""

import re

import httpx

from tests.web.people import ACTOR, Team, make_account, make_team, post, sign_in, visitor
from tests.web.running import Running
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.user import Role


async def signed_in(web: Running, team: Team, role: Role = Role.OWNER) -> httpx.AsyncClient:
    return visitor(web, await sign_in(web, team.users[role]))


async def test_a_key_is_shown_once_and_opens_what_its_scopes_say(web: Running) -> None:
    team = await make_team(web)
    async with await signed_in(web, team, Role.DEVELOPER) as client:
        made = await post(client, f"{team.path}/keys", {"name": "shop", "scopes": "read", "days": "30"})
        assert made.status_code == 200
        secret = re.search(r"wsk_[\w-]{40,}", made.text)
        assert secret
        assert made.headers["cache-control"] == "no-store"
        assert (await web.call("GET", "/v1/events", key=secret[0])).status_code == 200
        assert (await web.call("GET", "/v1/keys", key=secret[0])).status_code == 403
        later = (await client.get(f"{team.path}/keys")).text
        assert secret[0] not in later
        assert f"…{secret[0][-4:]}" in later
        key = web.server.services.keys.page(team.account)[0][0]
        assert key.expires_ms is not None
        assert (await post(client, f"{team.path}/keys/{key.id}/revoke")).status_code == 303
        assert (await web.call("GET", "/v1/events", key=secret[0])).status_code == 401
        assert "Revoked" in (await client.get(f"{team.path}/keys")).text


async def test_a_key_needs_a_name_and_a_scope_of_the_account(web: Running) -> None:
    team = await make_team(web)
    async with await signed_in(web, team) as client:
        answer = await post(client, f"{team.path}/keys", {"name": "", "scopes": "operator"})
        assert answer.status_code == 422
        assert "must have 1 to 100" in answer.text
        assert "must name at least one scope" in answer.text
    assert web.server.services.keys.page(team.account)[0] == []


async def test_another_accounts_key_is_not_revoked(web: Running) -> None:
    team = await make_team(web)
    first = web.first.account_key.key.id
    async with await signed_in(web, team) as client:
        assert (await post(client, f"{team.path}/keys/{first}/revoke")).status_code == 404
    assert (await web.call("GET", "/v1/account")).status_code == 200


async def test_event_types_show_fields_and_example_and_take_own_ones(web: Running) -> None:
    team = await make_team(web)
    async with await signed_in(web, team) as client:
        page = (await client.get(f"{team.path}/event-types/message.status")).text
        assert "messageId" in page
        assert "msg_987654321" in page
        wrong = await post(client, f"{team.path}/event-types", {"name": "endpoint.mine"})
        assert wrong.status_code == 422
        form = {"name": "order.paid", "description": "Somebody <paid>"}
        assert (await post(client, f"{team.path}/event-types", form)).status_code == 303
        listed = (await client.get(f"{team.path}/event-types")).text
        assert "Somebody &lt;paid&gt;" in listed
        endpoint = EndpointForm(url="https://example.com/hook", events=["order.paid"])
        await web.server.services.endpoints.create(team.account, endpoint, ACTOR)
        remove = f"{team.path}/event-types/order.paid/remove"
        held = await post(client, remove)
        assert held.status_code == 409
        assert "name this type" in held.text
        running = next(iter(team.account.endpoints.values()))
        await web.server.services.endpoints.delete(team.account, running.endpoint.id, ACTOR)
        assert (await post(client, remove)).status_code == 303
        assert '/event-types/order.paid"' not in (await client.get(f"{team.path}/event-types")).text


async def test_who_is_invited_joins_by_the_link_shown_once(web: Running) -> None:
    team = await make_team(web)
    async with await signed_in(web, team) as client:
        made = await post(client, f"{team.path}/team", {"email": "New@Example.com", "role": "support"})
        link = re.search(r"http://[^\s<]+/link/([\w-]+)", made.text)
        assert link
        assert "/link/" not in (await client.get(f"{team.path}/team")).text
        async with visitor(web) as guest:
            joined = await post(guest, f"/link/{link[1]}", {"password": "correct horse battery"})
            assert joined.status_code == 303
            assert (await guest.get(team.path)).status_code == 200
            assert (await guest.get(f"{team.path}/team")).status_code == 403
            user = web.server.services.users.by_email("new@example.com")
            assert user is not None
            promoted = await post(client, f"{team.path}/team/{user.id}", {"role": "owner"})
            assert promoted.status_code == 303
            assert (await guest.get(f"{team.path}/team")).status_code == 200
            assert (await post(client, f"{team.path}/team/{user.id}/remove")).status_code == 303
            assert (await guest.get(team.path)).status_code == 303
    entries = await web.server.services.history.audit(team.account.row, None, 50)
    assert {"user.added", "user.role_changed", "user.removed"} <= {entry.action for entry in entries}


async def test_the_last_owner_stays(web: Running) -> None:
    team = await make_team(web)
    owner = team.users[Role.OWNER]
    async with await signed_in(web, team) as client:
        for path, form in ((f"/team/{owner.id}/remove", {}), (f"/team/{owner.id}", {"role": "viewer"})):
            answer = await post(client, team.path + path, form)
            assert answer.status_code == 409
            assert "last owner" in answer.text
    assert web.server.services.users.find(owner.id).memberships[team.account.account.id] is Role.OWNER


async def test_who_is_here_already_is_added_by_the_operator_alone(web: Running) -> None:
    """An address proves nothing: another account's owner may have invited it and used the link himself."""
    team, others = await make_team(web), await make_team(web, "Others")
    known = others.users[Role.VIEWER]
    link = await web.server.services.links.make_for(known, ACTOR, account=others.account.row)
    async with visitor(web) as guest:
        assert (await post(guest, link.path, {"password": "correct horse battery"})).status_code == 303
    async with await signed_in(web, team) as client:
        answer = await post(client, f"{team.path}/team", {"email": known.email, "role": "support"})
        assert answer.status_code == 409
        assert "only the operator can add them" in answer.text
    assert team.account.account.id not in web.server.services.users.find(known.id).memberships
    boss = await web.server.services.users.add("chief@example.com", {}, ACTOR, operator=True)
    async with visitor(web, await sign_in(web, boss)) as client:
        form = {"email": known.email, "role": "support"}
        assert (await post(client, f"{team.path}/team", form)).status_code == 303
        assert (await post(client, f"{team.path}/team", form)).status_code == 409
        stranger = others.users[Role.OWNER]
        assert (await post(client, f"{team.path}/team/{stranger.id}", {"role": "viewer"})).status_code == 404
    assert web.server.services.users.find(known.id).memberships[team.account.account.id] is Role.SUPPORT


async def test_an_invitation_of_another_account_is_not_taken_over(web: Running) -> None:
    team, others = await make_team(web), await make_team(web, "Others")
    users = web.server.services.users
    invited = others.users[Role.OWNER]
    boss = await users.add("boss@example.com", {}, ACTOR, operator=True)
    async with await signed_in(web, team) as client:
        for person in (invited, boss):
            form = {"email": person.email, "role": "viewer"}
            answer = await post(client, f"{team.path}/team", form)
            assert answer.status_code == 303
            assert "/link/" not in answer.text
            linked = await post(client, f"{team.path}/team/{person.id}/link")
            assert linked.status_code == 409
            assert "/link/" not in linked.text
    assert web.server.services.directory.links == {}


async def test_nobody_with_a_password_is_given_a_link_by_an_owner(web: Running) -> None:
    team = await make_team(web)
    member = team.users[Role.VIEWER]
    async with await signed_in(web, team) as client:
        answer = await post(client, f"{team.path}/team/{member.id}/link")
        assert answer.status_code == 200
        link = re.search(r"/link/([\w-]+)", answer.text)
        assert link
        async with visitor(web) as guest:
            assert (await post(guest, f"/link/{link[1]}", {"password": "correct horse battery"})).status_code == 303
        assert (await post(client, f"{team.path}/team/{member.id}/link")).status_code == 409


async def test_the_audit_log_tells_who_changed_what_with_secrets_masked(web: Running) -> None:
    team = await make_team(web)
    account, services = team.account, web.server.services
    other = await make_account(web, "Other")
    owner = team.users[Role.OWNER]
    form = EndpointForm(url="https://example.com/one", events=["*"], headers={"x-token": "hidden-value"})
    made = await services.endpoints.create(account, form, f"user:{owner.id}")
    endpoint_id = made.running.endpoint.id
    await services.endpoints.patch(account, endpoint_id, EndpointForm(url="https://example.com/two"), "engine")
    secret = (await services.accounts.secret(account, f"user:{owner.id}")).current
    await services.event_types.put(account, "by.command", "", "key:key_local")
    await services.event_types.put(account, "by.nobody", "", "user:usr_gone")
    await services.endpoints.create(other, EndpointForm(url="https://elsewhere.example/", events=["*"]), ACTOR)
    async with await signed_in(web, team) as client:
        page = (await client.get(f"{team.path}/audit-log")).text
    assert owner.email in page
    assert "WhatsSync itself" in page
    assert "by the command line on the server’s machine" in page
    assert "by somebody who has left (usr_gone)" in page
    assert "<del><code>https://example.com/one</code></del>" in page
    assert "<ins><code>https://example.com/two</code></ins>" in page
    assert "hidden-value" not in page
    assert secret not in page
    assert "elsewhere.example" not in page


async def test_the_audit_log_is_paged(web: Running) -> None:
    team = await make_team(web)
    for at in range(60):
        await web.server.services.event_types.put(team.account, f"type.n{at}", "", ACTOR)
    async with await signed_in(web, team) as client:
        first = (await client.get(f"{team.path}/audit-log")).text
        older = re.search(r'href="([^"]+before=\d+)"', first)
        assert older
        second = (await client.get(older[1].replace("&amp;", "&"))).text
    assert "type.n59<" in first
    assert "type.n0<" not in first
    assert "type.n0<" in second


async def test_settings_are_stored_and_a_stale_form_is_refused(web: Running) -> None:
    team = await make_team(web)
    account = team.account
    version = str(account.document.version)
    url = "https://hooks.example.com/services/secret-path"
    form = {"name": "Renamed", "emails": "one@example.com, two@example.com", "url": url, "version": version}
    async with await signed_in(web, team) as client:
        assert (await post(client, f"{team.path}/settings", form)).status_code == 303
        assert account.account.name == "Renamed"
        assert account.account.alert_emails == ("one@example.com", "two@example.com")
        page = (await client.get(f"{team.path}/settings")).text
        assert "secret-path" not in page
        assert (await post(client, f"{team.path}/settings", form)).status_code == 409
        shown = re.search(r'name="url"[^>]*value="([^"]+)"', page)
        assert shown
        again = form | {"url": shown[1], "emails": "nonsense", "version": str(account.document.version)}
        wrong = await post(client, f"{team.path}/settings", again)
        assert wrong.status_code == 422
        assert "is not a mail address" in wrong.text
        kept = account.account.alert_url
        assert (await post(client, f"{team.path}/settings", again | {"emails": ""})).status_code == 303
        assert account.account.alert_url == kept
