"""Meta's signature over a request: ``X-Hub-Signature-256``. Pure; compared in constant time."""

import hmac
import re
import zlib
from base64 import b64decode
from collections.abc import Iterable
from functools import lru_cache

from whatsync.model.signature import Hmac

HEADER = "x-hub-signature-256"
_PREFIX = "sha256="
_LENGTH = len(_PREFIX) + 64
_KEYS_KEPT = 64
_BEYOND = re.compile(r"[^\0-~]+")


def sign(secret: str, body: bytes) -> str:
    """The header's value for a body."""
    return _PREFIX + _keyed(secret).digest(body).hex()


@lru_cache(_KEYS_KEPT)
def _keyed(secret: str) -> Hmac:
    """A secret made ready. This way a small body is hashed without giving other threads the turn."""
    return Hmac(secret.encode())


def is_shaped(header: str | None) -> bool:
    """Whether the header looks like a signature at all."""
    given = (header or "").strip()
    return len(given) == _LENGTH and given.startswith(_PREFIX) and given.isascii()


def is_signed(secrets: Iterable[str], body: bytes, header: str | None) -> bool:
    """Whether the header is the signature of these very bytes with one of the secrets. All are tried, always."""
    if not is_shaped(header):
        return False
    given, right = (header or "").strip(), False
    for secret in secrets:
        right |= hmac.compare_digest(sign(secret, body), given.lower())
    return right


def escaped(body: bytes) -> bytes | None:
    """The body as Meta writes and signs it: every UTF-16 unit beyond ``~`` as ``\\uXXXX`` in lower-case hex. ``None``
    where that changes nothing, or the body is no UTF-8. Whoever accepts its signature has to go on with these bytes.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    made = _BEYOND.sub(_units, text).encode()
    return None if made == body else made


def _units(found: re.Match[str]) -> str:
    units = memoryview(found[0].encode("utf-16", "surrogatepass")[2:]).cast("H")
    return "".join([f"\\u{unit:04x}" for unit in units])


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
