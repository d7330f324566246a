"""``whatsync events``: what happened, also what matched no endpoint. Speaks the API alone."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from whatsync.cli.client import connect
from whatsync.cli.deliveries import COLUMNS as DELIVERY_COLUMNS
from whatsync.cli.failure import wrong_use
from whatsync.cli.group import new_app
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
from whatsync.cli.output import Column, moment, remark, say, show_json, show_one, show_table

app = new_app(no_args_is_help=True, help="Events: what happened, whether an endpoint wanted it or not.")

COLUMNS = (
    Column("EVENT", "event"),
    Column("ID", "id"),
    Column("TEST", lambda item: "test" if item.get("test") else None),
    Column("MADE", lambda item: moment(item.get("timestamp"))),
    Column("NUMBER", "number"),
    Column("DELIVERIES", "deliveries", right=True),
)
Id = Annotated[str, typer.Argument(metavar="EVENT_ID", help="Such as msg_…", callback=quoted)]


@app.command("list", epilog=example("whatsync events list --event message.incoming --since 1h"))
def list_events(
    *,
    q: Annotated[str | None, typer.Option("--search", "-q", help="An id, wamid, phone number or words.")] = None,
    event: Annotated[str | None, typer.Option(metavar="TYPE", help="Of this type.")] = None,
    number: Annotated[str | None, typer.Option(metavar="ID", help="Of this phoneNumberId.")] = None,
    matched: Annotated[
        bool | None,
        typer.Option(
            "--matched/--unmatched", help="That some endpoint wanted, or none (own notices only with --event)."
        ),
    ] = None,
    wamid: Annotated[str | None, typer.Option(help="Of this WhatsApp message.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """List events, newest first."""
    query: dict[str, str | int | bool | None] = {"q": q, "event": event, "number": number, "matched": matched}
    query["wamid"] = wamid
    query |= {"since": read_moment(since, "--since"), "until": read_moment(until, "--until")}
    query |= {"limit": limit, "cursor": cursor}
    list_items(connect(account), "/v1/events", query, COLUMNS, "No events.", every=every, as_json=as_json)


@app.command(epilog=example("whatsync events get msg_…"))
def get(event_id: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Show one event with its data and details, as JSON."""
    found = connect(account).get(f"/v1/events/{event_id}")
    if as_json:
        show_json(found)
    else:
        print(json.dumps(found, ensure_ascii=False, indent=2))


@app.command(epilog=example("whatsync events deliveries msg_…"))
def deliveries(
    event_id: Id,
    limit: Limit = 50,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """List where an event was sent to, and what became of it."""
    path, query = f"/v1/events/{event_id}/deliveries", {"limit": limit, "cursor": cursor}
    empty = "No endpoint wanted this event."
    list_items(connect(account), path, query, DELIVERY_COLUMNS, empty, every=every, as_json=as_json)


@app.command(epilog=example("whatsync events resend msg_… --endpoint ep_…"))
def resend(
    event_id: Id,
    endpoint: Annotated[
        str | None, typer.Option(metavar="ENDPOINT", help="Only to this one; else to all that want it.")
    ] = None,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Deliver an old event again: the same id and body, a new delivery."""
    answer = connect(account).post(f"/v1/events/{event_id}/resend", given(endpointId=endpoint))
    if as_json:
        show_json(answer)
        return
    made = answer.get("deliveries")
    if isinstance(made, list):
        show_table(DELIVERY_COLUMNS, made, "No endpoint wants this event now.")
    else:
        show_one(answer, as_json)


@app.command(
    epilog=example(
        "whatsync events send event.json",
        """echo '{"event": "order.created", "data": {"order": 17}}' | whatsync events send -""",
    )
)
def send(
    path: Annotated[str, typer.Argument(metavar="FILE", help="JSON: one event, or an array; - is standard input.")],
    idempotency_key: Annotated[
        str | None, typer.Option(help="Sent again with the same key, nothing is accepted twice.")
    ] = None,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Accept events from a file: `{"event", "data", "id"?, "timestamp"?, "contact"?, "details"?}`."""
    headers = None if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    answer = connect(account).post("/v1/events", _read(path), headers=headers)
    if as_json:
        show_json(answer)
        return
    for item in answer.get("items", [answer]):
        say(f"{item['event']} {item['id']}: accepted, {_count(item['deliveries'])}")
    remark("Follow it: whatsync events deliveries ID")


def _read(path: str) -> Any:
    try:
        return json.loads(sys.stdin.read() if path == "-" else Path(path).read_text("utf-8"))
    except OSError as problem:
        raise wrong_use(f"{path} can't be read: {problem.strerror}.") from None
    except ValueError as problem:
        raise wrong_use(f"{path} is not JSON: {problem}.") from None


def _count(deliveries: int) -> str:
    return "no endpoint wants it" if not deliveries else f"{deliveries} deliver{'y' if deliveries == 1 else 'ies'}"
