"""Accounts: made, changed and deleted by operators; alerts and signing secret handled by their owners. No HTTP.

What a form may hold is in ``model/account_form.py``; the slow part of deleting is in ``removal.py``.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from whatsync.engine import audit
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import ACCOUNT, Directory, RunningAccount, seal_secrets
from whatsync.engine.endpoints import refusal_by_form
from whatsync.engine.rotation import RotationForm, SecretFacts, facts_of, made_secret, rotated
from whatsync.model import limits
from whatsync.model.account import Account
from whatsync.model.account_form import AccountForm, SettingsForm, masked_url, read_account
from whatsync.model.errors import Conflict, NotFound
from whatsync.model.ids import TOKEN_BYTES, random_id
from whatsync.model.secret import SecretSet, switch
from whatsync.model.url import Target
from whatsync.ports.clock import Clock
from whatsync.ports.guard import Guard
from whatsync.ports.history import EventQuery, History
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import AuditEntry, Change, Delete, Put
from whatsync.ports.vault import Vault

_TRIES = 5


class AccountFacts(msgspec.Struct, frozen=True):
    """An account and how it stands."""

    running: RunningAccount
    alert_url: str | None
    """Masked: whoever knows the whole of it can write into the chat."""


class Accounts:
    """All accounts of this installation."""

    def __init__(
        self,
        *,
        directory: Directory,
        configuration: Configuration,
        history: History,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        guard: Guard,
    ) -> None:
        self._directory = directory
        self._configuration = configuration
        self._history = history
        self._vault = vault
        self._clock = clock
        self._randomness = randomness
        self._guard = guard
        self.on_deleted: list[Callable[[int], None]] = []
        """Called with the row of each account that is to be removed."""

    # Operators

    def page(
        self, before: int | None = None, limit: int = limits.PAGE_ITEMS_DEFAULT
    ) -> tuple[list[AccountFacts], int | None]:
        """List accounts, newest first; and where the next page begins."""
        rows = sorted((row for row in self._directory.accounts if before is None or row < before), reverse=True)
        page = [self.read(self._directory.accounts[row]) for row in rows[:limit]]
        return page, rows[limit - 1] if len(rows) > limit else None

    def find(self, account_id: str) -> RunningAccount:
        """The account with this id. Raises NotFound."""
        running = self._directory.accounts_by_id.get(account_id)
        if running is None:
            raise NotFound("account_not_found", f"there is no account {account_id[:40]!r}")
        return running

    def read(self, account: RunningAccount) -> AccountFacts:
        """What to show of an account."""
        sealed = account.account.alert_url
        return AccountFacts(account, None if sealed is None else masked_url(self._vault.unseal(sealed)))

    async def create(self, form: AccountForm, actor: str) -> AccountFacts:
        """Make an account with a signing secret of its own. Raises Invalid."""
        now_ms = self._clock.now_ms()
        read = self._sealed(read_account(form, self._refusal))
        secret = SecretSet(made_secret(self._randomness))
        account = Account(
            id=random_id("acc_", self._randomness.token(TOKEN_BYTES)),
            secrets=seal_secrets(secret, self._vault, None),
            created_ms=now_ms,
            **read,
        )
        put = Put(ACCOUNT, account.id, 0, msgspec.json.encode(account), 0)
        entry = audit.entry(0, now_ms, actor, "account.created", subject=account.id, after=account)
        await self._configuration.change(Change(0, (put,), audit=(entry,)))
        return self.read(self.find(account.id))

    async def patch(
        self, account: RunningAccount, form: AccountForm | SettingsForm, actor: str, version: int | None = None
    ) -> AccountFacts:
        """Change what the form sets. ``version``: only if the account still has it. Raises Invalid, Conflict."""

        def patched(current: Account) -> Account:
            return msgspec.structs.replace(current, **self._sealed(read_account(form, self._refusal, current)))

        return self.read(await self._alter(account, patched, actor, "account.changed", version))

    async def delete(self, account_id: str, confirm: str | None, actor: str) -> None:
        """Delete an account with everything in it, which ``confirm`` must allow by repeating the id unless it is empty.

        Endpoints, keys and types go at once; events and their history in the background. Raises NotFound, Conflict.
        """
        account = self.find(account_id)
        if account.account.deleted_ms is not None:
            return
        if confirm != account_id and not await self._is_empty(account):
            raise Conflict(
                "account_not_empty",
                f"the account has endpoints or events; repeat the call with ?confirm={account_id} to remove all of it",
            )
        now_ms = self._clock.now_ms()
        before = account.account
        after = msgspec.structs.replace(before, suspended=True, deleted_ms=now_ms)
        put = Put(ACCOUNT, account_id, account.document.account, msgspec.json.encode(after), account.document.version)
        deletes = tuple(Delete(document.kind, document.id) for document in self._directory.belonging(account.row))
        entry = audit.entry(0, now_ms, actor, "account.deleted", subject=account_id, before=before)
        await self._configuration.change(Change(account.row, (put,), deletes, (entry,)))
        for listener in self.on_deleted:
            listener(account.row)

    async def _is_empty(self, account: RunningAccount) -> bool:
        if account.endpoints:
            return False
        return not (await self._history.events(EventQuery(account.row, limit=1))).items

    # The account's secret

    async def secret(self, account: RunningAccount, actor: str) -> SecretFacts:
        """Show the account's signing secret; looking is written down."""
        entry = self._entry(account, actor, "account.secret_shown")
        await self._configuration.change(Change(account.row, audit=(entry,), routing=False))
        return self._secret_facts(account)

    async def rotate_secret(self, account: RunningAccount, form: RotationForm, actor: str) -> SecretFacts:
        """Begin a rotation for all endpoints without a secret of their own. Raises Invalid, Conflict."""
        now_ms = self._clock.now_ms()

        def turned(current: Account) -> Account:
            new = rotated(account.keyring.secrets, form, self._randomness, now_ms)
            return msgspec.structs.replace(current, secrets=seal_secrets(new, self._vault, now_ms))

        return self._secret_facts(await self._alter(account, turned, actor, "account.secret_rotated", None))

    async def switch_secret(self, account: RunningAccount, actor: str) -> SecretFacts:
        """Sign ``X-WhatsSync-Signature`` with the new secret from now on. Raises Conflict where nothing rotates."""
        now_ms = self._clock.now_ms()

        def switched(current: Account) -> Account:
            secrets = account.keyring.secrets
            if not secrets.is_rotating(now_ms):
                raise Conflict("no_rotation", "no rotation of the account's secret is running; rotate it first")
            if secrets.is_switched(now_ms):
                return current
            sealed = seal_secrets(switch(secrets, now_ms), self._vault, current.secrets.rotated_ms)
            return msgspec.structs.replace(current, secrets=sealed)

        return self._secret_facts(await self._alter(account, switched, actor, "account.secret_switched", None))

    def _secret_facts(self, account: RunningAccount) -> SecretFacts:
        return facts_of(account.keyring.secrets, account.account.secrets, False, self._clock.now_ms())

    # What all of it shares

    async def _alter(
        self,
        account: RunningAccount,
        alter: Callable[[Account], Account],
        actor: str,
        action: str,
        version: int | None,
    ) -> RunningAccount:
        """Write what ``alter`` makes of the account; where somebody else was quicker, make it anew from theirs."""
        for tries_left in reversed(range(_TRIES)):
            document, before = account.document, account.account
            if version is not None and document.version != version:
                raise Conflict(
                    "changed_meanwhile",
                    f"the account has version {document.version} now, not {version}; read it and try again",
                )
            after = alter(before)
            if after == before:
                return account
            put = Put(ACCOUNT, after.id, document.account, msgspec.json.encode(after), document.version)
            entry = self._entry(account, actor, action, before, after)
            try:
                await self._configuration.change(Change(account.row, (put,), audit=(entry,), routing=False))
            except Conflict:
                if version is not None or not tries_left:
                    raise
            else:
                return account
        raise AssertionError("the last try returns or raises")

    def _entry(
        self,
        account: RunningAccount,
        actor: str,
        action: str,
        before: Account | None = None,
        after: Account | None = None,
    ) -> AuditEntry:
        now_ms = self._clock.now_ms()
        subject = account.account.id
        return audit.entry(account.row, now_ms, actor, action, subject=subject, before=before, after=after)

    def _sealed(self, read: dict[str, Any]) -> dict[str, Any]:
        url = read.get("alert_url")
        return read | {"alert_url": self._vault.seal(url)} if isinstance(url, str) else read

    def _refusal(self, target: Target) -> str | None:
        return refusal_by_form(target, self._guard)
