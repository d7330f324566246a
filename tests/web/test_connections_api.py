"""Connecting a source by itself against a stand-in for Meta: what is set up there, and each gap by its name."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.graph.apps import App
from tests.graph.server import GraphServer
from tests.sources.whatsapp.cloud import body, change, escaped, message, signed, value
from tests.sources.whatsapp.kinds import BODIES
from tests.web.running import Running, running

PUBLIC = "https://hooks.example.com"
SECRET = "0123456789abcdef0123456789abcdef"
NUMBERS = [
    {"id": "700000000000001", "display_phone_number": "+1 555-010-0200", "verified_name": "Shop"},
    {"id": "700000000000002", "display_phone_number": "+1 555-010-0300", "verified_name": "Support"},
]


@dataclass
class Desk:
    """The server, the app at Meta, and the source between them."""

    server: Running
    app: App
    source: str

    async def operator(self, method: str, path: str, json: object = None) -> Any:
        return await self.server.call(
            method, f"/v1/sources/{self.source}{path}", key=self.server.operator_key, json=json
        )

    async def gaps(self) -> list[str]:
        found = (await self.operator("GET", "/check")).json()
        assert found["ok"] == all(one["ok"] for one in found["findings"])
        assert all(one["nextStep"] for one in found["findings"] if not one["ok"])
        return [one["code"] for one in found["findings"] if not one["ok"]]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    app = App("1234567890", SECRET, "EAAtoken", {"800000000000001": NUMBERS})
    settings: dict[str, Any] = {"WHATSYNC_PUBLIC_URL": PUBLIC, "WHATSYNC_ALLOW_ADDRESSES": "127.0.0.0/8"}
    async with GraphServer(app.routes()) as graph, running(tmp_path, graph_url=graph.url, **settings) as server:
        app.reach = f"http://127.0.0.1:{server.port}"
        account = (await server.call("GET", "/v1/account")).json()["id"]
        form = {"name": "App", "appId": app.id, "appSecret": SECRET, "accessToken": app.token, "account": account}
        made = await server.call("POST", "/v1/sources", key=server.operator_key, json=form)
        yield Desk(server, app, made.json()["id"])


async def test_a_source_connects_by_itself(desk: Desk) -> None:
    assert await desk.gaps() == ["callback", "subscribed", "webhook"]
    done = await desk.operator("POST", "/connect", {})
    assert done.status_code == 200, done.text
    assert done.json() == {
        "callbackUrl": f"{PUBLIC}/sources/whatsapp/{desk.source}",
        "wabaIds": ["800000000000001"],
        "numbers": [one["id"] for one in NUMBERS],
    }
    assert desk.app.callback == done.json()["callbackUrl"]
    assert "messages" in desk.app.fields
    assert desk.app.subscribed == {"800000000000001"}
    own = (await desk.server.call("GET", "/v1/numbers")).json()["items"]
    assert {(one["phoneNumberId"], one["displayNumber"], one["wabaId"]) for one in own} == {
        ("700000000000001", "+15550100200", "800000000000001"),
        ("700000000000002", "+15550100300", "800000000000001"),
    }
    assert await desk.gaps() == ["webhook"]
    raw = escaped(BODIES["text"])
    await desk.server.client.post(f"/sources/whatsapp/{desk.source}", content=raw, headers=signed(raw, SECRET))
    assert await desk.gaps() == []


async def test_another_callback_is_named_and_replaced_only_when_asked_for(desk: Desk) -> None:
    desk.app.callback, desk.app.fields = "https://old.example/hook", ["messages"]
    refused = await desk.operator("POST", "/connect", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "other_callback")
    assert "https://old.example/hook" in refused.json()["detail"]
    assert desk.app.callback == "https://old.example/hook"
    assert (await desk.operator("POST", "/connect", {"replaceCallback": True})).status_code == 200
    assert desk.app.callback.startswith(PUBLIC)


async def test_business_accounts_are_led_here_past_the_apps_own_callback(desk: Desk) -> None:
    old = desk.app.callback = "https://old.example/hook"
    desk.app.fields = ["messages"]
    done = await desk.operator("POST", "/connect", {"overrideCallback": True})
    assert done.status_code == 200, done.text
    assert desk.app.callback == old
    assert desk.app.overrides == {"800000000000001": done.json()["callbackUrl"]}
    assert await desk.gaps() == ["webhook"]
    assert (await desk.operator("POST", "/connect", {"replaceCallback": True})).status_code == 200
    assert desk.app.overrides == {}
    assert (desk.app.callback, await desk.gaps()) == (done.json()["callbackUrl"], ["webhook"])


async def test_what_is_led_away_is_named(desk: Desk) -> None:
    await desk.operator("POST", "/connect", {})
    desk.app.overrides = {"800000000000001": "https://old.example/hook"}
    assert await desk.gaps() == ["override", "webhook"]
    desk.app.overrides = {"700000000000002": "https://old.example/number"}
    found = (await desk.operator("GET", "/check")).json()["findings"]
    (gap,) = [one for one in found if one["code"] == "override"]
    assert "700000000000002" in gap["sentence"]
    assert "https://old.example/number" in gap["sentence"]
    assert gap["ok"] is False


async def test_each_gap_has_its_name(desk: Desk) -> None:
    await desk.operator("POST", "/connect", {})
    desk.app.fields = ["account_update"]
    assert "callback" in await desk.gaps()
    desk.app.fields = ["messages"]
    desk.app.subscribed = set()
    assert "subscribed" in await desk.gaps()
    desk.app.expires_at = desk.server.server.services.clock.now_ms() // 1000 + 3_600
    assert "token_expiry" in await desk.gaps()
    desk.app.scopes = ["whatsapp_business_management"]
    assert "permissions" in await desk.gaps()
    desk.app.valid = False
    assert "access_token" in await desk.gaps()
    await desk.operator("PATCH", "", {"accessToken": None})
    assert "access_token" in await desk.gaps()
    await desk.operator("PATCH", "", {"appId": None})
    assert "app_id" in await desk.gaps()


async def test_metas_own_test_and_refused_signatures_are_told(desk: Desk) -> None:
    await desk.operator("POST", "/connect", {})
    door = f"/sources/whatsapp/{desk.source}"
    raw = escaped(body(change(value("123456123", messages=[message(person="16315551181")])), business="0"))
    assert (await desk.server.client.post(door, content=raw, headers=signed(raw, SECRET))).status_code == 200
    found = (await desk.operator("GET", "/check")).json()["findings"]
    assert "Meta reaches you, and the signature is right" in found[-1]["sentence"]
    for _ in range(2):
        await desk.server.client.post(door, content=raw, headers=signed(raw, "another"))
    assert await desk.gaps() == ["signature"]
    real = escaped(BODIES["text"])
    await desk.server.client.post(door, content=real, headers=signed(real, SECRET))
    assert await desk.gaps() == []
    assert "The last webhook came" in (await desk.operator("GET", "/check")).json()["findings"][-1]["sentence"]


async def test_metas_refusal_is_told_in_its_own_words(desk: Desk) -> None:
    desk.app.secret = "another"
    answer = await desk.operator("POST", "/connect", {})
    assert (answer.status_code, answer.json()["code"]) == (503, "meta_refused")
    assert "Invalid OAuth access token" in answer.json()["detail"]
    assert SECRET not in answer.text
    assert "callback" in await desk.gaps()


async def test_what_is_missing_here_is_named_before_meta_is_asked(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        key = server.operator_key
        source = (await server.call("POST", "/v1/sources", key=key, json={"name": "Bare"})).json()["id"]
        answer = await server.call("POST", f"/v1/sources/{source}/connect", key=key, json={})
        assert (answer.status_code, "PUBLIC_URL" in answer.text) == (422, True)
        found = (await server.call("GET", f"/v1/sources/{source}/check", key=key)).json()["findings"]
        assert [one["code"] for one in found if not one["ok"]] == ["public_url", "app_secret", "app_id", "webhook"]
