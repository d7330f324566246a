"""Signing secrets: how one is made and read, and how a secret set rotates calmly from one to the next.

Pure rules on plain secrets; sealing them for the disk is the vault's business. Random bytes and the time are arguments.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64

import msgspec

from whatsync.model import limits
from whatsync.model.errors import Conflict, FieldError, Invalid
from whatsync.model.timestamp import NotATime, format_time, parse_time

SECRET_PREFIX = "whsec_"
NEW_SECRET_BYTES = 24

_BASE64_WORD = re.compile(r"[A-Za-z0-9+/_-]*={0,2}", re.ASCII)


def new_secret(token: bytes) -> str:
    """Return the text of a new secret made from ``NEW_SECRET_BYTES`` random bytes."""
    if len(token) != NEW_SECRET_BYTES:
        raise ValueError(f"a secret is made from {NEW_SECRET_BYTES} random bytes, not {len(token)}")
    return SECRET_PREFIX + b64encode(token).decode("ascii")


def secret_problem(text: str) -> str | None:
    """Say what is wrong with a secret's text and what to do, ``None`` where nothing is. Never repeats the secret."""
    if text != text.strip():
        return "has white space around it; remove it"
    if not text.startswith(SECRET_PREFIX):
        return f"must begin with {SECRET_PREFIX}, followed by base64"
    word = text.removeprefix(SECRET_PREFIX)
    if _BASE64_WORD.fullmatch(word) is None:
        return f"must be base64 after {SECRET_PREFIX}; it holds other characters"
    if "-" in word or "_" in word:
        return "uses the URL-safe base64 alphabet; write + for - and / for _"
    try:
        key = b64decode(word, validate=True)
    except NotBase64:
        return f"must be complete base64 after {SECRET_PREFIX}; its length or its padding with = is wrong"
    if b64encode(key).decode("ascii") != word:
        return "is not the base64 of any bytes: its last character holds stray bits; make a new one"
    if not limits.SECRET_BYTES_MIN <= len(key) <= limits.SECRET_BYTES_MAX:
        return f"must hold {limits.SECRET_BYTES_MIN} to {limits.SECRET_BYTES_MAX} bytes; decoded, it has {len(key)}"
    return None


def parse_secret(text: str) -> str:
    """Return a secret of the user's own as it is. Raises ValueError whose text is what ``secret_problem`` says."""
    problem = secret_problem(text)
    if problem is not None:
        raise ValueError(problem)
    return text


def standard_key(text: str) -> bytes:
    """The key of ``webhook-signature``: the bytes behind ``whsec_``. Raises ValueError on text that is no secret."""
    if not text.startswith(SECRET_PREFIX):
        raise ValueError(f"a signing secret begins with {SECRET_PREFIX}")
    return b64decode(text.removeprefix(SECRET_PREFIX), validate=True)


def whole_key(text: str) -> bytes:
    """The key of ``X-WhatsSync-Signature``: the secret's UTF-8 bytes exactly as shown, ``whsec_`` included."""
    return text.encode("utf-8")


class Rotation(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What is asked of a rotation: ``switch_at`` is ``end``, ``now`` or a time."""

    switch_at: str = "end"
    overlap_seconds: int = limits.SECRET_OVERLAP_SECONDS


class SecretSet(msgspec.Struct, frozen=True):
    """The secrets of an account or an endpoint.

    After a rotation requests carry signatures of both secrets until ``overlap_until_ms``; the one value of
    ``X-WhatsSync-Signature`` is made with the previous secret until ``switch_at_ms``, then with the current one.
    """

    current: str
    previous: str | None = None
    switch_at_ms: int | None = None
    overlap_until_ms: int | None = None

    def is_rotating(self, now_ms: int) -> bool:
        """Say whether the previous secret is still signed with."""
        return self.previous is not None and self.overlap_until_ms is not None and now_ms < self.overlap_until_ms

    def is_switched(self, now_ms: int) -> bool:
        """Say whether ``X-WhatsSync-Signature`` is made with the current secret."""
        return not self.is_rotating(now_ms) or self.switch_at_ms is None or now_ms >= self.switch_at_ms

    def signing_secrets(self, now_ms: int) -> tuple[str, tuple[str, ...]]:
        """The secret of ``X-WhatsSync-Signature``, and all that ``webhook-signature`` is made with, that one first."""
        if self.previous is None or not self.is_rotating(now_ms):
            return self.current, (self.current,)
        if self.is_switched(now_ms):
            return self.current, (self.current, self.previous)
        return self.previous, (self.previous, self.current)


def rotate(secrets: SecretSet, new: str, rotation: Rotation, now_ms: int) -> SecretSet:
    """Begin a rotation to ``new``.

    Raises Invalid on a wrong ``rotation`` or a secret already in use, and Conflict while another rotation runs, unless
    this one takes effect at once and leaves nothing behind (``now`` and 0), as one does when a secret has leaked.
    """
    overlap_until_ms = now_ms + _overlap_ms(rotation)
    switch_at_ms = _switch_at_ms(rotation, now_ms, overlap_until_ms)
    primary, in_use = secrets.signing_secrets(now_ms)
    if new in in_use:
        raise Invalid([FieldError("secret", "is in use already; rotate to a new one")])
    if overlap_until_ms <= now_ms:
        return SecretSet(new)
    if secrets.is_rotating(now_ms):
        raise Conflict(
            "rotation_running",
            f"a rotation runs until {format_time(secrets.overlap_until_ms or now_ms)}; wait for its end, or drop "
            'both old secrets at once with {"switchAt": "now", "overlapSeconds": 0}',
        )
    return SecretSet(new, primary, switch_at_ms, overlap_until_ms)


def switch(secrets: SecretSet, now_ms: int) -> SecretSet:
    """Sign ``X-WhatsSync-Signature`` with the current secret from now on; nothing changes where that is so already."""
    if secrets.is_switched(now_ms):
        return secrets
    return msgspec.structs.replace(secrets, switch_at_ms=now_ms)


def _overlap_ms(rotation: Rotation) -> int:
    if not 0 <= rotation.overlap_seconds <= limits.SECRET_OVERLAP_SECONDS_MAX:
        message = f"must be from 0 to {limits.SECRET_OVERLAP_SECONDS_MAX} seconds"
        raise Invalid([FieldError("overlapSeconds", message)])
    return rotation.overlap_seconds * 1000


def _switch_at_ms(rotation: Rotation, now_ms: int, overlap_until_ms: int) -> int:
    if rotation.switch_at == "end":
        return overlap_until_ms
    if rotation.switch_at == "now":
        return now_ms
    try:
        _, at_ms = parse_time(rotation.switch_at)
    except NotATime:
        raise Invalid([FieldError("switchAt", "must be end, now or a time such as 2023-06-15T14:22:33Z")]) from None
    if not now_ms <= at_ms <= overlap_until_ms:
        message = f"must lie between now and the end of the overlap, {format_time(overlap_until_ms)}"
        raise Invalid([FieldError("switchAt", message)])
    return at_ms
