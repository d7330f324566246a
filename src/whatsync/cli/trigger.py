"""``whatsync trigger``: the documented example of an event, fresh, with fields of one's own, and what became of it."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any

import msgspec
import typer

from whatsync.cli.client import Client, connect, refused
from whatsync.cli.failure import Failure, wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.options import AsJson, OfAccount, Yes, example, fields_of, given, quoted, sure
from whatsync.cli.output import Column, remark, say, show_json, show_table
from whatsync.cli.patience import ask_until
from whatsync.model.account import OwnType
from whatsync.model.catalogue import Kind
from whatsync.model.endpoint import Endpoint, Scalar, passes_filters, subscribes, takes_number
from whatsync.model.envelope import decode_submissions
from whatsync.model.errors import Problem
from whatsync.model.timestamp import NotATime, parse_time
from whatsync.model.url import UrlProblem, parse_url

WAIT_SECONDS = 20.0
_OUTCOMES = (
    Column("STATE", "state"),
    Column("ANSWER", lambda item: item.get("code") or item.get("status")),
    Column("MS", lambda item: None if item.get("durationMs") is None else round(item["durationMs"]), right=True),
    Column("TO", "endpoint.url"),
    Column("DELIVERY", "id"),
)

app = new_app()


@app.command(
    epilog=example(
        "whatsync trigger message.incoming text=Hello",
        "whatsync trigger message.status messageId=msg_1 status=failed --yes",
        "whatsync trigger order.created total:=17.5 customer.name=Jane",
        "whatsync trigger message.status status=failed --source src_… --number 106540352242922",
    )
)
def trigger(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Such as message.incoming; or a type of your own.")],
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FIELD=VALUE …]", help="Fields of its data; FIELD:=VALUE reads the value as JSON."),
    ] = None,
    *,
    number: Annotated[str | None, typer.Option(metavar="ID", help="As if of this phoneNumberId.")] = None,
    contact: Annotated[str | None, typer.Option(help="Whom it is about: what ordering goes by.")] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SRC", help="As Meta would send it to this source, signed (operators).")
    ] = None,
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for the outcome.")] = WAIT_SECONDS,
    yes: Yes = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Send the documented example of an event, with a fresh id and fresh times, and show what became of it.

    It is a real event: it reaches every endpoint that wants it, which are named first. Exits with 1 where a delivery
    has not succeeded in time.
    """
    if source is not None:
        _through(source, event, fields_of(fields or []), number, yes=yes, as_json=as_json)
        return
    client = connect(account)
    known = client.get(f"/v1/event-types/{quoted(event)}")
    form = _form(known, fields or [], number, contact)
    _check(known, form)
    reached = _reached(client, form, known["inWildcard"])
    if not as_json:
        _announce(reached)
    live = [endpoint.url for endpoint in reached if not is_local(endpoint.url)]
    if live:
        sure(f"It reaches {len(live)} live URL{'s' if len(live) > 1 else ''}. Send it?", yes)
    accepted = client.post("/v1/events", form)
    deliveries = _outcome(client, accepted, wait)
    if as_json:
        show_json({"event": accepted, "deliveries": deliveries})
    else:
        say(f"{accepted['event']} {accepted['id']} is accepted.", "bold")
        show_table(_OUTCOMES, deliveries, "")
    if any(delivery["state"] != "succeeded" for delivery in deliveries):
        raise Failure("not every delivery has succeeded. What came back: whatsync deliveries attempts DELIVERY")


