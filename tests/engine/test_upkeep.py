"""What comes round: notices that fall due by time alone, and how many deliveries an account has open."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.receiver import receiving
from tests.web.running import Running, running
from whatsync.engine.upkeep import Upkeep
from whatsync.engine.watch import Notice, Watch
from whatsync.model import limits
from whatsync.model.health import Health
from whatsync.web.pages.condition import condition


def upkeep_of(web: Running, watch: Watch) -> Upkeep:
    services = web.server.services
    return Upkeep(
        store=services.store,
        directory=services.directory,
        dispatcher=services.dispatcher,
        watch=watch,
        history=services.history,
        quota=services.quota,
        clock=services.clock,
    )


async def test_a_notice_falls_due_without_an_attempt(tmp_path: Path) -> None:
    async with running(tmp_path) as web:
        services = web.server.services
        form = {"url": "http://127.0.0.1:9/hook", "events": ["*"]}
        endpoint = services.directory.endpoints_by_id[(await web.call("POST", "/v1/endpoints", json=form)).json()["id"]]
        told: list[Notice] = []
        upkeep = upkeep_of(web, Watch(told.append, lambda *_: None))
        now = services.clock.now_ms()
        lane = services.dispatcher.lane(endpoint)
        lane.health = Health(
            failed_attempts=limits.DISABLE_ATTEMPTS_MIN,
            failed_deliveries=limits.DISABLE_DELIVERIES_MIN,
            failures_in_a_row=limits.DISABLE_ATTEMPTS_MIN,
            first_failure_ms=now - (limits.DISABLE_AFTER_SECONDS - limits.DISABLE_NOTICE_SECONDS) * 1000,
            last_failure_ms=now - 1000,
            last_failure_code="http_500",
            announced_failing=True,
        )
        await upkeep.look_at_health()
        assert [notice.type for notice in told] == ["endpoint.failing"]
        assert lane.health.notice_ms is not None
        await upkeep.look_at_health()
        assert len(told) == 1
        lane.health = msgspec.structs.replace(lane.health, notice_ms=None)


async def test_held_deliveries_count_against_the_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OPEN_COUNT_PAUSE_SECONDS", 0.0)
    async with running(tmp_path) as web:
        services = web.server.services
        upkeep = upkeep_of(web, Watch(lambda _: None, lambda *_: None))
        form = {"url": "http://127.0.0.1:9/hook", "events": ["*"]}
        endpoint = (await web.call("POST", "/v1/endpoints", json=form)).json()["id"]
        event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
        for _ in range(3):
            await web.call("POST", "/v1/events", json=event)
        await web.call("PATCH", f"/v1/endpoints/{endpoint}", json={"enabled": False})
        await services.sweep.settled()
        await upkeep.count_open()
        assert list(services.quota.open_deliveries.values()) == [3]
        path = f"/v1/accounts/{web.first.account.account.id}"
        answer = await web.call("PATCH", path, key=web.operator_key, json={"limits": {"openDeliveries": 3}})
        assert answer.status_code == 200, answer.text
        refused = await web.call("POST", "/v1/events", json=event)
        assert (refused.status_code, refused.json()["code"]) == (429, "open_deliveries")
        await web.call("DELETE", f"/v1/endpoints/{endpoint}")
        await services.sweep.settled()
        await upkeep.count_open()
        assert (await web.call("POST", "/v1/events", json=event)).status_code == 202


async def test_more_are_counted_than_pages_show_where_the_account_may_have_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OPEN_COUNT_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(limits, "COUNT_CEILING", 2)
    async with running(tmp_path) as web:
        services = web.server.services
        upkeep = upkeep_of(web, Watch(lambda _: None, lambda *_: None))
        form = {"url": "http://127.0.0.1:9/hook", "events": ["*"], "retrySchedule": [600]}
        await web.call("POST", "/v1/endpoints", json=form)
        event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
        for _ in range(5):
            await web.call("POST", "/v1/events", json=event)
        path = f"/v1/accounts/{web.first.account.account.id}"
        for most in (6, 5):
            await web.call("PATCH", path, key=web.operator_key, json={"limits": {"openDeliveries": most}})
            await upkeep.count_open()
            assert list(services.quota.open_deliveries.values()) == [5]
        refused = await web.call("POST", "/v1/events", json=event)
        assert (refused.status_code, refused.json()["code"]) == (429, "open_deliveries")


async def test_how_long_the_oldest_waited_is_counted_while_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OPEN_COUNT_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(limits, "WAITING_COUNTED_MS_MIN", 600_000)  # however long this takes
    async with running(tmp_path) as web:
        services = web.server.services
        upkeep = upkeep_of(web, Watch(lambda _: None, lambda *_: None))
        form = {"url": "http://127.0.0.1:9/hook", "events": ["*"], "retrySchedule": [600]}
        endpoint = services.directory.endpoints_by_id[(await web.call("POST", "/v1/endpoints", json=form)).json()["id"]]
        event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
        await web.call("POST", "/v1/events", json=event)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while services.dispatcher.lane(endpoint).next_due_ms is None:  # noqa: ASYNC110 - until it waits for its retry
                await asyncio.sleep(0.01)

        async def looks() -> list[tuple[int, int, int]]:
            rows = await services.history.rollups(endpoint.account.row, None, 0, 2 * services.clock.now_ms())
            return [(row.endpoint, row.bucket, row.count) for row in rows if row.outcome == "waiting"]

        await upkeep.count_open()
        assert await looks() == []  # what is on its way is nothing to look at
        monkeypatch.setattr(limits, "WAITING_COUNTED_MS_MIN", 0)
        await upkeep.count_open()
        await upkeep.count_open()
        counted = await looks()
        assert sum(count for *_, count in counted) == 2
        assert all(bucket <= 14 for _, bucket, _ in counted)


async def test_a_success_before_a_restart_is_known_after_it(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with running(tmp_path, in_memory=False, WHATSYNC_ALLOW_ADDRESSES="127.0.0.0/8") as web:
            for url in (receiver.url, "http://127.0.0.1:9/never"):
                await web.call("POST", "/v1/endpoints", json={"url": url, "events": ["*"], "retrySchedule": []})
            account = web.first.account.row
            first = web.first
            event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
            await web.call("POST", "/v1/events", json=event)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (await web.call("GET", "/v1/deliveries?state=succeeded")).json()["items"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        async with running(tmp_path, in_memory=False, keys=first) as web:
            endpoints = web.server.services.endpoints
            await endpoints.successes.look()
            held = web.server.services.directory.accounts[account].endpoints.values()
            known = {one.endpoint.url: endpoints.facts(one) for one in held}
            assert known[receiver.url].health.last_success_ms is None
            assert {url: facts.succeeded_lately for url, facts in known.items()} == {
                receiver.url: True,
                "http://127.0.0.1:9/never": False,
            }
            assert condition(known[receiver.url]).word == "Healthy"
