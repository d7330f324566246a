"""``whatsync sources``: Meta apps that events come from, how they fare, and samples to try them (operators)."""

from pathlib import Path
from typing import Annotated, Any

import typer

from whatsync.cli.client import connect as connect_api
from whatsync.cli.failure import Failure, wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.job_progress import show_job
from whatsync.cli.moments import read_moment
from whatsync.cli.options import (
    AsJson,
    Cursor,
    Everything,
    Limit,
    Since,
    Until,
    Yes,
    example,
    given,
    list_items,
    quoted,
    sure,
)
from whatsync.cli.output import Column, moment, remark, show_done, show_json, show_one, show_table

app = new_app(no_args_is_help=True, help="Meta apps that events come from (operators).")

COLUMNS = (
    Column("SOURCE", "id"),
    Column("NAME", "name"),
    Column("SECRET", lambda item: "set" if item.get("appSecretSet") else ""),
    Column("ACCOUNT", "account"),
    Column("MADE", lambda item: moment(item.get("createdAt"))),
)
ASIDE = (
    Column("CAME", lambda item: moment(item.get("receivedAt"))),
    Column("REASON", "reason"),
    Column("NUMBER", "number"),
    Column("COUNT", "count", right=True),
    Column("WHERE", "path"),
    Column("BODY", "bodyId"),
)
FINDINGS = (
    Column("", lambda item: "ok" if item["ok"] else "GAP"),
    Column("WHAT", "code"),
    Column("HOW IT STANDS", "sentence"),
    Column("WHAT TO DO", "nextStep"),
)
FIRST = ("id", "name", "callbackUrl", "verifyToken")

Id = Annotated[str, typer.Argument(metavar="SOURCE", help="src_…", callback=quoted)]
Account = Annotated[str | None, typer.Option("--account", metavar="ACC", help="New numbers are this account's.")]
AppId = Annotated[str | None, typer.Option(metavar="ID", help="Meta's id of the app.")]
SecretFile = Annotated[
    Path | None, typer.Option("--app-secret-file", metavar="FILE", help="The app secret, in a file; - reads it here.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--access-token-file", metavar="FILE", help="A system user's token, in a file.")
]


@app.command("list", epilog=example("whatsync sources list"))
def list_sources(limit: Limit = 50, cursor: Cursor = None, every: Everything = False, as_json: AsJson = False) -> None:
    """List all sources."""
    query = {"limit": limit, "cursor": cursor}
    list_items(connect_api(), "/v1/sources", query, COLUMNS, "No sources.", every=every, as_json=as_json)


@app.command(epilog=example("whatsync sources get src_…"))
def get(source: Id, as_json: AsJson = False) -> None:
    """Show a source and how it fares."""
    found = connect_api().get(f"/v1/sources/{source}")
    show_one(found if as_json else found["source"] | found["facts"], as_json, FIRST)


