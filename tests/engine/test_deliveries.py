"""Retry, cancel and resend: each says what will happen, does it, and reaches into no other account."""

import asyncio

import msgspec
import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR, answer, until
from whatsync.engine.directory import RunningAccount
from whatsync.model.account import AccountLimits
from whatsync.model.delivery import State
from whatsync.model.endpoint import Ordering
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Conflict, LimitExceeded, NotFound, Unavailable
from whatsync.model.ids import delivery_id

DOWN = "down.example"


async def failing(counter: Counter) -> tuple[RunningAccount, str]:
    """An account with one delivery that has failed once and waits for its next try."""
    counter.receivers.answers[DOWN] = answer(500)
    account = await counter.account()
    await counter.endpoint(account, f"https://{DOWN}/hook")
    await counter.event(account)
    await counter.settled(account, 1, State.RETRYING)
    return account, delivery_id((await counter.views(account))[0].id)


async def test_a_waiting_delivery_is_sent_now() -> None:
    async with opened_counter() as counter:
        account, public_id = await failing(counter)
        del counter.receivers.answers[DOWN]
        promise = await counter.deliveries.retry(account, public_id)
        assert (promise.code, promise.state) == ("will_be_sent", State.RETRYING)
        await counter.settled(account, 1)
        assert len(counter.receivers.requests) == 2


async def test_a_delivery_under_way_is_left_to_its_attempt() -> None:
    async with opened_counter() as counter:
        gate = counter.receivers.held["shop.example"] = asyncio.Event()
        account = await counter.account()
        await counter.endpoint(account)
        await counter.event(account)
        await counter.receivers.until(1)
        public_id = delivery_id((await counter.views(account))[0].id)
        assert (await counter.deliveries.retry(account, public_id)).code == "under_way"
        gate.set()
        await counter.settled(account, 1)
        assert len(counter.receivers.requests) == 1


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
async def test_a_final_delivery_is_refused_with_what_to_do_instead(state: State) -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        if state is State.FAILED:
            counter.receivers.answers[DOWN] = answer(500)
        endpoint = await counter.once(account)
        if state is State.CANCELLED:
            await counter.enable(endpoint, False)
            await counter.enable(endpoint, True)
            counter.receivers.answers[DOWN] = answer(410)
            await counter.event(account)
            await counter.settled(account, 1, State.HELD)
            await counter.deliveries.cancel(account, delivery_id((await counter.views(account))[0].id))
        else:
            await counter.event(account)
        await counter.settled(account, 1, state)
        public_id = delivery_id((await counter.views(account))[0].id)
        for act in (counter.deliveries.retry, counter.deliveries.cancel):
            with pytest.raises(Conflict, match="/resend") as caught:
                await act(account, public_id)
            assert caught.value.code == "delivery_final"
        assert await counter.states(account) == [state]


async def test_held_deliveries_of_a_disabled_endpoint_are_not_retried() -> None:
    async with opened_counter() as counter:
        account, public_id = await failing(counter)
        (endpoint,) = account.endpoints.values()
        await counter.enable(endpoint, False)
        with pytest.raises(Conflict, match='"held": "send"') as caught:
            await counter.deliveries.retry(account, public_id)
        assert caught.value.code == "endpoint_disabled"
        assert await counter.states(account) == [State.HELD]


async def test_a_held_delivery_of_an_enabled_endpoint_is_released() -> None:
    async with opened_counter() as counter:
        account, public_id = await failing(counter)
        (endpoint,) = account.endpoints.values()
        await counter.enable(endpoint, False)
        await counter.enable(endpoint, True, "keep")
        del counter.receivers.answers[DOWN]
        assert await counter.states(account) == [State.HELD]
        promise = await counter.deliveries.retry(account, public_id)
        assert promise.code == "released"
        await counter.settled(account, 1)


async def test_an_ordered_delivery_waits_its_turn() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        form = EndpointForm(url=f"https://{DOWN}/", events=["*"], ordering=Ordering.CONTACT)
        await counter.endpoints.create(account, form, ACTOR)
        await counter.event(account, "first")
        await counter.settled(account, 1, State.RETRYING)
        await counter.event(account, "second")
        first, second = [delivery_id(view.id) for view in await counter.views(account)]
        with pytest.raises(Conflict, match=first) as caught:
            await counter.deliveries.retry(account, second)
        assert caught.value.code == "waits_its_turn"
        del counter.receivers.answers[DOWN]
        await counter.deliveries.cancel(account, first)
        await counter.settled(account, 1)
        assert b"second" in counter.receivers.requests[-1].body


async def test_cancelling_ends_a_waiting_delivery_for_good() -> None:
    async with opened_counter() as counter:
        account, public_id = await failing(counter)
        promise = await counter.deliveries.cancel(account, public_id)
        assert (promise.code, promise.state) == ("cancelled", State.CANCELLED)
        await counter.pass_time(600, 10)
        assert len(counter.receivers.requests) == 1
        (view,) = await counter.views(account)
        assert (view.state, view.reason) == (State.CANCELLED, "cancelled by request")


async def test_cancelling_says_that_a_request_is_under_way() -> None:
    async with opened_counter() as counter:
        gate = counter.receivers.held["shop.example"] = asyncio.Event()
        account = await counter.account()
        await counter.endpoint(account)
        await counter.event(account)
        await counter.receivers.until(1)
        public_id = delivery_id((await counter.views(account))[0].id)
        assert (await counter.deliveries.cancel(account, public_id)).code == "cancelled_under_way"
        gate.set()
        await until(lambda: bool(counter.store.disk.attempts))
        (view,) = await counter.views(account)
        assert (view.state, view.attempts) == (State.CANCELLED, 1)


