"""Bulk work: the jobs, one job with its progress, live while it runs, and cancelling it. Starts none itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from whatsync.engine import bulk_resend, recover, reprocess_span
from whatsync.engine.bulk_resend import ResendParameters
from whatsync.engine.recover import RecoverParameters
from whatsync.engine.reprocess_span import ReprocessParameters
from whatsync.model.account import Job, JobState
from whatsync.model.errors import Conflict
from whatsync.model.ids import ms_of
from whatsync.web.api.call import cursor_of, position_of, to_ms
from whatsync.web.api.jobs import job_view
from whatsync.web.pages.history_filters import STATE_WORDS, short_url
from whatsync.web.pages.page import Entry, Flash, Given, Need, Page, Redirect, Show, Tone, Visit
from whatsync.web.pages.rendering import short_utc

KINDS = {
    "resend": "Resend in bulk",
    "recover": "Recover an endpoint",
    "erase": "Erase a person’s data",
    "reprocess": "Process again what a source brought",
}
SKIPPED = {
    "succeeded_since": "arrived since",
    "under_way": "still on the way",
    "newer_delivery": "have a newer delivery",
    "filtered": "left out by filters",
    "endpoint_disabled": "their endpoint is disabled",
    "endpoint_deleted": "their endpoint is deleted",
    "gone": "past the time events are kept",
}


@dataclass(frozen=True, slots=True)
class JobsPage:
    """What ``jobs.html`` shows."""

    jobs: list[Job]
    kinds: dict[str, str]
    newest: str | None
    older: str | None
    running: bool


@dataclass(frozen=True, slots=True)
class JobPage:
    """What ``job.html`` shows."""

    job: Job
    title: str
    share: float | None
    """How far it is, 0 to 1, by the time that it has come to; ``None`` where nobody knows."""
    conditions: list[tuple[str, str]]
    history: str | None
    """Where what it made is seen."""
    skipped: list[tuple[str, int]]

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.job.state is JobState.RUNNING


async def jobs(visit: Visit) -> Given:
    """All jobs, newest first."""
    before = position_of(visit.asked("cursor") or None)
    found, following = visit.services.jobs.page(visit.account, before)
    page = JobsPage(
        jobs=list(found),
        kinds=KINDS,
        newest=visit.here("/jobs") if before is not None else None,
        older=None if following is None else visit.here("/jobs", cursor=cursor_of(following)),
        running=before is None and any(job.state is JobState.RUNNING for job in found),
    )
    return Show("jobs.html", page, fragment="list")


async def job(visit: Visit) -> Given:
    """One job and how far it is."""
    found = visit.services.jobs.read(visit.account, visit.parameters["job_id"])
    page = JobPage(
        job=found,
        title=KINDS.get(found.kind, found.kind),
        share=_share(found),
        conditions=_conditions(visit, found),
        history=_history(visit, found),
        skipped=[(SKIPPED.get(reason, reason), count) for reason, count in found.skipped_because.items()],
    )
    return Show("job.html", page, fragment="now")


async def cancel_job(visit: Visit) -> Given:
    """Stop it after its current step."""
    name = visit.parameters["job_id"]
    try:
        await visit.services.jobs.cancel(visit.account, name, visit.actor)
    except Conflict as problem:
        said = problem.detail[:1].upper() + problem.detail[1:] + "."
        return Redirect(visit.here(f"/jobs/{name}"), Flash(said, Tone.NOTE))
    return Redirect(visit.here(f"/jobs/{name}"), Flash("It is cancelled. What it did stays done."))


def _share(found: Job) -> float | None:
    """A job walks from its oldest row to its newest: how much of that time lies behind it."""
    if found.state is JobState.DONE:
        return 1.0
    if found.kind == bulk_resend.KIND:
        resend = msgspec.json.decode(found.parameters, type=ResendParameters)
        begun = None if resend.query is None else resend.query.since_ms
        end = ms_of(resend.ceiling)
        if resend.query is not None and resend.query.until_ms is not None:
            end = min(end, resend.query.until_ms)
        return _part(begun, end, found.cursor)
    if found.kind == recover.KIND:
        asked = msgspec.json.decode(found.parameters, type=RecoverParameters)
        part = _part(asked.since_ms, min(asked.until_ms, ms_of(asked.ceiling)), found.cursor) or 0.0
        return (found.phase + part) / len(asked.states)
    if found.kind == reprocess_span.KIND:
        span = msgspec.json.decode(found.parameters, type=ReprocessParameters)
        if found.cursor is None or span.until_ms <= span.since_ms:
            return 0.0
        # Goes from the newest to the oldest.
        return min(1.0, max(0.0, (span.until_ms - ms_of(found.cursor)) / (span.until_ms - span.since_ms)))
    return None


def _part(begun_ms: int | None, end_ms: int, cursor: int | None) -> float | None:
    if begun_ms is None or end_ms <= begun_ms:
        return None
    return 0.0 if cursor is None else min(1.0, max(0.0, (ms_of(cursor) - begun_ms) / (end_ms - begun_ms)))


def _conditions(visit: Visit, found: Job) -> list[tuple[str, str]]:
    """What was asked for, in words."""
    asked: dict[str, Any] = job_view(found).parameters
    asked = asked.get("filter", asked)
    words = {"since": "From", "until": "Until", "q": "Words", "endpointId": "Endpoint", "eventId": "Event id"}
    return [
        (words.get(name, name[:1].upper() + name[1:]), _condition(visit, name, value)) for name, value in asked.items()
    ]


def _condition(visit: Visit, name: str, value: Any) -> str:
    if name in ("since", "until"):
        return short_utc(to_ms(datetime.fromisoformat(value)) or 0)
    if isinstance(value, list | tuple):
        return ", ".join(STATE_WORDS.get(str(one), str(one)) for one in value)
    if name == "source":
        known = visit.services.directory.whatsapp.sources.get(value)
        return value if known is None or not visit.operator else known.source.name
    if name in ("endpoint", "endpointId"):
        running = visit.services.directory.endpoints_by_id.get(value)
        if running is not None and running.account.row == visit.account.row:
            return short_url(running.endpoint.url)
    return str(value)


def _history(visit: Visit, found: Job) -> str | None:
    asked: dict[str, Any] = job_view(found).parameters
    if found.kind == recover.KIND:
        return visit.here("/history", endpoint=asked.get("endpointId"))
    if found.kind == bulk_resend.KIND:
        given = asked.get("filter", {})
        return visit.here("/history", endpoint=given.get("endpoint"), event=given.get("event"))
    return None


PAGES = (
    Page("GET", "/a/{account}/jobs", Need.VIEWER, jobs, embedded=True),
    Page("GET", "/a/{account}/jobs/{job_id}", Need.VIEWER, job, embedded=True),
    Page("POST", "/a/{account}/jobs/{job_id}/cancel", Need.SUPPORT, cancel_job, embedded=True),
)
ENTRIES = (Entry("Jobs", "/a/{account}/jobs", "jobs", Need.VIEWER, order=35, embedded=True),)
