"""Bugs planted on purpose into nodes that share a disk. Each must be found, or the simulator proves nothing."""

from collections.abc import Sequence

import msgspec

from tests.sim.nodes import NodeParts
from whatsync.engine.common_clock import CommonClock
from whatsync.engine.directory import RunningEndpoint
from whatsync.engine.node import Node
from whatsync.ports.store import AcceptResult, Admission
from whatsync.store.memory import NodeStore
from whatsync.store.memory.disk import Delivery


class IgnoresLease(Node):
    """Requests begin whether or not the lease outlasts them."""

    def covers(self, endpoint: RunningEndpoint) -> bool:
        return True


class LooksNowhere(Node):
    """Only what is called out is found."""

    async def look_once(self) -> None:
        return


class OwnsEverything(Node):
    """Every node sends to every endpoint."""

    def mine(self, endpoint: RunningEndpoint) -> bool:
        return True


class OwnTime(CommonClock):
    """Each node goes by its own clock."""

    def set(self, now_ms: int, asked: float) -> None:
        return


class GuardRemoved(NodeStore):
    """An outcome counts whatever became of the claim."""

    def claim_holds(self, delivery: Delivery, claim: int) -> bool:
        return True


class GivesPostsTwice(NodeStore):
    """Whoever asks for a post gets it."""

    def apply_take(self, posts: Sequence[str]) -> frozenset[str]:
        super().apply_take(posts)
        return frozenset(posts)


class RoutesByOldConfiguration(NodeStore):
    """What was routed with an old configuration is accepted."""

    def apply_accept(self, admission: Admission) -> AcceptResult:
        version = self.disk.versions.get(admission.account, 0)
        return super().apply_accept(msgspec.structs.replace(admission, version=version))


class ForgetsClaims(NodeStore):
    """The claims of a dead epoch stay its own."""

    def end(self, epoch: int) -> None:
        held = [one for one in self.disk.deliveries.values() if one.in_flight and one.holder == epoch]
        super().end(epoch)
        for delivery in held:
            delivery.in_flight, delivery.due_ms = True, None


class WritesOn(NodeStore):
    """An epoch that is over goes on writing."""

    def alive(self) -> bool:
        return True


BUGS = {
    "lease ignored": lambda: NodeParts(node=IgnoresLease),
    "nobody looks": lambda: NodeParts(node=LooksNowhere),
    "ownership ignored": lambda: NodeParts(node=OwnsEverything),
    "own clock": lambda: NodeParts(clock=OwnTime),
    "claim guard removed": lambda: NodeParts(store=GuardRemoved),
    "two owners": lambda: NodeParts(store=GivesPostsTwice),
    "stale configuration": lambda: NodeParts(store=RoutesByOldConfiguration),
    "claims not taken back": lambda: NodeParts(store=ForgetsClaims),
    "a dead epoch writes": lambda: NodeParts(store=WritesOn),
}
