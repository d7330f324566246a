"""Recovering an endpoint: catch up, in bulk and durably, on what it missed while it was down, off or not there yet.

Plans one page at a time for ``jobs.py``, which writes it. Knows no HTTP.
"""

import msgspec

from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.jobs import Step
from whatsync.engine.matching import wanted_types, why_not
from whatsync.engine.resending import delivery_row, event_behind, standings
from whatsync.model import limits
from whatsync.model.account import Job, JobState
from whatsync.model.delivery import Happening, State
from whatsync.model.errors import Conflict, FieldError, Invalid, NotFound
from whatsync.model.ids import Sequence
from whatsync.ports.clock import Clock
from whatsync.ports.history import DeliveryQuery, DeliveryView, History
from whatsync.ports.store import DeliveryRow, Origin, Settlement

KIND = "recover"
STATES = ("retrying", "held", "failed", "missing")
"""What can be recovered, in the order it is done in: old deliveries first, then what never had one."""


class RecoverParameters(msgspec.Struct, frozen=True, rename="camel"):
    """What a recovery is about. ``ceiling``: deliveries and events from this row on came after it was asked for."""

    endpoint_id: str
    states: tuple[str, ...]
    since_ms: int
    until_ms: int
    ceiling: int


class Recover:
    """The kind of job behind ``POST /v1/endpoints/{id}/recover``."""

    kind = KIND

    def __init__(self, *, history: History, clock: Clock, sequence: Sequence) -> None:
        self._history = history
        self._clock = clock
        self._sequence = sequence

    def parameters(
        self, account: RunningAccount, endpoint_id: str, since_ms: int, until_ms: int | None, states: tuple[str, ...]
    ) -> RecoverParameters:
        """Check what was asked for. Raises NotFound, Invalid, Conflict where the endpoint is disabled."""
        now_ms = self._clock.now_ms()
        until_ms = now_ms + 1 if until_ms is None else until_ms
        unknown = [state for state in states if state not in STATES]
        if unknown or not states:
            raise Invalid([FieldError("states", f"must name some of {', '.join(STATES)}")])
        if since_ms >= until_ms:
            raise Invalid([FieldError("since", "must lie before until and before now")])
        parameters = RecoverParameters(
            endpoint_id,
            tuple(state for state in STATES if state in states),
            since_ms,
            until_ms,
            self._sequence.next(now_ms),
        )
        if _endpoint(account, endpoint_id) is None:
            raise NotFound("endpoint_not_found", f"there is no endpoint {endpoint_id[:60]!r}")
        _usable(account, parameters)
        return parameters

    async def step(self, account: RunningAccount, job: Job) -> Step:
        """Plan one page of one of the states asked for. A Problem where the endpoint was disabled or deleted."""
        parameters = msgspec.json.decode(job.parameters, type=RecoverParameters)
        endpoint = _usable(account, parameters)
        state = parameters.states[job.phase]
        if state == "missing":
            return await self._missing(account, endpoint, parameters, job)
        page = await self._history.deliveries(
            DeliveryQuery(
                account.row,
                endpoint.row,
                states=(State(state),),
                test=False,
                since_ms=parameters.since_ms,
                until_ms=parameters.until_ms,
                before=job.cursor,
                limit=limits.JOB_STEP_ITEMS,
                ascending=True,
            )
        )
        views = [view for view in page.items if view.id < parameters.ceiling]
        after = moved(job, parameters, page.next, len(page.items))
        if state == "failed":
            return await self._failed(endpoint, views, parameters, after)
        return self._settled(endpoint, views, State(state), after)

    def _settled(self, endpoint: RunningEndpoint, views: list[DeliveryView], state: State, job: Job) -> Step:
        """Waiting and held ones go in place: the same delivery, now."""
        rows = tuple(view.id for view in views if not view.in_flight)
        job = counted(job, len(rows), {"under_way": len(views) - len(rows)})
        if not rows:
            return Step(job)
        happening = Happening.RELEASED if state is State.HELD else Happening.RETRY
        settlement = Settlement(endpoint.account.row, happening, self._clock.now_ms(), deliveries=rows)
        return Step(job, settlements=(settlement,), endpoints=(endpoint.row,))

    async def _failed(
        self, endpoint: RunningEndpoint, views: list[DeliveryView], parameters: RecoverParameters, job: Job
    ) -> Step:
        """Failed ones get a new delivery, unless their event has arrived or is on its way since."""
        account = endpoint.account.row
        events = sorted({view.event for view in views})
        known = await standings(self._history, account, events, parameters.ceiling, endpoint.row)
        rows: list[DeliveryRow] = []
        skipped = dict.fromkeys(("succeeded_since", "under_way", "newer_delivery", "gone"), 0)
        for view in views:
            standing = known[view.event, view.endpoint]
            event = None
            if standing.succeeded:
                skipped["succeeded_since"] += 1
            elif standing.open:
                skipped["under_way"] += 1
            elif standing.newest > view.id:
                skipped["newer_delivery"] += 1
            elif (event := await event_behind(self._history, view, endpoint)) is None:
                skipped["gone"] += 1
            if event is not None:
                now_ms = self._clock.now_ms()
                rows.append(delivery_row(event, endpoint, self._sequence.next(now_ms), now_ms, Origin.RECOVER))
        return Step(counted(job, len(rows), skipped), tuple(rows), endpoints=(endpoint.row,) if rows else ())

    async def _missing(
        self, account: RunningAccount, endpoint: RunningEndpoint, parameters: RecoverParameters, job: Job
    ) -> Step:
        """Events it would get if they came now, and never had a delivery for."""
        types = wanted_types(account, endpoint.endpoint)
        events, following = await self._history.missing(
            account.row,
            endpoint.row,
            types,
            parameters.since_ms,
            parameters.until_ms,
            job.cursor or 0,
            limits.JOB_STEP_ITEMS,
        )
        now_ms = self._clock.now_ms()
        wanted = [
            event for event in events if event.seq < parameters.ceiling and why_not(endpoint.endpoint, event) is None
        ]
        rows = tuple(
            delivery_row(event, endpoint, self._sequence.next(now_ms), now_ms, Origin.RECOVER) for event in wanted
        )
        after = moved(job, parameters, following, len(events))
        after = counted(after, len(rows), {"filtered": len(events) - len(rows)})
        return Step(after, rows, endpoints=(endpoint.row,) if rows else ())


