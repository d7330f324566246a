"""What the API and the pages ask of a store's reading side. Every question examines a bounded number of rows and never
counts a table.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from whatsync.model.delivery import State
from whatsync.ports.arrivals import BodyRow, ContactRow, Count, SetAsideQuery, SetAsideRow
from whatsync.ports.media import MediaRow
from whatsync.ports.store import AttemptRow, Document, EventRow, Origin


class DeliveryQuery(msgspec.Struct, frozen=True):
    """Filters of the delivery history, all joined by *and*. ``before`` is the keyset cursor: rows below it, newest
    first. ``since_ms <= made < until_ms``, by the delivery's own row. ``test``: made by a test send.
    """

    account: int
    endpoint: int | None = None
    type: str | None = None
    number: str | None = None
    states: tuple[State, ...] = ()
    code: str | None = None
    test: bool | None = None
    event: int | None = None
    events: tuple[int, ...] | None = None
    """Only deliveries of these events (what a search by key found)."""
    text: str | None = None
    """Words (parted by spaces) that must all stand in the event's body, compared without case (ASCII)."""
    since_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None
    limit: int = 50
    ascending: bool = False
    """Oldest first, with ``before`` meaning *above*; for exports and jobs."""


class DeliveryView(msgspec.Struct, frozen=True):
    """A delivery as the history shows it."""

    id: int
    event: int
    event_id: str
    type: str
    account: int
    endpoint: int
    state: State
    attempts: int
    origin: Origin
    created_ms: int
    due_ms: int | None
    in_flight: bool
    finished_ms: int | None
    status: int | None
    code: str | None
    duration_us: int | None
    number: str | None
    reason: str | None
    """Why it was cancelled or held, where something other than an attempt ended it."""
    ordered: bool


class DeliveryPage(msgspec.Struct, frozen=True):
    """One page. ``next`` is the next page's ``before``; ``searched_to_ms`` how far back the search has looked when it
    stopped for its bound.
    """

    items: tuple[DeliveryView, ...]
    next: int | None
    searched_to_ms: int | None


class EventQuery(msgspec.Struct, frozen=True):
    """Filters of the list of events."""

    account: int
    type: str | None = None
    without: tuple[str, ...] = ()
    """Types to leave out. However many of theirs there are, they cost nothing."""
    number: str | None = None
    matched: bool | None = None
    """Whether it had at least one delivery when it was accepted."""
    seqs: tuple[int, ...] | None = None
    text: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None
    limit: int = 50
    ascending: bool = False
    bytes_max: int | None = None
    """Bodies and details are cut after so many bytes each, for lists that show only how they begin."""


class EventPage(msgspec.Struct, frozen=True):
    """One page of events."""

    items: tuple[EventRow, ...]
    next: int | None
    searched_to_ms: int | None


class Exchange(msgspec.Struct, frozen=True):
    """An attempt as it is read back; ``late`` where its claim no longer held."""

    row: AttemptRow
    late: bool
    version: str
    """WhatsSync's version that made the request, for ``User-Agent``."""


class RollupRow(msgspec.Struct, frozen=True):
    """How many attempts of one endpoint ended one way within one minute (or, folded, one hour), in one latency bucket.

    ``outcome`` is the attempt's code, or ``succeeded``; the minute is that of ``finished_ms``. Tests are not counted,
    late attempts are. ``endpoint`` 0 has the attempts of all endpoints added up, and, as outcome ``accepted`` in
    bucket 0, the events by the minute of their row. Outcome ``waiting`` counts looks at the oldest delivery that waited
    for an endpoint, by how long it had waited.
    Bucket ``b`` holds attempts of less than ``2**b`` milliseconds (and not in ``b-1``).
    """

    start_ms: int
    endpoint: int
    outcome: str
    bucket: int
    count: int


class AuditRow(msgspec.Struct, frozen=True):
    """One entry of the audit log."""

    id: int
    at_ms: int
    actor: str
    action: str
    subject: str
    before: bytes | None
    after: bytes | None


class Counts(msgspec.Struct, frozen=True):
    """Deliveries of an endpoint that wait or are held, counted up to ``ceiling``."""

    waiting: int
    held: int
    ceiling: int
    oldest_due_ms: int | None
    oldest_made_ms: int | None = None
    """When the one that has waited longest was made."""


