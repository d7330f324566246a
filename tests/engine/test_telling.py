"""Notices become events: once each, kept until the store can take them, told again after a crash, never in a loop."""

import msgspec

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR, answer
from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.upkeep import Upkeep
from whatsync.engine.watch import Notice, Watch, standing_notices
from whatsync.model.delivery import State
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.health import Health
from whatsync.ports.store import EventRow

NEWS = ["endpoint.failing", "endpoint.disabled", "endpoint.recovered", "delivery.exhausted"]
DOWN = "down.example"


async def told(counter: Counter, account: RunningAccount) -> list[EventRow]:
    """The operational events so far."""
    rows, _ = await counter.store.feed(account.row, 0, tuple(NEWS), 200)
    return list(rows)


async def watched(counter: Counter) -> tuple[RunningAccount, RunningEndpoint, RunningEndpoint]:
    """An account with a failing endpoint and another one that gets the news; both want to hear everything."""
    watch = Watch(counter.telling.tell, counter.endpoints.disable_soon)
    counter.dispatcher._watch = watch
    counter.endpoints._tell = counter.telling.tell
    account = await counter.account()
    made = []
    for url in (f"https://{DOWN}/", "https://ops.example/"):
        form = EndpointForm(url=url, events=["*", *NEWS])
        made.append((await counter.endpoints.create(account, form, ACTOR)).running)
    counter.receivers.answers[DOWN] = answer(500)
    return account, made[0], made[1]


async def fail_for(counter: Counter, account: RunningAccount, minutes: int) -> None:
    """Failures over some time."""
    for _ in range(minutes):
        await counter.event(account)
        await counter.pass_time(60, 10)


async def test_a_failing_endpoint_is_told_once_and_not_to_itself() -> None:
    async with opened_counter() as counter:
        account, failing, _ops = await watched(counter)
        await fail_for(counter, account, 10)
        await counter.telling.told()
        news = [event for event in await told(counter, account) if event.type == "endpoint.failing"]
        assert len(news) == 1
        data = msgspec.json.decode(news[0].body)["data"]
        assert data["endpointId"] == failing.endpoint.id
        assert data["lastCode"] == "http_500"
        for event in await told(counter, account):
            views = [view for view in await counter.views(account) if view.event == event.seq]
            assert failing.row not in {view.endpoint for view in views}


async def test_many_notices_are_told_together_in_order_and_kept_while_the_disk_fails() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        data = {"deliveryId": "d", "endpointId": "e", "eventId": "i", "eventType": "t", "attempts": 1}
        data |= {"lastCode": "http_500", "lastError": "It failed."}
        notices = [Notice(account.row, "delivery.exhausted", f"evt_{number}", data) for number in range(450)]
        counter.stage.broken = True
        for notice in notices[:250]:
            counter.telling.tell(notice)
        await counter.pass_time(3)
        assert not await told(counter, account)
        counter.stage.broken = False
        for notice in notices[250:]:
            counter.telling.tell(notice)
        await counter.pass_time(3)
        await counter.telling.told()
        rows, _ = await counter.store.feed(account.row, 0, ("delivery.exhausted",), 1000)
        assert [row.id for row in rows] == [notice.id for notice in notices]


async def test_a_recovery_is_told_once() -> None:
    async with opened_counter() as counter:
        account, _, _ = await watched(counter)
        await fail_for(counter, account, 7)
        counter.receivers.answers.clear()
        for _ in range(3):
            await counter.event(account)
            await counter.pass_time(120, 30)
        await counter.telling.told()
        words = [event.type for event in await told(counter, account) if event.type != "delivery.exhausted"]
        assert words == ["endpoint.failing", "endpoint.recovered"]


async def test_two_endpoints_that_fail_do_not_tell_each_other_for_ever() -> None:
    async with opened_counter() as counter:
        account, _, _ = await watched(counter)
        counter.receivers.answers["ops.example"] = answer(500)
        await fail_for(counter, account, 12)
        await counter.telling.told()
        before = len(await told(counter, account))
        kinds = [event.type for event in await told(counter, account)]
        assert kinds.count("endpoint.failing") == 2
        await counter.pass_time(3600, 60)
        await counter.telling.told()
        extra = [event.type for event in (await told(counter, account))[before:]]
        assert set(extra) <= {"delivery.exhausted"}


