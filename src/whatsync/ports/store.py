"""What the engine asks of a store that keeps events, deliveries and configuration. Every verb is one durable
transaction.

An adapter may join many calls into one commit, but answers none of them before that commit is safe on disk.
A call that raises ``StoreUnavailable`` has written nothing; a commit whose fate is unknown is replayed by the adapter
before anyone is answered. The rows and documents it takes stand in ``rows.py`` and ``documents.py``; whoever speaks to
a store has them from here too.
"""

from asyncio import Future
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from whatsync.model.delivery import Happening, State
from whatsync.ports.arrivals import BodyRow, ContactRow, Count, Outdated, SetAsideRow, TakenIn
from whatsync.ports.documents import AuditEntry, Delete, Document, Put
from whatsync.ports.media import MediaClaim, MediaOutcome, MediaRow
from whatsync.ports.rows import AttemptRow, DeliveryRow, EventRow, HealthRow, Origin, Waiting

__all__ = [
    "AcceptResult",
    "Accepted",
    "Admission",
    "AttemptRow",
    "AuditEntry",
    "Backlog",
    "Change",
    "ChangeConflict",
    "Changed",
    "Claimed",
    "Claims",
    "Delete",
    "DeliveryRow",
    "Document",
    "Duplicates",
    "EventRow",
    "HealthRow",
    "Idempotency",
    "Intake",
    "IntakeResult",
    "Opened",
    "Origin",
    "Pruned",
    "Put",
    "Recorded",
    "Replayed",
    "Settled",
    "Settlement",
    "Stale",
    "Store",
    "StoreRefused",
    "StoreState",
    "StoreUnavailable",
    "Waiting",
]


class StoreUnavailable(Exception):  # noqa: N818 - a state, not a mistake
    """The store can't take writes now (disk full or failing, shutting down). ``reason`` is a plain sentence for
    operators.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StoreRefused(Exception):  # noqa: N818
    """The store can't be opened as it is: locked by another server, corrupt, from a newer version. ``reason`` says what
    to do.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Idempotency(msgspec.Struct, frozen=True, gc=False):
    """An ``Idempotency-Key`` and a fingerprint of the request it came with."""

    key: str
    fingerprint: bytes


class Admission(msgspec.Struct, frozen=True):
    """Events and their deliveries, all or nothing. A resend brings deliveries of events that are already stored."""

    account: int
    version: int
    """Version of the account's configuration that the routing is based on."""
    events: tuple[EventRow, ...]
    deliveries: tuple[DeliveryRow, ...]
    idempotency: Idempotency | None = None
    """Kept with what is admitted, also where that is nothing, since every event was known: then under row ``used``."""
    used: int = 0
    """A row number of its own for an ``idempotency`` without any new event or delivery."""
    media: tuple[MediaRow, ...] = ()
    """Files that came with these events. A name that exists stays as it is."""


class Accepted(msgspec.Struct, frozen=True):
    """Everything in the admission is on disk."""


class Duplicates(msgspec.Struct, frozen=True):
    """Nothing was written: some ids exist already. ``existing`` has the stored row at each position, or ``None``.

    An id that stands twice in one admission exists from its second place on. Of an event that retention has removed
    while its id is still remembered, the row has an empty ``body``.
    """

    existing: tuple[EventRow | None, ...]


class Replayed(msgspec.Struct, frozen=True):
    """Nothing was written: the ``Idempotency-Key`` was used before, for these events."""

    fingerprint: bytes
    events: tuple[EventRow, ...]


class Stale(msgspec.Struct, frozen=True):
    """Nothing was written: the account's configuration has moved on to ``version``; route again."""

    version: int


AcceptResult = Accepted | Duplicates | Replayed | Stale


class Intake(msgspec.Struct, frozen=True):
    """One body of a source with all that follows from it, for any number of accounts; or the same body once more."""

    admissions: tuple[Admission, ...]
    """One for each account; events that exist are passed over. Without ``Idempotency-Key``."""
    contacts: tuple[ContactRow, ...] = ()
    """Each with the version it shall have: one above the stored one. Its words lead to him from now on."""
    body: BodyRow | None = None
    """``None`` where the body is stored already."""
    set_aside: tuple[SetAsideRow, ...] = ()
    settled: int | None = None
    """A body whose rows of ``set_aside`` are done with: removed before the new ones are written."""


