"""How the settings' values are read, each from its text. What is wrong raises ValueError with the rest of a
sentence about the value; knows no setting.
"""

import ipaddress
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from whatsync.model import limits, retry
from whatsync.model.bucket import SCHEME as BUCKET_SCHEME
from whatsync.model.bucket import BucketPlace, parse_bucket
from whatsync.model.user import clean_email, email_problem

POSTGRES = ("postgresql://", "postgres://")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def text(value: str) -> str:
    """Any text, as it is."""
    return value


def key_text(value: str) -> str:
    """A text that seals secrets: long enough not to be found by trying."""
    if len(value) < limits.ENCRYPTION_KEY_CHARS_MIN:
        raise ValueError(
            f"has less than {limits.ENCRYPTION_KEY_CHARS_MIN} characters and could be guessed; "
            "`openssl rand -base64 32` makes a good one"
        )
    return value


def number(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,12}", value) or not least <= int(value) <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(value)

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """One of some words, whatever case they are written in."""

    def parse(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return value.lower()

    return parse


def switch(value: str) -> bool:
    """On or off."""
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("is neither true nor false")


def web_url(value: str) -> str:
    """A URL of the web, as it is."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not value.isprintable() or " " in value:
        raise ValueError("is not a URL; write it as https://example.com")
    return value


def base_url(value: str) -> str:
    """What URLs begin with, without a slash at its end. What is put behind it has to stay a path."""
    parts = urlsplit(web_url(value))
    if "?" in value or "#" in value or parts.username is not None:
        raise ValueError("is where URLs begin; write it without user name, '?' and '#', as https://example.com")
    return value.rstrip("/")


def database(value: str) -> str:
    """Where the database is: an SQLite file or a PostgreSQL database."""
    if value.startswith(POSTGRES):
        try:
            parts = urlsplit(value)
            hosts = parts.netloc.rpartition("@")[2].split(",")
            ports = [urlsplit(f"//{host}").port for host in hosts]
            named = bool(parts.path.strip("/")) and all((port or 1) > 0 for port in ports)
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


def media_store(value: str) -> Path | BucketPlace:
    """A folder, or a bucket that speaks S3."""
    if value.startswith(BUCKET_SCHEME):
        return parse_bucket(value)
    if "://" in value:
        raise ValueError("is neither a folder nor a bucket; write it as s3://bucket/prefix")
    return Path(value)


def mail_server(value: str) -> str:
    """A mail server, with how it is spoken to."""
    parts = urlsplit(value)
    if parts.scheme not in ("smtp", "smtps", "smtp+starttls") or not parts.hostname:
        raise ValueError("is not a mail server; write it as smtps://user:password@mail.example.com:465")
    return value


def mail_address(value: str) -> str:
    """A mail address, with a name before it or without."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+|[^<>]*<[^@\s]+@[^@\s]+>", value):
        raise ValueError("is not a mail address; write it as whatsync@example.com")
    return value


def help_link(value: str) -> str:
    """Where people are helped, as a link leads there: a web page, or a mail address (``mailto:`` is added)."""
    with suppress(ValueError):
        return web_url(value)
    scheme, _, rest = value.partition(":")
    if not re.search(r"\s", value):
        if scheme.lower() == "mailto" and all(_is_mail(unquote(one)) for one in rest.partition("?")[0].split(",")):
            return f"mailto:{rest}"
        if _is_mail(value):
            return f"mailto:{quote(value, safe='@')}"
    raise ValueError(
        "is neither a web page nor a mail address; write it as https://example.com/help or help@example.com"
    )


def _is_mail(address: str) -> bool:
    return email_problem(clean_email(address)) is None


def networks(value: str) -> tuple[Network, ...]:
    """Networks of IP addresses, separated by commas or spaces."""
    found = []
    for part in filter(None, re.split(r"[,\s]+", value)):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError as problem:
            raise ValueError(f"holds {part!r}, which is no network ({problem}); write 10.0.0.0/8") from None
    return tuple(found)


def origins(value: str) -> tuple[str, ...]:
    """Origins of web pages (scheme, host and port), separated by commas or spaces; each named once, as browsers write
    it.
    """
    return tuple(dict.fromkeys(_origin(part) for part in filter(None, re.split(r"[,\s]+", value))))


def _origin(part: str) -> str:
    """One origin. Raises ValueError, which names it and says what to write."""
    try:
        parts = urlsplit(part)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in _WEB_PORTS or not _HOST.fullmatch(host):
        raise ValueError(f"holds {part!r}, which is no web page's origin; write https://app.example.com, with no stars")
    if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"holds {part!r}, which is more than an origin; write https://{host} with nothing behind it")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"holds {part!r}: http is only for trying it on this machine (http://localhost); write https")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + ("" if port in (None, _WEB_PORTS[parts.scheme]) else f":{port}")


_WEB_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")


def is_loopback(name: str) -> bool:
    """Whether a host name always means the machine that uses it."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def seconds(value: str) -> float:
    """How long a receiver may take, in seconds."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)s?", value)
    least, most = limits.REQUEST_TIMEOUT_SECONDS_MIN, limits.REQUEST_TIMEOUT_SECONDS_MAX
    if match is None or not least <= float(match[1]) <= most:
        raise ValueError(f"is not a time from {least:g}s to {most:g}s")
    return float(match[1])


_SIZES = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12} | {
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "b": 1
}  # fmt: skip


def size(value: str) -> int:
    """A size, in bytes."""
    match = re.fullmatch(r"(\d{1,15})\s*([a-z]*)", value.lower())
    if match is None or match[2] not in _SIZES:
        raise ValueError("is not a size; write it as 512MiB or 2GB")
    return int(match[1]) * _SIZES[match[2]]


def size_text(size_bytes: int) -> str:
    """A size as ``size`` reads it, in the largest unit that tells it exactly."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes}B"


def schedule(value: str) -> tuple[float, ...]:
    """Waits between attempts, in seconds."""
    try:
        return retry.parse_schedule(value)
    except ValueError as problem:
        raise ValueError(f"is not a schedule: {problem}") from None


def address(value: str) -> tuple[str, int]:
    """A host and a port."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise ValueError("is not host:port; write it as 127.0.0.1:9600")
    return host.strip("[]") or "127.0.0.1", int(port)


def bootstrap_key(value: str) -> str:
    """An API key as this server makes them."""
    if not re.fullmatch(r"wsk_[A-Za-z0-9_-]{43}", value):
        raise ValueError("is not an API key: wsk_ and 43 characters of base64url (32 random bytes)")
    return value
