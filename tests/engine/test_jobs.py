"""Jobs as such: durable, one transaction per step, cancelled and failed with a reason, resumed after a crash."""

import asyncio

import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR, answer, until
from tests.patience import PATIENCE_SECONDS
from whatsync.engine.bulk_resend import KIND, ResendParameters
from whatsync.engine.directory import RunningAccount
from whatsync.engine.inspection import DeliveryFilter
from whatsync.engine.jobs import Step
from whatsync.model import limits
from whatsync.model.account import Job, JobState
from whatsync.model.delivery import State
from whatsync.model.errors import Conflict, Forbidden, LimitExceeded, NotFound
from whatsync.ports.store import Change, Changed, StoreUnavailable

DOWN = "down.example"
FAILED = DeliveryFilter(states=(State.FAILED,))


async def with_failures(counter: Counter, count: int = 3) -> tuple[RunningAccount, ResendParameters]:
    """An account with so many failed deliveries, whose receiver is well again."""
    counter.receivers.answers[DOWN] = answer(500)
    account = await counter.account()
    await counter.once(account)
    for at in range(count):
        await counter.event(account, f"text {at}")
    await counter.settled(account, count, State.FAILED)
    del counter.receivers.answers[DOWN]
    return account, await counter.bulk_resend.parameters(account, FAILED)


async def test_a_job_is_done_in_steps_and_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOB_STEP_ITEMS", 2)
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter, 5)
        job = await counter.jobs.start(account, KIND, parameters, ACTOR)
        ended = await counter.job_ended(account, job)
        assert (ended.state, ended.done, ended.examined, ended.skipped) == (JobState.DONE, 5, 5, 0)
        assert ended.finished_ms is not None
        await counter.settled(account, 5)
        versions = [document.version for document, known in counter.directory.jobs.values() if known.id == job.id]
        assert versions[0] >= 4, "five deliveries by twos are three steps"


async def test_a_preview_writes_nothing() -> None:
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        commits = counter.store.disk.commits
        preview = await counter.jobs.preview(account, KIND, parameters)
        assert (preview.would, preview.examined, preview.complete) == (3, 3, True)
        assert counter.store.disk.commits == commits
        assert counter.directory.jobs == {}


async def test_a_preview_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOB_STEP_ITEMS", 1)
    monkeypatch.setattr(limits, "JOB_PREVIEW_ITEMS_MAX", 2)
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        preview = await counter.jobs.preview(account, KIND, parameters)
        assert (preview.would, preview.complete) == (2, False)


