"""The configuration in memory: accounts, endpoints and keys as the hot path needs them, with routes worked out once.

A cached copy of the store's documents, always complete up to each account's version. Knows the store's data, not the
store.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from whatsync.engine.source_directory import NUMBER, SOURCE, SourceDirectory
from whatsync.model import endpoint as endpoints
from whatsync.model import limits
from whatsync.model.account import Account, ApiKey, Job, OwnType, SealedSecrets
from whatsync.model.catalogue import covered_by_wildcard, is_operational
from whatsync.model.endpoint import Endpoint
from whatsync.model.errors import Gone, Unavailable
from whatsync.model.request import fixed_head
from whatsync.model.secret import SecretSet
from whatsync.model.signature import Signer
from whatsync.model.url import Target, parse_url
from whatsync.model.user import Link, Session, User
from whatsync.ports.cluster import Gone as GoneDocument
from whatsync.ports.store import Changed, Document, Opened, StoreUnavailable
from whatsync.ports.vault import Vault

Record = TypeVar("Record")

ACCOUNT = "account"
ENDPOINT = "endpoint"
KEY = "key"
EVENT_TYPE = "event_type"
JOB = "job"
USER = "user"
SESSION = "session"
LINK = "link"
_QUIET = frozenset({JOB, USER, SESSION, LINK})
"""Kinds that neither routing nor API keys depend on."""


class RunningEndpoint:
    """An endpoint ready to be sent to: parsed URL, opened headers and secrets, and the part of each request that never
    changes.
    """

    __slots__ = ("account", "document", "endpoint", "head", "headers", "keyring", "row", "target")

    def __init__(self, document: Document, endpoint: Endpoint, account: "RunningAccount", vault: Vault) -> None:
        self.document = document
        self.row = document.row
        self.endpoint = endpoint
        self.account = account
        target = parse_url(endpoint.url)
        if not isinstance(target, Target):
            raise ValueError(f"endpoint {endpoint.id} is stored with an unusable URL")
        self.target = target
        self.headers = {name: vault.unseal(value) for name, value in endpoint.headers.items()}
        self.head = fixed_head(self.target, self.headers)
        self.keyring = Keyring(open_secrets(endpoint.secrets, vault)) if endpoint.secrets is not None else None

    @property
    def version(self) -> int:
        """Version of the document, recorded with each attempt."""
        return self.document.version

    def signer(self, now_ms: int) -> Signer:
        """The secrets to sign with now: the endpoint's own, else the account's."""
        return (self.keyring or self.account.keyring).signer(now_ms)


class Keyring:
    """A secret set and the signer made of it, remade when a switch or an overlap ends."""

    __slots__ = ("_from_ms", "_signer", "_until_ms", "secrets")

    def __init__(self, secrets: SecretSet) -> None:
        self.secrets = secrets
        self._from_ms = 0
        self._until_ms = -1
        self._signer: Signer | None = None

    def signer(self, now_ms: int) -> Signer:
        """The signer valid at ``now_ms``."""
        if self._signer is None or not self._from_ms <= now_ms < self._until_ms:
            primary, valid = self.secrets.signing_secrets(now_ms)
            self._signer = Signer(primary, valid)
            self._from_ms = now_ms
            # Boundaries lie whole milliseconds apart; looking again within a second bounds any clock trouble too.
            self._until_ms = now_ms + 1000
        return self._signer


class RunningAccount:
    """An account with its endpoints and the routes between its event types and them."""

    __slots__ = ("_orders", "account", "document", "endpoints", "keyring", "own_types", "routes", "row", "version")

    def __init__(self, document: Document, account: Account, vault: Vault) -> None:
        self.row = document.row
        self.version = 0
        self.endpoints: dict[int, RunningEndpoint] = {}
        self.own_types: dict[str, OwnType] = {}
        self.routes: dict[tuple[str, str | None], tuple[RunningEndpoint, ...]] = {}
        self._orders: bool | None = None
        self.update(document, account, vault)

    def update(self, document: Document, account: Account, vault: Vault) -> None:
        """Take over a newer version of the account's own document."""
        self.document = document
        self.account = account
        self.keyring = Keyring(open_secrets(account.secrets, vault))

    @property
    def orders(self) -> bool:
        """Whether any endpoint keeps order per contact."""
        if self._orders is None:
            ordering = [running.endpoint.ordering for running in self.endpoints.values()]
            self._orders = endpoints.Ordering.CONTACT in ordering
        return self._orders

    def forget_routes(self) -> None:
        """An endpoint has changed: work out again what follows from all of them."""
        self.routes.clear()
        self._orders = None

    def route(self, event_type: str, number: str | None) -> tuple[RunningEndpoint, ...]:
        """Endpoints that are enabled, subscribe to a type and take its events of this number; field filters come after.

        An endpoint that names its numbers gets only events of those, except what WhatsSync tells about itself.
        """
        found = self.routes.get((event_type, number))
        if found is None:
            if len(self.routes) >= limits.ROUTES_KEPT:
                self.routes.clear()
            wildcard = covered_by_wildcard(event_type)
            every_number = is_operational(event_type)
            found = tuple(
                running
                for running in self.endpoints.values()
                if running.endpoint.enabled
                and endpoints.subscribes(running.endpoint, event_type, wildcard)
                and (every_number or endpoints.takes_number(running.endpoint, number))
            )
            self.routes[event_type, number] = found
        return found


