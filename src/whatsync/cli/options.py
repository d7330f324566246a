"""Options that many commands share, so that they are spelled and explained the same everywhere."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from whatsync.cli.client import Client, Query
from whatsync.cli.failure import wrong_use
from whatsync.cli.output import Column, remark, show_json, show_table

AsJson = Annotated[bool, typer.Option("--json", help="Print the API's answer as JSON.")]
OfAccount = Annotated[
    str | None,
    typer.Option("--account", metavar="ACC", help="With an operator's key: the account it is about, acc_…"),
]
Limit = Annotated[int, typer.Option(min=1, max=200, help="Items on a page.")]
Cursor = Annotated[str | None, typer.Option(help="Go on from here: `nextCursor` of the page before.")]
Everything = Annotated[bool, typer.Option("--all", help="All pages, one after the other.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Not older: 2023-06-15T14:22:33Z, or 30m, 24h, 7d ago.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Older than this, written the same way.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def quoted(text: str | None) -> str | None:
    """Make what was typed a word of a path, whatever is in it."""
    return None if text is None else quote(text, safe="")


def example(*lines: str) -> str:
    """The epilog of a command: examples, each as it would be typed."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines) if len(lines) > 1 else f"Example: {lines[0]}"


def list_items(
    client: Client,
    path: str,
    query: Query,
    columns: tuple[Column, ...],
    empty: str,
    *,
    every: bool,
    as_json: bool,
) -> bool:
    """Read one page, or all of them, and print it; false where there was nothing."""
    page = client.get(path, query)
    items = page["items"]
    while every and page.get("nextCursor"):
        page = client.get(path, {**query, "cursor": page["nextCursor"]})
        items += page["items"]
    if as_json:
        show_json({**page, "items": items})
        return bool(items)
    show_table(columns, items, empty)
    if page.get("nextCursor"):
        remark(f"There is more: --cursor {page['nextCursor']} shows the next page, --all everything.")
    elif page.get("searchedTo"):
        remark(f"Searched back to {page['searchedTo']}; narrow it down with --since and --until to look further.")
    return bool(items)


def given(**fields: Any) -> dict[str, Any]:
    """The fields that were given on the command line; None means not given."""
    return {name: value for name, value in fields.items() if value is not None}


def sure(question: str, yes: bool) -> None:
    """Ask before something that can't be undone. Raises Failure where nobody can answer, Abort on a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise wrong_use(f"{question} Nobody is here to ask: say --yes.")
    typer.confirm(question, abort=True, err=True)


def read_document(path: str) -> dict[str, Any]:
    """Read a JSON object from a file, or from standard input for ``-``. Raises Failure."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        document = json.loads(text)
    except OSError as problem:
        raise wrong_use(f"{path} can't be read: {problem.strerror}.") from None
    except ValueError as problem:
        raise wrong_use(f"{path} is not JSON: {problem}.") from None
    if not isinstance(document, dict):
        raise wrong_use(f"{path} holds no JSON object.")
    return document


def fields_of(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``FIELD=VALUE`` words into an object; dots go deeper.

    A value is text, but for ``null``; ``FIELD:=VALUE`` reads it as JSON, so that ``text=5`` and ``count:=5`` differ.
    Raises Failure.
    """
    document: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip(":"):
            raise wrong_use(f"{pair!r} is not FIELD=VALUE, such as text=Hello or media:=null.")
        value: Any = text
        if name.endswith(":"):
            name = name[:-1]
            value = _json(pair, text)
        elif text == "null":
            value = None
        _put(document, name.split("."), value, pair)
    return document


def _json(pair: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise wrong_use(f"{pair!r}: {text!r} is not JSON; write FIELD=VALUE for plain text.") from None


def _put(document: dict[str, Any], path: Sequence[str], value: object, pair: str) -> None:
    *above, last = path
    for part in above:
        document = document.setdefault(part, {})
        if not isinstance(document, dict):
            raise wrong_use(f"{pair!r}: {part!r} has a value of its own already.")
    document[last] = value
