"""Meta's signature over a request: ``X-Hub-Signature-256``. Pure; compared in constant time."""

import hmac
import zlib
from base64 import b64decode
from collections.abc import Iterable
from functools import lru_cache

from whatsync.model.signature import Hmac

HEADER = "x-hub-signature-256"
_PREFIX = "sha256="
_LENGTH = len(_PREFIX) + 64
_KEYS_KEPT = 64


def sign(secret: str, body: bytes) -> str:
    """The header's value for a body."""
    return _PREFIX + _keyed(secret).digest(body).hex()


@lru_cache(_KEYS_KEPT)
def _keyed(secret: str) -> Hmac:
    """A secret made ready. This way a small body is hashed without giving other threads the turn."""
    return Hmac(secret.encode())


def is_signed(secrets: Iterable[str], body: bytes, header: str | None) -> bool:
    """Whether the header is the signature of these very bytes with one of the secrets. All are tried, always."""
    given = (header or "").strip()
    if len(given) != _LENGTH or not given.startswith(_PREFIX) or not given.isascii():
        return False
    right = False
    for secret in secrets:
        right |= hmac.compare_digest(sign(secret, body), given.lower())
    return right


def has_password(username: str, password: str, header: str | None) -> bool:
    """Whether ``Authorization: Basic …`` carries this user name and password."""
    scheme, _, encoded = (header or "").strip().partition(" ")
    try:
        given = b64decode(encoded.strip(), validate=True)
    except ValueError:
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given, f"{username}:{password}".encode())


def is_same(given: str, expected: str) -> bool:
    """Compare two texts without telling how far they agree."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def unzipped(body: bytes, bytes_max: int) -> bytes | None:
    """Unpack gzip; ``None`` where it is none, is cut off, or holds more than ``bytes_max``."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, bytes_max)
    except zlib.error:
        return None
    return plain if unpacker.eof and not unpacker.unused_data else None
