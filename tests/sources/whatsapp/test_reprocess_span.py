"""What came within a time is processed again as a job: through crashes, with progress, and nothing twice."""

import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR
from tests.sources.whatsapp.cloud import NUMBER, incoming, message
from tests.sources.whatsapp.post import Post
from whatsync.engine.directory import RunningAccount
from whatsync.engine.reprocess_span import KIND
from whatsync.model import limits
from whatsync.model.account import JobState
from whatsync.model.arrival import Reading, SetAside
from whatsync.model.errors import Invalid
from whatsync.model.ids import message_id
from whatsync.ports.history import EventQuery
from whatsync.sources.whatsapp import inbound

BODIES = 5
HOUR_MS = 3_600_000


def not_understood(_raw: bytes, _at_ms: int) -> Reading:
    """As a version before an upgrade read what it did not know."""
    return Reading(set_aside=(SetAside("entry[0]", "internal_error", "Odd."),))


def standing_on(counter: Counter) -> Post:
    post = Post(counter)
    counter.jobs._works = {KIND: post.whatsapp.reprocess_span}
    return post


async def misread(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that were kept and became no events, a minute apart."""
    with monkeypatch.context() as patched:
        patched.setattr(inbound, "read", not_understood)
        for at in range(BODIES):
            assert (await post.post(incoming(message(f"wamid.{at}")))).events == 0
            post.desk.clock.advance(60)


async def made(counter: Counter, account: RunningAccount) -> list[str]:
    page = await counter.store.events(EventQuery(account.row, type="message.incoming", limit=200))
    return sorted(event.id for event in page.items)


@pytest.mark.parametrize("steps", range(4))
async def test_a_crash_in_between_loses_nothing_and_doubles_nothing(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(limits, "BODIES_AGAIN_PER_STEP", 2)
    async with opened_counter() as counter:
        post = standing_on(counter)
        await post.open()
        await misread(post, monkeypatch)
        parameters = post.whatsapp.reprocess_span.parameters(post.source, 0, None)
        job = await counter.jobs.start(post.account, KIND, parameters, ACTOR)
        while counter.jobs.read(post.account, job.id).examined < 2 * steps - (steps == 3):
            await counter.pass_time(0.05, 0.05)
        disk, post_account = counter.store.disk, post.account.account.id
    async with opened_counter(disk) as counter:
        post = standing_on(counter)
        account = counter.directory.accounts_by_id[post_account]
        ended = await counter.job_ended(account, job)
        assert (ended.state, ended.examined, ended.done) == (JobState.DONE, BODIES, BODIES + 1), "and who wrote"
        assert await made(counter, account) == sorted(message_id(NUMBER, f"wamid.{at}") for at in range(BODIES))
        assert disk.set_aside == {}
        again = await counter.jobs.start(account, KIND, parameters, ACTOR)
        assert (await counter.job_ended(account, again)).done == 0
        assert len(await made(counter, account)) == BODIES


async def test_only_what_came_within_the_time_is_processed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_counter() as counter:
        post = standing_on(counter)
        await post.open()
        began = counter.clock.now_ms()
        await misread(post, monkeypatch)
        span = post.whatsapp.reprocess_span
        parameters = span.parameters(post.source, began + 60_000, began + 180_000)
        job = await counter.jobs.start(span.account_of(post.source, post.account.account.id), KIND, parameters, ACTOR)
        ended = await counter.job_ended(post.account, job)
        assert (ended.state, ended.examined) == (JobState.DONE, 2)
        assert await made(counter, post.account) == sorted(message_id(NUMBER, f"wamid.{at}") for at in (1, 2))


async def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_counter() as counter:
        post = standing_on(counter)
        await post.open()
        span, now_ms = post.whatsapp.reprocess_span, counter.clock.now_ms()
        with pytest.raises(Invalid, match="before until"):
            span.parameters(post.source, now_ms + HOUR_MS, None)
        with pytest.raises(Invalid, match="name the account"):
            span.account_of(post.source, None)
        parameters = span.parameters(post.source, 0, None)
        await post.whatsapp.numbers.delete(NUMBER, ACTOR)
        await post.whatsapp.sources.delete(post.source.source.id, ACTOR)
        job = await counter.jobs.start(post.account, KIND, parameters, ACTOR)
        ended = await counter.job_ended(post.account, job)
        assert (ended.state, ended.error) == (JobState.FAILED, "the source has been deleted, and its bodies with it")
