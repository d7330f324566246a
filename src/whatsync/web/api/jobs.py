"""Routes of bulk work: the jobs with their progress, cancelling one, and recovering an endpoint, which starts one."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from whatsync.engine import bulk_resend, recover, reprocess_span
from whatsync.engine.bulk_resend import ResendParameters
from whatsync.engine.jobs import Preview
from whatsync.engine.recover import STATES, RecoverParameters
from whatsync.engine.reprocess_span import ReprocessParameters
from whatsync.model.account import Job, JobState, Scope
from whatsync.web.api.call import (
    Answer,
    Call,
    Moment,
    Page,
    PageQuery,
    Route,
    Time,
    listed,
    position_of,
    show_time,
    show_time_or_none,
    to_ms,
)


class RecoverForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What an endpoint is to catch up on."""

    since: Moment
    until: Moment | None = None
    states: Annotated[
        list[str],
        Meta(
            max_length=len(STATES),
            description="`retrying`: tried now · `held`: released · `failed`: sent again · `missing`: events it wants "
            "and never had a delivery for",
        ),
    ] = msgspec.field(default_factory=lambda: list(STATES))
    dry_run: Annotated[bool, Meta(description="Only say what would be done")] = False


class JobView(msgspec.Struct, frozen=True, rename="camel"):
    """Bulk work and its progress. It goes on whatever happens to the server."""

    id: str
    kind: Annotated[str, Meta(description="`recover`, `resend`, `erase` or `reprocess`")]
    state: JobState
    done: Annotated[int, Meta(description="Deliveries made or moved, events erased, or events made")]
    skipped: int
    skipped_because: Annotated[
        dict[str, int],
        Meta(
            description="`succeeded_since`, `under_way`, `newer_delivery`, `filtered`, `endpoint_disabled`, "
            "`endpoint_deleted` or `gone` (past retention)"
        ),
    ]
    examined: int
    created_at: Time
    updated_at: Time | None
    finished_at: Time | None
    error: Annotated[str | None, Meta(description="Why it failed")]
    parameters: Annotated[dict[str, Any], Meta(description="What was asked for; of an erasure nothing")]


class PreviewView(msgspec.Struct, frozen=True, rename="camel"):
    """What a job would do. Nothing was written."""

    would: Annotated[int, Meta(description="Deliveries that would be made or moved")]
    skipped: int
    skipped_because: dict[str, int]
    examined: int
    complete: Annotated[bool, Meta(description="False: the look stopped for its bound, and there is more")]


def job_view(job: Job) -> JobView:
    """A job for an answer."""
    return JobView(
        id=job.id,
        kind=job.kind,
        state=job.state,
        done=job.done,
        skipped=job.skipped,
        skipped_because=job.skipped_because,
        examined=job.examined,
        created_at=show_time(job.created_ms),
        updated_at=show_time_or_none(job.updated_ms),
        finished_at=show_time_or_none(job.finished_ms),
        error=job.error,
        parameters=_parameters(job),
    )


def preview_view(preview: Preview) -> PreviewView:
    """A preview for an answer."""
    return PreviewView(preview.would, preview.skipped, preview.skipped_because, preview.examined, preview.complete)


def _parameters(job: Job) -> dict[str, Any]:
    if job.kind == recover.KIND:
        asked = msgspec.json.decode(job.parameters, type=RecoverParameters)
        return {
            "endpointId": asked.endpoint_id,
            "states": list(asked.states),
            "since": show_time(asked.since_ms),
            "until": show_time(asked.until_ms),
        }
    if job.kind == reprocess_span.KIND:
        span = msgspec.json.decode(job.parameters, type=ReprocessParameters)
        return {"source": span.source, "since": show_time(span.since_ms), "until": show_time(span.until_ms)}
    if job.kind == bulk_resend.KIND:
        wanted = msgspec.to_builtins(msgspec.json.decode(job.parameters, type=ResendParameters).filter)
        for name in ("since", "until"):
            at_ms = wanted.pop(f"{name}Ms", None)
            if at_ms is not None:
                wanted[name] = show_time(at_ms)
        if "states" in wanted:
            wanted["state"] = wanted.pop("states")
        return {"filter": wanted}
    return {}


async def list_jobs(call: Call) -> Answer:
    """Newest first; ended ones stay as long as the account's events."""
    query: PageQuery = call.query
    jobs, after = call.services.jobs.page(call.account, position_of(query.cursor), query.limit)
    return listed((job_view(job) for job in jobs), after)


async def read_job(call: Call) -> Answer:
    """The job and how far it is."""
    return Answer(200, job_view(call.services.jobs.read(call.account, call.path["job_id"])))


async def cancel_job(call: Call) -> Answer:
    """Stops it after its current step; what it did stays done."""
    job = await call.services.jobs.cancel(call.account, call.path["job_id"], call.principal.actor)
    return Answer(200, job_view(job))


async def recover_endpoint(call: Call) -> Answer:
    """Catches an endpoint up on what it missed, as a job that survives restarts.

    What has succeeded since is skipped. `since` and `until` go by the time a delivery was made, for `missing` by the
    time the event was accepted. With `dryRun` nothing is written, and the answer says what would be done.
    """
    form: RecoverForm = call.body
    services = call.services
    since_ms = to_ms(form.since)
    parameters = services.recover.parameters(
        call.account, call.path["endpoint_id"], since_ms or 0, to_ms(form.until), tuple(form.states)
    )
    if form.dry_run:
        return Answer(200, preview_view(await services.jobs.preview(call.account, recover.KIND, parameters)))
    job = await services.jobs.start(call.account, recover.KIND, parameters, call.principal.actor)
    return Answer(202, job_view(job))


ROUTES = (
    Route(
        "POST", "/v1/endpoints/{endpoint_id}/recover", Scope.ADMIN, recover_endpoint, "Recover an endpoint",
        takes=RecoverForm, gives={202: JobView, 200: PreviewView}, problems=(404, 409),
    ),
    Route(
        "GET", "/v1/jobs", Scope.READ, list_jobs, "List jobs",
        query=PageQuery, gives={200: Page[JobView]},
    ),
    Route(
        "GET", "/v1/jobs/{job_id}", Scope.READ, read_job, "Read a job",
        gives={200: JobView}, problems=(404,),
    ),
    Route(
        "POST", "/v1/jobs/{job_id}/cancel", Scope.ADMIN, cancel_job, "Cancel a job",
        gives={200: JobView}, problems=(404, 409),
    ),
)  # fmt: skip
