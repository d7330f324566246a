"""Signs the bytes of a request, both ways: the public document's hex HMAC and the Standard Webhooks one.

Fast, because every attempt is signed anew; the time is an argument. Checking a request is in ``verification.py``.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence

from whatsync.model.secret import standard_key, whole_key

DIGEST_BYTES = 32
_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Hmac:
    """HMAC-SHA256 with one key. The key's two blocks are hashed once and copied for each message (RFC 2104)."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER))
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def digest(self, *parts: bytes) -> bytes:
        """The 32 bytes for the message that the parts make up."""
        inner = self._inner.copy()
        for part in parts:
            inner.update(part)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class Signer:
    """Signs with the secrets of now: ``primary`` makes ``X-WhatsSync-Signature``, ``valid`` ``webhook-signature``."""

    __slots__ = ("_primary", "_standard")

    def __init__(self, primary: str, valid: Sequence[str]) -> None:
        self._primary = Hmac(whole_key(primary))
        self._standard = tuple(Hmac(standard_key(secret)) for secret in valid)

    def sign(self, event_id: str, signed_s: int, body: bytes) -> bytes:
        """The signatures of one attempt, 32 bytes each: the primary's over the body, then the standard ones."""
        standard = f"{event_id}.{signed_s}.".encode() + body
        digests = self._primary.digest(body)
        for key in self._standard:
            digests += key.digest(standard)
        return digests


def hex_signature(secret: str, body: bytes) -> str:
    """The value of ``X-WhatsSync-Signature``: lower-case hex, keyed with the secret exactly as shown."""
    return Hmac(whole_key(secret)).digest(body).hex()


def standard_signature(secret: str, event_id: str, signed_s: int, body: bytes) -> str:
    """One value of ``webhook-signature``: ``v1,`` and base64, keyed with the bytes behind ``whsec_``."""
    digest = Hmac(standard_key(secret)).digest(f"{event_id}.{signed_s}.".encode() + body)
    return "v1," + b64encode(digest).decode("ascii")
