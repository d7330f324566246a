"""What comes round: notices that fall due by time alone, and how many deliveries an account has open."""

from pathlib import Path

import msgspec
import pytest

from tests.web.running import Running, running
from whatsync.engine.upkeep import Upkeep
from whatsync.engine.watch import Notice, Watch
from whatsync.model import limits
from whatsync.model.health import Health


def upkeep_of(web: Running, watch: Watch) -> Upkeep:
    services = web.server.services
    return Upkeep(
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
