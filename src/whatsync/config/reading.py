"""Reading the settings: from the command line, the environment (``WHATSYNC_…``) or ``whatsync.toml``, in this
order; and showing them. Knows no engine.
"""

import difflib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from whatsync.config.settings import COMMAND_SETTINGS, PREFIX, SETTINGS, Config, Setting
from whatsync.config.values import POSTGRES, is_loopback, size_text
from whatsync.model import retry
from whatsync.model.bucket import BucketPlace

FILE_NAME = "whatsync.toml"


class ConfigError(Exception):
    """One or more settings are wrong. ``problems`` are whole sentences that say what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


_ALL = SETTINGS + COMMAND_SETTINGS
_BY_NAME = {setting.name: setting for setting in _ALL}

Source = Literal["command line", "environment", "whatsync.toml"]


def read(environ: Mapping[str, str], toml: str | None = None, flags: Mapping[str, str | None] | None = None) -> Config:
    """Read all settings. ``flags`` are the command line's, by setting name; ``toml`` is the text of ``whatsync.toml``.

    Raises ConfigError with every problem found.
    """
    problems: list[str] = []
    given: dict[str, tuple[str, str]] = {}
    for name, value in _from_file(toml, problems).items():
        given[name] = (value, FILE_NAME)
    for variable, value in environ.items():
        if variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX)
            if name not in _BY_NAME:
                problems.append(_unknown(variable, [setting.variable for setting in _ALL], "environment"))
            else:
                given[name] = (value, "environment")
    for name, flag in (flags or {}).items():
        if flag is not None:
            given[name] = (flag, "command line")
    values, sources = _parse(given, problems)
    if not problems:
        problems += _together(values)
    if problems:
        raise ConfigError(problems)
    return Config(**values, sources=sources)


def _together(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with settings that are right each for itself."""
    if values["smtp_url"] is not None and values["mail_from"] is None:
        yield "WHATSYNC_MAIL_FROM: is needed with WHATSYNC_SMTP_URL; write the sender's mail address."
    if values["role"] != "all" and not is_postgres(values["database_url"]):
        yield "WHATSYNC_ROLE: halves of the work need a shared database; on SQLite the role is all."
    public = urlsplit(values["public_url"] or "")
    if values["embed_origins"] and public.scheme == "http" and not is_loopback(public.hostname or ""):
        words = "browsers keep a frame's cookies over https only; write WHATSYNC_PUBLIC_URL with https"
        yield f"WHATSYNC_EMBED_ORIGINS: {words}."


def load(environ: Mapping[str, str], folder: Path, flags: Mapping[str, str | None] | None = None) -> Config:
    """Read all settings, with the file ``whatsync.toml`` of ``folder`` where there is one."""
    try:
        toml = (folder / FILE_NAME).read_text("utf-8")
    except FileNotFoundError:
        toml = None
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError([f"{FILE_NAME} can't be read: {problem}. Mend the file or take it away."]) from None
    return read(environ, toml, flags)


def shown(config: Config) -> list[tuple[str, str, str]]:
    """Each setting's name, value and source for people; secrets as set or unset."""
    rows = []
    for setting in SETTINGS:
        value = getattr(config, setting.key)
        text = ("unset" if value is None else "set") if setting.secret else _shown(setting, value)
        rows.append((setting.name, text, config.sources.get(setting.name, "default")))
    return rows


def _parse(given: Mapping[str, tuple[str, str]], problems: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for setting in _ALL:
        text, source = given.get(setting.name, (None, ""))
        if text is not None and (text.strip() or setting.empty_counts):
            sources[setting.name] = source
        else:
            text = setting.default
        try:
            values[setting.key] = None if text is None else setting.parse(text.strip())
        except ValueError as problem:
            hidden = setting.secret or ("://" in (text or "") and "@" in (text or ""))  # a URL's password
            shown_value = "its value" if hidden else repr(text)
            problems.append(f"{setting.variable} ({source}): {shown_value} {problem}.")
    return values, sources


def _from_file(toml: str | None, problems: list[str]) -> dict[str, str]:
    if toml is None:
        return {}
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as problem:
        problems.append(f"{FILE_NAME} is not TOML: {problem}. Mend that line.")
        return {}
    found = {}
    for key, value in document.items():
        if key.upper() not in _BY_NAME or key != key.lower():
            problems.append(_unknown(key, [setting.key for setting in _ALL], FILE_NAME))
        elif isinstance(value, list) and all(isinstance(part, str) for part in value):
            found[key.upper()] = ",".join(value)
        elif isinstance(value, bool):
            found[key.upper()] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            found[key.upper()] = str(value)
        else:
            problems.append(f"{key} ({FILE_NAME}): a {type(value).__name__} is no value here; write text or a number.")
    return found


def is_postgres(database_url: str | None) -> bool:
    """Whether the database is PostgreSQL."""
    return database_url is not None and database_url.startswith(POSTGRES)


def without_password(url: str) -> str:
    """A URL as people may see it."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}"))


def _unknown(name: str, known: list[str], source: str) -> str:
    near = max(known, key=lambda word: difflib.SequenceMatcher(None, name.lower(), word.lower()).ratio())
    return f"{name} ({source}): there is no such setting. Did you mean {near}? Correct the name or remove it."


_IN_WORDS: dict[str, Callable[[Any], str]] = {
    "DATABASE_URL": without_password,
    "MIN_FREE_DISK": size_text,
    "RETRY_SCHEDULE": retry.format_schedule,
}


def _shown(setting: Setting, value: Any) -> str:
    if value is None or value == ():
        return "one try" if setting.empty_counts else "unset"
    if setting.name in _IN_WORDS:
        return _IN_WORDS[setting.name](value)
    if isinstance(value, tuple):
        return (":" if setting.name.endswith("ADDRESS") else ", ").join(str(part) for part in value)
    if isinstance(value, BucketPlace):
        return value.shown
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}s"
    return str(value)
