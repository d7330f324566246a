"""One life of the server in the simulated world, from opening the disk to the crash: the engine's real parts over
simulated ports.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.sim.world import Clock, Network, Randomness, Sender, Vault
from whatsync.engine.attempt import Attempter
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import Directory, RunningEndpoint
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.ingest import Ingest
from whatsync.engine.outcome import Defaults
from whatsync.engine.quota import Quota
from whatsync.engine.sweep import Sweep
from whatsync.engine.watch import Notice, Watch
from whatsync.model.endpoint import DisabledBy
from whatsync.model.ids import TOKEN_BYTES, Sequence, ms_of, random_id
from whatsync.model.retry import DEFAULT_SCHEDULE_SECONDS
from whatsync.store.memory import MemoryStore


@dataclass
class Parts:
    """The classes a life is made of; a planted bug replaces one."""

    store: type[MemoryStore] = MemoryStore
    attempter: type[Attempter] = Attempter
    dispatcher: type[Dispatcher] = Dispatcher
    ingest: type[Ingest] = Ingest
    on_crash: list[Callable[[], None]] = field(default_factory=list)


class Life:
    """Everything of one run; a crash leaves it where it stands."""

    def __init__(
        self, number: int, store: MemoryStore, network: Network, clock: Clock, randomness: Randomness, parts: Parts
    ) -> None:
        self.number = number
        self.store = store
        self.network = network
        self.clock = clock
        self.randomness = randomness
        self.parts = parts
        self.notices: list[Notice] = []
        self.up = False
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the disk and start the loops, in the order the real server does."""
        opened = await self.store.open(self.clock.now_ms(), "sim")
        self.directory = Directory(Vault())
        self.directory.load(opened)
        attempter = self.parts.attempter(
            Sender(self.network, self.number),
            self.clock,
            self.randomness,
            Defaults(DEFAULT_SCHEDULE_SECONDS),
            opened.run,
        )
        watch = Watch(self._tell, self._disable)
        self.dispatcher = self.parts.dispatcher(
            self.directory, self.store, attempter, self.clock, watch, lambda *_: None
        )
        self.dispatcher.claiming.sleep_seconds_max = 600.0
        self.configuration = Configuration(self.directory, self.store)
        self.sweep = Sweep(self.directory, self.store, self.configuration, self.dispatcher, self.clock)
        self.configuration.on_endpoint += [self.dispatcher.changed, self.sweep.look]
        self.sequence = Sequence(floor=opened.floor)
        self.ingest = self.parts.ingest(
            directory=self.directory,
            store=self.store,
            history=self.store,
            dispatcher=self.dispatcher,
            clock=self.clock,
            sequence=self.sequence,
            new_id=lambda prefix: random_id(prefix, self.randomness.token(TOKEN_BYTES)),
            quota=Quota(self.clock),
        )
        self.dispatcher.load(opened.backlog, opened.health, ms_of(opened.floor))
        self.sweep.load(opened.backlog)
        loop = asyncio.get_running_loop()
        self.tasks += [loop.create_task(self.dispatcher.run()), loop.create_task(self.sweep.run())]
        self.up = True

    def _tell(self, notice: Notice) -> None:
        self.notices.append(notice)
        self.ingest.emit(notice)

    def _disable(self, endpoint: RunningEndpoint, by: DisabledBy) -> None:
        from tests.sim.operations import disable

        self.tasks.append(asyncio.get_running_loop().create_task(disable(self, endpoint.endpoint.id, by)))
