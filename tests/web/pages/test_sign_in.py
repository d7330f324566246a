"""Signing in and out, one-time links, sessions and passwords, over real HTTP."""

import re
from email import message_from_bytes, policy
from pathlib import Path

import msgspec
import pytest

from tests.net.mail_server import MailServer, listening
from tests.web.people import SESSION_COOKIE, make_operator, make_team, post, sign_in, token_of, visitor
from tests.web.running import Running, running
from whatsync.engine.bootstrap import Chosen, way_in
from whatsync.engine.directory import LINK, SESSION
from whatsync.engine.sessions import session_id
from whatsync.engine.sign_in import WRONG
from whatsync.model import limits
from whatsync.model.user import LinkPurpose, Role
from whatsync.ports.store import Change, Put

PASSWORD = "correct horse battery"


async def first_link(web: Running) -> str:
    made = await web.server.services.links.make_first("test")
    return made.path


async def make_first_user(web: Running) -> None:
    async with visitor(web) as client:
        path = await first_link(web)
        answer = await post(client, path, {"email": "First@Example.com ", "password": PASSWORD})
        assert answer.status_code == 303, answer.text


async def age(web: Running, kind: str, **changes: int) -> None:
    """Write other times into every document of a kind."""
    directory = web.server.services.directory
    held = directory.links if kind == LINK else directory.sessions
    puts = tuple(
        Put(kind, id_, document.account, msgspec.json.encode(msgspec.structs.replace(record, **changes)))
        for id_, (document, record) in held.items()
    )
    await web.server.services.configuration.change(Change(0, puts, routing=False))


async def test_the_first_link_makes_the_operator_and_works_once(web: Running) -> None:
    path = await first_link(web)
    async with visitor(web) as client:
        for _ in range(2):
            assert "You are the first one here" in (await client.get(path)).text  # looking uses nothing up
        short = await post(client, path, {"email": "me@example.com", "password": "short"})
        assert short.status_code == 422
        assert "at least 10 characters" in short.text
        assert 'value="me@example.com"' in short.text
        assert "short" not in short.text.replace("shorter", "")
        entered = await post(client, path, {"email": "Me@Example.com", "password": PASSWORD})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        home = await client.get("/", follow_redirects=True)
        assert "Welcome. You are signed in." in home.text
        assert "First account" in home.text
        assert "Welcome. You are signed in." not in (await client.get("/", follow_redirects=True)).text
        again = await client.get(path)
        assert again.status_code == 410
        assert "used already" in again.text
        assert (await post(client, path, {"email": "b@example.com", "password": PASSWORD})).status_code == 410
    user = web.server.services.users.by_email("me@example.com")
    assert user is not None
    assert user.operator
    assert user.memberships == {web.first.account.account.id: Role.OWNER}
    assert user.signed_in_ms is not None


async def test_two_who_use_a_link_at_the_same_moment_are_not_both_let_in(web: Running) -> None:
    import asyncio

    path = await first_link(web)
    async with visitor(web) as one, visitor(web) as other:
        answers = await asyncio.gather(
            post(one, path, {"email": "one@example.com", "password": PASSWORD}),
            post(other, path, {"email": "other@example.com", "password": PASSWORD}),
        )
    assert sorted(answer.status_code for answer in answers) in ([303, 409], [303, 410])
    assert len(web.server.services.users.all()) == 1


async def test_links_expire_and_unknown_ones_say_so(web: Running) -> None:
    path = await first_link(web)
    async with visitor(web) as client:
        await age(web, LINK, expires_ms=1)
        expired = await client.get(path)
        assert (expired.status_code, "has expired" in expired.text) == (410, True)
        assert "whatsync users reset-link" in expired.text
        unknown = await client.get("/link/" + "0" * 64)
        assert unknown.status_code == 404
        newer = await first_link(web)
        assert (await client.get(newer)).status_code == 200
        assert (await client.get(path)).status_code == 404  # replaced


async def test_an_invitation_sets_a_password_and_a_reset_ends_all_sessions(web: Running) -> None:
    team = await make_team(web)
    user = team.users[Role.DEVELOPER]
    links = web.server.services.links
    invitation = await links.make_for(user, "test")
    assert invitation.link.purpose is LinkPurpose.INVITE
    async with visitor(web) as client:
        assert user.email in (await client.get(invitation.path)).text
        assert (await post(client, invitation.path, {"password": PASSWORD})).status_code == 303
        assert (await client.get(team.path)).status_code == 200
        reset = await links.make_for(web.server.services.users.find(user.id), "test")
        assert reset.link.purpose is LinkPurpose.RESET
        async with visitor(web) as other:
            assert (await post(other, reset.path, {"password": PASSWORD + "2"})).status_code == 303
            assert (await other.get(team.path)).status_code == 200
        assert (await client.get(team.path)).status_code == 303


