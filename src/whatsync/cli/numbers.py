"""``whatsync numbers``: an account's WhatsApp numbers; for operators, all of them and whose they are."""

from typing import Annotated, Any

import typer

from whatsync.cli.client import connect
from whatsync.cli.group import new_app
from whatsync.cli.options import (
    AsJson,
    Cursor,
    Everything,
    Limit,
    OfAccount,
    Yes,
    example,
    given,
    list_items,
    quoted,
    sure,
)
from whatsync.cli.output import Column, show_done, show_one

app = new_app(no_args_is_help=True, help="Your WhatsApp numbers; for operators, all of them and whose they are.")

COLUMNS = (
    Column("NUMBER", "phoneNumberId"),
    Column("PHONE", "displayNumber"),
    Column("NAME", "name"),
    Column("ACCOUNT", "account"),
    Column("SOURCE", "source"),
)
FIRST = ("phoneNumberId", "displayNumber", "name", "account")
Id = Annotated[str, typer.Argument(metavar="NUMBER", help="Meta's phoneNumberId.", callback=quoted)]


@app.command("list", epilog=example("whatsync numbers list", "whatsync numbers list --everyone --unassigned"))
def list_numbers(
    *,
    everyone: Annotated[bool, typer.Option("--everyone", help="Of all accounts (operators).")] = False,
    unassigned: Annotated[bool, typer.Option("--unassigned", help="Only nobody's (operators).")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """List your numbers; for operators, those of all accounts."""
    query: dict[str, Any] = {"limit": limit, "cursor": cursor}
    path, client = "/v1/numbers", connect(account)
    if everyone or unassigned:
        path, client = "/v1/all-numbers", connect()
        query |= {"assigned": "false"} if unassigned else {}
    list_items(client, path, query, COLUMNS, "No numbers.", every=every, as_json=as_json)


@app.command(epilog=example("whatsync numbers get 106540352242922"))
def get(number: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Show one of your numbers."""
    show_one(connect(account).get(f"/v1/numbers/{number}"), as_json, FIRST)


@app.command(epilog=example("whatsync numbers assign 106540352242922 acc_…"))
def assign(
    number: Id,
    owner: Annotated[str, typer.Argument(metavar="ACCOUNT", help="acc_…; none: nobody's any more.")],
    as_json: AsJson = False,
) -> None:
    """Say whose a number is (operators). What came for it before is processed then."""
    form = {"account": None if owner == "none" else owner}
    show_one(connect().patch(f"/v1/numbers/{number}", form), as_json, FIRST)


@app.command(epilog=example("whatsync numbers add 106540352242922 --source src_… --owner acc_…"))
def add(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="Meta's phoneNumberId.")],
    *,
    source: Annotated[str, typer.Option(help="The source it comes through, src_….")],
    owner: Annotated[str | None, typer.Option(metavar="ACC", help="Whose it is.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is called here.")] = None,
    waba_id: Annotated[str | None, typer.Option(metavar="ID", help="Its WhatsApp business account.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a number known before its first webhook (operators); it would appear by itself."""
    form = {"phoneNumberId": number, "source": source} | given(account=owner, name=name, wabaId=waba_id)
    show_one(connect().post("/v1/numbers", form), as_json, FIRST)


@app.command(epilog=example("whatsync numbers delete 106540352242922 --yes"))
def delete(number: Id, yes: Yes = False, as_json: AsJson = False) -> None:
    """Forget a number (operators). It appears again, as nobody's, with its next webhook."""
    client = connect()
    sure(f"Forget the number {number}?", yes)
    answer = client.delete(f"/v1/numbers/{number}")
    show_done(answer, as_json, f"{number} is forgotten.")
