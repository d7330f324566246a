"""Bulk work that survives restarts: a job is a document, and each step of it is one transaction with what it does.

A crash repeats nothing and skips nothing. What a kind of job does stands in its own file; knows no HTTP.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol

import msgspec

from whatsync.engine import audit
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import JOB, Directory, RunningAccount
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.quota import Quota
from whatsync.engine.sweep import Sweep
from whatsync.model import limits
from whatsync.model.account import Job, JobState
from whatsync.model.errors import Conflict, LimitExceeded, NotFound, Problem, Unavailable
from whatsync.model.ids import TOKEN_BYTES, random_id
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import Admission, Change, DeliveryRow, Document, Put, Settlement, StoreUnavailable

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0
_BROKEN = "WhatsSync itself failed; the server's log has the reason. What it did stays done; start it again to go on"


class _Pause(msgspec.Struct, frozen=True):
    """A job that is left alone for a while, so that the others go on."""

    until: float
    """On the monotonic clock, in seconds."""
    failures: int = 0
    """How many steps in a row failed for no known reason."""


class Step(msgspec.Struct, frozen=True):
    """One step of a job: what it writes, and the job as it is afterwards. Both become true together or not at all."""

    job: Job
    deliveries: tuple[DeliveryRow, ...] = ()
    settlements: tuple[Settlement, ...] = ()
    endpoints: tuple[int, ...] = ()
    """Rows of the endpoints that have work from it."""
    effect: Callable[[], Awaitable[Job | None]] | None = None
    """Done before the transaction, again after a crash: only for what may be repeated without harm. It may give back
    the job as it is afterwards, where only doing it shows what came of it.
    """


class Work(Protocol):
    """One kind of job."""

    kind: str

    async def step(self, account: RunningAccount, job: Job) -> Step:
        """Plan the next step from the job's cursor; reads only. A Problem ends the job as failed."""


class Preview(msgspec.Struct, frozen=True):
    """What a job would do, found out without writing. ``complete`` is false where the look stopped for its bound."""

    would: int
    skipped: int
    skipped_because: dict[str, int]
    examined: int
    complete: bool
    cursor: int | None = None
    phase: int = 0
    """Where a further look goes on."""

    @property
    def further(self) -> bool:
        """Whether a further look would find more."""
        return not self.complete and self.examined < limits.JOB_PREVIEW_ITEMS_MAX