async def test_a_cancelled_delivery_leaves_the_queue_in_memory() -> None:
    async with opened_counter() as counter:
        gate = counter.receivers.held["shop.example"] = asyncio.Event()
        account = await counter.account()
        form = EndpointForm(url="https://shop.example/", events=["*"], max_in_flight=1)
        await counter.endpoints.create(account, form, ACTOR)
        await counter.event(account, "first")
        await counter.event(account, "queued")
        await counter.receivers.until(1)
        queued = delivery_id((await counter.views(account))[1].id)
        assert (await counter.deliveries.cancel(account, queued)).code == "cancelled"
        gate.set()
        await counter.settled(account, 1)
        await counter.event(account, "third")
        await counter.settled(account, 2)
        assert [b"queued" in request.body for request in counter.receivers.requests] == [False, False]
        await counter.dispatcher.recorder.drained()
        assert counter.dispatcher.budget.deliveries_held == 0


async def test_resending_makes_new_deliveries_of_the_same_event() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        one = await counter.endpoint(account)
        await counter.endpoint(account, "https://other.example/")
        event_id = await counter.event(account)
        await counter.settled(account, 2)
        resent = await counter.deliveries.resend(account, event_id, one.endpoint.id)
        assert [to.endpoint.id for _, to in resent.deliveries] == [one.endpoint.id]
        await counter.settled(account, 3)
        assert len((await counter.deliveries.resend(account, event_id)).deliveries) == 2
        await counter.settled(account, 5)
        bodies = {request.body for request in counter.receivers.requests}
        assert len(bodies) == 1
        ids = {request.head.partition(b"X-WhatsSync-Delivery: ")[2][:17] for request in counter.receivers.requests}
        assert len(ids) == 5


async def test_resending_to_an_endpoint_by_name_passes_its_filters() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        form = EndpointForm(url="https://shop.example/", events=["contact.update"])
        endpoint = (await counter.endpoints.create(account, form, ACTOR)).running
        event_id = await counter.event(account)
        with pytest.raises(Conflict, match="endpointId") as caught:
            await counter.deliveries.resend(account, event_id)
        assert caught.value.code == "no_endpoint"
        await counter.deliveries.resend(account, event_id, endpoint.endpoint.id)
        await counter.settled(account, 1)


async def test_resending_to_a_disabled_endpoint_is_refused_with_what_to_do() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        endpoint = await counter.endpoint(account)
        event_id = await counter.event(account)
        await counter.settled(account, 1)
        await counter.enable(endpoint, False)
        with pytest.raises(Conflict, match="enable it first"):
            await counter.deliveries.resend(account, event_id, endpoint.endpoint.id)
        with pytest.raises(Conflict):
            await counter.deliveries.resend(account, event_id)
        assert len(await counter.views(account)) == 1


async def test_tests_are_not_resent() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        endpoint = await counter.endpoint(account)
        sent = await counter.test_sends.send(account, endpoint.endpoint.id, "message.incoming")
        with pytest.raises(Conflict) as caught:
            await counter.deliveries.resend(account, sent.event.id)
        assert caught.value.code == "test_event"


async def test_resending_counts_against_the_open_deliveries() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.endpoint(account)
        event_id = await counter.event(account)
        account.account = msgspec.structs.replace(account.account, limits=AccountLimits(open_deliveries=5))
        counter.quota.open_deliveries[account.row] = 5
        with pytest.raises(LimitExceeded):
            await counter.deliveries.resend(account, event_id)


async def test_while_the_store_is_away_nothing_is_promised() -> None:
    async with opened_counter() as counter:
        account, public_id = await failing(counter)
        event_id = (await counter.views(account))[0].event_id
        counter.stage.broken = True
        with pytest.raises(Unavailable):
            await counter.deliveries.retry(account, public_id)
        with pytest.raises(Unavailable):
            await counter.deliveries.cancel(account, public_id)
        with pytest.raises(Unavailable):
            await counter.deliveries.resend(account, event_id)
        counter.stage.broken = False
        assert await counter.states(account) == [State.RETRYING]


async def test_nothing_crosses_accounts() -> None:
    async with opened_counter() as counter:
        account, public_id = await failing(counter)
        event_id = (await counter.views(account))[0].event_id
        stranger = await counter.account("Other")
        foreign = await counter.endpoint(stranger, "https://stranger.example/")
        for act in (counter.deliveries.retry, counter.deliveries.cancel, counter.deliveries.find):
            with pytest.raises(NotFound):
                await act(stranger, public_id)
        with pytest.raises(NotFound):
            await counter.deliveries.resend(stranger, event_id)
        with pytest.raises(NotFound):
            await counter.deliveries.resend(account, event_id, foreign.endpoint.id)
        assert await counter.states(account) == [State.RETRYING]
        assert await counter.views(stranger) == []


@pytest.mark.parametrize("public_id", ["", "dlv_", "dlv_0000000000000", "nonsense", "dlv_" + "v" * 13])
async def test_unknown_ids_are_not_found(public_id: str) -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        with pytest.raises(NotFound):
            await counter.deliveries.retry(account, public_id)