IntakeResult = TakenIn | Outdated


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A delivery that is ours to attempt."""

    id: int
    claim: int
    attempts: int
    """Attempts made so far."""
    state: State
    event: EventRow
    contact: str | None = None
    origin: Origin = Origin.EVENT


class Claims(msgspec.Struct, frozen=True):
    """What ``claim`` found. ``next_due_ms`` is when the endpoint's next unclaimed delivery is due, ``None`` where none
    waits.
    """

    items: tuple[Claimed, ...]
    next_due_ms: int | None


class Recorded(msgspec.Struct, frozen=True):
    """What ``record`` did. ``stale`` has the deliveries whose claim no longer held; ``forwarded`` endpoints have an
    ordered delivery newly due.
    """

    stale: tuple[int, ...] = ()
    forwarded: tuple[int, ...] = ()


class Settlement(msgspec.Struct, frozen=True):
    """Changes of state without an attempt: for named deliveries of one account, or for up to ``limit`` deliveries of
    one endpoint.

    Follows ``model.delivery.TRANSITIONS``; what it refuses is left as it is. A delivery in flight can be ended too:
    its claim is taken away. ``RETRY`` leaves claimed ones alone. Deliveries that become or stay waiting are due
    at ``due_ms`` (after a release, an ordered one behind an earlier open one ``contact_wait_ms`` later); those that
    end, ended at ``due_ms``. ``RELEASED`` and ``RELEASED_TRIED`` are one request: each delivery takes the one that fits
    the attempts made. With ``endpoint`` only deliveries are looked at that it changes (for ``RETRY``: unclaimed and due
    later), lowest row first.
    """

    account: int
    happening: Happening
    due_ms: int
    deliveries: tuple[int, ...] = ()
    endpoint: int | None = None
    until: int | None = None
    """With ``endpoint``: only deliveries up to this row."""
    limit: int = 500
    reason: str | None = None
    version: int | None = None
    """With ``endpoint``: nothing is done where its document has another version by now; 0 stands for no document."""


class Settled(msgspec.Struct, frozen=True):
    """One delivery that a settlement looked at; ``after`` equals ``before`` where nothing changed."""

    id: int
    endpoint: int
    before: State
    after: State
    in_flight: bool


class Change(msgspec.Struct, frozen=True):
    """One transaction over configuration and, where they belong together, admissions and settlements."""

    account: int
    """Whose configuration version rises."""
    puts: tuple[Put, ...] = ()
    deletes: tuple[Delete, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    admissions: tuple[Admission, ...] = ()
    """Written only where their events are new; an event id that exists is passed over together with its deliveries."""
    settlements: tuple[Settlement, ...] = ()
    routing: bool = True
    """False for documents that do not take part in routing (jobs): the account's version stays."""


class Changed(msgspec.Struct, frozen=True):
    """The change is on disk."""

    version: int
    documents: tuple[Document, ...]
    settled: tuple[Settled, ...] = ()


class ChangeConflict(msgspec.Struct, frozen=True):
    """Nothing was written: a document had another version than expected (or existed already)."""

    kind: str
    id: str


class Backlog(msgspec.Struct, frozen=True):
    """What waits for one endpoint at start-up, after all claims of earlier runs were taken back."""

    endpoint: int
    account: int
    waiting: int
    """Pending and retrying."""
    held: int
    next_due_ms: int | None


class Opened(msgspec.Struct, frozen=True):
    """What a store knows when it opens."""

    run: int
    """Number of this run of the server; attempts carry it."""
    floor: int
    """Highest row sequence in use: new ones begin above it."""
    documents: tuple[Document, ...]
    versions: dict[int, int]
    """Configuration version of each account row."""
    backlog: tuple[Backlog, ...]
    health: tuple[HealthRow, ...]
    now_ms: int = 0
    cursor: int = 0
    """In a database of many nodes: its clock, and where the news behind these documents begins (``News.cursor``)."""


class Pruned(msgspec.Struct, frozen=True):
    """What one step of retention did. ``cursor`` is where to go on, ``None`` at the end."""

    removed: int
    cancelled: int
    cursor: int | None


class StoreState(msgspec.Struct, frozen=True):
    """For ``/readyz`` and the metrics."""

    writable: bool
    reason: str | None
    commits: int
    operations: int
    """Calls that those commits carried; their ratio is the mean size of a group commit."""
    queued: int
    wal_bytes: int
    free_bytes: int
    last_commit_seconds: float


