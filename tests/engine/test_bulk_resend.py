"""Resending what a filter finds: once for each event and endpoint, never what is on its way or has arrived since."""

import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR, answer
from whatsync.engine.bulk_resend import KIND
from whatsync.engine.directory import RunningAccount
from whatsync.engine.inspection import DeliveryFilter
from whatsync.model.account import Job, JobState
from whatsync.model.delivery import State
from whatsync.model.errors import Invalid
from whatsync.model.ids import delivery_id

DOWN = "down.example"


async def resent(counter: Counter, account: RunningAccount, wanted: DeliveryFilter) -> Job:
    """Resend and wait for the end; the preview must have said the same."""
    parameters = await counter.bulk_resend.parameters(account, wanted)
    preview = await counter.jobs.preview(account, KIND, parameters)
    job = await counter.job_ended(account, await counter.jobs.start(account, KIND, parameters, ACTOR))
    assert job.state is JobState.DONE
    assert (preview.would, preview.skipped_because) == (job.done, job.skipped_because)
    return job


async def test_what_succeeded_can_be_sent_again_when_it_is_asked_for() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.endpoint(account)
        await counter.event(account)
        await counter.settled(account, 1)
        job = await resent(counter, account, DeliveryFilter(states=(State.SUCCEEDED,)))
        assert job.done == 1
        await counter.settled(account, 2)
        job = await resent(counter, account, DeliveryFilter(event="message.incoming"))
        assert (job.done, job.skipped) == (1, 1), "of two deliveries only the newest counts"


async def test_what_is_on_its_way_is_left_alone() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        await counter.endpoint(account, f"https://{DOWN}/")
        await counter.event(account)
        await counter.settled(account, 1, State.RETRYING)
        job = await resent(counter, account, DeliveryFilter(event="message.incoming"))
        assert (job.done, job.skipped_because) == (0, {"under_way": 1})


async def test_endpoints_that_can_not_get_anything_are_skipped() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        off, gone, on = [await counter.endpoint(account, f"https://{name}.example/") for name in ("off", "gone", "on")]
        await counter.event(account)
        await counter.settled(account, 3)
        await counter.enable(off, False)
        await counter.endpoints.delete(account, gone.endpoint.id, ACTOR)
        job = await resent(counter, account, DeliveryFilter(states=(State.SUCCEEDED,)))
        assert (job.done, job.skipped_because) == (1, {"endpoint_disabled": 1, "endpoint_deleted": 1})
        await counter.settled(account, 4)
        assert (await counter.views(account))[-1].endpoint == on.row


async def test_the_filter_is_kept() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(503)
        account = await counter.account()
        endpoint = await counter.once(account)
        await counter.endpoint(account)
        first = await counter.event(account, "alpha")
        await counter.event(account, "beta")
        await counter.settled(account, 2, State.FAILED)
        await counter.settled(account, 2)
        for wanted, count in (
            (DeliveryFilter(code="http_503", q="alpha"), 1),
            (DeliveryFilter(endpoint=endpoint.endpoint.id, event_id=first), 1),
            (DeliveryFilter(code="http_500"), 0),
            (DeliveryFilter(until_ms=1), 0),
            (DeliveryFilter(event_id="msg_unknown", states=(State.FAILED,)), 0),
            (DeliveryFilter(q=delivery_id((await counter.views(account))[0].id)), 1),
        ):
            parameters = await counter.bulk_resend.parameters(account, wanted)
            assert (await counter.jobs.preview(account, KIND, parameters)).would == count, wanted


async def test_a_filter_without_conditions_is_refused() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        with pytest.raises(Invalid, match="at least one condition"):
            await counter.bulk_resend.parameters(account, DeliveryFilter())


async def test_tests_are_not_resent() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        endpoint = await counter.endpoint(account)
        await counter.test_sends.send(account, endpoint.endpoint.id, "message.incoming")
        assert (await resent(counter, account, DeliveryFilter(event="message.incoming"))).done == 0


async def test_nothing_crosses_accounts() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        endpoint = await counter.endpoint(account)
        event_id = await counter.event(account)
        await counter.settled(account, 1)
        stranger = await counter.account("Other")
        with pytest.raises(Invalid) as refused:
            await counter.bulk_resend.parameters(stranger, DeliveryFilter(endpoint=endpoint.endpoint.id))
        assert refused.value.errors[0].field == "filter.endpoint"
        assert (await resent(counter, stranger, DeliveryFilter(event_id=event_id))).done == 0
        assert (await resent(counter, stranger, DeliveryFilter(states=(State.SUCCEEDED,)))).done == 0
        assert len(await counter.views(account)) == 1
