"""Documents, which the configuration consists of, and how one is written or removed. Frozen data; knows no store."""

import msgspec


class Document(msgspec.Struct, frozen=True):
    """A record of the configuration (account, endpoint, key, event type, job, …) as stored.

    ``row`` is a small number that never changes and is never used again; ``version`` rises with each change of this
    document.
    """

    kind: str
    id: str
    row: int
    account: int
    """Row of the account it belongs to; 0 for the installation's own."""
    version: int
    body: bytes


class Put(msgspec.Struct, frozen=True):
    """Write a document. ``expected_version``: 0 = must not exist yet, ``None`` = whatever is there."""

    kind: str
    id: str
    account: int
    body: bytes
    expected_version: int | None = None


class Delete(msgspec.Struct, frozen=True):
    """Remove a document. History that points to its row keeps the row number; old versions of endpoints stay
    readable until ``prune`` finds that nothing kept has used them. Its health goes with an endpoint.
    """

    kind: str
    id: str


class AuditEntry(msgspec.Struct, frozen=True):
    """Who changed what, with secrets masked. ``before`` and ``after`` are JSON or ``None``."""

    account: int
    at_ms: int
    actor: str
    action: str
    subject: str
    before: bytes | None = None
    after: bytes | None = None
