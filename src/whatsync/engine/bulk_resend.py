"""Resending in bulk: new deliveries for everything a filter of the history finds, as a durable job.

Plans one page at a time for ``jobs.py``, which writes it. Knows no HTTP.
"""

import msgspec

from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.inspection import DeliveryFilter, Inspection
from whatsync.engine.jobs import Step
from whatsync.engine.recover import counted
from whatsync.engine.resending import Standing, delivery_row, event_behind, standings
from whatsync.model import limits
from whatsync.model.account import Job, JobState
from whatsync.model.delivery import OPEN
from whatsync.model.errors import FieldError, Invalid
from whatsync.model.ids import Sequence
from whatsync.ports.clock import Clock
from whatsync.ports.history import DeliveryQuery, DeliveryView, History
from whatsync.ports.store import DeliveryRow, Origin

KIND = "resend"


class ResendParameters(msgspec.Struct, frozen=True, rename="camel"):
    """What is resent. ``query`` is the filter with its ids turned into rows at the start; ``None``: nothing matches."""

    filter: DeliveryFilter
    query: DeliveryQuery | None
    ceiling: int


class BulkResend:
    """The kind of job behind ``POST /v1/deliveries/resend``.

    Of one event's deliveries to one endpoint only the newest counts, and none that is still on its way.
    """

    kind = KIND

    def __init__(self, *, history: History, inspection: Inspection, clock: Clock, sequence: Sequence) -> None:
        self._history = history
        self._inspection = inspection
        self._clock = clock
        self._sequence = sequence

    async def parameters(self, account: RunningAccount, wanted: DeliveryFilter) -> ResendParameters:
        """Check the filter. Raises Invalid where it names nothing or what this account does not have."""
        if wanted == DeliveryFilter():
            raise Invalid([FieldError("filter", "must name at least one condition, such as state, endpoint or since")])
        try:
            query = await self._inspection.delivery_query(account, wanted)
        except Invalid as problem:
            raise Invalid([FieldError(f"filter.{wrong.field}", wrong.message) for wrong in problem.errors]) from None
        if query is not None:
            query = msgspec.structs.replace(query, test=False, ascending=True, limit=limits.JOB_STEP_ITEMS)
        return ResendParameters(wanted, query, self._sequence.next(self._clock.now_ms()))

    async def step(self, account: RunningAccount, job: Job) -> Step:
        """Plan one page of what the filter finds."""
        parameters = msgspec.json.decode(job.parameters, type=ResendParameters)
        if parameters.query is None:
            return Step(msgspec.structs.replace(job, state=JobState.DONE))
        page = await self._history.deliveries(msgspec.structs.replace(parameters.query, before=job.cursor))
        views = [view for view in page.items if view.id < parameters.ceiling]
        # What lies at the ceiling or above was made after the request, in part by this very job.
        ended = page.next is None or page.next >= parameters.ceiling
        job = msgspec.structs.replace(
            job,
            examined=job.examined + len(page.items),
            cursor=page.next,
            state=JobState.DONE if ended else JobState.RUNNING,
        )
        known = await standings(self._history, account.row, sorted({view.event for view in views}), parameters.ceiling)
        rows: list[DeliveryRow] = []
        skipped: dict[str, int] = {}
        for view in views:
            made = await self._further(account, view, known.get((view.event, view.endpoint), Standing()))
            if isinstance(made, str):
                skipped[made] = skipped.get(made, 0) + 1
            else:
                rows.append(made)
        endpoints = tuple({row.endpoint for row in rows})
        return Step(counted(job, len(rows), skipped), tuple(rows), endpoints=endpoints)

    async def _further(self, account: RunningAccount, view: DeliveryView, standing: Standing) -> DeliveryRow | str:
        """A further delivery of what ``view`` delivered, or the word for why there is none."""
        endpoint = account.endpoints.get(view.endpoint)
        reason = _reason(endpoint, view, standing)
        if reason is not None or endpoint is None:
            return reason or "endpoint_deleted"
        event = await event_behind(self._history, view, endpoint)
        if event is None:
            return "gone"
        now_ms = self._clock.now_ms()
        return delivery_row(event, endpoint, self._sequence.next(now_ms), now_ms, Origin.RESEND)


def _reason(endpoint: RunningEndpoint | None, view: DeliveryView, standing: Standing) -> str | None:
    if endpoint is None:
        return "endpoint_deleted"
    if not endpoint.endpoint.enabled:
        return "endpoint_disabled"
    if view.state in OPEN or standing.open:
        return "under_way"
    if standing.succeeded > view.id:
        return "succeeded_since"
    return "newer_delivery" if standing.newest > view.id else None
