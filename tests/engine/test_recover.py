"""Recovering an endpoint: what waits goes now, what is held is released, what failed or is missing is sent anew."""

import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR, START_MS, answer
from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.recover import KIND, STATES
from whatsync.engine.watch import Notice
from whatsync.model.account import Job, JobState
from whatsync.model.delivery import State
from whatsync.model.endpoint import Ordering
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Conflict, Invalid, NotFound
from whatsync.ports.store import Origin

DOWN = "down.example"


async def recovered(
    counter: Counter, endpoint: RunningEndpoint, states: tuple[str, ...] = STATES, since_ms: int = START_MS
) -> Job:
    """Recover the endpoint and wait for the end; the preview must have said the same."""
    account = endpoint.account
    parameters = counter.recover.parameters(account, endpoint.endpoint.id, since_ms, None, states)
    preview = await counter.jobs.preview(account, KIND, parameters)
    job = await counter.job_ended(account, await counter.jobs.start(account, KIND, parameters, ACTOR))
    assert (preview.would, preview.skipped_because) == (job.done, job.skipped_because)
    return job


async def down(counter: Counter) -> tuple[RunningAccount, RunningEndpoint]:
    """An account whose only endpoint answers 500 and is tried once."""
    counter.receivers.answers[DOWN] = answer(500)
    account = await counter.account()
    return account, await counter.once(account)


async def test_failed_ones_are_sent_again() -> None:
    async with opened_counter() as counter:
        account, endpoint = await down(counter)
        for text in ("one", "two"):
            await counter.event(account, text)
        await counter.settled(account, 2, State.FAILED)
        counter.receivers.answers.clear()
        job = await recovered(counter, endpoint, ("failed",))
        assert (job.state, job.done) == (JobState.DONE, 2)
        await counter.settled(account, 2)
        views = await counter.views(account)
        assert [view.origin for view in views[2:]] == [Origin.RECOVER] * 2


async def test_what_has_arrived_since_is_skipped() -> None:
    async with opened_counter() as counter:
        account, endpoint = await down(counter)
        event_id = await counter.event(account)
        await counter.settled(account, 1, State.FAILED)
        counter.receivers.answers.clear()
        await counter.deliveries.resend(account, event_id)
        await counter.settled(account, 1)
        job = await recovered(counter, endpoint)
        assert (job.done, job.skipped_because) == (0, {"succeeded_since": 1})


async def test_of_several_failures_of_one_event_only_the_newest_counts() -> None:
    async with opened_counter() as counter:
        account, endpoint = await down(counter)
        event_id = await counter.event(account)
        await counter.settled(account, 1, State.FAILED)
        await counter.deliveries.resend(account, event_id)
        await counter.settled(account, 2, State.FAILED)
        counter.receivers.answers.clear()
        job = await recovered(counter, endpoint)
        assert (job.done, job.skipped_because) == (1, {"newer_delivery": 1})
        await counter.settled(account, 1)


async def test_waiting_retries_go_now() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        endpoint = await counter.endpoint(account, f"https://{DOWN}/")
        await counter.event(account)
        await counter.settled(account, 1, State.RETRYING)
        counter.receivers.answers.clear()
        job = await recovered(counter, endpoint, ("retrying",))
        assert job.done == 1
        await counter.settled(account, 1)
        assert len(await counter.views(account)) == 1


async def test_held_ones_are_released_in_place() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        endpoint = await counter.endpoint(account, f"https://{DOWN}/")
        await counter.event(account)
        await counter.settled(account, 1, State.RETRYING)
        await counter.enable(endpoint, False)
        await counter.enable(endpoint, True, "keep")
        counter.receivers.answers.clear()
        job = await recovered(counter, endpoint)
        assert job.done == 1
        await counter.settled(account, 1)
        assert len(await counter.views(account)) == 1


async def test_what_is_missing_is_made_by_todays_filters() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        for status in ("read", "failed", "sent"):
            await counter.submit(
                account, event="message.status", data={"messageId": "msg_1", "status": status}, id=f"status_{status}"
            )
        await counter.event(account)
        counter.clock.advance(60)
        form = EndpointForm(
            url="https://new.example/",
            events=["message.status"],
            filters={"message.status": {"status": ["failed", "read"]}},
        )
        endpoint = (await counter.endpoints.create(account, form, ACTOR)).running
        job = await recovered(counter, endpoint)
        assert (job.done, job.skipped_because) == (2, {"filtered": 1})
        await counter.settled(account, 2)
        assert {view.event_id for view in await counter.views(account)} == {"status_read", "status_failed"}
        assert (await recovered(counter, endpoint)).done == 0


async def test_tests_and_news_about_the_endpoint_itself_are_never_missing() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        form = EndpointForm(url="https://news.example/", events=["endpoint.failing", "message.incoming"])
        endpoint = (await counter.endpoints.create(account, form, ACTOR)).running
        other = await counter.endpoint(account)
        await counter.enable(endpoint, False)
        await counter.test_sends.send(account, other.endpoint.id, "message.incoming")
        for about in (endpoint, other):
            data = {
                "endpointId": about.endpoint.id,
                "url": "https://x.example",
                "since": "2023-06-15T14:22:33Z",
                "failedAttempts": 3,
            }
            await counter.ingest.emit(Notice(account.row, "endpoint.failing", f"evt_{about.row}", data, about.row))
        await counter.enable(endpoint, True)
        job = await recovered(counter, endpoint, ("missing",))
        assert (job.done, job.skipped_because) == (1, {"filtered": 1})


