"""The settings: their names, meanings and defaults in one table, read once into a frozen ``Config``.

Values come from the command line, the environment (``WHATSYNC_…``) or ``whatsync.toml``, in this order.
Knows no engine.
"""

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec

from whatsync.model import limits, retry
from whatsync.model.bucket import SCHEME as BUCKET_SCHEME
from whatsync.model.bucket import BucketPlace, parse_bucket

PREFIX = "WHATSYNC_"
_POSTGRES = ("postgresql://", "postgres://")
FILE_NAME = "whatsync.toml"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ConfigError(Exception):
    """One or more settings are wrong. ``problems`` are whole sentences that say what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting as read; field ``data_dir`` is setting ``DATA_DIR``. Meanings stand in ``SETTINGS``."""

    host: str
    port: int
    public_url: str | None
    trusted_proxies: tuple[Network, ...]
    data_dir: Path
    database_url: str | None
    database_pooler: str
    database_unsafe: bool
    role: str
    processes: int
    media_store: Path | BucketPlace | None
    media_public_url: str | None
    encryption_key: str | None
    retry_schedule: tuple[float, ...]
    request_timeout: float
    allow_addresses: tuple[Network, ...]
    retention_days: int
    min_free_disk: int
    smtp_url: str | None
    mail_from: str | None
    alert_url: str | None
    support_url: str | None
    log_format: str
    log_level: str
    metrics_address: tuple[str, int] | None
    tracing: bool
    bootstrap_api_key: str | None
    bootstrap_email: str | None
    bootstrap_password: str | None
    url: str | None
    api_key: str | None
    sources: dict[str, str]
    """Where each setting that is not a default came from, by its name."""

    @property
    def loopback_only(self) -> bool:
        """The server listens on this machine alone."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def base_url(self) -> str:
        """Where the installation is reached, without a slash at the end: the public URL, else what it listens on."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - for reading only
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def first_try(self) -> bool:
        """Deliveries to this machine may be let through: nobody from outside can reach this server."""
        return self.loopback_only and self.public_url is None and not self.trusted_proxies


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. ``parse`` raises ValueError with the rest of a sentence about the value."""

    name: str
    kind: str
    """What a value looks like, in words."""
    parse: Callable[[str], Any]
    default: str | None
    description: str
    secret: bool = False
    empty_counts: bool = False
    """An empty value is a value of its own; for all other settings it means unset."""

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name

    @property
    def key(self) -> str:
        """Its key in the file and its field in ``Config``."""
        return self.name.lower()


# How values are read


def _text(value: str) -> str:
    return value


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,12}", value) or not least <= int(value) <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(value)

    return parse


def _choice(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return value.lower()

    return parse


def _switch(value: str) -> bool:
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("is neither true nor false")


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not a URL; write it as https://example.com")
    return value.rstrip("/")


def _database(value: str) -> str:
    if value.startswith(_POSTGRES):
        try:
            parts = urlsplit(value)
            named = bool(parts.path.strip("/")) and (parts.port or 1) > 0
        except ValueError:
            named = False
        if not named:
            raise ValueError("names no database; write it as postgresql://user:password@host:5432/name")
        return value
    if not value.startswith("sqlite:///") or len(value) == len("sqlite:///"):
        raise ValueError(
            "is not a database; write it as sqlite:///path/to/file.db or postgresql://user:password@host:5432/name"
        )
    return value


def _media_store(value: str) -> Path | BucketPlace:
    if value.startswith(BUCKET_SCHEME):
        return parse_bucket(value)
    if "://" in value:
        raise ValueError("is neither a folder nor a bucket; write it as s3://bucket/prefix")
    return Path(value)


def _smtp(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("smtp", "smtps", "smtp+starttls") or not parts.hostname:
        raise ValueError("is not a mail server; write it as smtps://user:password@mail.example.com:465")
    return value


def _mail_address(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+|[^<>]*<[^@\s]+@[^@\s]+>", value):
        raise ValueError("is not a mail address; write it as whatsync@example.com")
    return value


def _networks(value: str) -> tuple[Network, ...]:
    found = []
    for part in filter(None, re.split(r"[,\s]+", value)):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError as problem:
            raise ValueError(f"holds {part!r}, which is no network ({problem}); write 10.0.0.0/8") from None
    return tuple(found)


def _seconds(value: str) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)s?", value)
    least, most = limits.REQUEST_TIMEOUT_SECONDS_MIN, limits.REQUEST_TIMEOUT_SECONDS_MAX
    if match is None or not least <= float(match[1]) <= most:
        raise ValueError(f"is not a time from {least:g}s to {most:g}s")
    return float(match[1])


_SIZES = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12} | {
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "b": 1
}  # fmt: skip


def _size(value: str) -> int:
    match = re.fullmatch(r"(\d{1,15})\s*([a-z]*)", value.lower())
    if match is None or match[2] not in _SIZES:
        raise ValueError("is not a size; write it as 512MiB or 2GB")
    return int(match[1]) * _SIZES[match[2]]


def _schedule(value: str) -> tuple[float, ...]:
    try:
        return retry.parse_schedule(value)
    except ValueError as problem:
        raise ValueError(f"is not a schedule: {problem}") from None


def _address(value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise ValueError("is not host:port; write it as 127.0.0.1:9600")
    return host.strip("[]") or "127.0.0.1", int(port)


def _bootstrap_key(value: str) -> str:
    if not re.fullmatch(r"wsk_[A-Za-z0-9_-]{43}", value):
        raise ValueError("is not an API key: wsk_ and 43 characters of base64url (32 random bytes)")
    return value


_DISK = "512MiB"
_LEVELS = ("debug", "info", "warning", "error")

SETTINGS: tuple[Setting, ...] = (
    Setting("HOST", "address", _text, "127.0.0.1", "Address to listen on; 0.0.0.0 for all of this machine's."),
    Setting("PORT", "0-65535", _number(0, 65_535), "8600", "Port to listen on; 0 takes a free one."),
    Setting("PUBLIC_URL", "URL", _web_url, None, "How this server is reached from outside, for links it writes."),
    Setting(
        "TRUSTED_PROXIES", "networks", _networks, "",
        "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    ),
    Setting("DATA_DIR", "folder", Path, "whatsync-data", "Folder of the database, keys made here, and media."),
    Setting(
        "DATABASE_URL", "URL", _database, None,
        "Database, SQLite or PostgreSQL; unset: the SQLite file whatsync.db in the data folder.",
    ),
    Setting(
        "DATABASE_POOLER", "none or transaction", _choice("none", "transaction"), "none",
        "Whether a pooler in transaction mode (PgBouncer) stands before PostgreSQL.",
    ),
    Setting(
        "DATABASE_UNSAFE", "true or false", _switch, "false",
        "Take a PostgreSQL that may lose acknowledged events in a crash (fsync off and the like).",
    ),
    Setting(
        "ROLE", "all, api or deliver", _choice("all", "api", "deliver"), "all",
        "Which half of the work to do; on SQLite always all.",
    ),
    Setting("PROCESSES", "1-2", _number(1, 2), "1", "1, or 2 to send in a process of its own."),
    Setting(
        "MEDIA_STORE", "folder or s3://…", _media_store, None,
        "Where media files lie: a folder, or s3://bucket/prefix?endpoint=…; unset: media in the data folder.",
    ),
    Setting(
        "MEDIA_PUBLIC_URL", "URL", _web_url, None,
        "What media URLs begin with, where a proxy leads it to /media here; unset: PUBLIC_URL and /media.",
    ),
    Setting(
        "ENCRYPTION_KEY", "text", _text, None,
        "Seals secrets in the database; unset: made once and kept in the data folder.", secret=True,
    ),
    Setting(
        "RETRY_SCHEDULE", "waits", _schedule, retry.format_schedule(retry.DEFAULT_SCHEDULE_SECONDS),
        "Waits after the first try, for endpoints without their own; empty: one try.", empty_counts=True,
    ),
    Setting(
        "REQUEST_TIMEOUT", "1s-30s", _seconds, f"{limits.REQUEST_TIMEOUT_SECONDS:g}s",
        "Time a receiver has to answer, for endpoints without their own.",
    ),
    Setting(
        "ALLOW_ADDRESSES", "networks", _networks, "",
        "Private networks that deliveries may reach, such as 10.1.0.0/16.",
    ),
    Setting(
        "RETENTION_DAYS", "days", _number(1, limits.RETENTION_DAYS_MAX), str(limits.RETENTION_DAYS),
        "How long events and their history are kept, for accounts without their own.",
    ),
    Setting("MIN_FREE_DISK", "size", _size, _DISK, "Below this much free disk no event is accepted (503)."),
    Setting("SMTP_URL", "URL", _smtp, None, "Mail server for alerts.", secret=True),
    Setting("MAIL_FROM", "mail address", _mail_address, None, "Sender of the alerts sent by mail."),
    Setting(
        "ALERT_URL", "URL", _web_url, None,
        "Chat webhook that hears of every account's changes of state.", secret=True,
    ),
    Setting("SUPPORT_URL", "URL", _text, None, "Where people who need help are sent."),
    Setting("LOG_FORMAT", "json or console", _choice("json", "console"), "console", "How log lines are written."),
    Setting("LOG_LEVEL", "level", _choice(*_LEVELS), "info", f"Least level that is logged: {', '.join(_LEVELS)}."),
    Setting(
        "METRICS_ADDRESS", "host:port", _address, None,
        "Serve /metrics here instead of on the main port.",
    ),
    Setting(
        "TRACING", "true or false", _switch, "false",
        "Send OpenTelemetry traces; where to is told by the standard OTEL_* variables.",
    ),
    Setting(
        "BOOTSTRAP_API_KEY", "wsk_…", _bootstrap_key, None,
        "API key of the first account on an empty database, instead of a made-up one.", secret=True,
    ),
    Setting(
        "BOOTSTRAP_EMAIL", "mail address", _mail_address, None,
        "Mail address of the first account on an empty database; alerts go there.",
    ),
    Setting(
        "BOOTSTRAP_PASSWORD", "text", _text, None,
        "Password of the first user on an empty database.", secret=True,
    ),
)  # fmt: skip
"""The server's table; the docs, ``doctor`` and the tests are checked against it."""

