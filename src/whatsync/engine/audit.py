"""Entries of the audit log: who changed what, secrets masked, of a change only what differs. Writes nothing."""

from typing import Any

import msgspec

from whatsync.model.request import MASK
from whatsync.ports.store import AuditEntry

_SECRET_FIELDS = frozenset(
    {"secrets", "hash", "alertUrl", "passwordHash", "verifyToken", "appSecret", "previousSecret", "accessToken"}
    | {"password"}
)


def entry(
    account: int,
    at_ms: int,
    actor: str,
    action: str,
    *,
    subject: str,
    before: msgspec.Struct | None = None,
    after: msgspec.Struct | None = None,
) -> AuditEntry:
    """Make the entry of one change. With both records given, each side holds only the fields that differ."""
    old, new = _plain(before), _plain(after)
    if old is not None and new is not None:
        changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        old = {name: old[name] for name in changed if name in old}
        new = {name: new[name] for name in changed if name in new}
    return AuditEntry(account, at_ms, actor, action, subject, _encode(old), _encode(new))


def _plain(record: msgspec.Struct | None) -> dict[str, Any] | None:
    return None if record is None else msgspec.to_builtins(record)


def _encode(fields: dict[str, Any] | None) -> bytes | None:
    return None if fields is None else msgspec.json.encode({name: _masked(name, fields[name]) for name in fields})


def _masked(name: str, value: object) -> object:
    if name in _SECRET_FIELDS:
        return MASK
    if name == "headers" and isinstance(value, dict):
        return dict.fromkeys(value, MASK)
    return value
