"""Keeps strangers' pages from acting as our user: which hosts we answer to, where a form may come from, its token.

Also the headers that every page carries. Pure; random bytes are given in.
"""

import binascii
import hashlib
import hmac
import ipaddress
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from urllib.parse import urlsplit

from whatsync.config import Config, is_loopback
from whatsync.model.errors import Forbidden, Malformed

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors {ancestors}",
        "base-uri 'none'",
    )
)
POLICY = _POLICY.format(ancestors="'none'")
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}


def framed_headers(origins: Sequence[str]) -> dict[str, str]:
    """The headers of a page that only pages of these origins may show in a frame. ``X-Frame-Options`` can't name them,
    so it is not sent.
    """
    headers = {name: value for name, value in HEADERS.items() if name != "x-frame-options"}
    return headers | {"content-security-policy": _POLICY.format(ancestors=" ".join(origins))}


CSRF_HEADER = "x-csrf-token"
_OWN_SITES = frozenset({"same-origin", "none"})
PAD_BYTES = 32


class WrongHost(Malformed):
    """The request is for a host that this installation does not know as its own."""


class Hosts:
    """The names this installation answers to in a browser: a name of somebody else's that leads here is refused.

    The public URL's host, what the server listens on, and this machine's loopback names. Where it listens on every
    address, any address in numbers too: only names can be turned round to lead here.
    """

    def __init__(self, config: Config) -> None:
        self._public = None if config.public_url is None else urlsplit(config.public_url)
        self._host = config.host.lower()
        self._everywhere = self._host in ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on
        self._loopback = config.loopback_only or self._everywhere

    def check(self, host: str) -> None:
        """Raises WrongHost, which says what to set."""
        name = host_name(host)
        if self._public is not None and name == self._public.hostname:
            return
        if name == self._host or (self._loopback and is_loopback(name)) or (self._everywhere and _is_address(name)):
            return
        raise WrongHost(
            "unknown_host",
            f"this server does not answer to the name {host[:100]!r}. If it is yours, set "
            f"WHATSYNC_PUBLIC_URL=https://{name[:100]} and start the server again. If you typed another name, a proxy "
            "in between changes the Host header: let it pass the header on unchanged",
        )

    def secure(self, host: str, scheme: str) -> bool:
        """Whether the browser speaks to us encrypted, here or up to a proxy of ours."""
        if scheme == "https":
            return True
        public = self._public
        return public is not None and public.scheme == "https" and host_name(host) == public.hostname


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without the port, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_origin(host: str, origin: str | None, fetch_site: str | None) -> None:
    """Refuse a form that another site's page has sent. Browsers tell at least one of the two. Raises Forbidden."""
    if fetch_site is not None and fetch_site not in _OWN_SITES:
        raise _foreign()
    if origin is not None and _place(origin) != host.lower():
        # A proxy that puts another name into Host makes our own pages look foreign.
        raise _rewritten(host, _place(origin) or "") if fetch_site == "same-origin" else _foreign()


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def csrf_token(secret: str, pad: bytes) -> str:
    """The token for forms of whoever has ``secret`` in a cookie, masked anew in each page by ``pad``."""
    return urlsafe_b64encode(pad + _mixed(_csrf(secret), pad)).decode().rstrip("=")


def check_csrf(secret: str | None, token: str) -> None:
    """Raises Forbidden where the token does not belong to the cookie."""
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    right = len(raw) == 2 * PAD_BYTES and secret is not None
    if not right or not hmac.compare_digest(_mixed(raw[:PAD_BYTES], raw[PAD_BYTES:]), _csrf(secret or "")):
        raise Forbidden("csrf", "this form is from another time; go back, load the page anew and send it again")


def sign(secret: str, word: str) -> str:
    """A short seal of something we put into a cookie, so that nobody else can."""
    return hmac.digest(secret.encode(), b"cookie:" + word.encode(), "sha256").hex()[:32]


def local_path(path: str) -> str | None:
    """A path of ours to go on to, ``None`` for anything that could lead elsewhere."""
    fine = (
        path.startswith("/")
        and not path.startswith("//")
        and "\\" not in path
        and path.isascii()
        and path.isprintable()
    )
    return path if fine else None


def _csrf(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"forms", hashlib.sha256)


def _mixed(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=True))


def _foreign() -> Forbidden:
    return Forbidden("foreign_origin", "this form was sent by another site's page; open the dashboard and do it there")


def _rewritten(host: str, place: str) -> Forbidden:
    words = (
        f"your browser is at {place[:100]!r}, but the request came in as {host[:100]!r}: a proxy in between changes "
        "the Host header. Let it pass the header on unchanged (nginx: proxy_set_header Host $http_host), and set "
        f"WHATSYNC_PUBLIC_URL=https://{place[:100]}"
    )
    return Forbidden("rewritten_host", words)
