"""What stands against a URL while somebody types it: its form, and whether its name leads where deliveries may go.

Advice only: saving checks the form again, and each connection the address it really goes to. Knows no HTTP.
"""

from enum import StrEnum
from ipaddress import ip_address

import msgspec

from whatsync.engine.endpoints import refusal_by_form
from whatsync.model import limits
from whatsync.model.url import Target, UrlProblem, parse_url
from whatsync.ports.guard import Guard
from whatsync.ports.names import Names


class Standing(StrEnum):
    """What to make of a URL."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    """It can be saved, but may not be reached now, or is better written another way."""
    WRONG = "wrong"
    """It can't be saved, or nothing would ever be sent to it."""


class UrlAdvice(msgspec.Struct, frozen=True):
    """One sentence about a URL."""

    standing: Standing
    sentence: str


class UrlCheck:
    """Looks at URLs."""

    def __init__(self, guard: Guard, names: Names) -> None:
        self._guard = guard
        self._names = names

    async def look(self, url: str) -> UrlAdvice:
        """Say what stands against a URL. The name is looked up for at most ``URL_LOOKUP_SECONDS_MAX``."""
        target = parse_url(url)
        if isinstance(target, UrlProblem):
            return UrlAdvice(Standing.WRONG, f"The URL {target.message}.")
        refusal = refusal_by_form(target, self._guard)
        if refusal is not None:
            return UrlAdvice(Standing.WRONG, f"Leads where deliveries may not go: {refusal}.")
        if target.host == "localhost" or _is_address(target.host):
            return _reached(target, target.host)
        found = await self._names.addresses(target.host, limits.URL_LOOKUP_SECONDS_MAX)
        if not found.found:
            return UrlAdvice(
                Standing.DOUBTFUL, f"{target.host} can’t be found now: {found.problem}. Is it spelt right?"
            )
        for address in found.found:
            refused = self._guard.check(address, target.port)
            if refused is not None:
                # Which address of ours a name has is nobody's business.
                words = f"{target.host} leads to an address that deliveries may not reach, such as a private one."
                return UrlAdvice(Standing.WRONG, f"{words} The operator can allow it: WHATSYNC_ALLOW_ADDRESSES.")
        return _reached(target, found.found[0])


def _reached(target: Target, address: str) -> UrlAdvice:
    if target.scheme == "http" and not _is_loopback(address):
        words = (
            "Can be reached, but without encryption: everybody on the way can read messages. Use https:// if you can."
        )
        return UrlAdvice(Standing.DOUBTFUL, words)
    if _is_loopback(address):
        return UrlAdvice(Standing.GOOD, "A program on WhatsSync’s own machine.")
    if target.host == address:
        return UrlAdvice(Standing.GOOD, "Looks right.")
    if not ip_address(address).is_global:
        return UrlAdvice(Standing.GOOD, "Looks right. It is an address of your own network.")
    return UrlAdvice(Standing.GOOD, f"Looks right. {target.host} is {address} now.")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return address == "localhost" or (_is_address(address) and ip_address(address).is_loopback)
