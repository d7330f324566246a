"""What this machine knows: the settings, and the server that runs on their data folder with its owner-only token."""

import os
from dataclasses import dataclass
from pathlib import Path

from whatsync.cli import presence
from whatsync.cli.failure import wrong_use
from whatsync.config import Config, ConfigError, load


def read_config() -> Config:
    """Read the settings of the environment and of ``whatsync.toml`` here. Raises Failure that names each wrong one."""
    try:
        return load(os.environ, Path.cwd())
    except ConfigError as problem:
        raise wrong_use("the settings are wrong.\n  " + "\n  ".join(problem.problems)) from None


@dataclass(frozen=True, slots=True)
class Local:
    """The server that runs on a data folder. ``token`` is None where this user may not read it."""

    folder: Path
    url: str
    token: str | None


def running_here(folder: Path) -> Local | None:
    """Find the server that runs on the data folder, None where there is none."""
    found = presence.find(folder)
    return None if found is None else Local(folder, *found)