async def test_news_about_news_that_failed_is_not_told() -> None:
    async with opened_counter() as counter:
        account, _, _ = await watched(counter)
        counter.receivers.answers["ops.example"] = answer(500)
        data = {
            "endpointId": "ep_gone",
            "url": "https://x.example",
            "since": "2023-06-15T14:22:33Z",
            "failedAttempts": 3,
        }
        counter.telling.tell(Notice(account.row, "endpoint.failing", "evt_1", data))
        await counter.telling.told()
        await counter.pass_time(600, 10)
        await counter.settled(account, 2, State.FAILED)
        assert [event.type for event in await told(counter, account)] == ["endpoint.failing"]


async def test_a_notice_waits_for_a_store_that_can_not_write() -> None:
    async with opened_counter() as counter:
        account, failing, _ = await watched(counter)
        counter.stage.broken = True
        health = Health(failed_attempts=3, first_failure_ms=counter.clock.ms, announced_failing=True)
        (notice,) = standing_notices(failing, health, counter.clock.ms)
        counter.telling.tell(notice)
        await counter.pass_time(5)
        counter.stage.broken = False
        await counter.pass_time(5)
        await counter.telling.told()
        assert [event.id for event in await told(counter, account)] == [notice.id]


async def test_what_was_known_before_a_crash_is_told_again_but_is_one_event() -> None:
    async with opened_counter() as counter:
        account, failing, _ = await watched(counter)
        await fail_for(counter, account, 7)
        await counter.telling.told()
        lost = [event for event in await told(counter, account) if event.type == "endpoint.failing"]
        await counter.dispatcher.recorder.drained()
        disk = counter.store.disk
    for _ in range(2):
        async with opened_counter(disk) as counter:
            counter.clock.ms = failing.endpoint.created_ms + 3_600_000
            account = counter.directory.accounts_by_id[account.account.id]
            heard: list[Notice] = []
            counter.telling.on_news.append(heard.append)
            counter.telling.retell(counter.dispatcher.health)
            await counter.telling.told()
            found = [event.id for event in await told(counter, account) if event.type == "endpoint.failing"]
            assert found == [event.id for event in lost]
            assert heard == []


async def test_a_crash_before_the_notice_was_on_disk_loses_nothing() -> None:
    async with opened_counter() as counter:
        account, failing, _ = await watched(counter)
        lost: list[Notice] = []
        counter.dispatcher._watch = Watch(lost.append, counter.endpoints.disable_soon)
        await fail_for(counter, account, 7)
        await counter.dispatcher.recorder.drained()
        disk = counter.store.disk
    async with opened_counter(disk) as counter:
        counter.clock.ms = failing.endpoint.created_ms + 3_600_000
        account = counter.directory.accounts_by_id[account.account.id]
        counter.telling.retell(counter.dispatcher.health)
        await counter.telling.told()
        found = [event.id for event in await told(counter, account)]
        assert {notice.type for notice in lost} == {"endpoint.failing", "delivery.exhausted"}
        assert sorted(found) == sorted(notice.id for notice in lost)


async def test_a_crash_before_a_recovery_was_told_loses_it_not_and_tells_it_once() -> None:
    async with opened_counter() as counter:
        account, failing, _ = await watched(counter)
        await fail_for(counter, account, 7)
        await counter.telling.told()
        lost: list[Notice] = []
        counter.dispatcher._watch = Watch(lost.append, counter.endpoints.disable_soon)
        counter.receivers.answers.clear()
        await counter.event(account)
        await counter.pass_time(120, 30)
        await counter.dispatcher.recorder.drained()
        disk = counter.store.disk
    assert [notice.type for notice in lost] == ["endpoint.recovered"]
    for _ in range(2):
        async with opened_counter(disk) as counter:
            counter.clock.ms = failing.endpoint.created_ms + 3_600_000
            account = counter.directory.accounts_by_id[account.account.id]
            counter.telling.retell(counter.dispatcher.health)
            await counter.telling.told()
            found = [event for event in await told(counter, account) if event.type == "endpoint.recovered"]
            assert [event.id for event in found] == [lost[0].id]
            data = msgspec.json.decode(found[0].body)["data"]
            assert data["failedAttempts"] == lost[0].data["failedAttempts"] > 0
            assert data["since"] == lost[0].data["since"]


