"""What keeps strangers out of the dashboard: hosts, origins, form tokens, headers; and how failures look."""

from pathlib import Path

import httpx
import pytest

from tests.web.people import make_team, post, sign_in, token_of, visitor
from tests.web.running import Running, running
from whatsync.config import read
from whatsync.model.errors import Forbidden
from whatsync.model.user import Role
from whatsync.ports.store import StoreUnavailable
from whatsync.web.pages import guard
from whatsync.web.pages.assets import installed
from whatsync.web.pages.cookies import Jar
from whatsync.web.pages.guard import check_origin
from whatsync.web.pages.page import Flash, Tone
from whatsync.web.pages.table import PAGES


async def test_every_page_carries_the_policy(web: Running) -> None:
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as client:
        paths = ["/no-such-page", *(page.path.replace("{account}", team.account.account.id) for page in PAGES)]
        for path in paths:
            headers = (await client.get(path)).headers
            assert headers["content-security-policy"] == guard.POLICY, path
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"
    for word in ("unsafe", "http", "*"):
        assert word not in guard.POLICY


async def test_a_page_holds_nothing_that_the_policy_forbids(web: Running) -> None:
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as client:
        for page in PAGES:
            if page.method == "GET":
                text = (await client.get(page.path.replace("{account}", team.account.account.id))).text
                for forbidden in (" style=", " onclick=", " onload=", "<style", "javascript:", "hx-on"):
                    assert forbidden not in text, (page.path, forbidden)


async def test_forms_need_their_token_and_their_own_site(web: Running) -> None:
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as client:
        token = await token_of(client)
        for page in PAGES:
            if page.method != "POST":
                continue
            path = page.path.replace("{account}", team.account.account.id)
            for data in ({}, {"csrf": ""}, {"csrf": token[:-2]}, {"csrf": "A" * len(token)}):
                assert (await client.post(path, data=data)).status_code == 403, (path, data)
            for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "null"}):
                assert (await client.post(path, data={"csrf": token}, headers=headers)).status_code == 403, path
            foreign = {"origin": "https://evil.example", "sec-fetch-site": "same-origin"}
            assert (await client.post(path, data={"csrf": token}, headers=foreign)).status_code == 403
        assert (await client.get(team.path)).status_code == 200
        headers = {"x-csrf-token": token, "hx-request": "true"}
        answer = await client.post("/theme", data={"theme": "dark", "back": "/profile"}, headers=headers)
        assert (answer.status_code, answer.headers["hx-redirect"]) == (200, "/profile")
        assert 'data-theme="dark"' in (await client.get("/profile")).text


async def test_no_method_but_post_changes_anything(web: Running) -> None:
    async with visitor(web) as client:
        assert (await client.put("/sign-in")).status_code == 405
        assert (await client.get("/theme")).status_code == 405


@pytest.mark.parametrize(
    ("settings", "good", "bad"),
    [
        (
            {"HOST": "127.0.0.1"},
            ["127.0.0.1:8600", "localhost", "localhost:1", "[::1]:8600", "app.localhost"],
            ["evil.example", "10.1.2.3", "127.0.0.1.evil.example", "", "localhost.evil.example", "[::1"],
        ),
        (
            {"HOST": "0.0.0.0", "PUBLIC_URL": "https://hooks.example"},
            ["hooks.example", "HOOKS.example:443", "10.1.2.3:8600", "127.0.0.1", "localhost"],
            ["evil.example", "hooks.example.evil.example", "xhooks.example"],
        ),
        ({"HOST": "10.1.2.3"}, ["10.1.2.3:8600"], ["localhost", "10.1.2.4"]),
    ],
)
def test_only_own_hosts_are_answered(settings: dict[str, str], good: list[str], bad: list[str]) -> None:
    hosts = guard.Hosts(read({f"WHATSYNC_{name}": value for name, value in settings.items()}))
    for host in good:
        hosts.check(host)
    for host in bad:
        with pytest.raises(guard.WrongHost, match="does not answer to the name"):
            hosts.check(host)


async def test_a_strange_host_is_told_what_to_set(web: Running) -> None:
    async with visitor(web) as client:
        answer = await client.get("/sign-in", headers={"host": "rebound.example"})
        assert answer.status_code == 400
        assert "WHATSYNC_PUBLIC_URL" in answer.text
    api = await web.call("GET", "/v1/account", headers={"host": "rebound.example"})
    assert api.status_code == 200  # keys are no cookies: no page can borrow them


def test_behind_https_is_known_by_the_public_host() -> None:
    hosts = guard.Hosts(read({"WHATSYNC_PUBLIC_URL": "https://hooks.example"}))
    assert hosts.secure("hooks.example", "http")
    assert not hosts.secure("127.0.0.1:8600", "http")
    assert hosts.secure("127.0.0.1:8600", "https")


