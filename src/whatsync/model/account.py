"""The installation's own records: accounts, API keys, own event types, jobs. Plain frozen data and the few rules about
it.

Each record is stored as a document (``ports/store.py``); secrets in it are sealed text, never plain.
"""

from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """What a key may do. Operator keys may do everything, in every account."""

    EVENTS_WRITE = "events:write"
    READ = "read"
    ADMIN = "admin"
    OPERATOR = "operator"


GRANTS: dict[Scope, frozenset[Scope]] = {
    Scope.EVENTS_WRITE: frozenset({Scope.EVENTS_WRITE}),
    Scope.READ: frozenset({Scope.READ}),
    Scope.ADMIN: frozenset({Scope.EVENTS_WRITE, Scope.READ, Scope.ADMIN}),
    Scope.OPERATOR: frozenset(Scope),
}
"""Which scopes each scope includes."""


class SealedSecrets(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Signing secrets as stored: each value sealed by the vault. The rules of rotation are in ``model/secret.py``."""

    current: str
    previous: str | None = None
    """Still signed with, beside the current one, until ``overlap_until_ms``."""
    switch_at_ms: int | None = None
    """Until then ``X-WhatsSync-Signature`` stays with the previous secret."""
    overlap_until_ms: int | None = None
    rotated_ms: int | None = None


class AccountLimits(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An operator's own numbers for one account; ``None`` means the installation's default from ``model/limits.py``."""

    events_per_second: int | None = None
    bytes_per_second: int | None = None
    open_deliveries: int | None = None
    endpoints: int | None = None


class Account(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A customer of this installation. Document kind ``account``; its row number keys every other row."""

    id: str
    name: str
    secrets: SealedSecrets
    created_ms: int
    limits: AccountLimits = AccountLimits()
    alert_emails: tuple[str, ...] = ()
    alert_url: str | None = None
    """Chat webhook that gets one line per change of state; sealed."""
    retention_days: int | None = None
    suspended: bool = False
    deleted_ms: int | None = None
    """Set while the account is being removed with all that was stored for it; then the document goes too."""


class ApiKey(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A key, known only by its hash. Document kind ``key``. ``account`` is ``None`` for operator keys."""

    id: str
    name: str
    hash: str
    """Hex SHA-256 of the whole key; keys hold 256 random bits, so no slow hash is needed."""
    hint: str
    """Last four characters, to recognise it by."""
    scopes: tuple[Scope, ...]
    created_ms: int
    account: str | None = None
    expires_ms: int | None = None
    revoked_ms: int | None = None


class OwnType(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An event type an account made for itself. Document kind ``event_type``, id ``account id:name``."""

    name: str
    description: str
    created_ms: int


class JobState(StrEnum):
    """Where a job stands; the last three are final."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Job(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Bulk work that survives restarts. Document kind ``job``; its cursor and its effects are one transaction
    per step.
    """

    id: str
    kind: str
    """``recover``, ``resend``, ``erase`` or ``reprocess``."""
    created_ms: int
    parameters: msgspec.Raw = msgspec.Raw(b"{}")
    state: JobState = JobState.RUNNING
    cursor: int | None = None
    phase: int = 0
    examined: int = 0
    done: int = 0
    skipped: int = 0
    skipped_because: dict[str, int] = {}
    """How many were skipped for which reason; the words are documented with each kind of job."""
    updated_ms: int | None = None
    finished_ms: int | None = None
    error: str | None = None
