"""``whatsync messages``: the whole story of a message, with a verdict. Speaks the API alone."""

from typing import Annotated, Any
from urllib.parse import unquote

import typer

from whatsync.cli.client import Client, Query, connect
from whatsync.cli.group import new_app
from whatsync.cli.hints import as_commands
from whatsync.cli.moments import read_moment
from whatsync.cli.options import AsJson, Cursor, Everything, OfAccount, Since, Until, example, given, list_items, quoted
from whatsync.cli.output import Column, clean, look_up, moment, say, show_json, show_table
from whatsync.model.phone import is_phone

NOT_RECEIVED = "not_received"

app = new_app(
    no_args_is_help=True, help="A message's whole story, by msg_… id, wamid, phone number or words of its text."
)

COLUMNS = (
    Column("MESSAGE", "id"),
    Column("DIRECTION", "direction"),
    Column("CONTACT", "contact"),
    Column("RECEIVED", lambda item: moment(item.get("receivedAt"))),
    Column("VERDICT", "verdict.code"),
    Column("TEST", lambda item: "test" if item.get("test") else None),
    Column("TEXT", lambda item: (item.get("text") or "")[:60]),
)
_STATUSES = (
    Column("STATUS", "status"),
    Column("WHEN", lambda item: moment(item.get("timestamp"))),
    Column("ERROR", "error.title"),
)
_DELIVERIES = (
    Column("DELIVERY", "id"),
    Column("STATE", "state"),
    Column("TRIES", "attempts", right=True),
    Column("LAST", lambda item: item.get("code") or item.get("status")),
    Column("NEXT TRY", lambda item: moment(item.get("dueAt")) if item.get("attempts") else None),
)
_WHY = {
    "filtered": "its numbers or filters leave this event out",
    "disabled": "it was disabled when the event came in",
    "created_later": "it was made later",
    "not_subscribed": "it does not subscribe to this type of event",
}


@app.command("list", epilog=example("whatsync messages list --search +491701234567 --since 7d"))
def list_messages(
    *,
    q: Annotated[
        str | None,
        typer.Option("--search", "-q", help="A msg_… id, wamid, phone number, contact, or words of the text."),
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="Items on a page.")] = 20,
    cursor: Cursor = None,
    every: Everything = False,
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """List messages, newest first."""
    query = given(q=q, since=read_moment(since, "--since"), until=read_moment(until, "--until"))
    query |= {"limit": limit, "cursor": cursor}
    list_items(connect(account), "/v1/messages", query, COLUMNS, "No messages.", every=every, as_json=as_json)


@app.command(epilog=example("whatsync messages get msg_…"))
def get(
    message: Annotated[
        str,
        typer.Argument(
            metavar="MESSAGE",
            help="msg_…, WhatsApp's own id wamid.…, a phone number, or 'words of it'",
            callback=quoted,
        ),
    ],
    as_json: AsJson = False,
    account: OfAccount = None,
) -> None:
    """Tell a message's whole story: received, delivered where, every status, and what to do next.

    Of a phone number, or of words with a space between, the newest messages are listed. Exit status 1 where WhatsSync
    knows no such message.
    """
    client, words = connect(account), unquote(message)
    phone = is_phone(words)
    if phone or " " in words.strip():
        query: Query = {"q": words, "limit": 20}
        empty = "No message with these words in its text is here."
        if phone:
            empty = f"No message from or to {words} is here. Check the number, and its country's code."
        if not list_items(client, "/v1/messages", query, COLUMNS, empty, every=False, as_json=as_json):
            raise typer.Exit(1)
        return
    story = _read(client, message)
    if as_json:
        show_json(story)
    else:
        _show(story)
    if look_up(story, "verdict.code") == NOT_RECEIVED:
        raise typer.Exit(1)


def _show(story: dict[str, Any]) -> None:
    say(clean(look_up(story, "verdict.sentence")), "bold")
    if step := look_up(story, "verdict.nextStep"):
        say(as_commands(clean(step)))
    if look_up(story, "verdict.code") == NOT_RECEIVED:
        say("Not an id? Messages with a word in their text: whatsync messages list --search WORD", "dim")
        return
    head = [story["id"], story.get("direction"), story.get("contact"), moment(story.get("receivedAt"))]
    head.append("a test" if story.get("test") else None)
    say("  ".join(clean(part) for part in head if part), "dim")
    if story.get("text"):
        say(f"“{clean(story['text'])}”")
    if story.get("statuses"):
        show_table(_STATUSES, story["statuses"], "")
    for endpoint in story.get("endpoints", []):
        _show_endpoint(endpoint)


def _read(client: Client, message: str) -> dict[str, Any]:
    """Read the story; an id with a slash in it, as WhatsApp's may have, goes by the search."""
    if "%2F" in message:
        found: list[dict[str, Any]] = client.get("/v1/messages", {"q": unquote(message), "limit": 1})["items"]
        if found:
            return found[0]
    story: dict[str, Any] = client.get(f"/v1/messages/{message}")
    return story


def _show_endpoint(endpoint: dict[str, Any]) -> None:
    name = f"{clean(endpoint.get('id'))} {clean(endpoint.get('url'))}".strip()
    deliveries, why = endpoint.get("deliveries") or [], str(endpoint.get("why"))
    say(f"\n{name}" + ("" if deliveries else f": nothing sent, {_WHY.get(why, clean(why))}"))
    if deliveries:
        show_table(_DELIVERIES, deliveries, "")
    if deliveries and (sentence := look_up(deliveries[0], "explanation.sentence")):
        say(clean(sentence), "dim")
