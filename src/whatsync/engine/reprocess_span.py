"""Processing again all that came through a source within a time: a durable job, such as after an upgrade.

Each step takes a few bodies in again. Events that exist are passed over, so a step repeated after a crash makes
nothing twice. Knows no payload and no HTTP.
"""

import msgspec

from whatsync.engine.directory import Directory, RunningAccount
from whatsync.engine.jobs import Step
from whatsync.engine.recover import counted
from whatsync.engine.reprocessing import Reprocessing
from whatsync.engine.source_directory import RunningSource
from whatsync.model import limits
from whatsync.model.account import Job, JobState
from whatsync.model.errors import FieldError, Invalid, NotFound
from whatsync.model.ids import first_row_at
from whatsync.ports.clock import Clock
from whatsync.ports.history import History

KIND = "reprocess"


class ReprocessParameters(msgspec.Struct, frozen=True, rename="camel"):
    """What is processed again: bodies of a source that came from ``since_ms`` on, and before ``until_ms``."""

    source: str
    since_ms: int
    until_ms: int


class ReprocessSpan:
    """The kind of job behind ``POST /v1/sources/{id}/process``. Goes from the newest body to the oldest.

    ``done`` counts the events that were made; after a crash it may lack those of one step.
    """

    kind = KIND

    def __init__(self, directory: Directory, history: History, reprocessing: Reprocessing, clock: Clock) -> None:
        self._directory = directory
        self._history = history
        self._reprocessing = reprocessing
        self._clock = clock

    def parameters(self, source: RunningSource, since_ms: int, until_ms: int | None) -> ReprocessParameters:
        """Check the span; it ends now at the latest. Raises Invalid."""
        now_ms = self._clock.now_ms() + 1
        until_ms = now_ms if until_ms is None else min(until_ms, now_ms)
        if since_ms >= until_ms:
            raise Invalid([FieldError("since", "must be before until, and not in the future")])
        return ReprocessParameters(source.source.id, since_ms, until_ms)

    def account_of(self, source: RunningSource, account_id: str | None) -> RunningAccount:
        """The account whose jobs list the work: the given one, else the source's. Raises Invalid."""
        account = self._directory.accounts_by_id.get(account_id or source.source.account or "")
        if account is None:
            words = (
                "name the account whose jobs list this work: the source itself has none, or there is no such account"
            )
            raise Invalid([FieldError("account", words)])
        return account

    async def step(self, account: RunningAccount, job: Job) -> Step:
        """Plan a few bodies. Raises NotFound where the source is gone."""
        parameters = msgspec.json.decode(job.parameters, type=ReprocessParameters)
        source = self._directory.whatsapp.sources.get(parameters.source)
        if source is None:
            raise NotFound("source_not_found", "the source has been deleted, and its bodies with it")
        before = first_row_at(parameters.until_ms) if job.cursor is None else job.cursor
        rows = await self._history.bodies(source.row, before, limits.BODIES_AGAIN_PER_STEP)
        bodies = [row.seq for row in rows if row.seq >= first_row_at(parameters.since_ms)]
        ended = len(bodies) < limits.BODIES_AGAIN_PER_STEP
        after = msgspec.structs.replace(
            job,
            cursor=bodies[-1] if bodies else job.cursor,
            examined=job.examined + len(bodies),
            state=JobState.DONE if ended else JobState.RUNNING,
        )

        async def effect() -> Job:
            return await self._again(source, bodies, after)

        return Step(after, effect=effect)

    async def _again(self, source: RunningSource, bodies: list[int], after: Job) -> Job:
        events = gone = 0
        for seq in reversed(bodies):
            try:
                events += (await self._reprocessing.body(source, seq)).events
            except NotFound:
                gone += 1  # Its time was over meanwhile.
        return counted(after, events, {"gone": gone})
