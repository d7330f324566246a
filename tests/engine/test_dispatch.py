"""Lanes at work: limits, order, backlog, recovery, and what a broken disk or a dead endpoint may and may not do."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest

from tests.engine.desk import ACTOR, OK, REFUSED, Desk, answer, opened_desk, until
from tests.patience import PATIENCE_SECONDS
from whatsync.engine.attempt import Attempt
from whatsync.engine.directory import RunningAccount
from whatsync.engine.troubles import oldest_due_seconds
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Unavailable
from whatsync.model.health import Health
from whatsync.ports.history import DeliveryQuery, DeliveryView
from whatsync.ports.store import AttemptRow, Claimed, EventRow, HealthRow, Origin, Recorded


async def endpoint(desk: Desk, account: RunningAccount, host: str = "a.example", **fields: Any) -> str:
    form = EndpointForm(**{"url": f"https://{host}/hook", "events": ["*"], **fields})
    return (await desk.endpoints.create(account, form, ACTOR)).running.endpoint.id


async def send(desk: Desk, account: RunningAccount, count: int, contact: str = "+491", first: int = 0) -> None:
    for number in range(first, first + count):
        data = {"from": contact, "to": "+492", "text": f"{number}"}
        raw = json.dumps({"event": "message.incoming", "id": f"{contact[1:]}-{number}", "data": data}).encode()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await desk.ingest.accept(account, raw)


def hold(desk: Desk, host: str = "a.example") -> asyncio.Event:
    desk.receivers.held[host] = asyncio.Event()
    return desk.receivers.held[host]


def texts(desk: Desk) -> list[str]:
    return [msgspec.json.decode(request.body)["data"]["text"] for request in desk.receivers.requests]


async def views(desk: Desk, account: RunningAccount) -> tuple[DeliveryView, ...]:
    return (await desk.store.deliveries(DeliveryQuery(account.row, limit=200))).items


async def all_in(desk: Desk, account: RunningAccount, state: State) -> bool:
    return all(view.state is state for view in await views(desk, account))


async def test_no_more_than_allowed_are_under_way_and_the_rest_follows_in_order() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account, max_in_flight=2)
        gate = hold(desk)
        await send(desk, account, 6)
        await desk.receivers.until(2)
        assert desk.dispatcher.in_flight == 2
        assert len(desk.receivers.requests) == 2
        gate.set()
        await desk.receivers.until(6)
        assert texts(desk) == ["0", "1", "2", "3", "4", "5"]


async def test_what_does_not_fit_waits_in_the_store_and_the_old_goes_before_the_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "LANE_DELIVERIES_MAX", 4)
    monkeypatch.setattr(limits, "LANE_DELIVERIES_FAILING", 4)
    monkeypatch.setattr(limits, "CLAIM_DELIVERIES_MAX", 4)
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account, max_in_flight=1)
        gate = hold(desk)
        await send(desk, account, 30)
        assert desk.dispatcher.budget.deliveries_held <= 4
        gate.set()
        await desk.receivers.until(15)
        await send(desk, account, 10, first=30)
        await desk.receivers.until(40)
        assert texts(desk) == [str(number) for number in range(40)]
        await until(lambda: desk.dispatcher.budget.deliveries_held == 0)
        assert desk.dispatcher.budget.bytes_held == 0


async def test_a_slow_endpoint_delays_nobody_else() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account, "slow.example", max_in_flight=1)
        await endpoint(desk, account, "fast.example")
        hold(desk, "slow.example")
        await send(desk, account, 50)
        await until(lambda: sum(one.target.host == "fast.example" for one in desk.receivers.requests) == 50)


async def test_a_rate_limit_is_kept() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account, rate_limit_per_second=2)
        await send(desk, account, 12)
        arrivals: list[int] = []
        for _ in range(400):
            desk.clock.advance(0.05)
            for _ in range(12):
                await asyncio.sleep(0)
            arrivals += [desk.clock.ms] * (len(desk.receivers.requests) - len(arrivals))
        assert len(arrivals) == 12
        busiest = max(sum(at <= other < at + 1000 for other in arrivals) for at in arrivals)
        assert busiest <= 3, arrivals


async def paced(desk: Desk, count: int) -> None:
    """Let time pass whenever a lane waits for it, until there have been so many attempts."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(desk.observed) < count:
            await asyncio.sleep(0)
            if any(lane.waking for lane in desk.dispatcher.lanes.values()) and desk.clock.sleepers:
                desk.clock.advance(0.01)


