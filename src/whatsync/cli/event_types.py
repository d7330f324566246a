"""``whatsync event-types``: the catalogue of events, and an account's own types. Speaks the API alone."""

from typing import Annotated, Any

import typer

from whatsync.cli.client import connect
from whatsync.cli.group import new_app
from whatsync.cli.options import AsJson, Cursor, Everything, Limit, OfAccount, Yes, example, list_items, quoted, sure
from whatsync.cli.output import Column, say, show_done, show_json, show_one, show_table

app = new_app(no_args_is_help=True, help="The catalogue of events, and types of your own.")

COLUMNS = (
    Column("EVENT TYPE", "name"),
    Column("KIND", "kind"),
    Column("IN *", "inWildcard"),
    Column("DESCRIPTION", "description"),
)
FIELDS = (
    Column("FIELD", "name"),
    Column("TYPE", "types"),
    Column("VALUES", "values"),
    Column("DESCRIPTION", "description"),
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Such as message.incoming.", callback=quoted)]


@app.command("list", epilog=example("whatsync event-types list"))
def list_types(
    limit: Limit = 200,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """List all event types there are for you."""
    query = {"limit": limit, "cursor": cursor}
    list_items(connect(account), "/v1/event-types", query, COLUMNS, "No types.", every=every, as_json=as_json)


@app.command(epilog=example("whatsync event-types get message.status"))
def get(name: Name, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Show one type: its fields, its documented example, its JSON Schema with --json."""
    found: dict[str, Any] = connect(account).get(f"/v1/event-types/{name}")
    if as_json:
        show_json(found)
        return
    say(f"{found['name']}: {found['description']}", "bold")
    if found.get("fields"):
        show_table(FIELDS, found["fields"], "")
    if found.get("example"):
        show_json(found["example"])


@app.command(epilog=example("whatsync event-types create order.created --description 'An order came in'"))
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Words joined by dots, such as order.created.")],
    description: Annotated[str, typer.Option(help="What it means.")] = "",
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Make a type of your own, or describe it anew."""
    made = connect(account).post("/v1/event-types", {"name": name, "description": description})
    show_one({"name": made["name"], "description": made["description"]} if not as_json else made, as_json)


@app.command(epilog=example("whatsync event-types delete order.created --yes"))
def delete(name: Name, yes: Yes = False, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Delete a type of your own that no endpoint names. Its past events stay."""
    client = connect(account)
    sure(f"Delete the event type {name}?", yes)
    answer = client.delete(f"/v1/event-types/{name}")
    show_done(answer, as_json, f"{name} is deleted.")
