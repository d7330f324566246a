"""Addresses that people type: with a slash at the end, and without the account's id."""

import pytest

from tests.web.people import make_operator, make_team, sign_in, visitor
from tests.web.running import Running
from whatsync.model.user import Role
from whatsync.web.pages.home import SHORT_PATHS
from whatsync.web.pages.table import PAGES


async def test_a_slash_at_the_end_leads_to_the_page(web: Running) -> None:
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.VIEWER])) as client:
        for path, query in ((f"{team.path}/history", "?state=failed&q=%2B49"), (team.path, ""), ("/docs", "")):
            for method in ("GET", "HEAD"):
                answer = await client.request(method, f"{path}/{query}")
                assert (answer.status_code, answer.headers["location"]) == (308, path + query)
            assert (await client.get(f"{path}/{query}", follow_redirects=True)).status_code == 200
        strange = await client.get(f"{team.path}/history/dlv_%0d%0aX-Y:%20z%3F%5C/")
        assert strange.headers["location"] == f"{team.path}/history/dlv_%0D%0AX-Y%3A%20z%3F%5C"


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/", "/%2Fevil.example/", "/\\evil.example/", "//evil.example/history/", "///history/",
        "/v1/events/", "/v1/endpoints/ep_1/", "/nothing/", "/history//", "/healthz/", "/sign-out/", "/media/x.jpg/",
        "/assets/x/app.css/", "/",
    ],
)  # fmt: skip
async def test_no_other_address_with_a_slash_leads_anywhere(web: Running, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
    answer = (await web.raw(head.encode())).decode()
    assert "308" not in answer.split("\r\n")[0]
    assert "location: /sign-in" in answer or "location:" not in answer.lower()


async def test_a_form_is_not_sent_on(web: Running) -> None:
    async with visitor(web) as client:
        assert (await client.post("/sign-in/", data={"email": "a"})).status_code == 404


async def test_an_address_without_an_account_means_the_last_one(web: Running) -> None:
    team = await make_team(web)
    async with visitor(web, await sign_in(web, team.users[Role.SUPPORT])) as client:
        answer = await client.get("/history?state=failed&state=held")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{team.path}/history?state=failed&state=held")
    async with visitor(web) as stranger:
        first = await stranger.get("/messages?q=%2B49")
        assert first.headers["location"] == "/sign-in?next=%2Fmessages%3Fq%3D%252B49"
    lone = await web.server.services.users.add("lone@example.com", {}, "test")
    async with visitor(web, await sign_in(web, lone)) as client:
        assert (await client.get("/webhooks")).status_code == 200
    async with visitor(web, await sign_in(web, await make_operator(web))) as client:
        assert (await client.get("/webhooks/new", follow_redirects=True)).status_code == 200


def test_short_addresses_name_pages() -> None:
    pages = {page.path for page in PAGES if page.method == "GET"}
    assert {"/a/{account}" + path for path in SHORT_PATHS} <= pages