COMMAND_SETTINGS: tuple[Setting, ...] = (
    Setting("URL", "URL", _web_url, None, "Server that the commands speak to; unset: the one on this machine."),
    Setting("API_KEY", "wsk_… or wso_…", _text, None, "Key the commands use; unset: the data folder's.", secret=True),
)  # fmt: skip
"""What the commands read to find a running server; the server itself has no use for them."""

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
    if not problems and values["smtp_url"] is not None and values["mail_from"] is None:
        problems.append("WHATSYNC_MAIL_FROM: is needed with WHATSYNC_SMTP_URL; write the sender's mail address.")
    if not problems and values["role"] != "all" and not is_postgres(values["database_url"]):
        problems.append("WHATSYNC_ROLE: halves of the work need a shared database; on SQLite the role is all.")
    if problems:
        raise ConfigError(problems)
    return Config(**values, sources=sources)


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
    return database_url is not None and database_url.startswith(_POSTGRES)


def without_password(url: str) -> str:
    """A URL as people may see it."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}"))


def _unknown(name: str, known: list[str], source: str) -> str:
    near = max(known, key=lambda word: difflib.SequenceMatcher(None, name.lower(), word.lower()).ratio())
    return f"{name} ({source}): there is no such setting. Did you mean {near}? Correct the name or remove it."


def _shown(setting: Setting, value: Any) -> str:
    if value is None or value == ():
        return "one try" if setting.empty_counts else "unset"
    if setting.name == "DATABASE_URL":
        return without_password(value)
    if setting.name == "RETRY_SCHEDULE":
        return retry.format_schedule(value)
    if isinstance(value, tuple):
        return (":" if setting.name.endswith("ADDRESS") else ", ").join(str(part) for part in value)
    if isinstance(value, BucketPlace):
        return value.shown
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}s"
    return str(value)
