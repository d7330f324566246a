"""Signing secrets on the command line: shown, rotated, read from where nobody looks on. Knows no route."""

import os
import sys
from pathlib import Path
from typing import Any

import typer

from whatsync.cli.failure import wrong_use
from whatsync.cli.options import given
from whatsync.cli.output import remark, say, show_json


def show_secret(answer: dict[str, Any], as_json: bool) -> None:
    """Print the secret alone on standard output, so that it can go into a file; what else is known, beside it."""
    if as_json:
        show_json(answer)
        return
    say(answer["secret"])
    previous = answer.get("previousSecret")
    if not previous:
        return
    overlap, switch = answer.get("overlapUntil"), answer.get("switchAt")
    if answer.get("signatureMadeWith") == "previousSecret":
        until = switch or overlap
        remark(f"X-WhatsSync-Signature is still made with the old secret, until {until} or until you switch.")
    else:
        remark("X-WhatsSync-Signature is made with this secret.")
    remark(f"webhook-signature carries both until {overlap}.")


def rotation_form(
    switch_at: str | None, overlap_seconds: int | None, leaked: bool, secret_file: Path | None
) -> dict[str, Any]:
    """What to ask of a rotation. Raises Failure."""
    if leaked and (switch_at is not None or overlap_seconds not in (None, 0)):
        raise wrong_use("--leaked means --switch-at now --overlap-seconds 0; leave those two out.")
    form = {"switchAt": "now", "overlapSeconds": 0} if leaked else {}
    form |= given(switchAt=switch_at, overlapSeconds=overlap_seconds)
    return form if secret_file is None else {**form, "secret": read_secret_file(secret_file)}


def read_secret_file(path: Path) -> str:
    """Read a secret from a file, without the line's end. Raises Failure."""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise wrong_use(f"{path} can't be read: {problem}.") from None
    if not text:
        raise wrong_use(f"{path} is empty; write the secret, whsec_…, into it.")
    return text


def find_secret(option: str | None, path: Path | None, variable: str) -> str:
    """Find a secret: the option, a file, the environment's ``variable``, else ask on a terminal. Raises Failure."""
    if option is not None:
        return option
    if path is not None:
        return read_secret_file(path)
    if text := os.environ.get(variable, "").strip():
        return text
    if sys.stdin.isatty():
        return str(typer.prompt("Signing secret (whsec_…)", hide_input=True, err=True)).strip()
    raise wrong_use(f"give the secret: in the environment as {variable}, or in a file with --secret-file FILE.")