@pytest.mark.parametrize("steps", range(4))
async def test_a_crash_repeats_nothing_and_skips_nothing(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    monkeypatch.setattr(limits, "JOB_STEP_ITEMS", 1)
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        job = await counter.jobs.start(account, KIND, parameters, ACTOR)
        while counter.jobs.read(account, job.id).done < steps:
            await counter.pass_time(0.05, 0.05)
        disk = counter.store.disk
    async with opened_counter(disk) as counter:
        account = counter.directory.accounts_by_id[account.account.id]
        ended = await counter.job_ended(account, job)
        assert (ended.state, ended.done, ended.examined) == (JobState.DONE, 3, 3)
        await counter.settled(account, 3)
        made = [view.event for view in await counter.views(account) if view.state is State.SUCCEEDED]
        assert len(made) == len(set(made)) == 3


async def test_a_job_waits_for_a_store_that_can_not_write() -> None:
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        job = await counter.jobs.start(account, KIND, parameters, ACTOR)
        counter.stage.broken = True
        await counter.pass_time(10)
        assert counter.jobs.read(account, job.id).state is JobState.RUNNING
        counter.stage.broken = False
        assert (await counter.job_ended(account, job)).done == 3


@pytest.mark.parametrize("stage", ["before", "after"])
@pytest.mark.parametrize("failing", range(12))
async def test_any_commit_may_fail_once(monkeypatch: pytest.MonkeyPatch, failing: int, stage: str) -> None:
    monkeypatch.setattr(limits, "JOB_STEP_ITEMS", 1)
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        job = await counter.jobs.start(account, KIND, parameters, ACTOR)
        seen = 0

        async def commit(at: str) -> None:
            nonlocal seen
            if at.startswith(stage):
                seen += 1
                if seen == failing + 1:
                    raise StoreUnavailable("once")

        counter.store._commit = commit
        async with asyncio.timeout(PATIENCE_SECONDS):
            while counter.jobs.read(account, job.id).state is JobState.RUNNING:
                await counter.pass_time(0.5, 0.25)
        await counter.pass_time(10)
        await counter.settled(account, 3)
        ended = counter.jobs.read(account, job.id)
        assert (ended.state, ended.done, ended.examined) == (JobState.DONE, 3, 3)
        assert len(await counter.views(account)) == 6, "three failed ones and one new for each"


async def test_cancelling_keeps_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOB_STEP_ITEMS", 1)
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        job = await counter.jobs.start(account, KIND, parameters, ACTOR)
        await until(lambda: counter.jobs.read(account, job.id).done == 1)
        ended = await counter.jobs.cancel(account, job.id, ACTOR)
        assert (ended.state, ended.done) == (JobState.CANCELLED, 1)
        await counter.pass_time(2, 0.1)
        assert counter.jobs.read(account, job.id).done == 1
        with pytest.raises(Conflict, match="cancelled already"):
            await counter.jobs.cancel(account, job.id, ACTOR)


class Refusing:
    """A kind of job that can't go on."""

    kind = "refusing"

    def __init__(self, problem: Exception) -> None:
        self.problem = problem

    async def step(self, account: RunningAccount, job: Job) -> Step:
        raise self.problem


@pytest.mark.parametrize(
    ("problem", "error"),
    [(Forbidden("x", "the endpoint was deleted"), "the endpoint was deleted"), (ValueError("a bug"), "server's log")],
)
async def test_what_can_not_go_on_ends_with_the_reason(problem: Exception, error: str) -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        counter.jobs._works = {"refusing": Refusing(problem)}
        job = await counter.jobs.start(account, "refusing", FAILED, ACTOR)
        ended = await counter.job_ended(account, job)
        assert ended.state is JobState.FAILED
        assert error in (ended.error or "")


def break_writes_of(counter: Counter, account: RunningAccount, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let the steps of this account's jobs die of a bug so many times, with whatever they write beside the job."""
    change = counter.configuration.change
    left = times

    async def broken(wanted: Change) -> Changed:
        nonlocal left
        if wanted.account == account.row and wanted.admissions and left:
            left -= 1
            raise ZeroDivisionError("a bug")
        return await change(wanted)

    monkeypatch.setattr(counter.configuration, "change", broken)


async def test_a_job_whose_steps_die_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        other = await counter.account("Other")
        break_writes_of(counter, account, monkeypatch, 1_000)
        sick = await counter.jobs.start(account, KIND, parameters, ACTOR)
        await counter.pass_time(1, 0.05)
        well = await counter.jobs.start(other, KIND, await counter.bulk_resend.parameters(other, FAILED), ACTOR)
        await counter.pass_time(2, 0.05)
        assert counter.jobs.read(other, well.id).state is JobState.DONE
        assert counter.jobs.read(account, sick.id).state is JobState.RUNNING
        await counter.pass_time(60, 0.5)
        ended = counter.jobs.read(account, sick.id)
        assert (ended.state, ended.done) == (JobState.FAILED, 0)
        assert "the server's log has the reason" in (ended.error or "")


async def test_a_step_that_died_is_done_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        break_writes_of(counter, account, monkeypatch, limits.JOB_STEP_FAILURES_MAX - 1)
        job = await counter.jobs.start(account, KIND, parameters, ACTOR)
        await counter.pass_time(60, 0.5)
        ended = counter.jobs.read(account, job.id)
        assert (ended.state, ended.done, ended.error) == (JobState.DONE, 3, None)


async def test_a_full_account_holds_up_no_other() -> None:
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        other = await counter.account("Other")
        counter.quota.open_deliveries[account.row] = limits.ACCOUNT_OPEN_DELIVERIES
        full = await counter.jobs.start(account, KIND, parameters, ACTOR)
        well = await counter.jobs.start(other, KIND, await counter.bulk_resend.parameters(other, FAILED), ACTOR)
        await counter.pass_time(0.5, 0.05)
        assert counter.jobs.read(other, well.id).state is JobState.DONE
        assert counter.jobs.read(account, full.id).state is JobState.RUNNING


async def test_a_job_makes_no_deliveries_for_an_account_that_is_full() -> None:
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        counter.quota.open_deliveries[account.row] = limits.ACCOUNT_OPEN_DELIVERIES
        job = await counter.jobs.start(account, KIND, parameters, ACTOR)
        await counter.pass_time(10)
        assert (counter.jobs.read(account, job.id).done, len(await counter.views(account))) == (0, 3)
        counter.quota.open_deliveries.clear()
        assert (await counter.job_ended(account, job)).done == 3


async def test_the_list_is_newest_first_and_paged() -> None:
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        made = [(await counter.jobs.start(account, KIND, parameters, ACTOR)).id for _ in range(3)]
        page, after = counter.jobs.page(account, limit=2)
        assert [job.id for job in page] == made[:0:-1]
        rest, end = counter.jobs.page(account, after, 2)
        assert ([job.id for job in rest], end) == (made[:1], None)


async def test_too_many_running_jobs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACCOUNT_JOBS_RUNNING", 1)
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        await counter.jobs.start(account, KIND, parameters, ACTOR)
        with pytest.raises(LimitExceeded):
            await counter.jobs.start(account, KIND, parameters, ACTOR)
        stranger = await counter.account("Other")
        await counter.jobs.start(stranger, KIND, await counter.bulk_resend.parameters(stranger, FAILED), ACTOR)


async def test_nothing_crosses_accounts() -> None:
    async with opened_counter() as counter:
        account, parameters = await with_failures(counter)
        stranger = await counter.account("Other")
        job = await counter.jobs.start(account, KIND, parameters, ACTOR)
        with pytest.raises(NotFound):
            counter.jobs.read(stranger, job.id)
        with pytest.raises(NotFound):
            await counter.jobs.cancel(stranger, job.id, ACTOR)
        assert counter.jobs.page(stranger) == ((), None)
        foreign = await counter.bulk_resend.parameters(stranger, FAILED)
        assert (await counter.jobs.preview(stranger, KIND, foreign)).would == 0
