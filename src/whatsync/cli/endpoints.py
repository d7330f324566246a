"""``whatsync endpoints``: the URLs that events are sent to. Speaks the API alone."""

from pathlib import Path
from typing import Annotated, Any

import typer

from whatsync.cli.attempt_view import show_attempt
from whatsync.cli.client import connect
from whatsync.cli.failure import Failure, wrong_use
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
    Yes,
    example,
    given,
    list_items,
    quoted,
    read_document,
    sure,
)
from whatsync.cli.output import Column, clean, look_up, remark, say, show_done, show_json, show_one
from whatsync.cli.secrets import rotation_form, show_secret
from whatsync.model.catalogue import field_of
from whatsync.model.endpoint import Scalar
from whatsync.model.shape import value_of

app = new_app(no_args_is_help=True, help="The URLs that events are sent to, and how.")

COLUMNS = (
    Column("ENDPOINT", "id"),
    Column("STATE", lambda item: look_up(item, "health.state")),
    Column("EVENTS", "events"),
    Column("URL", "url"),
    Column("DESCRIPTION", "description"),
)
FIRST = ("id", "url", "enabled", "events", "description")

Id = Annotated[str, typer.Argument(metavar="ENDPOINT", help="ep_…", callback=quoted)]
Url = Annotated[str | None, typer.Option(help="Where events are sent: https://…")]
Events = Annotated[
    list[str] | None, typer.Option("--event", metavar="TYPE", help="An event type, or '*'. May be repeated.")
]
Description = Annotated[str | None, typer.Option(help="A few words of your own.")]
Numbers = Annotated[
    list[str] | None, typer.Option("--number", metavar="ID", help="Only events of this phoneNumberId. Repeatable.")
]
Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="TYPE:FIELD=V,V", help="Such as message.status:status=failed,read. Repeatable."),
]
Schedule = Annotated[str | None, typer.Option(metavar="WAITS", help="Waits after the first try: 5s,30s,2m.")]
Timeout = Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help="Time to answer, 1 to 30.")]
InFlight = Annotated[int | None, typer.Option("--max-in-flight", metavar="N", help="Requests at once.")]
Rate = Annotated[float | None, typer.Option("--rate-limit", metavar="N", help="Requests a second at most.")]
Order = Annotated[str | None, typer.Option("--ordering", metavar="contact|none", help="Keep order per contact.")]
Details = Annotated[bool | None, typer.Option("--details/--no-details", help="With WhatsApp details in the body.")]
Shape = Annotated[
    str | None, typer.Option("--format", metavar="whatsync|meta", help="meta: Meta's own bodies, as they came.")
]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="'NAME: VALUE'", help="Sent along; never shown again. All of them, repeatable."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="FILE", help="A JSON object with any of the API's fields; - is standard input."),
]


