"""Where in somebody's program a snippet answers: the path of an endpoint's URL, in a form that is safe in code.

A URL may hold almost anything, and frameworks read patterns where we mean plain text. So only what RFC 3986 lets stand
in a path is taken, and nothing that servers rewrite on the way; everything else is refused in words.
"""

import ipaddress
import re
from urllib.parse import unquote

import msgspec

from whatsync.model.url import Target

PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
"""Paths without a character that any pattern language or programming language knows."""
DEFAULT_PORT = 3000

_ASCII_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/")
_ADVICE = "give the endpoint a plain path such as /webhook, or write the path into the code yourself"


class Place(msgspec.Struct, frozen=True):
    """A path that can be written into a program, in the two spellings that frameworks compare."""

    raw: str
    """As it stands in the request line: ASCII, other letters percent-encoded."""
    decoded: str
    """With its percent-encoded letters as letters."""

    @property
    def plain(self) -> bool:
        """Whether it holds letters, digits and ``-._~`` alone."""
        return PLAIN_PATH.fullmatch(self.raw) is not None


class PlaceProblem(msgspec.Struct, frozen=True):
    """Why a path is not written into code, and what to do, as a sentence."""

    message: str


def place_of(target: Target) -> Place | PlaceProblem:
    """Take the path from an endpoint's URL; its query is left out, since frameworks route by the path alone."""
    raw = target.request_target.partition("?")[0]
    try:
        decoded = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return PlaceProblem(f"The URL's path has percent-encoded bytes that are not UTF-8; {_ADVICE}.")
    if raw.count("/") != decoded.count("/"):
        return PlaceProblem(f"The URL's path has an encoded slash in it, which servers read differently; {_ADVICE}.")
    if strange := next((character for character in decoded if not _fits(character)), None):
        return PlaceProblem(
            f"The URL's path has {_named(strange)} in it, which frameworks read differently; {_ADVICE}."
        )
    parts = decoded[1:].split("/")
    if "" in parts[:-1] or not {".", ".."}.isdisjoint(parts):
        return PlaceProblem(f"The URL's path has an empty part or one of dots alone, which servers rewrite; {_ADVICE}.")
    return Place(raw, decoded)


def port_of(target: Target) -> int:
    """The port to listen on: the URL's own where that is this machine, else the usual one, as behind a proxy."""
    try:
        local = ipaddress.ip_address(target.host).is_loopback
    except ValueError:
        local = target.host == "localhost"
    return target.port if local else DEFAULT_PORT


def _fits(character: str) -> bool:
    return character in _ASCII_ALLOWED if character.isascii() else character.isprintable()


def _named(character: str) -> str:
    """A character as it can be named in a sentence, whatever it is."""
    shown = f"{character!r}" if character.isprintable() and character != " " else f"U+{ord(character):04X}"
    return f"the character {shown}"
