"""Retention: what is final and old goes, what is not stays, held deliveries end only a day after that was announced."""

import msgspec
import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR, answer
from whatsync.engine.bulk_resend import KIND
from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.inspection import DeliveryFilter
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.model.endpoint_form import EndpointForm
from whatsync.ports.store import EventRow, Pruned

DAY = 86_400
DOWN = "down.example"


async def passed(counter: Counter) -> int:
    """One pass of retention, with its pauses, and its notices told."""
    removed = await counter.retention.pass_once()
    await counter.telling.told()
    return removed


async def notices(counter: Counter, account: RunningAccount) -> list[EventRow]:
    """The announcements made so far."""
    rows, _ = await counter.store.feed(account.row, 0, ("delivery.expiring",), 50)
    return list(rows)


async def with_held(counter: Counter) -> tuple[RunningAccount, RunningEndpoint, str]:
    """An account with one held delivery."""
    counter.receivers.answers[DOWN] = answer(500)
    account = await counter.account()
    endpoint = await counter.endpoint(account, f"https://{DOWN}/")
    event_id = await counter.event(account)
    await counter.settled(account, 1, State.RETRYING)
    await counter.enable(endpoint, False)
    assert await counter.states(account) == [State.HELD]
    return account, endpoint, event_id


async def test_what_is_old_and_final_goes_with_all_that_hangs_on_it() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.endpoint(account)
        await counter.event(account, "old")
        await counter.settled(account, 1)
        counter.clock.advance(limits.RETENTION_DAYS * DAY - 60)
        kept = await counter.event(account, "new")
        await counter.settled(account, 2)
        assert await passed(counter) == 0
        counter.clock.advance(120)
        assert await passed(counter) == 1
        assert [view.event_id for view in await counter.views(account)] == [kept]
        assert len(counter.store.disk.attempts) == 1


async def test_an_accounts_own_days_count() -> None:
    async with opened_counter() as counter:
        account, other = await counter.account(), await counter.account("Other")
        account.account = msgspec.structs.replace(account.account, retention_days=2)
        for one in (account, other):
            await counter.event(one)
        counter.clock.advance(3 * DAY)
        assert await passed(counter) == 1
        assert [event.account for event in counter.store.disk.events.values()] == [other.row]


async def test_what_is_still_on_its_way_stays() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        await counter.endpoint(account, f"https://{DOWN}/")
        await counter.event(account)
        await counter.settled(account, 1, State.RETRYING)
        counter.clock.advance(100 * DAY)
        assert await passed(counter) == 0
        assert await counter.states(account) == [State.RETRYING]


async def test_held_ones_are_announced_a_day_before_and_once() -> None:
    async with opened_counter() as counter:
        account, endpoint, event_id = await with_held(counter)
        form = EndpointForm(url="https://ops.example/", events=["delivery.expiring"])
        watcher = await counter.endpoints.create(account, form, ACTOR)
        counter.clock.advance((limits.RETENTION_DAYS - 2) * DAY)
        await passed(counter)
        assert await notices(counter, account) == []
        counter.clock.advance(1.5 * DAY)
        for _ in range(3):
            assert await passed(counter) == 0
        (notice,) = await notices(counter, account)
        data = msgspec.json.decode(notice.body)["data"]
        assert (data["endpointId"], data["retentionDays"]) == (endpoint.endpoint.id, limits.RETENTION_DAYS)
        await counter.settled(account, 1)
        told = [view for view in await counter.views(account) if view.type == "delivery.expiring"]
        assert [view.endpoint for view in told] == [watcher.running.row], "never to the endpoint it is about"
        counter.clock.advance(0.6 * DAY)
        assert await passed(counter) == 0, "a day has to lie between"
        counter.clock.advance(0.6 * DAY)
        assert await passed(counter) == 1
        assert all(view.event_id != event_id for view in await counter.views(account))


async def test_when_nobody_was_told_nothing_ends() -> None:
    async with opened_counter() as counter:
        account, _, _ = await with_held(counter)
        counter.clock.advance(90 * DAY)
        assert await passed(counter) == 0
        assert len(await notices(counter, account)) == 1
        counter.clock.advance(DAY + 1)
        assert await passed(counter) == 1


async def test_one_endpoint_that_waits_for_its_notice_holds_nothing_older_back() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.event(account, "older, wanted by nobody")
        counter.clock.advance(DAY)
        counter.receivers.answers[DOWN] = answer(500)
        endpoint = await counter.endpoint(account, f"https://{DOWN}/")
        await counter.event(account)
        await counter.settled(account, 1, State.RETRYING)
        await counter.enable(endpoint, False)
        counter.clock.advance(60 * DAY)
        assert await passed(counter) == 1
        assert await counter.states(account) == [State.HELD]


async def test_ended_jobs_go_and_running_ones_stay() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        parameters = await counter.bulk_resend.parameters(account, DeliveryFilter(states=(State.FAILED,)))
        job = await counter.job_ended(account, await counter.jobs.start(account, KIND, parameters, ACTOR))
        await passed(counter)
        assert counter.jobs.read(account, job.id).id == job.id
        counter.clock.advance((limits.RETENTION_DAYS + 1) * DAY)
        counter.stage.broken = True
        await passed(counter)
        counter.stage.broken = False
        assert counter.jobs.read(account, job.id).id == job.id
        await passed(counter)
        assert counter.directory.jobs == {}


async def test_one_accounts_trouble_costs_no_other_its_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_counter() as counter:
        broken, well = await counter.account("Broken"), await counter.account("Well")
        for account in (broken, well):
            await counter.event(account, "old")
        counter.clock.advance(limits.RETENTION_DAYS * DAY + 60)
        asked: list[int] = []
        prune = counter.store.prune

        async def stumbling(account: int, *arguments: int) -> Pruned:
            asked.append(account)
            if account == broken.row:
                raise RuntimeError("planted")
            return await prune(account, *arguments)

        monkeypatch.setattr(counter.store, "prune", stumbling)
        assert await passed(counter) == 1
        assert asked[0] == broken.row
        assert asked[-1] == 0