@app.command("list", epilog=example("whatsync endpoints list"))
def list_endpoints(
    limit: Limit = 50,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """List endpoints, newest first."""
    query = {"limit": limit, "cursor": cursor}
    empty = "No endpoints yet: whatsync endpoints create --url https://… --event '*'"
    list_items(connect(account), "/v1/endpoints", query, COLUMNS, empty, every=every, as_json=as_json)


@app.command(epilog=example("whatsync endpoints get ep_…"))
def get(endpoint: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Show one endpoint, how it stands and what waits for it."""
    show_one(connect(account).get(f"/v1/endpoints/{endpoint}"), as_json, FIRST)


@app.command(
    epilog=example(
        "whatsync endpoints create --url https://example.com/webhooks --event message.incoming",
        "whatsync endpoints create --url https://crm.example --event '*' --own-secret --description CRM",
        "whatsync endpoints create --url https://bi.example --event '*' --filter message.status:status=failed",
        "whatsync endpoints create --from endpoint.json",
    )
)
def create(
    *,
    url: Url = None,
    events: Events = None,
    description: Description = None,
    numbers: Numbers = None,
    filters: Filters = None,
    retry_schedule: Schedule = None,
    timeout: Timeout = None,
    max_in_flight: InFlight = None,
    rate_limit: Rate = None,
    ordering: Order = None,
    details: Details = None,
    shape: Shape = None,
    headers: Headers = None,
    own_secret: Annotated[
        bool, typer.Option("--own-secret", help="Sign with a secret of its own: advised for other people's URLs.")
    ] = False,
    disabled: Annotated[bool, typer.Option("--disabled", help="Make it without sending to it yet.")] = False,
    document: From = None,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Make an endpoint: from now on it gets every event of its types."""
    form = _form(
        document=document,
        url=url,
        events=events,
        description=description,
        numbers=numbers,
        filters=filters,
        retry_schedule=retry_schedule,
    )
    form |= _policy(timeout, max_in_flight, rate_limit, ordering, details)
    form |= _request(shape, headers)
    if own_secret:
        form["secret"] = "generate"
    if disabled:
        form["enabled"] = False
    if not form.get("url") or not form.get("events"):
        raise wrong_use("say where to send what: --url https://… --event message.incoming (or --event '*').")
    made = connect(account).post("/v1/endpoints", form)
    show_one(made, as_json, FIRST)
    if not as_json:
        remark(f"Try it: whatsync endpoints test {made['id']}")
        remark(f"Its signing secret: whatsync endpoints secret {made['id']}")


@app.command(
    epilog=example(
        "whatsync endpoints update ep_… --url https://example.com/new",
        "whatsync endpoints update ep_… --reset retrySchedule --rate-limit 20",
    )
)
def update(
    endpoint: Id,
    *,
    url: Url = None,
    events: Events = None,
    description: Description = None,
    numbers: Numbers = None,
    filters: Filters = None,
    retry_schedule: Schedule = None,
    timeout: Timeout = None,
    max_in_flight: InFlight = None,
    rate_limit: Rate = None,
    ordering: Order = None,
    details: Details = None,
    shape: Shape = None,
    headers: Headers = None,
    reset: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Back to the default, by the API's name. Repeatable.")
    ] = None,
    document: From = None,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Change some fields; the others stay as they are."""
    form = _form(
        document=document,
        url=url,
        events=events,
        description=description,
        numbers=numbers,
        filters=filters,
        retry_schedule=retry_schedule,
    )
    form |= _policy(timeout, max_in_flight, rate_limit, ordering, details)
    form |= _request(shape, headers)
    form |= dict.fromkeys(reset or ())
    if not form:
        raise wrong_use("say what to change, such as --url https://… (all options: whatsync endpoints update --help).")
    show_one(connect(account).patch(f"/v1/endpoints/{endpoint}", form), as_json, FIRST)


@app.command(epilog=example("whatsync endpoints delete ep_… --yes"))
def delete(endpoint: Id, yes: Yes = False, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Delete an endpoint; its open deliveries are cancelled, its history stays."""
    client = connect(account)
    sure(f"Delete {endpoint} and cancel what waits for it?", yes)
    answer = client.delete(f"/v1/endpoints/{endpoint}")
    show_done(answer, as_json, f"{endpoint} is deleted.")


@app.command(epilog=example("whatsync endpoints enable ep_… --held send"))
def enable(
    endpoint: Id,
    held: Annotated[
        str | None, typer.Option(metavar="send|drop|keep", help="What becomes of deliveries held meanwhile.")
    ] = None,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Send to an endpoint again, and say what becomes of the deliveries held meanwhile."""
    changed = connect(account).patch(f"/v1/endpoints/{endpoint}", {"enabled": True, **given(held=held)})
    if as_json:
        show_json(changed)
        return
    plan = changed.pop("held", None)
    show_one(changed, as_json, FIRST)
    if plan:
        say(as_commands(clean(plan["sentence"])).replace("ENDPOINT", endpoint))


@app.command(epilog=example("whatsync endpoints pause ep_…"))
def pause(endpoint: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Send nothing to an endpoint until it is enabled; its deliveries are held."""
    show_one(connect(account).patch(f"/v1/endpoints/{endpoint}", {"enabled": False}), as_json, FIRST)
    if not as_json:
        remark(f"Go on with `whatsync endpoints enable {endpoint} --held send`.")


app.command("disable", hidden=True, epilog=example("whatsync endpoints disable ep_…"))(pause)


@app.command(epilog=example("whatsync endpoints secret ep_…"))
def secret(endpoint: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """Show the secret that requests to an endpoint are signed with."""
    show_secret(connect(account).get(f"/v1/endpoints/{endpoint}/secret"), as_json)


@app.command(
    epilog=example("whatsync endpoints rotate ep_…", "whatsync endpoints rotate ep_… --leaked --yes"),
)
def rotate(
    endpoint: Id,
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
    """Give an endpoint a new secret, calmly: both are signed with until you switch."""
    form = rotation_form(switch_at, overlap_seconds, leaked, secret_file)
    if leaked:
        sure("Every receiver with the old secret fails from this moment on. Go on?", yes)
    show_secret(connect(account).post(f"/v1/endpoints/{endpoint}/secret/rotate", form), as_json)


@app.command(epilog=example("whatsync endpoints switch ep_…"))
def switch(endpoint: Id, as_json: AsJson = False, account: OfAccount = None) -> None:
    """During a rotation: make X-WhatsSync-Signature with the new secret from now on."""
    show_secret(connect(account).post(f"/v1/endpoints/{endpoint}/secret/switch"), as_json)


@app.command("test", epilog=example("whatsync endpoints test ep_… --event message.status"))
def send_test(
    endpoint: Id,
    *,
    event: Annotated[str, typer.Option(metavar="TYPE", help="Whose documented example is sent.")] = "message.incoming",
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Send a test, marked as one, and show what came back. Exits with 1 where it failed."""
    sent = connect(account).post(f"/v1/endpoints/{endpoint}/test", {"event": event})
    if as_json:
        show_json(sent)
    else:
        show_attempt(sent["attempt"])
    if not sent["succeeded"]:
        raise Failure("the test failed.")


@app.command(
    epilog=example(
        "whatsync endpoints recover ep_… --since 24h --dry-run",
        "whatsync endpoints recover ep_… --since 24h --state failed --state missing --wait",
    )
)
def recover(
    endpoint: Id,
    *,
    since: Since = None,
    until: Until = None,
    states: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="retrying, failed, held, missing; repeatable. Default: all."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it ends.")] = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Catch an endpoint up in bulk: what waits, failed, is held or was never made is sent."""
    if since is None:
        raise wrong_use("say how far back: --since 24h.")
    form = given(since=read_moment(since, "--since"), until=read_moment(until, "--until"))
    form["states"] = states or ["retrying", "failed", "held", "missing"]
    client = connect(account)
    answer = client.post(f"/v1/endpoints/{endpoint}/recover", form | ({"dryRun": True} if dry_run else {}))
    if dry_run:
        show_one(answer, as_json)
    else:
        show_job(client, answer, wait, as_json)


def _form(
    *,
    document: str | None,
    url: str | None,
    events: list[str] | None,
    description: str | None,
    numbers: list[str] | None,
    filters: list[str] | None,
    retry_schedule: str | None,
) -> dict[str, Any]:
    """The API's fields that say what goes where."""
    form = {} if document is None else read_document(document)
    read = None if filters is None else _filters(filters)
    return form | given(
        url=url,
        events=events or None,
        description=description,
        numbers=numbers or None,
        filters=read or None,
        retrySchedule=retry_schedule,
    )


def _policy(
    timeout: float | None,
    max_in_flight: int | None,
    rate_limit: float | None,
    ordering: str | None,
    details: bool | None,
) -> dict[str, Any]:
    """The API's fields that say how."""
    return given(
        timeoutSeconds=timeout,
        maxInFlight=max_in_flight,
        rateLimitPerSecond=rate_limit,
        ordering=ordering,
        includeDetails=details,
    )


def _request(shape: str | None, headers: list[str] | None) -> dict[str, Any]:
    """The API's fields that say what a request looks like."""
    named = {}
    for text in headers or ():
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise wrong_use(f"--header: {text!r} is not 'NAME: VALUE', such as 'Authorization: Bearer …'.")
        named[name.strip()] = value.strip()
    return given(format=shape, headers=named or None)


def _filters(texts: list[str]) -> dict[str, dict[str, list[Scalar]]]:
    filters: dict[str, dict[str, list[Scalar]]] = {}
    for text in texts:
        event_type, colon, rest = text.partition(":")
        field, equals, values = rest.partition("=")
        if not colon or not equals:
            raise wrong_use(f"--filter: {text!r} is not TYPE:FIELD=VALUE, such as message.status:status=failed,read.")
        known = field_of(event_type, field)
        words = values.split(",")
        filters.setdefault(event_type, {})[field] = [word if known is None else value_of(word, known) for word in words]
    return filters