async def test_signing_in_goes_on_to_where_one_wanted(web: Running) -> None:
    await make_first_user(web)
    path = f"/a/{web.first.account.account.id}"
    async with visitor(web) as client:
        sent = await client.get(path)
        assert sent.headers["location"].startswith("/sign-in?next=%2Fa%2F")
        form = {"email": " FIRST@example.com", "password": PASSWORD, "next": path}
        entered = await post(client, "/sign-in", form)
        assert (entered.status_code, entered.headers["location"]) == (303, path)
        cookie = next(line for line in entered.headers.get_list("set-cookie") if line.startswith(SESSION_COOKIE))
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        left = await post(client, "/sign-out")
        assert left.headers["location"] == "/sign-in"
        assert (await client.get(path)).status_code == 303
    for foreign in ("//evil.example", "https://evil.example", "/\\evil.example"):
        async with visitor(web) as client:
            entered = await post(
                client, "/sign-in", {"email": "first@example.com", "password": PASSWORD, "next": foreign}
            )
            assert entered.headers["location"] == "/"


async def test_nobody_learns_who_is_known_here(web: Running) -> None:
    await make_first_user(web)
    await make_operator(web, "invited@example.com")
    texts = set()
    async with visitor(web) as client:
        for email in ("first@example.com", "invited@example.com", "nobody@example.com", "", "no address"):
            answer = await post(client, "/sign-in", {"email": email, "password": "wrong"})
            assert answer.status_code == 422
            assert WRONG in answer.text
            texts.add(answer.headers["content-length"] if email == "" else "")
    assert len(texts) == 2