class Store(Protocol):
    """The writing side. All times are arguments; nothing here reads a clock."""

    async def open(self, now_ms: int, version: str) -> Opened:
        """Open, migrate, take back the claims of earlier runs. Raises StoreRefused."""

    async def close(self) -> None:
        """Write what waits, then let go of the files."""

    def accept(self, admission: Admission) -> "Future[AcceptResult]":
        """Write events and deliveries. Decided by unique keys, never by read-then-write outside the transaction."""

    def record(self, attempts: Sequence[AttemptRow], health: Sequence[HealthRow] = ()) -> "Future[Recorded]":
        """Write attempts and the states they lead to, guarded by claim; count them in the rollups.

        An attempt whose claim no longer holds is kept, marked late; a success still closes an open delivery. Always the
        delivery's number of attempts is at least the attempt's. An attempt of a delivery that is gone is dropped.
        """

    async def claim(self, endpoint: int, now_ms: int, limit: int, early: bool = False) -> Claims:
        """Take up to ``limit`` unclaimed waiting deliveries of one endpoint that are due, by due time, then row.
        ``early`` takes those in ``retrying`` whatever their due time, oldest row first."""

    async def give_back(self, claims: Sequence[tuple[int, int]], due_ms: int) -> None:
        """Give up claims ``(delivery, claim)`` that were not attempted: they wait in the store again, due at
        ``due_ms``.
        """

    async def replan(self, endpoint: int, now_ms: int, after: tuple[int, int], limit: int) -> tuple[int, int] | None:
        """The clock has gone back to ``now_ms``: bring unclaimed waiting deliveries of one endpoint that were planned
        by a later one forward, as ``model.retry.replanned_ms`` says. Looks at up to ``limit`` of those due later than
        ``after`` (due time, row), in that order, and returns where it came to; ``None`` when nothing is left.
        """

    async def settle(self, settlement: Settlement) -> tuple[Settled, ...]:
        """Change states without an attempt. Fewer than ``limit`` results mean that an endpoint has no more."""

    async def change(self, change: Change) -> Changed | ChangeConflict:
        """Change configuration. After it is answered, no admission routed with the older version is accepted."""

    async def prune(self, account: int, before_ms: int, after_seq: int, limit: int, now_ms: int) -> Pruned:
        """Remove up to ``limit`` events made before ``before_ms`` with everything that hangs on them, unless a delivery
        is pending or retrying; held ones end as cancelled (reason ``retention``) first. Expired keys, rollups and audit
        go too. Media that came with a removed event become ``REMOVED`` (reason ``expired``); what failed or was removed
        ``limits.MEDIA_ENDED_DAYS`` ago is forgotten, of whatever account. Versions of endpoints that were replaced
        before ``before_ms``, and that no kept delivery may have used, go too; with account 0 also all that is left of
        accounts and endpoints that are gone.
        """

    async def erase(self, account: int, event: int, body: bytes, keys_kept: Sequence[str]) -> None:
        """Replace one event's body, drop its details, contact, other keys, and the answers kept with its attempts."""

    async def claim_media(
        self, now_ms: int, until_ms: int, free: int, held: Mapping[int, int], after: int = 0
    ) -> MediaClaim:
        """Give ``free`` places to media rows that are due, in turns (``model.turns``; ``held``: places accounts have).
        Each is due again at ``until_ms`` unless an outcome comes before; opening makes those of earlier runs due. Where
        over ``limits.MEDIA_DUE_LOOKED_AT`` are due, ``limits.MEDIA_ACCOUNTS_LOOKED_AT`` accounts behind ``after`` are.
        """

    async def replan_media(self, now_ms: int, after: tuple[int, str], limit: int) -> tuple[int, str] | None:
        """The clock has gone back to ``now_ms``: bring media forward whose work was planned by a later one, as
        ``model.retry.replanned_file_ms`` says. Looks at up to ``limit`` of those due later than ``after`` (due time,
        name), in that order, and returns where it came to; ``None`` when nothing is left.
        """

    async def record_media(self, outcomes: Sequence[MediaOutcome]) -> tuple[str, ...]:
        """Write what became of claimed media. Returns the names whose claim no longer held: nothing was written."""

    async def remove_media(self, account: int, names: Sequence[str], reason: str, now_ms: int) -> None:
        """End media of one account as ``REMOVED``: their claims are void, their ``task`` is emptied, their bytes are
        due to be removed at ``now_ms``. What is removed already stays as it is.
        """

    def take_in(self, intake: Intake) -> "Future[IntakeResult]":
        """Write a source's body and all that follows from it, for all its accounts, as one.

        Nothing is written where an account's configuration has another version than its admission, or a contact's
        stored version is not one below the given one. Of two contacts in one intake with the same id the second builds
        on the first.
        """

    async def count_waiting(self, samples: Sequence[Waiting]) -> None:
        """Add to the rollups (as outcome ``waiting``) how long the oldest delivery of each endpoint had waited."""

    async def count_arrivals(self, counts: Sequence[Count]) -> None:
        """Add to the counts; ``first_ms`` and ``last_ms`` widen what is stored."""

    async def prune_arrivals(self, source: int, before_ms: int, limit: int) -> bool:
        """Remove up to ``limit`` of a source's raw bodies that came before ``before_ms``, with what was set aside of
        them, and then its counts; true where there may be more.
        """

    async def erase_body(self, seq: int, body: bytes) -> None:
        """Put other bytes in a raw body's place, if it is still there."""

    async def forget_contacts(self, account: int, contacts: Sequence[str], limit: int) -> int:
        """Remove contacts of an account with their words: the named ones, or, where none is named, up to ``limit`` of
        all. Returns how many.
        """

    async def backup(self, path: str) -> None:
        """Write a consistent copy while running."""

    def state(self) -> StoreState:
        """Cheap facts for health checks."""
