"""Many stores over one disk, each for a node of its own: epochs with leases, posts, news and signals.

Plain on purpose, like the steps: what other databases for many nodes are compared with.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import structs

from whatsync.model.ids import NODE_MAX
from whatsync.ports.cluster import Beat, Gone, Member, News, Over, Role, Signal, Waiting
from whatsync.ports.store import Opened, StoreState, StoreUnavailable
from whatsync.store.memory.disk import Delivery, Disk, Epoch
from whatsync.store.memory.steps import VERSION
from whatsync.store.memory.store import Commit, MemoryStore, at_once

Result = TypeVar("Result")
FIRST_LEASE_SECONDS = 45.0
"""From opening the store to the first heartbeat, which says how long the next lease is."""
_WITHOUT_EPOCH = frozenset({"open", "rejoin", "beat"})
_OVER = "This node was not heard of for too long, and others have taken its work over; it joins again by itself."


class Ear:
    """Where a node hears signals."""

    def __init__(self) -> None:
        self.heard = Signal(everything=True)
        self.woken = asyncio.Event()
        self.woken.set()

    def add(self, signal: Signal) -> None:
        """Somebody calls out."""
        self.heard = joined(self.heard, signal)
        self.woken.set()


def joined(one: Signal, other: Signal) -> Signal:
    """Two signals as one."""
    return Signal(
        endpoints=tuple(dict.fromkeys((*one.endpoints, *other.endpoints))),
        ended=tuple(dict.fromkeys((*one.ended, *other.ended))),
        configuration=one.configuration or other.configuration,
        everything=one.everything or other.everything,
    )


class Meeting(Disk):
    """A disk that many nodes share, and where they hear each other."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(clock=clock)
        self.ears: list[Ear] = []

    def order(self, delivery: Delivery) -> int:
        """The order of commits: nodes draw row numbers apart."""
        return delivery.place or self.last_place + 1