def _endpoint(account: RunningAccount, endpoint_id: str) -> RunningEndpoint | None:
    return next((one for one in account.endpoints.values() if one.endpoint.id == endpoint_id), None)


def _usable(account: RunningAccount, parameters: RecoverParameters) -> RunningEndpoint:
    endpoint = _endpoint(account, parameters.endpoint_id)
    if endpoint is None:
        raise Conflict("endpoint_deleted", "the endpoint was deleted")
    if not endpoint.endpoint.enabled:
        raise Conflict(
            "endpoint_disabled",
            "the endpoint is disabled, so nothing can be sent to it; enable it first: "
            f'PATCH /v1/endpoints/{parameters.endpoint_id} with {{"enabled": true, "held": "keep"}}, then recover',
        )
    return endpoint


def moved(job: Job, parameters: RecoverParameters, following: int | None, examined: int) -> Job:
    """The job behind one page: on the next page, in the next state, or done."""
    job = msgspec.structs.replace(job, examined=job.examined + examined, cursor=following)
    if following is not None:
        return job
    if job.phase + 1 < len(parameters.states):
        return msgspec.structs.replace(job, phase=job.phase + 1)
    return msgspec.structs.replace(job, state=JobState.DONE)


def counted(job: Job, done: int, skipped: dict[str, int]) -> Job:
    """The job with its counters moved on."""
    because = dict(job.skipped_because)
    for reason, count in skipped.items():
        if count:
            because[reason] = because.get(reason, 0) + count
    return msgspec.structs.replace(
        job, done=job.done + done, skipped=job.skipped + sum(skipped.values()), skipped_because=because
    )