async def test_the_window_is_kept() -> None:
    async with opened_counter() as counter:
        account, endpoint = await down(counter)
        await counter.event(account, "before")
        counter.clock.advance(60)
        await counter.event(account, "inside")
        await counter.settled(account, 2, State.FAILED)
        counter.receivers.answers.clear()
        job = await recovered(counter, endpoint, since_ms=START_MS + 30_000)
        assert job.done == 1
        await counter.settled(account, 1)
        assert b"inside" in counter.receivers.requests[-1].body


async def test_what_comes_after_the_request_is_not_its_business() -> None:
    async with opened_counter() as counter:
        account, endpoint = await down(counter)
        await counter.event(account, "before")
        await counter.settled(account, 1, State.FAILED)
        parameters = counter.recover.parameters(account, endpoint.endpoint.id, START_MS, None, STATES)
        await counter.event(account, "after")
        await counter.settled(account, 2, State.FAILED)
        job = await counter.job_ended(account, await counter.jobs.start(account, KIND, parameters, ACTOR))
        assert job.done == 1


async def test_a_disabled_endpoint_is_refused_and_ends_a_running_job() -> None:
    async with opened_counter() as counter:
        account, endpoint = await down(counter)
        await counter.event(account)
        await counter.settled(account, 1, State.FAILED)
        parameters = counter.recover.parameters(account, endpoint.endpoint.id, START_MS, None, STATES)
        await counter.enable(endpoint, False)
        with pytest.raises(Conflict, match="enable it first"):
            counter.recover.parameters(account, endpoint.endpoint.id, START_MS, None, STATES)
        job = await counter.job_ended(account, await counter.jobs.start(account, KIND, parameters, ACTOR))
        assert (job.state, job.done) == (JobState.FAILED, 0)
        assert "disabled" in (job.error or "")
        await counter.endpoints.delete(account, endpoint.endpoint.id, ACTOR)
        job = await counter.job_ended(account, await counter.jobs.start(account, KIND, parameters, ACTOR))
        assert "deleted" in (job.error or "")


async def test_deliveries_made_while_the_endpoint_went_away_follow_it() -> None:
    async with opened_counter() as counter:
        account, endpoint = await down(counter)
        await counter.event(account)
        await counter.settled(account, 1, State.FAILED)
        parameters = counter.recover.parameters(account, endpoint.endpoint.id, START_MS, None, ("failed",))
        planned = counter.recover.step

        async def and_then_disable(account: RunningAccount, job: Job) -> object:
            step = await planned(account, job)
            await counter.enable(endpoint, False)
            return step

        counter.recover.step = and_then_disable  # type: ignore[method-assign,assignment]
        job = await counter.job_ended(account, await counter.jobs.start(account, KIND, parameters, ACTOR))
        assert job.done == 1
        await counter.settled(account, 1, State.HELD)
        assert await counter.states(account) == [State.FAILED, State.HELD]


@pytest.mark.parametrize(
    ("since", "until", "states"),
    [
        (START_MS, None, ()),
        (START_MS, None, ("failed", "lost")),
        (START_MS, START_MS, STATES),
        (START_MS * 2, None, STATES),
    ],
)
async def test_nonsense_is_refused(since: int, until: int | None, states: tuple[str, ...]) -> None:
    async with opened_counter() as counter:
        _, endpoint = await down(counter)
        with pytest.raises(Invalid):
            counter.recover.parameters(endpoint.account, endpoint.endpoint.id, since, until, states)


async def test_nothing_crosses_accounts() -> None:
    async with opened_counter() as counter:
        account, endpoint = await down(counter)
        await counter.event(account)
        await counter.settled(account, 1, State.FAILED)
        stranger = await counter.account("Other")
        with pytest.raises(NotFound):
            counter.recover.parameters(stranger, endpoint.endpoint.id, START_MS, None, STATES)
        own = await counter.endpoint(stranger, "https://stranger.example/")
        assert (await recovered(counter, own)).done == 0
        assert await counter.views(stranger) == []


async def test_ordered_endpoints_get_resent_events_in_order_again() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        form = EndpointForm(url=f"https://{DOWN}/", events=["*"], retry_schedule="", ordering=Ordering.CONTACT)
        endpoint = (await counter.endpoints.create(account, form, ACTOR)).running
        for text in ("one", "two"):
            await counter.event(account, text)
            await counter.settled(account, 1 if text == "one" else 2, State.FAILED)
        counter.receivers.answers.clear()
        await recovered(counter, endpoint)
        await counter.settled(account, 2)
        bodies = [request.body for request in counter.receivers.requests[-2:]]
        assert [b"one" in body for body in bodies] == [True, False]
        assert all(view.ordered for view in await counter.views(account))
