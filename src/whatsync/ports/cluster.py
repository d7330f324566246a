"""What the engine asks of a database that many equal nodes share: who is alive, who does what, what
others have changed.

A store that has one owner by itself has no such port: the engine then stands alone. Nodes share nothing but the
database; all times here are by the database's clock.

A node's *epoch* is one stretch of its life, begun by ``Store.open`` or ``rejoin``. Whatever the node claims belongs to
its epoch. Of the living epochs no two agree in their last ten bits, which row numbers carry.

Once an epoch is over, which any node may find and write down when its lease has run out, nothing that it asked for is
written any more (``StoreUnavailable``), its claims are taken back (deliveries and media are due at the database's own
time), and its posts are free. That holds whatever the order of commits: no claim outlives its epoch.

Nodes draw their row numbers apart. What is about one contact keeps the order of commits, whatever the numbers say: who
has been told that an event is accepted finds the next one behind it, on whatever node.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from whatsync.model.health import Health
from whatsync.ports.store import Document


class Role(StrEnum):
    """What a node does: ``api`` accepts and serves, ``deliver`` sends and does the work that comes round."""

    ALL = "all"
    API = "api"
    DELIVER = "deliver"

    @property
    def delivers(self) -> bool:
        """Whether such a node sends deliveries of others, too."""
        return self is not Role.API


class Member(msgspec.Struct, frozen=True):
    """A node that is alive."""

    epoch: int
    node: str
    """Its name: the same over its epochs."""
    role: Role
    leaving: bool = False
    """It is stopping and takes up nothing new."""


class Beat(msgspec.Struct, frozen=True):
    """A heartbeat was written; the lease runs from the moment it was asked for."""

    epoch: int
    """The asking node's own."""
    now_ms: int
    """The database's clock, between asking and answer."""
    members: tuple[Member, ...]
    """Everyone alive, the asking node among them, by epoch."""
    changed: int
    """Cursor behind the newest change of configuration; compare ``News.cursor``."""


class Over(msgspec.Struct, frozen=True):
    """The node's epoch is over: others have taken its work. It may ``rejoin``."""


class Gone(msgspec.Struct, frozen=True):
    """A document that was removed. One with the same id made later has a higher row."""

    kind: str
    id: str
    row: int


class News(msgspec.Struct, frozen=True):
    """What has changed in the configuration behind a cursor, whoever changed it, all as of one moment."""

    cursor: int
    documents: tuple[Document, ...]
    """In their newest version, by row."""
    gone: tuple[Gone, ...]
    versions: dict[int, int]
    """Of each account whose configuration version rose, by its row."""


class Waiting(msgspec.Struct, frozen=True):
    """An endpoint with open deliveries; ``next_due_ms`` is ``None`` where none waits unclaimed."""

    endpoint: int
    account: int
    next_due_ms: int | None
    health: Health | None = None
    """How it fares, as last recorded by any node."""


class Signal(msgspec.Struct, frozen=True):
    """What nodes call out to each other. A signal may get lost; it only makes things quicker."""

    endpoints: tuple[int, ...] = ()
    """Something of theirs may be due, or a post of theirs is free."""
    ended: tuple[tuple[int, int], ...] = ()
    """Endpoint and delivery: ended by somebody while another node had it in memory."""
    configuration: bool = False
    """There is news."""
    everything: bool = False
    """Heard by a node that may have missed signals: it should look at all there is."""


class Cluster(Protocol):
    """The database as the meeting place of nodes. Verbs raise ``StoreUnavailable`` where it can't be reached."""

    async def beat(self, role: Role, lease_seconds: float, leaving: bool = False) -> Beat | Over:
        """Renew this node's lease to ``lease_seconds`` from now, and end the epochs whose lease has run out: their
        claims are taken back, their posts free, before this is answered.
        """

    async def rejoin(self, role: Role, lease_seconds: float) -> Beat:
        """Begin a new epoch, which every later claim belongs to; end the old one where nobody has.

        Everything the store began before is answered first.
        """

    async def leave(self) -> None:
        """End the epoch at once, as the last thing before the store is closed; the others hear ``everything``."""

    async def take(self, posts: Sequence[str]) -> frozenset[str]:
        """Take those posts that nobody alive holds; returns which of the given ones this epoch holds now.

        A post is a word. Of two nodes that ask at the same moment exactly one gets it.
        """

    async def give_up(self, posts: Sequence[str]) -> None:
        """Free posts that this epoch holds. Others' are left alone."""

    async def news(self, cursor: int) -> News:
        """What changed behind ``cursor`` (``Opened.cursor``, ``News.cursor``), own changes included; skips nothing,
        however commits come out of order.
        """

    async def waiting(self) -> tuple[Waiting, ...]:
        """All endpoints that have open deliveries, by row."""

    async def tell(self, signal: Signal) -> None:
        """Call out to all other nodes. Never part of another transaction."""

    async def hear(self) -> Signal:
        """Wait for what others call out; several signals may come as one. After a time in which some may have been
        missed, and at first, it says so at once with ``everything``. One caller at a time.
        """
