"""``whatsync verify``: is the signature of a captured request right, and if not, why. Needs no server."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from whatsync.cli.failure import FAILED, wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.options import example
from whatsync.cli.output import say, show_json
from whatsync.cli.secrets import find_secret
from whatsync.model.verification import Finding, Report, verify
from whatsync.net.system import SystemClock

SECRET_VARIABLE = "WEBHOOK_SECRET"

app = new_app()


@app.command(
    "verify",
    epilog=example(
        "WEBHOOK_SECRET=whsec_… whatsync verify --body body.json --headers headers.txt",
        "whatsync verify --body body.json --headers headers.json --secret-file secret.txt",
    ),
)
def verify_request(
    *,
    body: Annotated[
        Path, typer.Option(metavar="FILE", help="The body, byte for byte as it arrived; - is standard in.")
    ],
    headers: Annotated[
        Path, typer.Option(metavar="FILE", help="Its headers: `Name: value` lines, or a JSON object or array of pairs.")
    ],
    secret: Annotated[str | None, typer.Option(help="The signing secret. Better: the environment or a file.")] = None,
    secret_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A file that holds the secret.")] = None,
    check_age: Annotated[
        bool, typer.Option("--check-age", help="Also refuse a request signed over five minutes ago, as libraries do.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Check both signatures of a captured request and say, if one is wrong, which mistake fits.

    The secret is --secret, else --secret-file, else WEBHOOK_SECRET, else asked for. Exits with 1 where it is wrong.
    """
    found = read_headers(headers)
    content = _read(body)
    key = find_secret(secret, secret_file, SECRET_VARIABLE)
    report = verify(found, content, key, SystemClock().now_ms() // 1000 if check_age else None)
    if as_json:
        show_json({"ok": report.ok, "findings": [_view(finding) for finding in report.findings]})
    else:
        _show(report)
    if not report.ok:
        raise typer.Exit(FAILED)


def _show(report: Report) -> None:
    for finding in report.findings:
        mark, style = ("✓", "green") if finding.ok else ("✗", "red")
        name = f"{finding.header}: " if finding.header else ""
        say(f"{mark} {name}{finding.sentence}", style)


def _view(finding: Finding) -> dict[str, Any]:
    return {"header": finding.header, "ok": finding.ok, "code": finding.code, "sentence": finding.sentence}


def read_headers(path: Path) -> dict[str, str]:
    """Read headers from a file in any of the forms people have them in. Raises Failure."""
    text = _read(path).decode("utf-8", "replace")
    pairs = list(_pairs_of_json(path, text) if text.lstrip().startswith(("{", "[")) else _pairs_of_lines(text))
    if not pairs:
        raise wrong_use(f"{path} holds no headers; write them as `Name: value`, one a line, or as a JSON object.")
    return dict(pairs)


def _pairs_of_lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, colon, value = line.lstrip("<> ").partition(":")
        if colon and name and " " not in name.strip():
            yield name.strip(), value.strip()


def _pairs_of_json(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """An object of names, with a text or a list each; or a list of pairs, or of names and values in turn (Node.js)."""
    try:
        document = json.loads(text)
    except ValueError as problem:
        raise wrong_use(f"{path} is not JSON: {problem}.") from None
    if isinstance(document, dict):
        for name, value in document.items():
            yield name, " ".join(map(str, value)) if isinstance(value, list) else str(value)
    elif document and all(isinstance(pair, list) and len(pair) == 2 for pair in document):
        for name, value in document:
            yield str(name), str(value)
    elif all(isinstance(word, str) for word in document):
        yield from zip(document[::2], document[1::2], strict=False)


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as problem:
        raise wrong_use(f"{path} can't be read: {problem.strerror}.") from None