class NodeStore(MemoryStore):
    """Implements ``ports.cluster.Cluster`` besides; ``node`` is its name."""

    def __init__(self, disk: Meeting, commit: Commit = at_once, node: str = "node") -> None:
        super().__init__(disk, commit)
        self.meeting = disk
        self.node = node
        self.ear = Ear()
        self._release = ""

    # Opening and closing

    async def open(self, now_ms: int, version: str) -> Opened:
        """Begin an epoch beside those of other nodes; an earlier one of this node is over."""
        return await self._call("open", lambda: self.apply_open(now_ms, version))

    def apply_open(self, now_ms: int, version: str) -> Opened:
        """Begin an epoch."""
        self._release = version
        for epoch, one in self.disk.epochs.items():
            if one.node == self.node and not one.ended:
                self.end(epoch)
        self.end_overdue()
        self.begin(Role.ALL, FIRST_LEASE_SECONDS)
        self.meeting.ears.append(self.ear)
        return structs.replace(self.opened(), now_ms=round(self.disk.clock() * 1000), cursor=len(self.disk.changes))

    async def close(self) -> None:
        """Write what waits, then let go of the disk."""
        while self._task is not None:
            await asyncio.shield(self._task)
        if self.ear in self.meeting.ears:
            self.meeting.ears.remove(self.ear)
        self.epoch = 0

    def state(self) -> StoreState:
        """Cheap facts for health checks."""
        facts = super().state()
        return StoreState(
            self.alive(), None if self.alive() else _OVER, facts.commits, facts.operations, facts.queued,
            facts.wal_bytes, facts.free_bytes, facts.last_commit_seconds,
        )  # fmt: skip

    def check_owner(self) -> None:
        """Each call is checked for itself."""

    def alive(self) -> bool:
        """Whether this store's epoch goes on."""
        epoch = self.disk.epochs.get(self.epoch)
        return epoch is not None and not epoch.ended

    def _enqueue(self, verb: str, step: Callable[[], Result]) -> "Future[Result]":
        def while_alive() -> Result:
            if verb not in _WITHOUT_EPOCH and not self.alive():
                raise StoreUnavailable(_OVER)
            return step()

        return super()._enqueue(verb, while_alive)

    # Epochs

    async def beat(self, role: Role, lease_seconds: float, leaving: bool = False) -> Beat | Over:
        """Renew this node's lease and end those that have run out."""
        return await self._call("beat", lambda: self.apply_beat(role, lease_seconds, leaving))

    def apply_beat(self, role: Role, lease_seconds: float, leaving: bool) -> Beat | Over:
        """Renew, if it is not too late."""
        if not self.alive():
            return Over()
        mine = self.disk.epochs[self.epoch]
        mine.role, mine.leaving, mine.lease_until_s = role, leaving, self.disk.clock() + lease_seconds
        self.end_overdue()
        return self.seen()

    async def rejoin(self, role: Role, lease_seconds: float) -> Beat:
        """Begin a new epoch."""
        return await self._call("rejoin", lambda: self.apply_rejoin(role, lease_seconds))

    def apply_rejoin(self, role: Role, lease_seconds: float) -> Beat:
        """End the old epoch and begin another."""
        if self.alive():
            self.end(self.epoch)
        self.end_overdue()
        self.begin(role, lease_seconds)
        return self.seen()

    async def leave(self) -> None:
        """End the epoch."""
        await self._call("leave", self.apply_leave)

    def apply_leave(self) -> None:
        """End the epoch and say so."""
        self.end(self.epoch)
        self.call_out(Signal(everything=True))

    def begin(self, role: Role, lease_seconds: float) -> None:
        """Begin this node's next epoch."""
        taken = {epoch & NODE_MAX for epoch, one in self.disk.epochs.items() if not one.ended}
        self.disk.runs.append(self._release)
        while len(self.disk.runs) & NODE_MAX in taken:
            self.disk.runs.append(self._release)
        self.epoch = len(self.disk.runs)
        self.disk.epochs[self.epoch] = Epoch(self.node, role, self.disk.clock() + lease_seconds)

    def end_overdue(self) -> None:
        """End the epochs whose lease has run out."""
        for epoch, one in self.disk.epochs.items():
            if epoch != self.epoch and not one.ended and one.lease_until_s <= self.disk.clock():
                self.end(epoch)

    def end(self, epoch: int) -> None:
        """End an epoch: its claims are due again, its posts are free."""
        self.disk.epochs[epoch].ended = True
        now_ms = round(self.disk.clock() * 1000)
        for waiting in self.disk.open_of_endpoint.values():
            for delivery in waiting.values():
                if delivery.in_flight and delivery.holder == epoch:
                    delivery.in_flight, delivery.due_ms = False, now_ms
        self.take_back_media(now_ms, epoch)
        for post in [post for post, holder in self.disk.posts.items() if holder == epoch]:
            del self.disk.posts[post]

    def seen(self) -> Beat:
        """Who is there."""
        members = tuple(
            Member(epoch, one.node, Role(one.role), one.leaving)
            for epoch, one in sorted(self.disk.epochs.items())
            if not one.ended
        )
        return Beat(self.epoch, round(self.disk.clock() * 1000), members, len(self.disk.changes))

    # Posts

    async def take(self, posts: Sequence[str]) -> frozenset[str]:
        """Take free posts."""
        return await self._call("take", lambda: self.apply_take(posts))

    def apply_take(self, posts: Sequence[str]) -> frozenset[str]:
        """Take free posts."""
        return frozenset(post for post in posts if self.disk.posts.setdefault(post, self.epoch) == self.epoch)

    async def give_up(self, posts: Sequence[str]) -> None:
        """Free posts."""
        await self._call("give_up", lambda: self.apply_give_up(posts))

    def apply_give_up(self, posts: Sequence[str]) -> None:
        """Free posts."""
        for post in posts:
            if self.disk.posts.get(post) == self.epoch:
                del self.disk.posts[post]

    # News

    async def news(self, cursor: int) -> News:
        """What changed behind a cursor."""
        return await self._call("news", lambda: self.read_news(cursor))

    def read_news(self, cursor: int) -> News:
        """What changed behind a cursor."""
        disk = self.disk
        changes = list(dict.fromkeys(disk.changes[cursor:]))
        documents = {(kind, id_): disk.documents.get((kind, id_)) for _, kind, id_, _ in changes if kind != VERSION}
        present = sorted((one for one in documents.values() if one is not None), key=lambda document: document.row)
        rows = {document.row for document in present}
        return News(
            cursor=len(disk.changes),
            documents=tuple(present),
            gone=tuple(Gone(kind, id_, row) for _, kind, id_, row in changes if kind != VERSION and row not in rows),
            versions={account: disk.versions[account] for account, kind, _, _ in changes if kind == VERSION},
        )

    async def waiting(self) -> tuple[Waiting, ...]:
        """Endpoints with open deliveries."""
        return await self._call("waiting", self.read_waiting)

    def read_waiting(self) -> tuple[Waiting, ...]:
        """Endpoints with open deliveries."""
        return tuple(
            Waiting(
                endpoint,
                next(iter(rows.values())).row.account,
                min((one.due_ms or 0 for one in self.claimable(endpoint)), default=None),
                self.disk.health.get(endpoint),
            )
            for endpoint, rows in sorted(self.disk.open_of_endpoint.items())
            if rows
        )

    # Signals

    async def tell(self, signal: Signal) -> None:
        """Call out to the others."""
        await self._call("tell", lambda: self.call_out(signal))

    def call_out(self, signal: Signal) -> None:
        """Let every other node hear it."""
        for ear in self.meeting.ears:
            if ear is not self.ear:
                ear.add(signal)

    async def hear(self) -> Signal:
        """Wait for what others call out."""
        await self.ear.woken.wait()
        self.ear.woken.clear()
        heard, self.ear.heard = self.ear.heard, Signal()
        return heard
