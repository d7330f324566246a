"""Signing secrets as their owner handles them: shown, rotated, switched; the same for an account and an endpoint.

The rules of a rotation are in ``model/secret.py``; what is stored is sealed by whoever calls. Writes nothing itself.
"""

import msgspec

from whatsync.model.account import SealedSecrets
from whatsync.model.errors import FieldError, Invalid
from whatsync.model.secret import NEW_SECRET_BYTES, Rotation, SecretSet, new_secret, rotate, secret_problem
from whatsync.ports.randomness import Randomness


class RotationForm(Rotation, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A rotation as it is asked for; ``secret`` is one of the owner's own, else one is made."""

    secret: str | None = None


class SecretFacts(msgspec.Struct, frozen=True):
    """Secrets in plain text, for their owner's eyes. ``previous`` and its times only while a rotation runs."""

    own: bool
    """The endpoint's own; else the account's, which all its other endpoints share."""
    current: str
    previous: str | None = None
    switched: bool = True
    """Whether ``X-WhatsSync-Signature`` is made with ``current`` already."""
    switch_at_ms: int | None = None
    overlap_until_ms: int | None = None
    rotated_ms: int | None = None


def made_secret(randomness: Randomness) -> str:
    """A new secret."""
    return new_secret(randomness.token(NEW_SECRET_BYTES))


def facts_of(secrets: SecretSet, sealed: SealedSecrets, own: bool, now_ms: int) -> SecretFacts:
    """What to show of a set of secrets now."""
    if not secrets.is_rotating(now_ms):
        return SecretFacts(own, secrets.current, rotated_ms=sealed.rotated_ms)
    return SecretFacts(
        own,
        secrets.current,
        secrets.previous,
        secrets.is_switched(now_ms),
        secrets.switch_at_ms,
        secrets.overlap_until_ms,
        sealed.rotated_ms,
    )


def rotated(secrets: SecretSet, form: RotationForm, randomness: Randomness, now_ms: int) -> SecretSet:
    """Begin the rotation that the form asks for. Raises Invalid, Conflict."""
    problem = None if form.secret is None else secret_problem(form.secret)
    if problem is not None:
        raise Invalid([FieldError("secret", f"{problem}; or leave it out to have one made")])
    new = made_secret(randomness) if form.secret is None else form.secret
    return rotate(secrets, new, form, now_ms)