async def test_a_failing_endpoint_gets_one_at_a_time_and_everything_comes_when_it_is_back() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account)
        desk.receivers.answers["a.example"] = REFUSED
        await send(desk, account, 8)
        await paced(desk, 8)
        lane = next(iter(desk.dispatcher.lanes.values()))
        assert lane.limit == 1
        del desk.receivers.answers["a.example"]
        await send(desk, account, 1, first=8)
        await paced(desk, 9)
        await until(lambda: len(desk.observed) == 17)
        await until(lambda: desk.dispatcher.recorder.unrecorded == 0)
        assert await all_in(desk, account, State.SUCCEEDED)
        assert texts(desk)[-8:] == [str(number) for number in range(8)]


async def test_an_endpoint_that_fails_at_once_is_tried_at_a_bounded_pace() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account)
        desk.receivers.answers["a.example"] = REFUSED
        begun = desk.clock.ms
        await send(desk, account, 30)
        await paced(desk, 30)
        at_once = limits.FAILURES_IN_A_ROW_TO_SLOW + 1
        assert desk.clock.ms - begun >= round((30 - at_once) * limits.FAILING_ATTEMPT_SECONDS * 1000)
        assert desk.clock.ms - begun <= 40 * limits.FAILING_ATTEMPT_SECONDS * 1000
        assert len(desk.observed) == 30


async def test_one_delivery_that_always_fails_keeps_its_schedule_beside_others_that_succeed() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account)
        desk.receivers.answers["a.example"] = answer(500)
        await send(desk, account, 1)
        await until(lambda: len(desk.observed) == 1)
        del desk.receivers.answers["a.example"]
        await send(desk, account, 5, first=1)
        await until(lambda: len(desk.observed) == 6)
        await until(lambda: desk.dispatcher.recorder.unrecorded == 0)
        states = [view.state for view in await views(desk, account)]
        assert states.count(State.RETRYING) == 1


async def test_retry_after_lengthens_the_wait() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account)
        desk.receivers.answers["a.example"] = msgspec.structs.replace(answer(429), retry_after="600")
        await send(desk, account, 1)
        await until(lambda: len(desk.observed) == 1)
        row = desk.observed[0].row
        assert row.due_ms is not None
        assert row.due_ms - row.finished_ms >= 600_000


async def test_gone_disables_the_endpoint_and_holds_what_is_open() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = await endpoint(desk, account)
        desk.receivers.answers["a.example"] = answer(410)
        await send(desk, account, 3)
        await until(lambda: not desk.directory.endpoints_by_id[name].endpoint.enabled)
        await desk.sweep.settled()
        await until(lambda: desk.dispatcher.recorder.unrecorded == 0)
        assert await all_in(desk, account, State.HELD)
        assert [notice.type for notice in desk.notices].count("endpoint.disabled") == 1


async def test_while_outcomes_can_not_be_written_no_new_attempt_starts_and_nothing_is_lost() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account, max_in_flight=1)
        gate = hold(desk)
        await send(desk, account, 5)
        await desk.receivers.until(1)
        desk.stage.broken = True
        gate.set()
        await until(lambda: not desk.dispatcher.recorder.gate_open)
        begun = len(desk.receivers.requests)
        for _ in range(200):
            desk.clock.advance(1)
            await asyncio.sleep(0)
        assert len(desk.receivers.requests) == begun
        with pytest.raises(Unavailable):
            await send(desk, account, 1, first=9)
        desk.stage.broken = False
        for _ in range(20):
            desk.clock.advance(5)
            await asyncio.sleep(0)
        await desk.receivers.until(5)
        await until(lambda: desk.dispatcher.recorder.unrecorded == 0)
        assert await all_in(desk, account, State.SUCCEEDED)
        assert sorted(texts(desk)) == ["0", "1", "2", "3", "4"]


@pytest.mark.takes_apart
async def test_a_bug_in_an_attempt_costs_neither_the_delivery_nor_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account)
        begin = desk.attempter.begin

        def stumble(attempt: Attempt) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(desk.attempter, "begin", stumble)
        await send(desk, account, 1)
        await until(lambda: desk.dispatcher.in_flight == 0 and desk.dispatcher.budget.deliveries_held == 0)
        assert desk.dispatcher.budget.bytes_held == 0
        monkeypatch.setattr(desk.attempter, "begin", begin)
        desk.clock.advance(901)
        desk.dispatcher.claiming.wakeup.set()
        await desk.receivers.until(1)
        await until(lambda: desk.dispatcher.recorder.unrecorded == 0)
        assert await all_in(desk, account, State.SUCCEEDED)