class Jobs:
    """Starts, lists, cancels and carries out jobs."""

    def __init__(
        self,
        *,
        directory: Directory,
        configuration: Configuration,
        dispatcher: Dispatcher,
        sweep: Sweep,
        quota: Quota,
        clock: Clock,
        randomness: Randomness,
        works: Mapping[str, Work],
    ) -> None:
        self._directory = directory
        self._configuration = configuration
        self._dispatcher = dispatcher
        self._sweep = sweep
        self._quota = quota
        self._clock = clock
        self._randomness = randomness
        self._works = works
        self._wakeup = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._pauses: dict[str, _Pause] = {}

    # What the doors ask for

    async def start(self, account: RunningAccount, kind: str, parameters: msgspec.Struct, actor: str) -> Job:
        """Write a new job down; it is carried out whatever happens to this server.

        Raises LimitExceeded where the account has too many running already.
        """
        running = sum(job.state is JobState.RUNNING for _, job in self._of(account))
        if running >= limits.ACCOUNT_JOBS_RUNNING:
            raise LimitExceeded("jobs", f"{running} jobs are running already; wait for one to end or cancel one", 30)
        now_ms = self._clock.now_ms()
        job = Job(
            id=random_id("job_", self._randomness.token(TOKEN_BYTES)),
            kind=kind,
            created_ms=now_ms,
            parameters=msgspec.Raw(msgspec.json.encode(parameters)),
        )
        entry = audit.entry(account.row, now_ms, actor, f"job.{kind}", subject=job.id)
        put = Put(JOB, job.id, account.row, msgspec.json.encode(job), 0)
        await self._configuration.change(Change(account.row, (put,), audit=(entry,), routing=False))
        self._idle.clear()
        self._wakeup.set()
        return job

    async def preview(
        self,
        account: RunningAccount,
        kind: str,
        parameters: msgspec.Struct,
        before: Preview | None = None,
        seconds: float = limits.JOB_PREVIEW_SECONDS_MAX,
    ) -> Preview:
        """Say what a job with these parameters would do, writing nothing. Looks at a bounded number of rows for a
        bounded time; ``before`` is an earlier look, which this one goes on from.
        """
        job = Job("", kind, self._clock.now_ms(), msgspec.Raw(msgspec.json.encode(parameters)))
        if before is not None:
            known = {"done": before.would, "cursor": before.cursor, "phase": before.phase}
            counted = {name: getattr(before, name) for name in ("skipped", "skipped_because", "examined")}
            job = msgspec.structs.replace(job, **known, **counted)
        until = self._clock.monotonic() + seconds
        for _ in range(limits.JOB_PREVIEW_ITEMS_MAX // limits.JOB_STEP_ITEMS):
            job = (await self._works[kind].step(account, job)).job
            if (
                job.state is not JobState.RUNNING
                or job.examined >= limits.JOB_PREVIEW_ITEMS_MAX
                or self._clock.monotonic() >= until
            ):
                break
        complete = job.state is not JobState.RUNNING
        return Preview(job.done, job.skipped, job.skipped_because, job.examined, complete, job.cursor, job.phase)

    def page(
        self, account: RunningAccount, before: int | None = None, limit: int = limits.PAGE_ITEMS_DEFAULT
    ) -> tuple[tuple[Job, ...], int | None]:
        """List jobs, newest first; and where the next page begins."""
        found = [(document.row, job) for document, job in self._of(account) if before is None or document.row < before]
        found.sort(key=lambda pair: pair[0], reverse=True)
        page = found[:limit]
        return tuple(job for _, job in page), page[-1][0] if len(found) > limit else None

    def read(self, account: RunningAccount, job_id: str) -> Job:
        """Read one. Raises NotFound."""
        return self._find(account, job_id)[1]

    async def cancel(self, account: RunningAccount, job_id: str, actor: str) -> Job:
        """Stop a running job after its current step; what it did stays done. Raises NotFound, Conflict."""
        while True:
            document, job = self._find(account, job_id)
            if job.state is not JobState.RUNNING:
                raise Conflict("job_ended", f"the job is {job.state.value} already; what it did stays done")
            now_ms = self._clock.now_ms()
            ended = msgspec.structs.replace(
                job, state=JobState.CANCELLED, updated_ms=now_ms, finished_ms=now_ms, parameters=self._kept(job)
            )
            entry = audit.entry(account.row, now_ms, actor, "job.cancelled", subject=job.id)
            put = Put(JOB, job.id, account.row, msgspec.json.encode(ended), document.version)
            try:
                await self._configuration.change(Change(account.row, (put,), audit=(entry,), routing=False))
            except Conflict:
                continue  # A step of the job came first: look again.
            return ended

    def _of(self, account: RunningAccount) -> Iterator[tuple[Document, Job]]:
        return (known for known in self._directory.jobs.values() if known[0].account == account.row)

    def _find(self, account: RunningAccount, job_id: str) -> tuple[Document, Job]:
        known = self._directory.jobs.get(job_id)
        if known is None or known[0].account != account.row:
            raise NotFound("job_not_found", f"there is no job {job_id[:60]!r}; finished ones are kept for a while only")
        return known

    # Carrying out

    async def run(self) -> None:
        """Carry jobs out, a step of each in turn, for ever. At start-up the ones a stop interrupted go on. A job that
        can't go on now waits by itself.
        """
        while True:
            self._wakeup.clear()
            while running := self._running():
                ready = [job_id for job_id in running if self._ready(job_id)]
                for job_id in ready:
                    await self._turn(job_id)
                    await self._clock.sleep(limits.JOB_PAUSE_SECONDS)
                if not ready:
                    soonest = min(self._pauses[job_id].until for job_id in running)
                    await self._clock.sleep(min(soonest - self._clock.monotonic(), _PAUSE_SECONDS))
            self._pauses.clear()
            self._idle.set()
            await self._wakeup.wait()

    def look(self) -> None:
        """There may be jobs that another node was asked for."""
        self._wakeup.set()

    async def ended(self) -> None:
        """Return when no job is running."""
        await self._idle.wait()

    def _running(self) -> tuple[str, ...]:
        return tuple(
            job.id
            for document, job in self._directory.jobs.values()
            if job.state is JobState.RUNNING and _lives(self._directory.accounts.get(document.account))
        )

    async def _turn(self, job_id: str) -> None:
        known = self._directory.jobs.get(job_id)
        if known is None or known[1].state is not JobState.RUNNING:
            return
        document, job = known
        account = self._directory.accounts[document.account]
        try:
            step = await self._plan(account, job)
            if step.deliveries and self._quota.full(account):
                self._pause(job, _PAUSE_SECONDS)  # Planned anew when some of what is open has gone.
                return
            await self._write(account, document, step)
        except Conflict:
            return  # Somebody cancelled it meanwhile: the directory has the newer document.
        except (StoreUnavailable, Unavailable) as problem:
            logger.warning("a job's step will be tried again: %s", problem)
            self._pause(job, _PAUSE_SECONDS)
        except Exception:
            logger.exception("a job's step could not be written", extra={"job": job.id})
            await self._broken(account, document, job)
        else:
            self._pauses.pop(job.id, None)

    async def _broken(self, account: RunningAccount, document: Document, job: Job) -> None:
        """Try the step again later, each time later; a step that fails again and again ends the job."""
        pause = self._pauses.get(job.id)
        failures = 1 + (0 if pause is None else pause.failures)
        seconds = min(_PAUSE_SECONDS * 2 ** min(failures - 1, 30), limits.JOB_PAUSE_SECONDS_MAX)
        self._pause(job, seconds, failures)
        if failures < limits.JOB_STEP_FAILURES_MAX:
            return
        try:
            await self._write(account, document, _failed(job, _BROKEN))
        except Exception:
            logger.exception("a job that failed could not be ended; it is tried again", extra={"job": job.id})

    def _pause(self, job: Job, seconds: float, failures: int | None = None) -> None:
        known = self._pauses.get(job.id)
        if failures is None:
            failures = 0 if known is None else known.failures
        self._pauses[job.id] = _Pause(self._clock.monotonic() + seconds, failures)

    def _ready(self, job_id: str) -> bool:
        pause = self._pauses.get(job_id)
        return pause is None or pause.until <= self._clock.monotonic()

    async def _plan(self, account: RunningAccount, job: Job) -> Step:
        """The next step; what goes wrong with the plan itself ends the job."""
        try:
            step = await self._works[job.kind].step(account, job)
            if step.effect is not None:
                known = await step.effect()
                step = step if known is None else msgspec.structs.replace(step, job=known)
        except (StoreUnavailable, Unavailable):
            raise
        except Problem as problem:
            return _failed(job, problem.detail)
        except Exception:
            logger.exception("a job died of a bug", extra={"job": job.id})
            return _failed(job, _BROKEN)
        return step

    async def _write(self, account: RunningAccount, document: Document, step: Step) -> None:
        now_ms = self._clock.now_ms()
        job = msgspec.structs.replace(step.job, updated_ms=now_ms)
        if job.state is not JobState.RUNNING:
            job = msgspec.structs.replace(job, finished_ms=now_ms, parameters=self._kept(job))
        admissions = (Admission(account.row, account.version, (), step.deliveries),) if step.deliveries else ()
        put = Put(JOB, job.id, account.row, msgspec.json.encode(job), document.version)
        await self._configuration.change(
            Change(account.row, (put,), admissions=admissions, settlements=step.settlements, routing=False)
        )
        for endpoint in step.endpoints:
            self._dispatcher.wake(endpoint)
            running = self._directory.endpoints.get(endpoint)
            if running is None or not running.endpoint.enabled:
                self._sweep.look(endpoint)  # It went away while the step was planned: its deliveries go its way.

    def _kept(self, job: Job) -> msgspec.Raw:
        """The parameters an ended job keeps: whom an erasure was about is forgotten with it."""
        return msgspec.Raw(b"{}") if job.kind == "erase" else job.parameters


def _lives(account: RunningAccount | None) -> bool:
    return account is not None and account.account.deleted_ms is None


def _failed(job: Job, error: str) -> Step:
    return Step(msgspec.structs.replace(job, state=JobState.FAILED, error=error))
