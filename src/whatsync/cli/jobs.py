"""``whatsync jobs``: bulk work and its progress. Speaks the API alone."""

from typing import Annotated

import typer

from whatsync.cli.client import connect
from whatsync.cli.group import new_app
from whatsync.cli.job_progress import FIRST, show_job
from whatsync.cli.options import AsJson, Cursor, Everything, Limit, OfAccount, example, list_items, quoted
from whatsync.cli.output import Column, moment, show_one

app = new_app(no_args_is_help=True, help="Bulk work (recover, resend, erase, reprocess) and its progress.")

COLUMNS = (
    Column("JOB", "id"),
    Column("KIND", "kind"),
    Column("STATE", "state"),
    Column("DONE", "done", right=True),
    Column("SKIPPED", "skipped", right=True),
    Column("BEGUN", lambda item: moment(item.get("createdAt"))),
    Column("ENDED", lambda item: moment(item.get("finishedAt"))),
)
Id = Annotated[str, typer.Argument(metavar="JOB", help="job_…", callback=quoted)]


@app.command("list", epilog=example("whatsync jobs list"))
def list_jobs(
    limit: Limit = 50,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """List jobs, newest first."""
    query = {"limit": limit, "cursor": cursor}
    list_items(connect(account), "/v1/jobs", query, COLUMNS, "No jobs.", every=every, as_json=as_json)


@app.command(epilog=example("whatsync jobs get job_… --wait"))
def get(
    job: Id,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it ends.")] = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Show one job."""
    client = connect(account)
    show_job(client, client.get(f"/v1/jobs/{job}"), wait, as_json)


@app.command(epilog=example("whatsync jobs cancel job_…"))
def cancel(job: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Stop a running job after its current step; what it did stays done."""
    show_one(connect(account).post(f"/v1/jobs/{job}/cancel"), as_json, FIRST)