def _through(
    source: str, event: str, fields: Mapping[str, Any], number: str | None, *, yes: bool, as_json: bool
) -> None:
    """Have a source take in a body of Meta's shape: what comes of it is made by the mapping, as for a real one."""
    kinds = {"message.incoming": "text", "message.status": fields.get("status", "delivered")}
    kind = kinds.get(event, event.removeprefix("whatsapp."))
    if number is None:
        raise wrong_use("say to which number it comes: --number PHONE_NUMBER_ID.")
    sure("It makes real events, which reach every endpoint that wants them. Send it?", yes)
    form = {"kind": kind, "number": number} | given(text=fields.get("text"), phone=fields.get("from"))
    taken = connect().post(f"/v1/sources/{quoted(source)}/samples", form)
    if as_json:
        show_json(taken)
    else:
        say(f"{taken['eventIds'][0]} came through {source}: {taken['events']} events.", "bold")


def _form(known: Mapping[str, Any], fields: list[str], number: str | None, contact: str | None) -> dict[str, Any]:
    """The event as the API takes it: the example without its id and times, which are made anew."""
    data = dict((known.get("example") or {}).get("data") or {})
    # The server fills in the time of now.
    data = {name: value for name, value in data.items() if not (name == "timestamp" and _is_time(value))}
    form: dict[str, Any] = {"event": known["name"], "data": data | fields_of(fields)}
    if contact is not None:
        form["contact"] = contact
    if number is not None:
        form["details"] = {"number": number}
    return form


def _check(known: Mapping[str, Any], form: Mapping[str, Any]) -> None:
    """Read the event by the server's own rules, so that nobody is told whom a wrong one would reach. Raises Failure."""
    name = known["name"]
    own_types = {name: OwnType(name, "", 0)} if known["kind"] == Kind.OWN else {}
    try:
        decode_submissions(msgspec.json.encode(form), 0, own_types, lambda prefix: prefix)
    except Problem as problem:
        raise refused(problem) from None


def _is_time(value: object) -> bool:
    try:
        parse_time(str(value))
    except NotATime:
        return False
    return True


def _reached(client: Client, form: Mapping[str, Any], in_wildcard: bool) -> list[Endpoint]:
    """The endpoints that get it, by the engine's own rules."""
    endpoints, cursor = [], None
    while True:
        page = client.get("/v1/endpoints", {"limit": 200, "cursor": cursor})
        endpoints += [_endpoint(item) for item in page["items"]]
        cursor = page.get("nextCursor")
        if cursor is None:
            break
    number = form.get("details", {}).get("number")

    def field(name: str) -> Scalar:
        value = form["data"].get(name)
        return value if isinstance(value, str | int | float | bool) else None

    return [
        endpoint
        for endpoint in endpoints
        if endpoint.enabled
        and subscribes(endpoint, form["event"], in_wildcard)
        and takes_number(endpoint, number)
        and passes_filters(endpoint, form["event"], field)
    ]


def _endpoint(item: Mapping[str, Any]) -> Endpoint:
    taken = {name: item[name] for name in ("id", "url", "events", "enabled", "numbers", "filters")}
    return msgspec.convert({**taken, "createdMs": 0, "updatedMs": 0}, Endpoint)


def is_local(url: str) -> bool:
    """Whether a URL leads to this machine, so that nobody else is bothered."""
    target = parse_url(url)
    if isinstance(target, UrlProblem):
        return False
    if target.host == "localhost" or target.host.endswith(".localhost"):
        return True
    try:
        return ip_address(target.host).is_loopback
    except ValueError:
        return False


def _announce(reached: list[Endpoint]) -> None:
    if not reached:
        remark("No endpoint wants it: it is accepted and can be seen with `whatsync events list`.")
    for endpoint in reached:
        where = "this machine" if is_local(endpoint.url) else "live"
        remark(f"It will reach {endpoint.url} ({where})")


def _outcome(client: Client, accepted: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """The event's deliveries, once each has been tried."""

    def ask() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = client.get(f"/v1/events/{accepted['id']}/deliveries", {"limit": 200})["items"]
        return items

    def tried(items: list[dict[str, Any]]) -> bool:
        return all(item["attempts"] or item["state"] not in ("pending", "retrying") for item in items)

    return ask_until(ask, tried, seconds) if accepted["deliveries"] else []
