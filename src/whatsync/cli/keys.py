"""``whatsync keys``: API keys of the account, or of operators. Speaks the API alone."""

from typing import Annotated

import typer

from whatsync.cli.client import connect
from whatsync.cli.failure import wrong_use
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
from whatsync.cli.output import Column, moment, remark, say, show_done, show_json

app = new_app(no_args_is_help=True, help="API keys: what programs show to call the API.")

COLUMNS = (
    Column("KEY", "id"),
    Column("NAME", "name"),
    Column("ENDS IN", "hint"),
    Column("SCOPES", "scopes"),
    Column("MADE", lambda item: moment(item.get("createdAt"))),
    Column("EXPIRES", lambda item: moment(item.get("expiresAt"))),
    Column("STATE", lambda item: "revoked" if item.get("revokedAt") else ""),
)
Operator = Annotated[bool, typer.Option("--operator", help="Keys of this installation's operators instead.")]


@app.command("list", epilog=example("whatsync keys list"))
def list_keys(
    operator: Operator = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """List keys, newest first. Their texts can't be shown again."""
    query = {"limit": limit, "cursor": cursor}
    list_items(connect(account), _path(operator), query, COLUMNS, "No keys.", every=every, as_json=as_json)


@app.command(
    epilog=example("whatsync keys create 'shop backend' --scope events:write", "whatsync keys create ops --operator")
)
def create(
    name: Annotated[str, typer.Argument(help="To recognise it by.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help="events:write, read, admin (all three). Repeatable."),
    ] = None,
    expires_at: Annotated[str | None, typer.Option(metavar="TIME", help="When it ends: 2030-01-01T00:00:00Z.")] = None,
    operator: Operator = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Make a key and print it, this one time."""
    form = {"name": name, **given(expiresAt=expires_at)}
    if operator and scopes:
        raise wrong_use("an operator's key may do everything: leave --scope out.")
    if not operator:
        form["scopes"] = scopes or _no_scopes()
    made = connect(account).post(_path(operator), form)
    if as_json:
        show_json(made)
        return
    say(made["key"])
    remark(f"{made['id']} ({', '.join(made['scopes'])}). Keep it now: only its hash is stored.")


@app.command(epilog=example("whatsync keys revoke key_… --yes"))
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="key_…", callback=quoted)],
    force: Annotated[bool, typer.Option("--force", help="Also the last key that could make new ones.")] = False,
    operator: Operator = False,
    yes: Yes = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """End a key at once."""
    client = connect(account)
    sure(f"Every program that uses {key} is locked out at once. Go on?", yes)
    answer = client.delete(f"{_path(operator)}/{key}", {"force": True} if force else None)
    show_done(answer, as_json, f"{key} is revoked.")


app.command("delete", hidden=True, epilog=example("whatsync keys delete key_… --yes"))(revoke)


def _path(operator: bool) -> str:
    return "/v1/operator-keys" if operator else "/v1/keys"


def _no_scopes() -> list[str]:
    raise wrong_use("say what the key may do: --scope events:write, --scope read or --scope admin.")
