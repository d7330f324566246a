"""Who calls: finds the key behind ``Authorization: Bearer …``, its scopes and the account the call is about.

The cost does not depend on which key is presented: keys are looked up by their hash. Knows no HTTP library.
"""

import hmac

from whatsync.engine.directory import Directory
from whatsync.model.account import GRANTS, ApiKey, Scope
from whatsync.model.errors import FieldError, Forbidden, Invalid, NotFound
from whatsync.ports.clock import Clock
from whatsync.web.api.call import Principal
from whatsync.web.problems import Unauthorized

_SCHEME = b"bearer "
_REMEMBERED_MAX = 4_096
_LOCAL_KEY = ApiKey("key_local", "command line on this machine", "", "", (Scope.OPERATOR,), 0)


class Gate:
    """Turns the ``Authorization`` header into a principal, remembering good ones until any configuration changes."""

    def __init__(self, directory: Directory, clock: Clock, local_token: str | None = None) -> None:
        self._directory = directory
        self._clock = clock
        self._local_token = None if local_token is None else local_token.encode()
        self._remembered: dict[bytes, Principal] = {}
        self._writers: dict[bytes, Principal] = {}
        """Of these, accounts' keys that may write events: who accepts events asks nothing else."""
        self._generation = -1

    def admit(self, authorization: bytes | None, scope: Scope, choice: str | None) -> Principal:
        """Return who calls a route of ``scope``; ``choice`` is the account an operator names.

        Raises Unauthorized, Forbidden (naming the scope that is missing), NotFound or Invalid (about the choice).
        """
        principal = self._known(authorization)
        if scope not in principal.scopes:
            raise Forbidden("missing_scope", f"this key lacks the scope {scope.value}; {_key_with(scope)}")
        if principal.operator:
            return principal if scope is Scope.OPERATOR else self._choose(principal, choice)
        account = principal.account
        assert account is not None
        if choice is not None and choice != account.account.id:
            raise _no_account()
        if account.account.suspended:
            raise Forbidden("account_suspended", "this account is suspended; ask the operator of this installation")
        return principal

    def admit_writer(self, authorization: bytes | None, choice: str | None) -> Principal:
        """The same as ``admit`` for the scope ``events:write``, quicker for a key that was seen before."""
        if authorization is not None and choice is None and self._generation == self._directory.generation:
            principal = self._writers.get(authorization)
            if principal is not None:
                if principal.key.expires_ms is not None:
                    self._check_expiry(principal)
                return principal
        principal = self.admit(authorization, Scope.EVENTS_WRITE, choice)
        if authorization is not None and not principal.operator:
            self._writers[authorization] = principal
        return principal

    def _known(self, authorization: bytes | None) -> Principal:
        if self._generation != self._directory.generation or len(self._remembered) > _REMEMBERED_MAX:
            self._remembered.clear()
            self._writers.clear()
            self._generation = self._directory.generation
        if authorization is None:
            raise Unauthorized("missing_key", "send your API key as `Authorization: Bearer wsk_…`")
        principal = self._remembered.get(authorization)
        if principal is None:
            principal = self._remembered[authorization] = self._look_up(authorization)
        self._check_expiry(principal)
        return principal

    def _check_expiry(self, principal: Principal) -> None:
        expires_ms = principal.key.expires_ms
        if expires_ms is not None and expires_ms <= self._clock.now_ms():
            raise Unauthorized("key_expired", "this API key has expired; make a new one")

    def _look_up(self, authorization: bytes) -> Principal:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthorized("wrong_scheme", "send your API key as `Authorization: Bearer wsk_…`")
        secret = authorization[len(_SCHEME) :].strip()
        if self._local_token is not None and hmac.compare_digest(secret, self._local_token):
            return Principal(_LOCAL_KEY, GRANTS[Scope.OPERATOR], None)
        key = self._directory.key(secret.decode("latin-1"))
        if key is None:
            raise Unauthorized("unknown_key", "this API key is not known here; check that it is complete")
        if key.revoked_ms is not None:
            raise Unauthorized("key_revoked", "this API key was revoked; make a new one")
        scopes = frozenset[Scope]().union(*(GRANTS[scope] for scope in key.scopes))
        if key.account is None:
            return Principal(key, scopes, None)
        account = self._directory.accounts_by_id.get(key.account)
        if account is None:
            raise Unauthorized("unknown_key", "the account of this API key is gone")
        return Principal(key, scopes, account)

    def _choose(self, principal: Principal, choice: str | None) -> Principal:
        """The account an operator means: the one he names, or the only one there is."""
        accounts = self._directory.accounts_by_id
        if choice is not None:
            account = accounts.get(choice)
            if account is None or account.account.deleted_ms is not None:
                raise _no_account()
            return Principal(principal.key, principal.scopes, account)
        present = [account for account in accounts.values() if account.account.deleted_ms is None]
        if len(present) != 1:
            message = "is needed with an operator key; add ?account=acc_… or the header X-WhatsSync-Account"
            raise Invalid([FieldError("account", message)], code="account_required")
        return Principal(principal.key, principal.scopes, present[0])


def _key_with(scope: Scope) -> str:
    """What to do about a key without ``scope``."""
    if scope is Scope.OPERATOR:
        return "use the operator key (wso_…); on the server's own machine the command line needs no key at all"
    return "use a key that has it"


def _no_account() -> NotFound:
    return NotFound("account_not_found", "there is no such account")