class Directory:
    """All accounts, endpoints, keys, jobs and people, by row and by id."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.accounts: dict[int, RunningAccount] = {}
        self.accounts_by_id: dict[str, RunningAccount] = {}
        self.endpoints: dict[int, RunningEndpoint] = {}
        self.endpoints_by_id: dict[str, RunningEndpoint] = {}
        self.keys: dict[str, tuple[Document, ApiKey]] = {}
        self.jobs: dict[str, tuple[Document, Job]] = {}
        self.users: dict[str, tuple[Document, User]] = {}
        self.sessions: dict[str, tuple[Document, Session]] = {}
        self.links: dict[str, tuple[Document, Link]] = {}
        self.sessions_by_user: dict[str, dict[str, None]] = {}
        """Ids of each person's sessions."""
        self._keys_by_hash: dict[str, str] = {}
        self._users_by_email: dict[str, str] = {}
        self._others: dict[str, dict[str, Document]] = {}
        self.whatsapp = SourceDirectory(vault)
        """Sources and numbers."""
        self._held: dict[tuple[str, str], tuple[int, int]] = {}
        """Row and version of every document in here."""
        self._removed: dict[int, None] = {}
        """Rows of documents that went lately, where other nodes make changes: what was read before may come after."""
        self._newer = asyncio.Event()
        self.catch_up: Callable[[], Awaitable[None]] | None = None
        """Reads what other nodes have changed."""
        self.generation = 0
        """Rises with every change; caches of authenticated keys compare it."""

    def load(self, opened: Opened) -> None:
        """Fill from what the store knew when it opened; accounts come before what belongs to them."""
        order = {ACCOUNT: 0}
        for document in sorted(opened.documents, key=lambda document: (order.get(document.kind, 1), document.row)):
            self._put(document)
        for row, version in opened.versions.items():
            if row in self.accounts:
                self.accounts[row].version = version

    def apply(self, account: int, changed: Changed, deleted: Iterable[tuple[str, str]] = (), rose: bool = True) -> bool:
        """Take over a change of ours that is on disk; ``rose`` says whether it raised the account's version. False
        where others have changed the account meanwhile, so that this copy has to catch up.
        """
        kinds = {document.kind for document in changed.documents}
        for document in changed.documents:
            self._put(document)
        for kind, document_id in deleted:
            kinds.add(kind)
            held = self._held.get((kind, document_id))
            if held is not None:
                self._delete(kind, document_id, held[0])
        running = self.accounts.get(account)
        if running is not None and rose and changed.version == running.version + 1:
            running.version = changed.version
        if not kinds or not kinds <= _QUIET:
            # The steps of bulk work and people's sessions must not cost the hot path what it has worked out.
            self._note_change({account})
        return running is None or running.version >= changed.version

    def take_over(
        self, documents: Sequence[Document], gone: Sequence[GoneDocument], versions: Mapping[int, int]
    ) -> None:
        """Take over what anybody has changed; what is older than what is here is passed over."""
        for one in sorted(gone, key=lambda one: one.kind == ACCOUNT):
            self._note_removed(one.row)
            if self._held.get((one.kind, one.id), (0, 0))[0] == one.row:
                self._delete(one.kind, one.id, one.row)
        order = {ACCOUNT: 0}
        for document in sorted(documents, key=lambda document: (order.get(document.kind, 1), document.row)):
            self._put(document)
        for row, version in versions.items():
            if row in self.accounts:
                self.accounts[row].version = max(self.accounts[row].version, version)
        kinds = {document.kind for document in documents} | {one.kind for one in gone}
        if versions or not kinds <= _QUIET:
            self._note_change({document.account for document in documents} | set(versions))

    def _note_removed(self, row: int) -> None:
        if self.catch_up is not None:
            self._removed[row] = None
            if len(self._removed) > limits.REMOVED_DOCUMENTS_KEPT:
                del self._removed[next(iter(self._removed))]

    def _note_change(self, accounts: Iterable[int]) -> None:
        for row in accounts:
            if row in self.accounts:
                self.accounts[row].forget_routes()
        self.generation += 1
        self._newer.set()
        self._newer = asyncio.Event()

    async def caught_up(self, account: RunningAccount, version: int) -> None:
        """Return when this copy of the account's configuration has reached ``version``. Raises Gone if it can't,
        Unavailable where what others changed can't be read.
        """
        while account.version < version:
            if account.row not in self.accounts:
                raise Gone("account_removed", "the account was removed")
            newer = self._newer
            if self.catch_up is not None:
                try:
                    await self.catch_up()
                except StoreUnavailable as problem:
                    raise Unavailable("store_unavailable", problem.reason) from None
            if account.version < version:
                await newer.wait()

    def key(self, secret: str) -> ApiKey | None:
        """Find a key by the secret its owner presents. Revoked and expired ones are found too."""
        key_id = self._keys_by_hash.get(hashlib.sha256(secret.encode()).hexdigest())
        return None if key_id is None else self.keys[key_id][1]

    def user_of(self, email: str) -> User | None:
        """Find a person by a cleaned mail address."""
        user_id = self._users_by_email.get(email)
        return None if user_id is None else self.users[user_id][1]

    def document(self, kind: str, document_id: str) -> Document | None:
        """A document of a kind this directory keeps no special copy of."""
        return self._others.get(kind, {}).get(document_id)

    def documents(self, kind: str) -> list[Document]:
        """All documents of such a kind."""
        return list(self._others.get(kind, {}).values())

    def belonging(self, account: int) -> list[Document]:
        """Every document of an account except its own."""
        documents = [running.document for running in self.accounts[account].endpoints.values()]
        documents += [document for document, _ in self.keys.values() if document.account == account]
        documents += [document for document, _ in self.jobs.values() if document.account == account]
        documents += [document for document, _ in self.sessions.values() if document.account == account]
        documents += [document for document, _ in self.links.values() if document.account == account]
        documents += self.whatsapp.of_account(account)
        others = (document for held in self._others.values() for document in held.values())
        return documents + [document for document in others if document.account == account]

    def _put(self, document: Document) -> None:
        held = self._held.get((document.kind, document.id))
        at = (document.row, document.version)
        if document.row not in self._removed and (held is None or held <= at):
            self._held[document.kind, document.id] = at
            self._place(document)

    def _place(self, document: Document) -> None:
        if document.kind == ACCOUNT:
            self._put_account(document)
        elif document.kind == ENDPOINT:
            self._put_endpoint(document)
        elif document.kind == KEY:
            key = decode(document, ApiKey)
            self.keys[document.id] = (document, key)
            self._keys_by_hash[key.hash] = document.id
        elif document.kind == JOB:
            self.jobs[document.id] = (document, decode(document, Job))
        elif document.kind == USER:
            self._put_user(document)
        elif document.kind == SESSION:
            self._put_session(document)
        elif document.kind == LINK:
            self.links[document.id] = (document, decode(document, Link))
        elif document.kind in (SOURCE, NUMBER):
            self.whatsapp.put(document)
        elif document.kind == EVENT_TYPE:
            own = decode(document, OwnType)
            self.accounts[document.account].own_types[own.name] = own
            self._others.setdefault(EVENT_TYPE, {})[document.id] = document
        else:
            self._others.setdefault(document.kind, {})[document.id] = document

    def _put_account(self, document: Document) -> None:
        account = decode(document, Account)
        running = self.accounts.get(document.row)
        if running is None:
            running = RunningAccount(document, account, self._vault)
            self.accounts[document.row] = self.accounts_by_id[account.id] = running
        else:
            running.update(document, account, self._vault)

    def _put_endpoint(self, document: Document) -> None:
        account = self.accounts[document.account]
        running = RunningEndpoint(document, decode(document, Endpoint), account, self._vault)
        account.endpoints[document.row] = running
        account.forget_routes()
        self.endpoints[document.row] = self.endpoints_by_id[document.id] = running

    def _put_user(self, document: Document) -> None:
        user = decode(document, User)
        before = self.users.get(document.id)
        if before is not None:
            self._users_by_email.pop(before[1].email, None)
        self.users[document.id] = (document, user)
        self._users_by_email[user.email] = document.id

    def _put_session(self, document: Document) -> None:
        session = decode(document, Session)
        self.sessions[document.id] = (document, session)
        if session.user is not None:
            self.sessions_by_user.setdefault(session.user, {})[document.id] = None

    def _delete_session(self, document_id: str) -> None:
        _, session = self.sessions.pop(document_id)
        own = self.sessions_by_user.get(session.user or "", {})
        own.pop(document_id, None)
        if not own:
            self.sessions_by_user.pop(session.user or "", None)

    def _delete(self, kind: str, document_id: str, row: int) -> None:
        self._note_removed(row)
        del self._held[kind, document_id]
        if kind == ENDPOINT:
            running = self.endpoints_by_id.pop(document_id)
            del self.endpoints[running.row]
            del running.account.endpoints[running.row]
        elif kind == KEY:
            _, key = self.keys.pop(document_id)
            del self._keys_by_hash[key.hash]
        elif kind == USER:
            _, user = self.users.pop(document_id)
            self._users_by_email.pop(user.email, None)
        elif kind == SESSION:
            self._delete_session(document_id)
        elif kind in (JOB, LINK):
            records: dict[str, dict[str, Any]] = {JOB: self.jobs, LINK: self.links}
            records[kind].pop(document_id, None)
        elif kind in (SOURCE, NUMBER):
            self.whatsapp.delete(kind, document_id)
        elif kind == ACCOUNT:
            running_account = self.accounts_by_id.pop(document_id)
            del self.accounts[running_account.row]
        else:
            document = self._others[kind].pop(document_id)
            if kind == EVENT_TYPE:
                self.accounts[document.account].own_types.pop(document_id.partition(":")[2], None)


def decode(document: Document, record: type[Record]) -> Record:
    """Read a document's body as the record it holds."""
    return msgspec.json.decode(document.body, type=record)


def open_secrets(sealed: SealedSecrets, vault: Vault) -> SecretSet:
    """Unseal a set of signing secrets."""
    return SecretSet(
        current=vault.unseal(sealed.current),
        previous=None if sealed.previous is None else vault.unseal(sealed.previous),
        switch_at_ms=sealed.switch_at_ms,
        overlap_until_ms=sealed.overlap_until_ms,
    )


def seal_secrets(secrets: SecretSet, vault: Vault, rotated_ms: int | None) -> SealedSecrets:
    """Seal a set of signing secrets for its document."""
    return SealedSecrets(
        current=vault.seal(secrets.current),
        previous=None if secrets.previous is None else vault.seal(secrets.previous),
        switch_at_ms=secrets.switch_at_ms,
        overlap_until_ms=secrets.overlap_until_ms,
        rotated_ms=rotated_ms,
    )