class History(Protocol):
    """The reading side. Reads see everything acknowledged before the call; none holds a read transaction over a
    second.
    """

    async def deliveries(self, query: DeliveryQuery) -> DeliveryPage:
        """List deliveries."""

    async def delivery(self, account: int, delivery: int) -> DeliveryView | None:
        """Read one."""

    async def attempts(self, account: int, delivery: int) -> tuple[Exchange, ...]:
        """Read the attempts of one delivery, first to last."""

    async def waiting_for(self, account: int, delivery: int) -> int | None:
        """For an ordered delivery that waits unclaimed and untried: the nearest earlier open delivery to its endpoint
        about the same contact.
        """

    async def events(self, query: EventQuery) -> EventPage:
        """List events."""

    async def event(self, account: int, event_id: str) -> EventRow | None:
        """Read one event by its public id."""

    async def event_by_seq(self, account: int, seq: int) -> EventRow | None:
        """Read one event by its row."""

    async def find(
        self, account: int, keys: Sequence[str], limit: int, before: int | None = None
    ) -> tuple[EventRow, ...]:
        """Find events by any of the words they can be found by (``id:…`` included), newest first, in rows below
        ``before``.
        """

    async def feed(
        self, account: int, after: int, types: tuple[str, ...], limit: int
    ) -> tuple[tuple[EventRow, ...], int]:
        """Events after a cursor in an order that never skips one, tests left out, and the cursor to go on from."""

    async def feed_bounds(self, account: int) -> tuple[int, int]:
        """The oldest cursor that still skips nothing, and the newest."""

    async def missing(  # noqa: PLR0917 - a window of one endpoint's events
        self,
        account: int,
        endpoint: int,
        types: tuple[str, ...],
        since_ms: int,
        until_ms: int,
        after: int,
        limit: int,
    ) -> tuple[tuple[EventRow, ...], int | None]:
        """Events of these types, oldest first, that have no delivery to this endpoint (tests left out); and where
        to go on, ``None`` at the end.
        """

    async def counts(self, endpoint: int, ceiling: int | None = None) -> Counts:
        """Count what waits for an endpoint (claimed ones included), up to a ceiling (``limits.COUNT_CEILING``)."""

    async def rollups(
        self, account: int, endpoint: int | None, since_ms: int, until_ms: int, step_ms: int = 1
    ) -> tuple[RollupRow, ...]:
        """Read the rollups of one endpoint, or of the account as a whole (endpoint 0). Rows that begin in the same step
        of ``step_ms`` are added up under the step's start, which may lie before ``since_ms``.
        """

    async def rollup_sums(
        self, account: int, endpoints: Sequence[int], since_ms: int, until_ms: int
    ) -> tuple[RollupRow, ...]:
        """Read the rollups of several endpoints, each added up over the whole time (``start_ms`` says nothing)."""

    async def document_version(self, kind: str, row: int, version: int | None) -> Document | None:
        """Read an old version of a document, or the newest that is kept (``None``). Endpoints keep theirs, deleted or
        not, as long as attempts may point to them.
        """

    async def audit(self, account: int, before: int | None, limit: int) -> tuple[AuditRow, ...]:
        """Read the audit log, newest first."""

    async def media(self, name: str) -> MediaRow | None:
        """Read a media file's row by its public name, whatever account it belongs to."""

    async def contacts(self, account: int, words: Sequence[str]) -> tuple[ContactRow, ...]:
        """Find the people that words lead to, each once, by id."""

    async def bodies(self, source: int, before: int | None, limit: int) -> tuple[BodyRow, ...]:
        """Raw bodies of a source, newest first, their bytes left out."""

    async def body(self, seq: int) -> BodyRow | None:
        """Read one raw body."""

    async def set_aside(self, query: SetAsideQuery) -> tuple[SetAsideRow, ...]:
        """What was set aside, newest first."""

    async def arrivals(self, source: int, number: str | None, since_ms: int, until_ms: int) -> tuple[Count, ...]:
        """Counts of a source that began within a time, oldest first; of one number, or of all (``None``)."""
