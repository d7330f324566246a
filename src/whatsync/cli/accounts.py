"""``whatsync accounts``: the account of the key with its signing secret and, for operators, all accounts."""

from pathlib import Path
from typing import Annotated, Any

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
from whatsync.cli.output import Column, moment, remark, say, show_done, show_json, show_one
from whatsync.cli.secrets import rotation_form, show_secret

app = new_app(no_args_is_help=True, help="Your own account and its signing secret; for operators, all accounts.")

COLUMNS = (
    Column("ACCOUNT", "id"),
    Column("NAME", "name"),
    Column("STATE", lambda item: "suspended" if item.get("suspended") else ""),
    Column("MADE", lambda item: moment(item.get("createdAt"))),
)
FIRST = ("id", "name", "suspended")

Id = Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="acc_…; left out: your own.", callback=quoted)]
Emails = Annotated[list[str] | None, typer.Option("--alert-email", metavar="MAIL", help="Told of trouble. Repeatable.")]
AlertUrl = Annotated[str | None, typer.Option(metavar="URL", help="Chat webhook that is told of trouble.")]
Days = Annotated[int | None, typer.Option("--retention-days", help="How long events are kept.")]
PerSecond = Annotated[int | None, typer.Option("--events-per-second", help="More are answered with 429.")]
OpenDeliveries = Annotated[int | None, typer.Option("--open-deliveries", help="Deliveries that may wait.")]


@app.command("list", epilog=example("whatsync accounts list"))
def list_accounts(limit: Limit = 50, cursor: Cursor = None, every: Everything = False, as_json: AsJson = False) -> None:
    """List all accounts of the installation (operators)."""
    query = {"limit": limit, "cursor": cursor}
    list_items(connect(), "/v1/accounts", query, COLUMNS, "No accounts.", every=every, as_json=as_json)


@app.command(epilog=example("whatsync accounts get", "whatsync accounts get acc_…"))
def get(account: Id = None, as_json: AsJson = False) -> None:
    """Show an account."""
    show_one(connect().get(_path(account)), as_json, FIRST)


@app.command(epilog=example("whatsync accounts create 'Example Ltd' --alert-email ops@example.com"))
def create(
    name: Annotated[str, typer.Argument(help="Who it is for.")],
    *,
    emails: Emails = None,
    alert_url: AlertUrl = None,
    retention_days: Days = None,
    events_per_second: PerSecond = None,
    open_deliveries: OpenDeliveries = None,
    as_json: AsJson = False,
) -> None:
    """Make an account (operators)."""
    form = {"name": name, **_form(emails, alert_url, retention_days, events_per_second, open_deliveries)}
    made = connect().post("/v1/accounts", form)
    show_one(made, as_json, FIRST)
    if not as_json:
        remark(f"Its first key: whatsync keys create NAME --scope admin --account {made['id']}")


@app.command(
    epilog=example("whatsync accounts update --alert-email ops@example.com", "whatsync accounts update acc_… --suspend")
)
def update(
    *,
    account: Id = None,
    name: Annotated[str | None, typer.Option(help="Who it is for.")] = None,
    emails: Emails = None,
    alert_url: AlertUrl = None,
    retention_days: Days = None,
    events_per_second: PerSecond = None,
    open_deliveries: OpenDeliveries = None,
    suspended: Annotated[bool | None, typer.Option("--suspend/--resume", help="Let nobody use it, or again.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change an account; limits, retention and suspending are the operators' business."""
    form = _form(emails, alert_url, retention_days, events_per_second, open_deliveries)
    form |= given(name=name, suspended=suspended)
    if not form:
        raise wrong_use("say what to change, such as --name (all options: whatsync accounts update --help).")
    show_one(connect().patch(_path(account), form), as_json, FIRST)


@app.command(epilog=example("whatsync accounts delete acc_… --yes"))
def delete(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="acc_…", callback=quoted)],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete an account with everything in it (operators)."""
    client = connect()
    sure(f"Remove {account} with all its endpoints, keys, events and their history, for ever?", yes)
    answer = client.delete(f"/v1/accounts/{account}", {"confirm": account})
    show_done(answer, as_json, f"{account} is being removed.")


@app.command(
    "sign-in-link",
    epilog=example(
        "whatsync accounts sign-in-link acc_…",
        "whatsync accounts sign-in-link acc_… --role developer --path /history --frame",
    ),
)
def sign_in_link(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="acc_…", callback=quoted)],
    *,
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="viewer, support (unless told otherwise), developer or owner.")
    ] = None,
    path: Annotated[str | None, typer.Option(metavar="PATH", help="Where it opens: /webhooks, /history …")] = None,
    frame: Annotated[bool, typer.Option("--frame", help="For a frame in your own page (EMBED_ORIGINS).")] = False,
    theme: Annotated[str | None, typer.Option(metavar="light|dark", help="How it looks; else as the browser.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a link that opens one account's configuration and history without a password, once (operators)."""
    form = given(role=role, path=path, frame=frame or None, theme=theme)
    made = connect().post(f"/v1/accounts/{account}/sign-in-link", form)
    if as_json:
        show_json(made)
        return
    say(made["url"])
    remark(f"It works once, until {moment(made['expiresAt'])}, and opens this account alone, for eight hours.")


@app.command(epilog=example("whatsync accounts secret"))
def secret(as_json: AsJson = False, account: OfAccount = None) -> None:
    """Show your secret key: what requests to all endpoints without one of their own are signed with."""
    show_secret(connect(account).get("/v1/account/secret"), as_json)


@app.command(epilog=example("whatsync accounts rotate", "whatsync accounts rotate --leaked --yes"))
def rotate(
    *,
    switch_at: Annotated[
        str | None, typer.Option(metavar="end|now|TIME", help="When X-WhatsSync-Signature changes (end).")
    ] = None,
    overlap_seconds: Annotated[int | None, typer.Option(help="How long both secrets are signed with (86400).")] = None,
    leaked: Annotated[bool, typer.Option("--leaked", help="The old one counts no more from this moment on.")] = False,
    secret_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A secret of your own, whsec_…, in a file; else one is made.")
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Begin a calm rotation of your secret key: both are signed with until you switch."""
    form = rotation_form(switch_at, overlap_seconds, leaked, secret_file)
    if leaked:
        sure("Every receiver with the old secret fails from this moment on. Go on?", yes)
    show_secret(connect(account).post("/v1/account/secret/rotate", form), as_json)


@app.command(epilog=example("whatsync accounts switch"))
def switch(as_json: AsJson = False, account: OfAccount = None) -> None:
    """During a rotation: make X-WhatsSync-Signature with the new secret from now on."""
    show_secret(connect(account).post("/v1/account/secret/switch"), as_json)


def _path(account: str | None) -> str:
    return "/v1/account" if account is None else f"/v1/accounts/{account}"


def _form(
    emails: list[str] | None,
    alert_url: str | None,
    retention_days: int | None,
    events_per_second: int | None,
    open_deliveries: int | None,
) -> dict[str, Any]:
    form: dict[str, Any] = given(retentionDays=retention_days)
    if alerts := given(emails=emails or None, url=alert_url):
        form["alerts"] = alerts
    if limits := given(eventsPerSecond=events_per_second, openDeliveries=open_deliveries):
        form["limits"] = limits
    return form