async def test_cookies_over_https(tmp_path: Path) -> None:
    async with running(tmp_path, WHATSYNC_PUBLIC_URL="https://hooks.example") as web, visitor(web) as client:
        answer = await client.get("/sign-in", headers={"host": "hooks.example"})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-whatsync-visitor=")
        assert "; Secure" in cookie
        assert "Domain" not in cookie


def test_a_token_is_masked_anew_and_counts_only_with_its_cookie() -> None:
    one, other = (guard.csrf_token("secret", bytes([pad]) * guard.PAD_BYTES) for pad in (1, 2))
    assert one != other
    guard.check_csrf("secret", one)
    guard.check_csrf("secret", other)
    for secret, token in (("other", one), (None, one), ("secret", ""), ("secret", "é"), ("secret", one + "A")):
        with pytest.raises(Forbidden):
            guard.check_csrf(secret, token)


async def test_failures_have_a_page_with_a_way_on(web: Running) -> None:
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        missing = await client.get("/a/nothing/here")
        assert missing.status_code == 404
        assert 'href="/"' in missing.text
        assert (await client.get("/a/acc_other")).status_code == 404
        part = await client.get("/a/acc_other", headers={"hx-request": "true"})
        assert part.headers["hx-retarget"] == "#flashes"
        assert "<html" not in part.text
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}") as program:
        for path in ("/v1/nothing", "/nothing"):
            assert (await program.get(path)).headers["content-type"] == "application/problem+json"


async def test_a_store_that_is_away_has_a_page_of_its_own(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    team = await make_team(web)
    token = await sign_in(web, team.users[Role.OWNER])

    async def broken(change: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(web.server.services.store, "change", broken)
    async with visitor(web, token) as client:
        assert (await client.get(team.path)).status_code == 200  # looking goes on
        answer = await post(client, "/sign-out")
        assert answer.status_code == 503
        assert "The disk is full" in answer.text
        assert answer.headers["retry-after"]


async def test_a_bug_is_told_without_its_details(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    team = await make_team(web)
    token = await sign_in(web, team.users[Role.OWNER])

    def broken(user_id: str) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(web.server.services.sessions, "of", broken)
    async with visitor(web, token) as client:
        answer = await client.get("/profile")
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] in answer.text
        assert "a secret detail" not in answer.text


async def test_assets_are_kept_for_ever_under_their_own_word(web: Running) -> None:
    assets = installed()
    async with visitor(web) as client:
        for name in assets.sizes():
            answer = await client.get(assets.url(name))
            assert answer.status_code == 200, name
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["x-content-type-options"] == "nosniff"
        old = await client.get("/assets/another/app.css")
        assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
        for missing in ("/assets/x/nothing.js", "/assets/x/../page.py", "/assets/x/style/tokens.css"):
            assert (await client.get(missing)).status_code == 404


async def test_a_page_with_all_that_it_loads_is_light(web: Running) -> None:
    team = await make_team(web)
    sizes = installed().sizes()
    async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as client:
        page = await client.get("/profile", headers={"accept-encoding": "gzip"})
        assert page.headers["content-encoding"] == "gzip"
        assert int(page.headers["content-length"]) + sum(sizes.values()) < 200_000


async def test_forms_that_are_no_forms_are_refused(web: Running) -> None:
    async with visitor(web) as client:
        token = await token_of(client, "/sign-in")
        json = await client.post("/sign-in", json={"csrf": token})
        assert json.status_code == 400
        large = await client.post("/sign-in", data={"csrf": token, "email": "x" * 600_000})
        assert large.status_code == 413


@pytest.mark.parametrize("text", ["x" * 5_000, "–" * 5_000, "😀" * 5_000, '"\\' * 3_000, "short"])
def test_a_message_for_the_next_page_is_never_too_long_for_a_cookie(text: str) -> None:
    jar = Jar({}, secure=True)
    jar.keep_flash(Flash(text, Tone.BAD), "secret")
    (cookie,) = jar.set
    assert len(cookie) < 4_096
    name, value = cookie.partition(";")[0].split("=", 1)
    shown = Jar({name: value}, secure=True).flash("secret")
    assert shown is not None
    assert shown.text.rstrip("…")
    assert text.startswith(shown.text.rstrip("…"))


def test_a_proxy_that_changes_the_host_is_named() -> None:
    with pytest.raises(Forbidden, match="changes the Host header") as refused:
        check_origin("127.0.0.1:8600", "https://hooks.example.com", "same-origin")
    assert "WHATSYNC_PUBLIC_URL=https://hooks.example.com" in refused.value.detail
    with pytest.raises(Forbidden, match="another site"):
        check_origin("hooks.example.com", "https://evil.example", "cross-site")
