"""Pages in a frame of another product: who may frame them, whose cookies count there, and no way that leads out."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec
import pytest

from tests.web.people import Team, make_team, sign_in, token_of, visitor
from tests.web.receiver import receiving
from tests.web.running import Running, running
from whatsync.config import read
from whatsync.engine.directory import SESSION
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.user import Embedding, Role, Theme
from whatsync.ports.store import Change, Put
from whatsync.web.pages import guard
from whatsync.web.pages.cookies import Jar
from whatsync.web.pages.frames import Frames
from whatsync.web.pages.table import PAGES

PRODUCTS = "https://app.example.com https://shop.example.com:8443"
ANCESTORS = f"frame-ancestors {PRODUCTS};"


class Frame:
    """A frame in a browser: whole pages, htmx's parts and forms, with cookies of its own that ``Secure`` does not stop,
    as browsers do for this machine's names.
    """

    def __init__(self, web: Running) -> None:
        self.client = visitor(web)
        self.cookies: dict[str, str] = {}
        self.set: dict[str, str] = {}

    async def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        headers = {"sec-fetch-dest": "iframe", "cookie": "; ".join(f"{n}={v}" for n, v in self.cookies.items())}
        headers |= dict(more.pop("headers", {}))  # type: ignore[call-overload]
        answer = await self.client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]
        for line in answer.headers.get_list("set-cookie"):
            name, value = line.partition(";")[0].split("=", 1)
            self.cookies[name] = value
            self.set[name] = line
        self.client.cookies.clear()
        return answer

    async def post(self, path: str, page: str, **data: str) -> httpx.Response:
        """Send a form of the page ``page``."""
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.ask("GET", page)).text)
        assert found, page
        return await self.ask("POST", path, data={"csrf": found[1], **data})


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    allowed = "127.0.0.0/8"
    async with running(tmp_path, WHATSYNC_EMBED_ORIGINS=PRODUCTS, WHATSYNC_ALLOW_ADDRESSES=allowed) as server:
        yield server


async def link_of(web: Running, team: Team, role: Role = Role.SUPPORT, **how: object) -> str:
    embedding = Embedding(**({"frame": True} | how))  # type: ignore[arg-type]
    return (await web.server.services.links.make_embedded(team.account, role, "test", embedding)).path


async def opened(web: Running, team: Team, role: Role = Role.SUPPORT) -> Frame:
    """A frame with a visit."""
    frame, path = Frame(web), await link_of(web, team, role)
    answer = await frame.post(path, path)
    assert answer.status_code == 303, answer.text
    return frame


async def test_only_what_shows_in_a_frame_names_who_may_frame_it(web: Running) -> None:
    team = await make_team(web)
    frame = await opened(web, team)
    for path in (await link_of(web, team), team.path, f"{team.path}/history", f"{team.path}/history/nothing"):
        headers = (await frame.ask("GET", path)).headers
        assert ANCESTORS in headers["content-security-policy"] + ";", path
        assert "x-frame-options" not in headers
        assert headers["content-security-policy"].replace(ANCESTORS, "frame-ancestors 'none';") == guard.POLICY
    async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as owner:
        for path in (team.path, f"{team.path}/history", await link_of(web, team), "/sign-in"):
            headers = (await owner.get(path)).headers
            assert (headers["content-security-policy"], headers["x-frame-options"]) == (guard.POLICY, "DENY"), path


async def test_without_the_setting_nothing_shows_in_a_frame(tmp_path: Path) -> None:
    async with running(tmp_path) as web:
        path = f"/v1/accounts/{web.first.account.account.id}/sign-in-link"
        answer = await web.call("POST", path, key=web.operator_key, json={"frame": True})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["field"], "WHATSYNC_EMBED_ORIGINS" in error["message"]) == ("frame", True)
        team = await make_team(web)
        async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as owner:
            answer = await owner.get(team.path, headers={"sec-fetch-dest": "iframe", "x-whatssync-frame": "1"})
            assert (answer.status_code, answer.headers["content-security-policy"]) == (200, guard.POLICY)
        async with visitor(web, await sign_in(web, team.users[Role.OWNER])) as operator:
            assert "WHATSYNC_EMBED_ORIGINS" not in (await operator.get(team.path)).text


async def test_cookies_of_a_frame_are_apart_and_others_stay_as_they_are(web: Running) -> None:
    team = await make_team(web)
    frame = await opened(web, team)
    for name in ("whatsync-frame-session", "whatsync-frame-visitor"):
        attributes = set(frame.set[name].split("; ")[1:])
        assert {"Path=/", "HttpOnly", "SameSite=None", "Secure", "Partitioned"} < attributes, name
    assert not [name for name in frame.set if not name.startswith("whatsync-frame-")]
    jar = Jar({"__Host-whatsync-frame-session": "in", "__Host-whatsync-session": "out"}, secure=True, framed=True)
    jar.keep_session("token")
    assert jar.session == "in"
    (line,) = jar.set
    assert line.startswith("__Host-whatsync-frame-session=token; Path=/; Max-Age=28800; HttpOnly; SameSite=None; ")
    assert line.endswith("; Secure; Partitioned")
    outside = Jar({}, secure=True)
    outside.keep_session("token")
    assert outside.set[0].endswith("; HttpOnly; SameSite=Lax; Secure")


async def test_sessions_count_only_where_they_began(web: Running) -> None:
    team = await make_team(web)
    owner = await sign_in(web, team.users[Role.OWNER])
    frame = await opened(web, team)
    inside = frame.cookies["whatsync-frame-session"]
    stranger = Frame(web)
    for cookies in ({"whatsync-session": owner}, {"whatsync-frame-session": owner}, {"whatsync-session": inside}):
        stranger.cookies = cookies
        answer = await stranger.ask("GET", team.path)
        assert (answer.status_code, "This visit has ended" in answer.text) == (401, True), cookies
        part = await stranger.ask("GET", team.path, headers={"hx-request": "true"})
        assert part.headers["hx-redirect"] == "/"
        assert (await stranger.ask("GET", "/sign-in")).status_code == 401
    for token in (inside, "nobody"):
        async with visitor(web, token) as outside:
            assert (await outside.get(team.path)).status_code == 303


async def test_forms_in_a_frame_need_their_token_and_their_own_page(web: Running) -> None:
    team = await make_team(web)
    frame = await opened(web, team, Role.DEVELOPER)
    path, data = f"{team.path}/webhooks/new", {"url": "https://8.8.8.8/hook", "events": "message.incoming"}
    assert (await frame.ask("POST", path, data=data)).status_code == 403
    found = re.search(r'name="csrf" value="([^"]+)"', (await frame.ask("GET", path)).text)
    assert found
    data["csrf"] = found[1]
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://app.example.com"},
        {"origin": "null"},
    ):
        assert (await frame.ask("POST", path, data=data, headers=headers)).status_code == 403, headers
    assert not team.account.endpoints
    assert (await frame.ask("POST", path, data=data)).status_code == 303
    viewer = await opened(web, team, Role.VIEWER)
    assert (await viewer.ask("GET", path)).status_code == 403


async def test_a_link_is_used_up_only_where_the_frame_keeps_cookies(web: Running) -> None:
    team = await make_team(web)
    path = await link_of(web, team, path="/history?state=failed", theme=Theme.DARK)
    frame = Frame(web)
    for _ in range(2):
        assert "data-send-at-once" in (await frame.ask("GET", path)).text
    frame.cookies.clear()
    refused = await frame.ask("POST", path, data={"csrf": "x"})
    assert refused.status_code == 403
    assert f'href="{path}" target="_blank"' in refused.text
    assert "data-send-at-once" not in refused.text
    async with visitor(web) as window:  # in a tab of its own the same link opens
        answer = await window.post(path, data={"csrf": await token_of(window, path)})
        assert answer.headers["location"] == f"{team.path}/history?state=failed"
        assert "SameSite=Lax" in answer.headers["set-cookie"]
        assert 'data-theme="dark"' in (await window.get(answer.headers["location"])).text
        assert (await window.get(path)).headers["location"] == "/"  # back to what it has begun
    used = await frame.ask("GET", path)
    assert (used.status_code, "used already" in used.text, "/sign-in" in used.text) == (410, True, False)


async def test_a_link_for_a_window_does_nothing_in_a_frame(web: Running) -> None:
    team = await make_team(web)
    frame, path = Frame(web), await link_of(web, team, frame=False)
    shown = await frame.ask("GET", path)
    assert (shown.status_code, "in a window of its own" in shown.text) == (404, True)
    person = await web.server.services.links.make_for(team.users[Role.OWNER], "test")
    assert (await frame.ask("GET", person.path)).status_code == 404


async def test_another_account_takes_the_frames_place(web: Running) -> None:
    team, others = await make_team(web), await make_team(web, "Others")
    frame = await opened(web, team)
    path = await link_of(web, others)
    assert (await frame.post(path, path)).status_code == 303
    assert (await frame.ask("GET", others.path)).status_code == 200
    assert "This visit has ended" in (await frame.ask("GET", team.path)).text
    assert (await frame.ask("GET", "/")).headers["location"] == others.path


async def walk(frame: Frame, *starts: str) -> tuple[set[str], list[str]]:
    """Follow every link from these pages on; the paths seen, and what would break in a frame."""
    ahead, seen, wrong = list(starts), set[str](), list[str]()
    while ahead:
        path = ahead.pop()
        if path.partition("?")[0] in seen:
            continue
        seen.add(path.partition("?")[0])
        answer = await frame.ask("GET", path)
        if answer.status_code not in (200, 303):
            wrong.append(f"{path}: {answer.status_code}")
        if "autofocus" in answer.text:
            wrong.append(f"{path}: browsers refuse autofocus in a frame")
        for tag, link in re.findall(r'(<(?:a|form)\b[^>]*(?:href|action)="([^"#]+)[^>]*>)', answer.text):
            outward = bool(urlsplit(link).scheme)
            if outward and 'target="_blank"' not in tag:
                wrong.append(f"{path}: {link} would open in the frame")
            elif not outward and not ("post" in tag and tag.startswith("<form")):
                ahead.append(urljoin(path, link.replace("&amp;", "&")))
    return seen, wrong


async def test_another_tab_goes_on_with_the_same_visit(web: Running) -> None:
    team = await make_team(web)
    frame = await opened(web, team, Role.DEVELOPER)
    found = re.search(r'name="csrf" value="([^"]+)"', (await frame.ask("GET", f"{team.path}/webhooks/new")).text)
    assert found
    first = frame.cookies["whatsync-frame-session"]
    path = await link_of(web, team, Role.DEVELOPER, path="/history")
    assert (await frame.post(path, path)).headers["location"] == f"{team.path}/history"
    assert frame.cookies["whatsync-frame-session"] == first
    form = {"csrf": found[1], "url": "https://8.8.8.8/hook", "events": "message.incoming"}
    assert (await frame.ask("POST", f"{team.path}/webhooks/new", data=form)).status_code == 303
    directory = web.server.services.directory
    assert len([session for _, session in directory.sessions.values() if session.frame]) == 1
    path = await link_of(web, team, Role.VIEWER)  # other rights are another visit
    assert (await frame.post(path, path)).status_code == 303
    assert frame.cookies["whatsync-frame-session"] != first
    assert (await frame.ask("GET", f"{team.path}/webhooks/new")).status_code == 403
    for document, session in list(directory.sessions.values()):
        aged = msgspec.structs.replace(session, expires_ms=session.created_ms + 3_600_000)
        put = Put(SESSION, session.id, document.account, msgspec.json.encode(aged), document.version)
        await web.server.services.configuration.change(Change(document.account, (put,), routing=False))
    before = frame.cookies["whatsync-frame-session"]
    path = await link_of(web, team, Role.VIEWER)
    assert (await frame.post(path, path)).status_code == 303
    assert frame.cookies["whatsync-frame-session"] != before  # one that ends soon is followed by another


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER])
async def test_nothing_in_a_frame_leads_out_of_it(web: Running, role: Role) -> None:
    team = await make_team(web)
    services = web.server.services
    async with receiving() as receiver:
        receiver.status = 500
        await services.endpoints.create(
            team.account, EndpointForm(url=receiver.url, events=["*"], retry_schedule=[]), "test"
        )
        made = await services.keys.create(team.account, "test", ("events:write",), "test")  # type: ignore[arg-type]
        data = {"from": "+1234567890", "to": "+0987654321", "text": "Hello"}
        event = {"event": "message.incoming", "data": data}
        assert (await web.call("POST", "/v1/events", key=made.secret, json=event)).status_code == 202
        frame = await opened(web, team, role)
        seen, wrong = await walk(frame, team.path, f"{team.path}/history/events")
    assert not wrong, "\n".join(wrong)
    assert {f"{team.path}{place}" for place in ("/webhooks", "/history", "/jobs", "/messages")} < seen
    assert len(seen) > 12
    closed = [page for page in PAGES if page.method == "GET" and not page.embedded]
    for page in closed:
        answer = await frame.ask("GET", re.sub(r"{\w+}", "nothing", page.path.replace("{account}", team.path[3:])))
        assert answer.status_code == 403, page.path


@pytest.mark.parametrize(
    "path", ["history", "//evil.example", "/../acc_other", "/a\\b", "/x y", "/<b>", "/" + "x" * 2_000, "/a//b", "/ü"]
)
async def test_a_link_opens_below_its_account_only(web: Running, path: str) -> None:
    call = f"/v1/accounts/{web.first.account.account.id}/sign-in-link"
    answer = await web.call("POST", call, key=web.operator_key, json={"frame": True, "path": path})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "path")


def test_origins_are_exact_and_wrong_ones_are_named() -> None:
    given = "https://App.Example.com:443/, http://localhost:3000 https://[::1]:8443,https://app.example.com"
    config = read({"WHATSYNC_EMBED_ORIGINS": given})
    assert config.embed_origins == ("https://app.example.com", "http://localhost:3000", "https://[::1]:8443")
    assert Frames(config.embed_origins).asked({"sec-fetch-dest": "iframe"})
    assert not Frames(()).asked({"sec-fetch-dest": "iframe"})
