"""The settings: their names, meanings and defaults in one table, and the frozen ``Config`` they are read into.
Knows no file and no environment.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from whatsync.config.values import (
    Network,
    address,
    base_url,
    bootstrap_key,
    choice,
    database,
    help_link,
    key_text,
    mail_address,
    mail_server,
    media_store,
    networks,
    number,
    origins,
    schedule,
    seconds,
    size,
    switch,
    text,
    web_url,
)
from whatsync.model import limits, retry
from whatsync.model.bucket import BucketPlace

PREFIX = "WHATSYNC_"


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
    embed_origins: tuple[str, ...]
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


_DISK = "512MiB"
_LEVELS = ("debug", "info", "warning", "error")

SETTINGS: tuple[Setting, ...] = (
    Setting("HOST", "address", text, "127.0.0.1", "Address to listen on; 0.0.0.0 for all of this machine's."),
    Setting("PORT", "0-65535", number(0, 65_535), "8600", "Port to listen on; 0 takes a free one."),
    Setting("PUBLIC_URL", "URL", base_url, None, "How this server is reached from outside, for links it writes."),
    Setting(
        "TRUSTED_PROXIES", "networks", networks, "",
        "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    ),
    Setting("DATA_DIR", "folder", Path, "whatsync-data", "Folder of the database, keys made here, and media."),
    Setting(
        "DATABASE_URL", "URL", database, None,
        "Database, SQLite or PostgreSQL; unset: the SQLite file whatsync.db in the data folder.",
    ),
    Setting(
        "DATABASE_POOLER", "none or transaction", choice("none", "transaction"), "none",
        "Whether a pooler in transaction mode (PgBouncer) stands before PostgreSQL.",
    ),
    Setting(
        "DATABASE_UNSAFE", "true or false", switch, "false",
        "Take a PostgreSQL that may lose acknowledged events in a crash (fsync off and the like).",
    ),
    Setting(
        "ROLE", "all, api or deliver", choice("all", "api", "deliver"), "all",
        "Which half of the work to do; on SQLite always all.",
    ),
    Setting("PROCESSES", "1-2", number(1, 2), "1", "1, or 2 to send in a process of its own."),
    Setting(
        "MEDIA_STORE", "folder or s3://…", media_store, None,
        "Where media files lie: a folder, or s3://bucket/prefix?endpoint=…; unset: media in the data folder.",
    ),
    Setting(
        "MEDIA_PUBLIC_URL", "URL", base_url, None,
        "What media URLs begin with, where a proxy leads it to /media here; unset: PUBLIC_URL and /media.",
    ),
    Setting(
        "ENCRYPTION_KEY", "text", key_text, None,
        "Seals secrets in the database; unset: made once and kept in the data folder.", secret=True,
    ),
    Setting(
        "RETRY_SCHEDULE", "waits", schedule, retry.format_schedule(retry.DEFAULT_SCHEDULE_SECONDS),
        "Waits after the first try, for endpoints without their own; empty: one try.", empty_counts=True,
    ),
    Setting(
        "REQUEST_TIMEOUT", "1s-30s", seconds, f"{limits.REQUEST_TIMEOUT_SECONDS:g}s",
        "Time a receiver has to answer, for endpoints without their own.",
    ),
    Setting(
        "ALLOW_ADDRESSES", "networks", networks, "",
        "Private networks that deliveries may reach, such as 10.1.0.0/16.",
    ),
    Setting(
        "RETENTION_DAYS", "days", number(1, limits.RETENTION_DAYS_MAX), str(limits.RETENTION_DAYS),
        "How long events and their history are kept, for accounts without their own.",
    ),
    Setting("MIN_FREE_DISK", "size", size, _DISK, "Below this much free disk no event is accepted (503)."),
    Setting(
        "SMTP_URL", "URL", mail_server, None,
        "Mail server for alerts, invitations and links to sign in.", secret=True,
    ),
    Setting("MAIL_FROM", "mail address", mail_address, None, "Sender of these mails."),
    Setting(
        "ALERT_URL", "URL", web_url, None,
        "Chat webhook that hears of every account's changes of state.", secret=True,
    ),
    Setting(
        "SUPPORT_URL", "URL or mail address", help_link, None,
        "Where people who need help are sent, such as https://example.com/help or help@example.com.",
    ),
    Setting(
        "EMBED_ORIGINS", "origins", origins, "",
        "Your own products' pages that may show Configuration and History in a frame, such as https://app.example.com.",
    ),
    Setting("LOG_FORMAT", "json or console", choice("json", "console"), "console", "How log lines are written."),
    Setting("LOG_LEVEL", "level", choice(*_LEVELS), "info", f"Least level that is logged: {', '.join(_LEVELS)}."),
    Setting(
        "METRICS_ADDRESS", "host:port", address, None,
        "Serve /metrics here instead of on the main port.",
    ),
    Setting(
        "TRACING", "true or false", switch, "false",
        "Send OpenTelemetry traces; where to is told by the standard OTEL_* variables.",
    ),
    Setting(
        "BOOTSTRAP_API_KEY", "wsk_…", bootstrap_key, None,
        "API key of the first account on an empty database, instead of a made-up one.", secret=True,
    ),
    Setting(
        "BOOTSTRAP_EMAIL", "mail address", mail_address, None,
        "Mail address of the first account on an empty database; alerts go there.",
    ),
    Setting(
        "BOOTSTRAP_PASSWORD", "text", text, None,
        "Password of the first user on an empty database.", secret=True,
    ),
)  # fmt: skip
"""The server's table; the docs, ``doctor`` and the tests are checked against it."""

COMMAND_SETTINGS: tuple[Setting, ...] = (
    Setting("URL", "URL", base_url, None, "Server that the commands speak to; unset: the one on this machine."),
    Setting("API_KEY", "wsk_… or wso_…", text, None, "Key the commands use; unset: the data folder's.", secret=True),
)  # fmt: skip
"""What the commands read to find a running server; the server itself has no use for them."""
