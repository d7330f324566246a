"""An endpoint's URL, taken apart once into what a request needs; every spelling of an address ends in one form.

Pure: it looks nothing up and knows no list of forbidden addresses. What it returns is what gets connected to.
"""

import ipaddress
import re
from typing import Literal

import idna
import msgspec

from whatsync.model.limits import URL_CHARS_MAX

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_CHARS_MAX = 253
_LABEL_CHARS_MAX = 63
_BEGINNING = re.compile(r"(https?)://", re.IGNORECASE)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\\]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NAME_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")


class Target(msgspec.Struct, frozen=True, gc=False):
    """Where a request goes: the parsed parts of an endpoint's URL.

    ``host`` is the lower-case ASCII (IDNA) name, or an IP literal in its shortest form without brackets.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    request_target: str
    """Path and query exactly as they stand in the request line, beginning with ``/``."""
    host_header: str
    """Value of ``Host``: the name, bracketed if IPv6, with the port where it is not the scheme's default."""


class UrlProblem(msgspec.Struct, frozen=True, gc=False):
    """Why a text can't be an endpoint's URL, as the rest of a sentence that begins with the field's name."""

    message: str


class _Unusable(Exception):  # noqa: N818 - never leaves this file
    """Carries the message to ``parse_url``."""


def parse_url(text: str) -> Target | UrlProblem:
    """Take an endpoint's URL apart, or say what is wrong with it.

    IPv4 literals are read as a C library reads them (``127.1``, ``0x7f.0.0.1``, ``2130706433``), so that whoever checks
    the address sees the one that would be connected to.
    """
    try:
        return _parse(text)
    except _Unusable as problem:
        return UrlProblem(str(problem))


def _parse(text: str) -> Target:
    _refuse_bad_characters(text)
    beginning = _BEGINNING.match(text)
    if beginning is None:
        raise _Unusable("must begin with https:// or http://")
    scheme: Literal["http", "https"] = "https" if beginning[1].lower() == "https" else "http"
    rest = text[beginning.end() :]
    if "#" in rest:
        raise _Unusable("must not have a fragment; remove the part from '#' on")
    cut = re.search(r"[/?]", rest)
    authority = rest if cut is None else rest[: cut.start()]
    host, port = _split_authority(authority, _DEFAULT_PORTS[scheme])
    host = _host(host)
    shown = f"[{host}]" if ":" in host else host
    return Target(
        scheme=scheme,
        host=host,
        port=port,
        request_target=_request_target("" if cut is None else rest[cut.start() :]),
        host_header=shown if port == _DEFAULT_PORTS[scheme] else f"{shown}:{port}",
    )


def _refuse_bad_characters(text: str) -> None:
    if not text:
        raise _Unusable("must not be empty; give a URL such as https://example.com/webhooks")
    if len(text) > URL_CHARS_MAX:
        raise _Unusable(f"must have at most {URL_CHARS_MAX:,} characters, has {len(text):,}")
    if bad := _FORBIDDEN.search(text):
        character = bad[0]
        what = {" ": "a space", "\\": "a backslash"}.get(character, f"the character U+{ord(character):04X}")
        raise _Unusable(f"must not contain {what} (at position {bad.start() + 1}); percent-encode it or remove it")
    if bad := _SURROGATE.search(text):
        raise _Unusable(f"must not contain half a character (at position {bad.start() + 1})")


def _split_authority(authority: str, default_port: int) -> tuple[str, int]:
    """Host as written and port; user names are refused, since they end in logs and mislead readers."""
    if "@" in authority:
        raise _Unusable("must not contain a user name or password; use a header of the endpoint instead")
    if authority.startswith("["):
        host, closing, rest = authority.partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise _Unusable("has an IPv6 address without its closing bracket, such as https://[2001:db8::1]:8443/")
        return host + closing, _port(rest[1:], default_port)
    host, _, port = authority.partition(":")
    if ":" in port:
        raise _Unusable("has an IPv6 address without brackets; write it as https://[2001:db8::1]/")
    return host, _port(port, default_port)


def _port(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or not 0 < int(text) < 65_536:
        raise _Unusable(f"has the port {text[:20]!r}; a port is a number from 1 to 65535")
    return int(text)


def _host(text: str) -> str:
    if not text:
        raise _Unusable("has no host name after '//'")
    if text.startswith("["):
        return _ipv6(text[1:-1])
    if "%" in text:
        raise _Unusable("must not have percent signs in its host name")
    name = _ascii_name(text).removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _ipv4(name)
    labels = name.split(".")
    if len(name) > _HOST_CHARS_MAX or any(len(label) > _LABEL_CHARS_MAX for label in labels):
        raise _Unusable("has a host name longer than DNS allows (63 characters between dots, 253 in all)")
    if not all(_NAME_LABEL.fullmatch(label) for label in labels):
        raise _Unusable(f"has the host name {name[:80]!r}, which is not valid; use letters, digits, hyphens and dots")
    return name


def _ascii_name(text: str) -> str:
    """Lower case, with names in other scripts turned into their ``xn--`` form (IDNA 2008 after UTS 46 mapping)."""
    if text.isascii():
        return text.lower()
    try:
        mapped = idna.uts46_remap(text, std3_rules=False, transitional=False)
        return mapped if mapped.isascii() else idna.encode(mapped).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise _Unusable("has an international host name that is not valid (IDNA); check its letters") from None


def _ipv6(text: str) -> str:
    if "%" in text:
        raise _Unusable("must not have a zone such as %eth0 in its IPv6 address")
    try:
        return ipaddress.IPv6Address(text).compressed
    except ValueError:
        raise _Unusable(f"has {text[:60]!r} in brackets, which is not an IPv6 address") from None


def _ipv4(text: str) -> str:
    """One to four numbers, decimal, octal (``0`` in front) or hexadecimal; the last fills all bytes that are left."""
    parts = text.split(".")
    numbers = [_ipv4_number(part) for part in parts]
    spare_bytes = 5 - len(parts)
    if (
        len(parts) > 4
        or None in numbers
        or any(number is not None and number > 255 for number in numbers[:-1])
        or (numbers[-1] or 0) >= 256**spare_bytes
    ):
        raise _Unusable(f"has the host {text[:60]!r}, which ends in a number but is not an IPv4 address")
    value = 0
    for number in numbers[:-1]:
        value = value * 256 + (number or 0)
    return str(ipaddress.IPv4Address(value * 256**spare_bytes + (numbers[-1] or 0)))


def _ipv4_number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text) or len(text) > 40:
        return None
    try:
        if text.startswith("0x"):
            return int(text[2:] or "0", 16)
        return int(text, 8) if text.startswith("0") else int(text)
    except ValueError:
        return None


def _request_target(text: str) -> str:
    """Path and query as given; letters outside ASCII are percent-encoded as UTF-8, as a browser does."""
    if not text.startswith("/"):
        text = "/" + text
    if text.isascii():
        return text
    return "".join(
        character if character.isascii() else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in text
    )
