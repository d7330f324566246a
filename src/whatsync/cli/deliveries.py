"""``whatsync deliveries``: the history of what was sent where and what came back. Speaks the API alone."""

from typing import Annotated, Any

import typer

from whatsync.cli.attempt_view import show_attempt, show_command
from whatsync.cli.client import connect
from whatsync.cli.failure import wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.hints import as_commands
from whatsync.cli.job_progress import show_job
from whatsync.cli.moments import read_moment
from whatsync.cli.options import (
    AsJson,
    Cursor,
    Everything,
    Limit,
    OfAccount,
    Since,
    Until,
    example,
    given,
    list_items,
    quoted,
)
from whatsync.cli.output import Column, clean, moment, remark, say, show_json, show_one

app = new_app(no_args_is_help=True, help="Deliveries: what was sent where, and what came back.")

COLUMNS = (
    Column("DELIVERY", "id"),
    Column("STATE", "state"),
    Column("TEST", lambda item: "test" if item.get("origin") == "test" else None),
    Column("EVENT", "event"),
    Column("EVENT ID", "eventId"),
    Column("TRIES", "attempts", right=True),
    Column("LAST", lambda item: item.get("code") or item.get("status")),
    Column("MADE", lambda item: moment(item.get("createdAt"))),
    Column("NEXT TRY", lambda item: moment(item.get("dueAt"))),
    Column("TO", lambda item: (item.get("endpoint") or {}).get("url")),
)
FIRST = ("id", "state", "event", "eventId", "endpoint", "attempts")

Id = Annotated[str, typer.Argument(metavar="DELIVERY", help="dlv_…", callback=quoted)]
Search = Annotated[str | None, typer.Option("--search", "-q", help="An id, wamid, phone number or words.")]
OfEndpoint = Annotated[str | None, typer.Option("--endpoint", metavar="ENDPOINT", help="To this endpoint, ep_…")]
OfType = Annotated[str | None, typer.Option("--event", metavar="TYPE", help="Of this event type.")]
OfNumber = Annotated[str | None, typer.Option("--number", metavar="ID", help="Of this phoneNumberId.")]
States = Annotated[
    list[str] | None,
    typer.Option("--state", help="pending, retrying, succeeded, failed, cancelled or held. Repeatable."),
]
Code = Annotated[str | None, typer.Option(help="That failed so the last time: http_500, timeout, …")]
EventId = Annotated[str | None, typer.Option("--event-id", help="Of this event.")]


@app.command("list", epilog=example("whatsync deliveries list --state failed --since 24h"))
def list_deliveries(
    *,
    q: Search = None,
    endpoint: OfEndpoint = None,
    event: OfType = None,
    number: OfNumber = None,
    states: States = None,
    code: Code = None,
    test: Annotated[bool | None, typer.Option("--test/--no-test", help="Only tests, or none.")] = None,
    event_id: EventId = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """List deliveries, newest first."""
    query = _filter(q, endpoint, event, number, code, event_id)
    query |= given(test=test, since=read_moment(since, "--since"), until=read_moment(until, "--until"))
    query |= given(state=",".join(states) if states else None) | {"limit": limit, "cursor": cursor}
    empty = "No deliveries like that."
    list_items(connect(account), "/v1/deliveries", query, COLUMNS, empty, every=every, as_json=as_json)


@app.command(epilog=example("whatsync deliveries get dlv_…"))
def get(delivery: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Show one delivery and how it stands."""
    show_one(connect(account).get(f"/v1/deliveries/{delivery}"), as_json, FIRST)


@app.command(epilog=example("whatsync deliveries attempts dlv_…", "whatsync deliveries attempts dlv_… --curl"))
def attempts(
    delivery: Id,
    whole: Annotated[bool, typer.Option("--all", help="Every try whole, not only the last one.")] = False,
    curl: Annotated[bool, typer.Option("--curl", help="Only the requests, as curl commands to copy or pipe.")] = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Show every try of a delivery: what was sent, what came back, how long it took, what to do.

    The last one whole: request and answer with headers and body.
    """
    found = connect(account).get(f"/v1/deliveries/{delivery}/attempts")
    if as_json:
        show_json(found)
        return
    items: list[dict[str, Any]] = found["items"]
    for at, attempt in enumerate(items, 1):
        if curl:
            show_command(attempt)
        else:
            show_attempt(attempt, whole=whole or at == len(items))
    if len(items) > 1 and not (whole or curl):
        remark(f"Requests and answers of the earlier tries: whatsync deliveries attempts {delivery} --all")
    if not items:
        say("Nothing was tried yet.", "dim")


@app.command(epilog=example("whatsync deliveries retry dlv_…"))
def retry(delivery: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Try a waiting delivery now."""
    _promise(connect(account).post(f"/v1/deliveries/{delivery}/retry"), as_json)


@app.command(epilog=example("whatsync deliveries cancel dlv_…"))
def cancel(delivery: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """End a delivery that is not final yet."""
    _promise(connect(account).post(f"/v1/deliveries/{delivery}/cancel"), as_json)


@app.command(
    epilog=example(
        "whatsync deliveries resend --state failed --endpoint ep_… --since 24h --dry-run",
        "whatsync deliveries resend --code http_500 --since 24h --wait",
    )
)
def resend(
    *,
    q: Search = None,
    endpoint: OfEndpoint = None,
    event: OfType = None,
    number: OfNumber = None,
    states: States = None,
    code: Code = None,
    event_id: EventId = None,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it ends.")] = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Make new deliveries for everything a filter finds, in bulk."""
    wanted = _filter(q, endpoint, event, number, code, event_id)
    wanted |= given(since=read_moment(since, "--since"), until=read_moment(until, "--until"), state=states or None)
    if not wanted:
        raise wrong_use("say which ones, such as --state failed --since 24h.")
    client = connect(account)
    answer = client.post("/v1/deliveries/resend", {"filter": wanted, **({"dryRun": True} if dry_run else {})})
    if dry_run:
        show_one(answer, as_json)
    else:
        show_job(client, answer, wait, as_json)


def _filter(
    q: str | None, endpoint: str | None, event: str | None, number: str | None, code: str | None, event_id: str | None
) -> dict[str, Any]:
    return given(q=q, endpoint=endpoint, event=event, number=number, code=code, eventId=event_id)


def _promise(answer: dict[str, Any], as_json: bool) -> None:
    """What was done and what follows."""
    if as_json:
        show_json(answer)
    else:
        say(as_commands(clean(answer.get("sentence") or answer)))
