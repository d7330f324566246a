"""API keys: made, listed, revoked. A key's text is shown once and known afterwards by its hash only. Knows no HTTP."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Sequence

import msgspec

from whatsync.engine import audit
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import KEY, Directory, RunningAccount
from whatsync.model import limits
from whatsync.model.account import GRANTS, ApiKey, Scope
from whatsync.model.errors import Conflict, FieldError, Invalid, LimitExceeded, NotFound
from whatsync.model.ids import TOKEN_BYTES, random_id
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import AuditEntry, Change, Delete, Document, Put

ACCOUNT_PREFIX = "wsk_"
OPERATOR_PREFIX = "wso_"
_SECRET_BYTES = 32
_NAME_CHARS_MAX = 100
_REVOKED_KEPT_MS = 90 * 86_400_000
"""How long a revoked key stays in the list, so that one can see what became of it."""


class MadeKey(msgspec.Struct, frozen=True):
    """A new key with its text, which nobody can read again."""

    key: ApiKey
    secret: str


class Keys:
    """The keys of accounts and operators. ``account`` is ``None`` for operators' keys throughout."""

    def __init__(
        self, directory: Directory, configuration: Configuration, clock: Clock, randomness: Randomness
    ) -> None:
        self._directory = directory
        self._configuration = configuration
        self._clock = clock
        self._randomness = randomness

    async def create(
        self,
        account: RunningAccount | None,
        name: str,
        scopes: Sequence[Scope],
        actor: str,
        expires_ms: int | None = None,
    ) -> MadeKey:
        """Make a key. Raises Invalid, or LimitExceeded where the account has as many keys as it may."""
        now_ms = self._clock.now_ms()
        name, granted = self._check(account, name, scopes, expires_ms, now_ms)
        row = 0 if account is None else account.row
        self._check_room(row, now_ms)
        made = self._made(account, name, granted, expires_ms)
        put, entry = _written(row, made.key, actor)
        await self._configuration.change(Change(row, (put,), self._outdated(row, now_ms), (entry,), routing=False))
        return made

    async def create_first(
        self, account: RunningAccount, actor: str, chosen: str | None = None
    ) -> tuple[MadeKey, MadeKey]:
        """Make the first operator's key and the first account's in one transaction; ``chosen`` is the latter's text."""
        operators = self._made(None, "First operator", (Scope.OPERATOR,), None)
        accounts = self._made(account, "First key", (Scope.ADMIN,), None, chosen)
        written = [_written(0, operators.key, actor), _written(account.row, accounts.key, actor)]
        puts = tuple(put for put, _ in written)
        entries = tuple(entry for _, entry in written)
        await self._configuration.change(Change(0, puts, audit=entries, routing=False))
        return operators, accounts

    def _made(
        self,
        account: RunningAccount | None,
        name: str,
        scopes: tuple[Scope, ...],
        expires_ms: int | None,
        secret: str | None = None,
    ) -> MadeKey:
        if secret is None:
            token = urlsafe_b64encode(self._randomness.token(_SECRET_BYTES)).decode().rstrip("=")
            secret = (OPERATOR_PREFIX if account is None else ACCOUNT_PREFIX) + token
        key = ApiKey(
            id=random_id("key_", self._randomness.token(TOKEN_BYTES)),
            name=name,
            hash=hashlib.sha256(secret.encode()).hexdigest(),
            hint=secret[-4:],
            scopes=scopes,
            created_ms=self._clock.now_ms(),
            account=None if account is None else account.account.id,
            expires_ms=expires_ms,
        )
        return MadeKey(key, secret)

    def page(
        self, account: RunningAccount | None, before: int | None = None, limit: int = limits.PAGE_ITEMS_DEFAULT
    ) -> tuple[list[ApiKey], int | None]:
        """List keys, newest first, revoked ones included; and where the next page begins."""
        row = 0 if account is None else account.row
        found = [
            (document.row, key)
            for document, key in self._directory.keys.values()
            if document.account == row and (before is None or document.row < before)
        ]
        found.sort(key=lambda pair: pair[0], reverse=True)
        page = found[:limit]
        return [key for _, key in page], page[-1][0] if len(found) > limit else None

    async def revoke(
        self, account: RunningAccount | None, key_id: str, actor: str, *, force: bool = False, by: str | None = None
    ) -> ApiKey:
        """End a key at once. Revoking a revoked key changes nothing.

        ``by`` is the id of the key that asks: with the last key that could make new ones, it can't end itself without
        ``force``. Raises NotFound, Conflict.
        """
        document, key = self._find(account, key_id)
        if key.revoked_ms is not None:
            return key
        now_ms = self._clock.now_ms()
        if by == key_id and not force and self._is_last(document, key, now_ms):
            raise Conflict(
                "last_admin_key",
                f"{key_id} is the last key that can manage this account; make another one first, "
                "or repeat the call with ?force=true",
            )
        revoked = msgspec.structs.replace(key, revoked_ms=now_ms)
        put = Put(KEY, key_id, document.account, msgspec.json.encode(revoked), document.version)
        entry = audit.entry(document.account, now_ms, actor, "key.revoked", subject=key_id, before=key, after=revoked)
        await self._configuration.change(Change(document.account, (put,), audit=(entry,), routing=False))
        return revoked

    def _find(self, account: RunningAccount | None, key_id: str) -> tuple[Document, ApiKey]:
        found = self._directory.keys.get(key_id)
        if found is None or found[0].account != (0 if account is None else account.row):
            raise NotFound("key_not_found", f"there is no key {key_id[:40]!r} here")
        return found

    def _check(
        self, account: RunningAccount | None, name: str, scopes: Sequence[Scope], expires_ms: int | None, now_ms: int
    ) -> tuple[str, tuple[Scope, ...]]:
        errors = []
        name = name.strip()
        if not 0 < len(name) <= _NAME_CHARS_MAX or not name.isprintable():
            errors.append(FieldError("name", f"must have 1 to {_NAME_CHARS_MAX} printable characters"))
        granted = tuple(scope for scope in Scope if scope in scopes)
        if not granted:
            errors.append(FieldError("scopes", "must name at least one scope: events:write, read or admin"))
        if account is None and granted != (Scope.OPERATOR,):
            errors.append(FieldError("scopes", 'an operator\'s key has exactly the scope "operator"'))
        if account is not None and Scope.OPERATOR in granted:
            errors.append(
                FieldError("scopes", "can't hold operator in an account's key; use events:write, read or admin")
            )
        if expires_ms is not None and expires_ms <= now_ms:
            errors.append(FieldError("expiresAt", "must lie in the future; leave it out for a key without end"))
        if errors:
            raise Invalid(errors)
        return name, granted

    def _check_room(self, row: int, now_ms: int) -> None:
        usable = sum(
            document.account == row and _usable(key, now_ms) for document, key in self._directory.keys.values()
        )
        if usable >= limits.ACCOUNT_KEYS:
            raise LimitExceeded(
                "keys", f"there are {limits.ACCOUNT_KEYS:,} keys already; revoke some that are not needed first", 60
            )

    def _outdated(self, row: int, now_ms: int) -> tuple[Delete, ...]:
        """Keys revoked long ago leave the list when a new one comes."""
        return tuple(
            Delete(KEY, document.id)
            for document, key in self._directory.keys.values()
            if document.account == row and key.revoked_ms is not None and key.revoked_ms < now_ms - _REVOKED_KEPT_MS
        )

    def _is_last(self, document: Document, key: ApiKey, now_ms: int) -> bool:
        needed = Scope.OPERATOR if document.account == 0 else Scope.ADMIN
        if not _may(key, needed):
            return False
        others = (
            held
            for other, held in self._directory.keys.values()
            if other.account == document.account and other.id != document.id
        )
        return not any(_usable(held, now_ms) and _may(held, needed) for held in others)


def _written(row: int, key: ApiKey, actor: str) -> tuple[Put, AuditEntry]:
    entry = audit.entry(row, key.created_ms, actor, "key.created", subject=key.id, after=key)
    return Put(KEY, key.id, row, msgspec.json.encode(key), 0), entry


def _usable(key: ApiKey, now_ms: int) -> bool:
    return key.revoked_ms is None and (key.expires_ms is None or key.expires_ms > now_ms)


def _may(key: ApiKey, scope: Scope) -> bool:
    return any(scope in GRANTS[held] for held in key.scopes)
