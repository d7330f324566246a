"""The few cookies of the dashboard: the session's or visitor's token, a message for the next page, small choices.

Knows how they are written and read; decides nothing about who may do what.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

import msgspec

from whatsync.model import limits
from whatsync.web.pages.guard import sign
from whatsync.web.pages.page import Flash, Tone

_CHOICES = ("theme", "account")
_CHOICE_SECONDS = 365 * 86_400
_VISITOR_SECONDS = 86_400
_FLASH_SECONDS = 60
_FLASH_BYTES_MAX = 2_400
"""Written as base64 with its seal it stays below the 4 KiB that browsers keep of a cookie."""


class Jar:
    """Reads one request's cookies and collects what its answer sets. ``secure``: the browser speaks https to us.

    A request from inside a frame of another site's page has cookies of its own, under names of their own: browsers
    keep them apart for each site that frames us (``Partitioned``), and take them with ``Secure`` only. All others stay
    ``Lax``, so that no frame ever acts as who is signed in outside it.
    """

    def __init__(self, cookies: Mapping[str, str], secure: bool, framed: bool = False) -> None:
        self._cookies = cookies
        self._prefix = ("__Host-whatsync" if secure else "whatsync") + ("-frame" if framed else "")
        # Over plain http, browsers take Secure from this machine's own names alone: enough for trying it.
        marks = "SameSite=None; Secure; Partitioned" if framed else "SameSite=Lax"
        self._marks = f"{marks}; Secure" if secure and not framed else marks
        self._session_seconds = limits.EMBEDDED_SESSION_SECONDS if framed else limits.SESSION_SECONDS_MAX
        self.set: list[str] = []

    @property
    def session(self) -> str | None:
        """The session's token."""
        return self._cookies.get(f"{self._prefix}-session")

    @property
    def visitor(self) -> str | None:
        """The token of a browser that is not signed in; its forms are bound to it."""
        return self._cookies.get(f"{self._prefix}-visitor")

    @property
    def choices(self) -> dict[str, str]:
        """Small choices by name."""
        found = ((name, self._cookies.get(f"{self._prefix}-{name}", "")) for name in _CHOICES)
        return {name: value for name, value in found if value and value.isascii() and value.isprintable()}

    def flash(self, secret: str) -> Flash | None:
        """The message that waits for the next page."""
        word = self._cookies.get(f"{self._prefix}-flash")
        if not word:
            return None
        text, _, seal = word.partition(".")
        if sign(secret, text) != seal:
            return None
        try:
            tone, said = msgspec.json.decode(urlsafe_b64decode(text), type=tuple[Tone, str])
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            return None
        return Flash(said, tone)

    def drop_flash(self) -> None:
        """The message was shown."""
        if self._cookies.get(f"{self._prefix}-flash"):
            self._add("flash", "", 0)

    def keep_session(self, token: str) -> None:
        """Sign the browser in, or out with an empty token."""
        self._add("session", token, self._session_seconds if token else 0)

    def keep_visitor(self, token: str) -> None:
        """Remember a browser that is not signed in."""
        self._add("visitor", token, _VISITOR_SECONDS)

    def keep_flash(self, flash: Flash, secret: str) -> None:
        """Say something on the next page."""
        said = flash.text
        while len(encoded := msgspec.json.encode((flash.tone, said))) > _FLASH_BYTES_MAX:
            said = said[: len(said) * _FLASH_BYTES_MAX // len(encoded) - 1] + "…"
        text = urlsafe_b64encode(encoded).decode()
        self._add("flash", f"{text}.{sign(secret, text)}", _FLASH_SECONDS)

    def keep_choices(self, choices: Mapping[str, str]) -> None:
        """Remember small choices."""
        for name, value in choices.items():
            if name in _CHOICES:
                self._add(name, value, _CHOICE_SECONDS if value else 0)

    def _add(self, name: str, value: str, seconds: int) -> None:
        self.set.append(f"{self._prefix}-{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; {self._marks}")