async def test_what_was_told_already_is_not_looked_for_again() -> None:
    async with opened_counter() as counter:
        account, failing, _ = await watched(counter)
        counter.dispatcher._watch = Watch(counter.telling.tell, counter.endpoints.disable_soon, counter.telling.waits)
        await fail_for(counter, account, 3)
        await counter.telling.told()
        first = counter.dispatcher.health(failing.row).exhausted_ms
        await fail_for(counter, account, 3)
        await counter.telling.told()
        assert first is not None
        last = counter.dispatcher.health(failing.row).exhausted_ms
        assert last is not None
        assert last > first
        assert not counter.telling.waits(failing.row)


async def test_a_410_whose_disabling_was_lost_disables_at_the_next_start() -> None:
    async with opened_counter() as counter:
        account, failing, _ = await watched(counter)
        counter.dispatcher._watch = Watch(counter.telling.tell, lambda *_: None)
        counter.receivers.answers[DOWN] = answer(410)
        await counter.event(account)
        await counter.settled(account, 1, State.HELD)
        await counter.dispatcher.recorder.drained()
        assert counter.directory.endpoints[failing.row].endpoint.enabled
        disk = counter.store.disk
    async with opened_counter(disk) as counter:
        watch = Watch(counter.telling.tell, counter.endpoints.disable_soon)
        counter.endpoints._tell = counter.telling.tell
        started(counter, watch)
        await counter.endpoints.disabled()
        await counter.telling.told()
        assert not counter.directory.endpoints[failing.row].endpoint.enabled
        account = counter.directory.accounts_by_id[account.account.id]
        assert [event.type for event in await told(counter, account)] == ["endpoint.disabled"]
        counter.receivers.answers.clear()
        counter.clock.advance(60)
        await counter.enable(counter.directory.endpoints[failing.row], True, "send")
        await counter.settled(account, 2)
        # As if the cleared health had not reached the disk: what was before the enabling counts no more.
        disk.health[failing.row] = Health(
            failed_attempts=1, first_failure_ms=1, last_failure_ms=counter.clock.ms - 60_000, gone_ms=1
        )
    async with opened_counter(disk) as counter:
        started(counter, Watch(counter.telling.tell, counter.endpoints.disable_soon))
        await counter.endpoints.disabled()
        assert counter.directory.endpoints[failing.row].endpoint.enabled
        assert counter.dispatcher.health(failing.row).failed_attempts == 0


def started(counter: Counter, watch: Watch) -> None:
    """What the server does with the state it finds at its start."""
    upkeep = Upkeep(
        store=counter.store,
        directory=counter.directory,
        dispatcher=counter.dispatcher,
        watch=watch,
        history=counter.store,
        quota=counter.quota,
        clock=counter.clock,
    )
    upkeep.load(())


async def test_old_states_are_not_told_again() -> None:
    async with opened_counter() as counter:
        account, _, _ = await watched(counter)
        await fail_for(counter, account, 7)
        await counter.telling.told()
        disk = counter.store.disk
    async with opened_counter(disk) as counter:
        counter.clock.advance(8 * 86_400)
        counter.telling.retell(counter.dispatcher.health)
        assert not counter.telling._waiting


async def test_a_410_is_told_as_disabled() -> None:
    async with opened_counter() as counter:
        account, failing, _ = await watched(counter)
        counter.receivers.answers[DOWN] = answer(410)
        await counter.event(account)
        await counter.settled(account, 1, State.HELD)
        await counter.endpoints.disabled()
        await counter.telling.told()
        (news,) = [event for event in await told(counter, account) if event.type == "endpoint.disabled"]
        assert msgspec.json.decode(news.body)["data"]["reason"] == "gone"
        assert not counter.directory.endpoints[failing.row].endpoint.enabled


async def test_news_of_one_account_stays_there() -> None:
    async with opened_counter() as counter:
        account, _, _ = await watched(counter)
        stranger = await counter.account("Other")
        await counter.endpoints.create(stranger, EndpointForm(url="https://s.example/", events=["*", *NEWS]), ACTOR)
        await fail_for(counter, account, 7)
        await counter.telling.told()
        assert await told(counter, account)
        assert await told(counter, stranger) == []
        assert await counter.views(stranger) == []
