"""How a running server lets this machine's commands find it: a file with its address and one with an owner-only token.

Knows files, no HTTP.
"""

import json
import os
from pathlib import Path
from typing import Any

from whatsync.ports.randomness import Randomness

ADDRESS_FILE = "server.json"
TOKEN_FILE = "cli-token"
_TOKEN_BYTES = 32


def make_token(randomness: Randomness) -> str:
    """A token that lets in as an operator until the server stops."""
    return "wsl_" + randomness.token(_TOKEN_BYTES).hex()


def publish(folder: Path, url: str, token: str) -> None:
    """Say where the server is, to whoever may read the data folder."""
    write_private(folder / TOKEN_FILE, token + "\n")
    write_private(folder / ADDRESS_FILE, json.dumps({"url": url, "pid": os.getpid()}) + "\n")


def withdraw(folder: Path) -> None:
    """The server is gone."""
    for name in (ADDRESS_FILE, TOKEN_FILE):
        (folder / name).unlink(missing_ok=True)


def find(folder: Path) -> tuple[str, str | None] | None:
    """URL and token of the server that runs on the folder; the token is None where it may not be read."""
    try:
        address: dict[str, Any] = json.loads((folder / ADDRESS_FILE).read_text("utf-8"))
        url, process = str(address["url"]), int(address["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not _is_alive(process):
        return None
    try:
        return url, (folder / TOKEN_FILE).read_text("utf-8").strip()
    except OSError:
        return url, None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
