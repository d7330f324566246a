"""The secret that copies are signed with: made once, kept in the user's own folder, so that programs keep it too."""

import os
from pathlib import Path

import typer

from whatsync.cli.failure import Failure
from whatsync.cli.presence import write_private
from whatsync.model.secret import NEW_SECRET_BYTES, new_secret, secret_problem
from whatsync.ports.randomness import Randomness

FILE_NAME = "listen-secret"


def secret_file() -> Path:
    """Where it is kept: the user's folder for settings."""
    above = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(above) / "whatsync" if above else Path(typer.get_app_dir("whatsync"))
    return folder / FILE_NAME


def kept_secret(randomness: Randomness, path: Path | None = None) -> str:
    """The secret of the times before, or a new one that is kept. Raises Failure where the folder can't be used."""
    path = secret_file() if path is None else path
    try:
        text = path.read_text("utf-8").strip()
    except OSError:
        text = ""
    if secret_problem(text) is None:
        return text
    secret = new_secret(randomness.token(NEW_SECRET_BYTES))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, secret + "\n")
    except OSError as problem:
        raise Failure(
            f"the secret can't be kept in {path}: {problem.strerror}. Set XDG_CONFIG_HOME to a folder"
        ) from None
    return secret
