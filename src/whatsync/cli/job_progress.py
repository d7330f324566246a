"""Follows a job of the server until it ends, with its progress on standard error. Knows jobs by the API alone."""

from typing import Any

from whatsync.cli.client import Client
from whatsync.cli.failure import Failure
from whatsync.cli.output import remark, show_fields, show_json
from whatsync.cli.patience import pause

_LOOK_SECONDS = 0.5
_RUNNING = "running"
FIRST = ("id", "kind", "state", "done", "skipped", "examined")


def show_job(client: Client, job: dict[str, Any], wait: bool, as_json: bool) -> None:
    """Print a job; with ``wait``, once it has ended. Raises Failure where it failed."""
    if wait:
        job = _ended(client, job)
    if as_json:
        show_json(job)
    else:
        show_fields(job, FIRST)
        if job.get("state") == _RUNNING:
            remark(f"It goes on by itself: `whatsync jobs get {job['id']} --wait` follows it.")
    if wait and job.get("state") == "failed":
        raise Failure(f"the job failed: {job.get('error') or 'the server says no more'}")


def _ended(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    told = None
    while job.get("state") == _RUNNING:
        told_now = (job.get("done"), job.get("skipped"))
        if told_now != told:
            remark(f"{job.get('done', 0)} done, {job.get('skipped', 0)} skipped …")
            told = told_now
        pause(_LOOK_SECONDS)
        job = client.get(f"/v1/jobs/{job['id']}")
    return job