@app.command(epilog=example("whatsync sources create 'Our app' --app-secret-file secret.txt --account acc_…"))
def create(
    name: Annotated[str, typer.Argument(help="What it is called here.")],
    *,
    app_id: AppId = None,
    app_secret_file: SecretFile = None,
    access_token_file: TokenFile = None,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """Make a source. What it prints goes into Meta's dashboard: callback URL and verify token."""
    form = {"name": name, **_form(app_id, app_secret_file, access_token_file, account)}
    made = connect_api().post("/v1/sources", form)
    show_one(made, as_json, FIRST)
    if not as_json:
        remark("In Meta's dashboard, WhatsApp, Configuration: paste callbackUrl and verifyToken, subscribe messages.")
        if made["callbackUrl"] is None:
            remark("No public URL is set: Meta can't reach this server. Set WHATSYNC_PUBLIC_URL and restart.")


@app.command(epilog=example("whatsync sources update src_… --app-secret-file secret.txt"))
def update(
    source: Id,
    *,
    name: Annotated[str | None, typer.Option(help="What it is called here.")] = None,
    app_id: AppId = None,
    app_secret_file: SecretFile = None,
    access_token_file: TokenFile = None,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """Change a source. With a new app secret, the one before stays good for 7 days."""
    form = given(name=name) | _form(app_id, app_secret_file, access_token_file, account)
    if not form:
        raise wrong_use("say what to change, such as --name (all options: whatsync sources update --help).")
    show_one(connect_api().patch(f"/v1/sources/{source}", form), as_json, FIRST)


@app.command(epilog=example("whatsync sources delete src_… --yes"))
def delete(source: Id, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete a source that no number comes through any more, with its raw bodies."""
    client = connect_api()
    sure(f"Remove {source} with the raw bodies it brought?", yes)
    answer = client.delete(f"/v1/sources/{source}")
    show_done(answer, as_json, f"{source} is deleted.")


@app.command(
    "set-aside", epilog=example("whatsync sources set-aside src_…", "whatsync sources set-aside src_… --process")
)
def set_aside(
    source: Id,
    *,
    process: Annotated[bool, typer.Option("--process", help="Process it again, such as after an upgrade.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
) -> None:
    """List elements nothing could be made of, with the reason; or process their bodies again."""
    client = connect_api()
    path = f"/v1/sources/{source}/set-aside"
    if process:
        show_one(client.post(path + "/process"), as_json, ("bodies", "events", "setAside", "more"))
        return
    query = {"limit": limit, "cursor": cursor}
    list_items(client, path, query, ASIDE, "Nothing is set aside.", every=every, as_json=as_json)


@app.command(epilog=example("whatsync sources process src_… --since 24h --wait"))
def process(
    source: Id,
    *,
    since: Since = None,
    until: Until = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it ends.")] = False,
    as_json: AsJson = False,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ACC", help="Whose jobs list it; else the source's own.")
    ] = None,
) -> None:
    """Process again all that came within a time, such as after an upgrade; events that exist are not made twice."""
    if since is None:
        raise wrong_use("say how far back: --since 24h.")
    account = account or connect_api().get(f"/v1/sources/{source}")["source"]["account"]
    form = given(since=read_moment(since, "--since"), until=read_moment(until, "--until"), account=account)
    client = connect_api(account)
    show_job(client, client.post(f"/v1/sources/{source}/process", form), wait, as_json)


@app.command(epilog=example("whatsync sources check src_…"))
def check(source: Id, as_json: AsJson = False) -> None:
    """Ask Meta what is set up there, and name each gap. Exits with 1 where there is one."""
    found = connect_api().get(f"/v1/sources/{source}/check")
    if as_json:
        show_json(found)
    else:
        show_table(FINDINGS, found["findings"], "")
    if not found["ok"]:
        raise Failure("something is missing; see above.")


@app.command(epilog=example("whatsync sources connect src_…", "whatsync sources connect src_… --replace-callback"))
def connect(
    source: Id,
    *,
    waba_ids: Annotated[list[str] | None, typer.Option("--waba-id", metavar="ID", help="Repeatable.")] = None,
    replace_callback: Annotated[bool, typer.Option("--replace-callback", help="Replace the app's other one.")] = False,
    override_callback: Annotated[
        bool, typer.Option("--override-callback", help="Leave the app's, lead only the business accounts here.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set the app's callback at Meta, subscribe its business accounts, and make their numbers known."""
    form = {"wabaIds": waba_ids or [], "replaceCallback": replace_callback, "overrideCallback": override_callback}
    show_one(connect_api().post(f"/v1/sources/{source}/connect", form), as_json, ("callbackUrl", "wabaIds", "numbers"))


@app.command(
    epilog=example(
        "whatsync sources sample src_… --number 106540352242922",
        "whatsync sources sample src_… --number 106540352242922 --kind failed --wamid wamid.HBg…",
    )
)
def sample(
    source: Id,
    *,
    number: Annotated[str, typer.Option(metavar="ID", help="To this phoneNumberId.")],
    kind: Annotated[str, typer.Option(help="text, image, voice, button, reaction, sent, read, failed …")] = "text",
    phone: Annotated[str | None, typer.Option(help="From, or for, this person.")] = None,
    name: Annotated[str | None, typer.Option(help="The person's name.")] = None,
    text: Annotated[str | None, typer.Option(help="What is written.")] = None,
    wamid: Annotated[str | None, typer.Option(help="Its own id, or whose status it is.")] = None,
    count: Annotated[int, typer.Option(min=1, max=1_000, help="So many in one body.")] = 1,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Try a source without Meta: a body as Meta's, signed and escaped. Its events are real ones and are delivered."""
    sure("It makes real events, which reach every endpoint that wants them. Send it?", yes)
    form: dict[str, Any] = {"number": number, "kind": kind, "count": count}
    form |= given(phone=phone, name=name, text=text, wamid=wamid)
    client = connect_api()
    taken = client.post(f"/v1/sources/{source}/samples", form)
    show_one(taken, as_json, ("events", "duplicates", "setAside"))
    if taken["setAside"] and not taken["events"] and not as_json:
        remark(_what_follows(number, client.get(f"/v1/sources/{source}")["source"]["account"]))


def _what_follows(number: str, account: str | None) -> str:
    """What becomes of a sample for a number that brings no events yet."""
    aside = f"Number {number} was not known, or has no account; the sample is kept."
    if account is None:
        return f"{aside} Its events are made as soon as it has one: whatsync numbers assign {number} acc_…"
    return (
        f"{aside} A new number becomes {account}'s, and the sample's events follow by themselves within a moment: "
        f"whatsync messages list --account {account}"
    )


def _form(
    app_id: str | None, app_secret_file: Path | None, access_token_file: Path | None, account: str | None
) -> dict[str, Any]:
    return given(
        appId=app_id,
        appSecret=None if app_secret_file is None else _read(app_secret_file),
        accessToken=None if access_token_file is None else _read(access_token_file),
        account=account,
    )


def _read(file: Path) -> str:
    """What stands in a file: secrets have no place among a command's words, where every process can read them."""
    if str(file) == "-":
        return str(typer.prompt("Secret", hide_input=True)).strip()
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise wrong_use(f"{file} can't be read: {problem}") from None