async def test_an_outcome_that_can_not_be_written_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account, max_in_flight=4)
        gate = hold(desk)
        await send(desk, account, 4)
        await desk.receivers.until(4)
        record = desk.store.record
        poisoned = (await views(desk, account))[1].id

        def stumble(rows: list[AttemptRow], health: list[HealthRow]) -> Awaitable[Recorded]:
            if any(row.delivery == poisoned for row in rows):
                raise RuntimeError("a bug")
            return record(rows, health)

        monkeypatch.setattr(desk.store, "record", stumble)
        gate.set()
        await until(lambda: desk.dispatcher.budget.deliveries_held == 0)
        states = {view.id: view.state for view in await views(desk, account)}
        assert states.pop(poisoned) is State.PENDING
        assert set(states.values()) == {State.SUCCEEDED}
        assert desk.dispatcher.recorder.gate_open


async def test_a_test_taken_back_after_a_crash_does_not_clear_failures() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account)
        lane = desk.dispatcher.lane(next(iter(account.endpoints.values())))
        lane.health = Health(failed_attempts=1, first_failure_ms=1, last_failure_ms=1)
        event = EventRow(1, account.row, "msg_t", "message.incoming", b'{"data":{}}', test=True)
        lane.owned += 1
        desk.dispatcher.budget.deliveries_held += 1
        desk.dispatcher.hand_over(lane.endpoint.row, Claimed(2, 1, 0, State.PENDING, event, None, Origin.TEST))
        await desk.receivers.until(1)
        await until(lambda: lane.owned == 0)
        assert lane.health.failed_attempts == 1


async def test_order_per_contact_is_kept_and_other_contacts_go_on() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account, ordering="contact")
        gate = hold(desk)
        await send(desk, account, 3, contact="+491")
        await send(desk, account, 1, contact="+493")
        await desk.receivers.until(2)
        for _ in range(50):
            await asyncio.sleep(0)
        assert texts(desk) == ["0", "0"]
        gate.set()
        await desk.receivers.until(4)
        assert texts(desk)[2:] == ["1", "2"]


async def test_an_answer_is_recorded_with_all_that_was_seen() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account)
        await send(desk, account, 1)
        await until(lambda: len(desk.observed) == 1)
        await until(lambda: desk.dispatcher.recorder.unrecorded == 0)
        (view,) = await views(desk, account)
        (exchange,) = await desk.store.attempts(account.row, view.id)
        assert exchange.row.answer_body == OK.body
        assert (exchange.row.status, exchange.row.total_us, exchange.late) == (200, 1200, False)


async def test_a_backlog_ages_while_all_that_is_in_memory_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANE_DELIVERIES_MAX", "LANE_DELIVERIES_FAILING", "CLAIM_DELIVERIES_MAX"):
        monkeypatch.setattr(limits, name, 4)
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account)
        gate = hold(desk)
        await send(desk, account, 12)
        await until(lambda: desk.dispatcher.in_flight == 4)
        (lane,) = desk.dispatcher.lanes.values()
        desk.clock.advance(10)
        await until(lambda: not lane.claiming and lane.next_due_ms is None)
        assert (lane.direct, len(lane.queue)) == (False, 0)
        assert oldest_due_seconds(desk.dispatcher, desk.clock.now_ms()) == 10
        gate.set()
        await desk.receivers.until(12)
        await until(lambda: lane.direct)
        assert oldest_due_seconds(desk.dispatcher, desk.clock.now_ms()) == 0


async def test_a_backlog_that_is_just_being_read_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LANE_DELIVERIES_MAX", 4)
    monkeypatch.setattr(limits, "LANE_DELIVERIES_FAILING", 4)
    monkeypatch.setattr(limits, "CLAIM_DELIVERIES_MAX", 4)
    async with opened_desk() as desk:
        account = await desk.account()
        await endpoint(desk, account)
        gate = hold(desk)
        await send(desk, account, 30)
        desk.clock.advance(10)
        claim, asked, goes_on = desk.store.claim, 0, asyncio.Event()

        async def slow(*arguments: Any, **named: Any) -> Any:
            nonlocal asked
            asked += 1
            if asked > 1:
                await goes_on.wait()
            return await claim(*arguments, **named)

        monkeypatch.setattr(desk.store, "claim", slow)
        gate.set()
        await until(lambda: asked == 2 and desk.dispatcher.in_flight == 0)
        assert oldest_due_seconds(desk.dispatcher, desk.clock.now_ms()) == 10
        goes_on.set()
        await desk.receivers.until(30)
        await until(lambda: desk.dispatcher.budget.deliveries_held == 0)
        assert oldest_due_seconds(desk.dispatcher, desk.clock.now_ms()) == 0
