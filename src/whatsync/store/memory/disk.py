"""What survives a crash: every committed row, in plain dictionaries. Knows nothing of commits, callers or time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from whatsync.model.delivery import OPEN, State
from whatsync.model.health import Health
from whatsync.model.ids import ms_of
from whatsync.ports.arrivals import BodyRow, ContactRow, Count, SetAsideRow
from whatsync.ports.media import MediaRow
from whatsync.ports.store import AttemptRow, AuditEntry, DeliveryRow, Document, EventRow


@dataclass(slots=True)
class Delivery:
    """A delivery as stored: the row it was made from, and where it stands now."""

    row: DeliveryRow
    due_ms: int | None
    claim: int = 0
    """Rises with each claim; an outcome counts only while its own is the last one and ``in_flight``."""
    in_flight: bool = False
    place: int = 0
    """Rises with each delivery that is written."""
    holder: int = 0
    """The epoch that claimed it, where many nodes share the disk."""
    state: State = State.PENDING
    attempts: int = 0
    finished_ms: int | None = None
    status: int | None = None
    code: str | None = None
    duration_us: int | None = None
    reason: str | None = None

    @property
    def made_ms(self) -> int:
        """When it was made."""
        return ms_of(self.row.id)

    @property
    def untried(self) -> bool:
        """Waits in the store for its first attempt."""
        return self.state is State.PENDING and not self.in_flight and self.attempts == 0


@dataclass(slots=True)
class KeyUse:
    """What an ``Idempotency-Key`` was used for."""

    fingerprint: bytes
    events: tuple[int, ...]
    used_ms: int


@dataclass(slots=True)
class Epoch:
    """One stretch of a node's life, where many share the disk."""

    node: str
    role: str
    lease_until_s: float
    leaving: bool = False
    ended: bool = False


RollupKey = tuple[int, int, int, str, int]
"""Account, start of the minute, endpoint, outcome, bucket."""


@dataclass(slots=True)
class Disk:
    """All tables. A new store may open it at any moment; what the old one had not committed is not in here."""

    owner: object | None = None
    """The store that opened it last; no other one may write."""
    commits: int = 0
    operations: int = 0
    runs: list[str] = field(default_factory=list)
    """WhatsSync's version in each run; run 1 stands first."""
    last_row: int = 0
    documents: dict[tuple[str, str], Document] = field(default_factory=dict)
    old_endpoints: dict[tuple[str, int, int], Document] = field(default_factory=dict)
    """By kind, row and version."""
    until_row: dict[tuple[str, int, int], int] = field(default_factory=dict)
    """Of versions that were replaced or whose endpoint was deleted: the highest row number in use then."""
    versions: dict[int, int] = field(default_factory=dict)
    events: dict[int, EventRow] = field(default_factory=dict)
    event_ids: dict[tuple[int, str], int] = field(default_factory=dict)
    """Outlives the event where retention is shorter than ids have to be remembered."""
    key_uses: dict[tuple[int, str], KeyUse] = field(default_factory=dict)
    feed: list[int] = field(default_factory=list)
    """Events in the order of their commits; a feed cursor counts the ones it has passed. Removed ones leave a zero."""
    feed_floor: dict[int, int] = field(default_factory=dict)
    """Of each account, the highest feed cursor that something was removed below."""
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    deliveries_of_event: dict[int, list[int]] = field(default_factory=dict)
    open_of_endpoint: dict[int, dict[int, Delivery]] = field(default_factory=dict)
    """Only spares looking at everything; says nothing that ``deliveries`` does not say."""
    last_place: int = 0
    attempts: dict[int, dict[int, tuple[AttemptRow, bool]]] = field(default_factory=dict)
    """By delivery and claim; the flag says that it came late."""
    rollups: dict[RollupKey, int] = field(default_factory=dict)
    health: dict[int, Health] = field(default_factory=dict)
    audit: list[AuditEntry | None] = field(default_factory=list)
    """An entry's id is its place, counted from 1. Removed ones leave ``None``."""

    contacts: dict[tuple[int, str], ContactRow] = field(default_factory=dict)
    """By account and id; ``words`` stay empty here."""
    contact_words: dict[tuple[int, str], str] = field(default_factory=dict)
    bodies: dict[int, BodyRow] = field(default_factory=dict)
    set_aside: dict[int, SetAsideRow] = field(default_factory=dict)
    arrival_counts: dict[tuple[int, str, int, str], Count] = field(default_factory=dict)
    media: dict[str, MediaRow] = field(default_factory=dict)
    media_claimed: dict[str, int] = field(default_factory=dict)
    """By name, the epoch that claimed it."""

    clock: Callable[[], float] = lambda: 0.0
    """The disk's own time in seconds, for leases."""
    epochs: dict[int, Epoch] = field(default_factory=dict)
    posts: dict[str, int] = field(default_factory=dict)
    """Epoch that holds each post."""
    changes: list[tuple[int, str, str, int]] = field(default_factory=list)
    """Account, kind, id and row of each document written or removed, in order; a kind of its own for a version that
    rose. A cursor counts the ones it has passed."""

    @property
    def top(self) -> int:
        """Highest row number in use."""
        return max([0, *self.events, *self.deliveries, *self.event_ids.values()])

    def add(self, delivery: Delivery) -> None:
        """Take in a new delivery."""
        row = delivery.row
        self.last_place += 1
        delivery.place = self.last_place
        self.deliveries[row.id] = delivery
        self.deliveries_of_event.setdefault(row.event, []).append(row.id)
        self.open_of_endpoint.setdefault(row.endpoint, {})[row.id] = delivery

    def move(self, delivery: Delivery, state: State) -> None:
        """Change a delivery's state."""
        delivery.state = state
        waiting = self.open_of_endpoint[delivery.row.endpoint]
        if state in OPEN:
            waiting[delivery.row.id] = delivery
        else:
            waiting.pop(delivery.row.id, None)

    def remove(self, delivery: Delivery) -> None:
        """Forget a delivery and its attempts."""
        del self.deliveries[delivery.row.id]
        self.open_of_endpoint[delivery.row.endpoint].pop(delivery.row.id, None)
        self.attempts.pop(delivery.row.id, None)

    def open_deliveries(self, endpoint: int) -> Iterator[Delivery]:
        """Pending, retrying and held deliveries of one endpoint, oldest row first."""
        waiting = self.open_of_endpoint.get(endpoint, {})
        return iter([waiting[row] for row in sorted(waiting)])

    def of_event(self, event: int) -> list[Delivery]:
        """All deliveries of one event."""
        return [self.deliveries[row] for row in self.deliveries_of_event.get(event, [])]

    def earlier_open(self, delivery: Delivery) -> Delivery | None:
        """The nearest earlier open delivery to the same endpoint about the same contact."""
        row = delivery.row
        others = (other for other in self.open_deliveries(row.endpoint) if other.row.contact == row.contact)
        earlier = (other for other in others if self.order(other) < self.order(delivery))
        return max(earlier, key=self.order, default=None)

    def next_open(self, delivery: Delivery) -> Delivery | None:
        """The nearest later open delivery to the same endpoint about the same contact."""
        row = delivery.row
        others = (other for other in self.open_deliveries(row.endpoint) if other.row.contact == row.contact)
        later = (other for other in others if self.order(other) > self.order(delivery))
        return min(later, key=self.order, default=None)

    def order(self, delivery: Delivery) -> int:
        """Where a delivery stands among those about its contact."""
        return delivery.row.id