async def test_guessing_is_limited_for_a_mail_address_known_or_not(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_first_user(web)
    for email in ("first@example.com", "nobody@example.com"):
        async with visitor(web) as client:
            for _ in range(limits.SIGN_IN_FAILURES_PER_EMAIL):
                assert (await post(client, "/sign-in", {"email": email, "password": "wrong"})).status_code == 422
            refused = await post(client, "/sign-in", {"email": email, "password": PASSWORD})
            assert refused.status_code == 429
            assert "too many tries" in refused.text
            assert refused.headers.get("set-cookie", "").find(SESSION_COOKIE) < 0


async def test_guessing_is_limited_for_where_it_comes_from(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async with visitor(web) as client:
        statuses = [
            (await post(client, "/sign-in", {"email": f"u{at}@example.com", "password": "wrong"})).status_code
            for at in range(limits.SIGN_IN_FAILURES_PER_ADDRESS + 1)
        ]
    assert statuses == [422] * limits.SIGN_IN_FAILURES_PER_ADDRESS + [429]


async def test_a_new_password_ends_all_other_sessions(web: Running) -> None:
    await make_first_user(web)
    user = web.server.services.users.by_email("first@example.com")
    assert user is not None
    async with visitor(web, await sign_in(web, user)) as mine, visitor(web, await sign_in(web, user)) as other:
        wrong = await post(mine, "/profile/password", {"old": "not it", "password": "another good one"})
        assert wrong.status_code == 422
        assert "is not your password" in wrong.text
        changed = await post(mine, "/profile/password", {"old": PASSWORD, "password": "another good one"})
        assert changed.status_code == 303, changed.text
        assert "Your password is changed" in (await mine.get("/profile")).text
        assert (await other.get("/profile")).status_code == 303


async def test_sessions_are_listed_and_ended(web: Running) -> None:
    team = await make_team(web)
    user = team.users[Role.VIEWER]
    tokens = [await sign_in(web, user) for _ in range(3)]
    strangers = await sign_in(web, team.users[Role.OWNER])
    async with visitor(web, tokens[0]) as mine, visitor(web, tokens[1]) as other, visitor(web, tokens[2]) as third:
        page = (await mine.get("/profile")).text
        assert page.count("Chrome on Linux") == 3
        sessions = web.server.services.sessions
        second = sessions.find(tokens[1])
        foreign = sessions.find(strangers)
        assert second is not None
        assert foreign is not None
        assert (await post(mine, f"/profile/sessions/{foreign.id}/end")).status_code == 404
        assert (await post(mine, f"/profile/sessions/{second.id}/end")).status_code == 303
        assert (await other.get("/profile")).status_code == 303
        assert (await third.get("/profile")).status_code == 200
        assert (await post(mine, "/profile/sessions/end-others")).status_code == 303
        assert (await third.get("/profile")).status_code == 303
        assert (await mine.get("/profile")).status_code == 200
    assert sessions.find(strangers) is not None


@pytest.mark.parametrize("times", [{"seen_ms": 1}, {"expires_ms": 1}])
async def test_sessions_end_by_themselves_and_are_cleared_away(web: Running, times: dict[str, int]) -> None:
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        assert (await client.get(team.path)).status_code == 200
        await age(web, SESSION, **times)
        assert (await client.get(team.path)).status_code == 303
    await web.server.services.sessions.clear()
    assert web.server.services.directory.sessions == {}


async def test_an_embedded_link_opens_one_account_once(web: Running) -> None:
    team = await make_team(web)
    made = await web.server.services.links.make_embedded(team.account, Role.SUPPORT, "test")
    async with visitor(web) as client:
        page = (await client.get(made.path)).text
        assert "data-send-at-once" in page
        entered = await post(client, made.path)
        assert (entered.status_code, entered.headers["location"]) == (303, team.path)
        home = await client.get(team.path)
        assert home.status_code == 200
        assert 'class="side"' not in home.text
        assert (await client.get("/profile")).status_code == 403
        assert (await client.get("/")).headers["location"] == team.path
    async with visitor(web) as other:
        assert (await post(other, made.path)).status_code == 410


async def test_a_chosen_password_signs_in_instead_of_a_link(web: Running) -> None:
    services = web.server.services
    chosen = Chosen(email="boss@example.com", password=PASSWORD)
    assert await way_in(services.directory, services.users, services.links, chosen) is None
    async with visitor(web) as client:
        entered = await post(client, "/sign-in", {"email": "boss@example.com", "password": PASSWORD})
        assert entered.status_code == 303
    assert await way_in(services.directory, services.users, services.links) is None


async def test_while_nobody_has_signed_in_one_link_is_alive(web: Running) -> None:
    services = web.server.services
    made = await way_in(services.directory, services.users, services.links)
    assert made is not None
    assert await way_in(services.directory, services.users, services.links) is None
    await age(web, LINK, expires_ms=1)
    assert await way_in(services.directory, services.users, services.links) is not None


async def test_tokens_and_passwords_are_stored_as_hashes_only(web: Running) -> None:
    await make_first_user(web)
    made = await web.server.services.links.make_first("test")
    user = web.server.services.users.by_email("first@example.com")
    assert user is not None
    token = await sign_in(web, user)
    directory = web.server.services.directory
    stored = b"".join(
        document.body
        for held in (directory.users, directory.sessions, directory.links)
        for document, _ in held.values()
    )
    for secret in (made.token, token, PASSWORD):
        assert secret.encode() not in stored
    assert b"$argon2id$" in stored
    audit = await web.server.services.history.audit(0, None, 100)
    assert not any(b"argon2" in (entry.after or b"") for entry in audit)


async def test_sessions_do_not_cost_the_hot_path_its_caches(web: Running) -> None:
    team = await make_team(web)
    before = web.server.services.directory.generation
    await sign_in(web, team.users[Role.OWNER])
    await web.server.services.links.make_first("test")
    assert web.server.services.directory.generation == before


async def test_the_token_belongs_to_this_browser(web: Running) -> None:
    async with visitor(web) as one, visitor(web) as other:
        foreign = await token_of(other, "/sign-in")
        await one.get("/sign-in")
        answer = await one.post("/sign-in", data={"csrf": foreign, "email": "a@example.com", "password": "x"})
        assert answer.status_code == 403


def links_in(server: MailServer) -> list[tuple[str, str]]:
    """Whom each mail went to, and the path of the link in it."""
    mails = [message_from_bytes(raw, policy=policy.default) for raw in server.mails]
    texts = [(str(mail["To"]), mail.get_content()) for mail in mails]
    return [(to, re.findall(r"http://127\.0\.0\.1:\d+(/link/\w+)", text)[0]) for to, text in texts]


async def test_links_go_by_mail_where_there_is_a_mail_server(tmp_path: Path) -> None:
    mails = MailServer()
    async with listening(mails) as port:
        settings = {"WHATSYNC_SMTP_URL": f"smtp://127.0.0.1:{port}", "WHATSYNC_MAIL_FROM": "hooks@example.com"}
        async with running(tmp_path, **settings) as web:  # type: ignore[arg-type]
            team = await make_team(web)
            async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as owner:
                assert "Send the link by mail" in (await owner.get(f"{team.path}/team")).text
                form = {"email": "new@example.com", "role": "viewer", "mail": "on"}
                assert (await post(owner, f"{team.path}/team", form)).status_code == 303
                mails.answers["DATA"] = "554 no"
                shown = await post(owner, f"{team.path}/team", form | {"email": "other@example.com"})
                assert shown.status_code == 503
                assert "The mail was not sent: the mail server answered 554." in shown.text
                token = re.findall(r"/link/(\w+)", shown.text)[0]
                del mails.answers["DATA"]
                other = web.server.services.users.by_email("other@example.com")
                assert other is not None
                path = f"{team.path}/team/{other.id}/mail"
                assert (await post(owner, path, {"token": "0" * 64})).status_code == 404
                assert (await post(owner, path, {"token": token})).status_code == 303
                assert (await post(owner, path, {"token": token})).status_code == 409
            (to, link), (second, _) = links_in(mails)
            assert (to, second) == ("new@example.com", "other@example.com")
            async with visitor(web) as client:
                assert (await post(client, link, {"password": PASSWORD})).status_code == 303
            async with visitor(web) as client:
                for email in ("new@example.com", "nobody@example.com"):
                    assert (await post(client, "/forgotten", {"email": email})).status_code == 303
                await web.server.services.link_mails.sent()
                to, link = links_in(mails)[-1]
                assert (len(mails.mails), to) == (3, "new@example.com")
                assert "Choose a new password" in (await client.get(link)).text
                statuses = [(await post(client, "/forgotten", {"email": "new@example.com"})).status_code for _ in "123"]
                assert statuses == [303, 303, 429]


async def test_without_a_mail_server_it_is_said(web: Running) -> None:
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as owner:
        page = (await post(owner, f"{team.path}/team", {"email": "new@example.com", "role": "viewer"})).text
        assert "This installation can’t send mail" in page
        assert "Send it by mail" not in page
    async with visitor(web) as client:
        assert "whatsync users reset-link" in (await client.get("/sign-in")).text
        assert (await post(client, "/forgotten", {"email": "new@example.com"})).status_code == 409


async def test_operators_make_a_new_link_for_anybody(web: Running) -> None:
    team = await make_team(web)
    viewer = team.users[Role.VIEWER]
    made = await web.server.services.links.make_for(viewer, "test")
    async with visitor(web) as client:
        assert (await post(client, made.path, {"password": PASSWORD})).status_code == 303
    known = web.server.services.users.find(viewer.id)
    assert known.signed_in_ms is not None
    path = f"{team.path}/team/{viewer.id}/link"
    async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as owner:
        assert (await post(owner, path)).status_code == 409
    async with visitor(web, await sign_in(web, await make_operator(web))) as boss:
        assert "Reset link" in (await boss.get(f"{team.path}/team")).text
        assert "Link for a new password" in (await post(boss, path)).text


async def test_an_old_first_link_makes_nobody_operator_once_somebody_is_here(web: Running) -> None:
    path = await first_link(web)
    await make_team(web)
    async with visitor(web) as client:
        assert (await client.get(path)).status_code == 410
        form = {"email": "late@example.com", "password": PASSWORD}
        assert (await post(client, path, form)).status_code == 410
    assert web.server.services.users.by_email("late@example.com") is None


async def test_old_passwords_are_not_guessed_without_end(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    team = await make_team(web)
    user = team.users[Role.VIEWER]
    link = await web.server.services.links.make_for(user, "test")
    async with visitor(web) as client:
        assert (await post(client, link.path, {"password": PASSWORD})).status_code == 303
        statuses = []
        for old in [*["wrong"] * limits.SIGN_IN_FAILURES_PER_EMAIL, PASSWORD]:
            form = {"old": old, "password": "another long password"}
            statuses.append((await post(client, "/profile/password", form)).status_code)
    assert statuses == [*[422] * limits.SIGN_IN_FAILURES_PER_EMAIL, 429]


async def test_sessions_are_found_by_their_person(web: Running) -> None:
    team, sessions = await make_team(web), web.server.services.sessions
    viewer, owner = team.users[Role.VIEWER], team.users[Role.OWNER]
    tokens = [await sign_in(web, viewer) for _ in range(3)]
    await sign_in(web, owner)
    held = {session.id for session in sessions.of(viewer.id)}
    assert held == {session_id(token) for token in tokens}
    assert len(sessions.of(owner.id)) == 1
    await sessions.end(session_id(tokens[0]), viewer.id, "test")
    assert {session.id for session in sessions.of(viewer.id)} == held - {session_id(tokens[0])}
    assert await sessions.end_others(viewer.id, session_id(tokens[1]), "test") == 1
    await web.server.services.users.set_role(viewer.id, team.account, None, "test")
    assert sessions.of(viewer.id) == []
    assert viewer.id not in web.server.services.directory.sessions_by_user


async def test_the_profile_knows_the_browser_in_use(web: Running) -> None:
    team = await make_team(web)
    user = team.users[Role.VIEWER]
    here, _ = await sign_in(web, user), await sign_in(web, user)
    await age(web, SESSION, seen_ms=web.server.services.clock.now_ms() - 480_000)
    async with visitor(web, here) as client:
        page = (await client.get("/profile")).text
    assert page.count("This browser, now") == 1
    assert page.count("8 min ago") == 1  # the other one
