"""One node of several over one disk: the engine's real parts, over simulated ports that note every broken promise at
the moment a request leaves."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from tests.sim.life import Life, Parts
from tests.sim.switchboard import Switch, outside
from tests.sim.world import EPOCH_S, Clock, Network, Randomness, Sender, Vault
from whatsync.engine.common_clock import CommonClock
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import Directory
from whatsync.engine.ingest import Ingest
from whatsync.engine.node import Node
from whatsync.engine.outcome import Defaults
from whatsync.engine.posts import post_of
from whatsync.engine.quota import Quota
from whatsync.engine.sweep import Sweep
from whatsync.engine.watch import Watch
from whatsync.model.endpoint import needs_owner
from whatsync.model.ids import NODE_MAX, TOKEN_BYTES, Sequence, delivery_row, ms_of, random_id
from whatsync.ports.cluster import Role
from whatsync.ports.sender import Answer, Failure, Request, Timing
from whatsync.store.memory import NodeStore

SCHEDULE_SECONDS = (2.0, 10.0, 60.0, 120.0)


@dataclass
class NodeParts(Parts):
    """The classes a node is made of; a planted bug replaces one."""

    store: type[NodeStore] = NodeStore
    node: type[Node] = Node
    clock: type[CommonClock] = CommonClock


class NodeLife(Life):
    """A node from its start to its end."""

    store: NodeStore
    parts: NodeParts
    role = Role.ALL
    name = ""

    def __init__(
        self, number: int, store: NodeStore, network: Network, clock: Clock, randomness: Randomness, parts: NodeParts
    ) -> None:
        super().__init__(number, store, network, clock, randomness, parts)
        self.switch = Switch()
        self.own_clock = clock
        self.broken: list[str] = []
        self.in_flight: dict[str, int] = defaultdict(int)

    async def start(self) -> None:
        """Open the store and start the loops, in the order the real server does."""
        opened = await self.store.open(self.own_clock.now_ms(), "sim")
        clock = self.parts.clock(self.own_clock)
        clock.set(opened.now_ms, clock.monotonic())
        self.clock = clock  # type: ignore[assignment]  # reads as the world's clock does
        self.directory = Directory(Vault())
        self.directory.load(opened)
        sequence = self.sequence = Sequence(opened.run & NODE_MAX, opened.floor)
        self.node = self.parts.node(
            cluster=self.store,
            role=self.role,
            clock=clock,
            directory=self.directory,
            sequence=sequence,
            cursor=opened.cursor,
        )
        attempter = self.parts.attempter(
            NodeSender(self), clock, self.randomness, Defaults(SCHEDULE_SECONDS), opened.run
        )
        watch = Watch(self._tell, self._disable)
        self.dispatcher = self.parts.dispatcher(
            self.directory, self.store, attempter, clock, watch, lambda *_: None, standing=self.node
        )
        self.configuration = Configuration(self.directory, self.store, self.node)
        self.sweep = Sweep(self.directory, self.store, self.configuration, self.dispatcher, clock)
        self.configuration.on_endpoint += [self.dispatcher.changed, self.sweep.look]
        self.node.attach(self.dispatcher, self.sweep)
        self.ingest: Ingest = self.parts.ingest(
            directory=self.directory,
            store=self.store,
            history=self.store,
            dispatcher=self.dispatcher,
            clock=clock,
            sequence=sequence,
            new_id=lambda prefix: random_id(prefix, self.randomness.token(TOKEN_BYTES)),
            quota=Quota(clock),
        )
        self.dispatcher.load(opened.backlog, opened.health, ms_of(opened.floor))
        self.sweep.load(opened.backlog)
        loops: list[Callable[[], object]] = [
            self.dispatcher.run,
            self.node.only("sweep", self.sweep.run, self.sweep.look_all),
            *self.node.loops().values(),
        ]
        for loop in loops:
            self.tasks.append(asyncio.get_running_loop().create_task(loop()))  # type: ignore[arg-type]
        self.up = True

    def die(self) -> None:
        """Nothing of it runs any more, and its connections are cut."""
        self.up = False
        self.switch.kill()
        for host, count in self.in_flight.items():
            self.network.in_flight[host] -= count

    async def stop(self) -> None:
        """Stop in good order."""
        self.up = False
        await self.node.withdraw()
        await self.dispatcher.stop(20.0)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.node.leave()
        await self.store.close()


class NodeSender(Sender):
    """Brings a node's requests to the receivers; once sent, they arrive whatever becomes of the node."""

    def __init__(self, life: NodeLife) -> None:
        super().__init__(life.network, life.number)
        self._of = life

    async def send(self, request: Request) -> Answer | Failure:
        self._check(request)
        answer: asyncio.Future[Answer | Failure] = asyncio.get_running_loop().create_future()
        outside(self._travel(request, answer))
        return await answer

    def begin(self, request: Request, done: Callable[[Answer | Failure], None]) -> "asyncio.Task[None]":
        self._check(request)
        answer: asyncio.Future[Answer | Failure] = asyncio.get_running_loop().create_future()
        outside(self._travel(request, answer))

        async def wait() -> None:
            done(await answer)

        return asyncio.get_running_loop().create_task(wait())

    async def _travel(self, request: Request, answer: "asyncio.Future[Answer | Failure]") -> None:
        network, host = self._network, request.target.host
        self._add(host, 1)
        network.most_in_flight[host] = max(network.most_in_flight[host], network.in_flight[host])
        sent_s = network.time.now
        latency, result, taken = network.reaction(host)
        if latency > request.timeout_seconds:
            latency, result = request.timeout_seconds, "timeout"
        await asyncio.sleep(latency / 2)
        if taken:
            network.arrivals.append(self._arrival(request, sent_s, result))
        await asyncio.sleep(latency / 2)
        self._add(host, -1)
        timing = Timing(total_us=round(latency * 1e6))
        if answer.cancelled():
            return
        if isinstance(result, str):
            answer.set_result(Failure(result, "simulated", timing))
        else:
            answer.set_result(Answer(result, b"", b"ok", False, "192.0.2.1", True, timing))

    def _add(self, host: str, one: int) -> None:
        """Count a request under way, unless the node is dead: its connections were cut then."""
        if not self._of.switch.dead:
            self._network.in_flight[host] += one
            self._of.in_flight[host] += one

    def _check(self, request: Request) -> None:
        """A request leaves: does the database grant it?"""
        life, now_s = self._of, EPOCH_S + self._network.time.now
        disk = life.store.disk
        headers = dict(line.split(": ", 1) for line in request.head.decode().split("\r\n")[1:] if line)
        name = headers["X-WhatsSync-Delivery"]
        epoch = disk.epochs[life.store.epoch]
        if epoch.ended or epoch.lease_until_s < now_s + request.timeout_seconds:
            life.broken.append(f"{name} was sent by {life.name} without a lease")
        row = delivery_row(name)
        delivery = None if row is None else disk.deliveries.get(row)
        assert delivery is not None
        running = life.directory.endpoints.get(delivery.row.endpoint)
        if running is not None and needs_owner(running.endpoint):
            holder = disk.posts.get(post_of(running.row))
            if holder != life.store.epoch:
                life.broken.append(f"{name} was sent by {life.name}, which is not its endpoint's owner")
