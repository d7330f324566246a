"""The engine with its services over the memory store, a clock that is set by hand and receivers that answer as told.
What a test needs of the server without any network; it knows no HTTP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from tests.patience import PATIENCE_SECONDS
from whatsync.engine.accounts import Accounts
from whatsync.engine.attempt import Attempter
from whatsync.engine.bootstrap import bootstrap
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import Directory, RunningAccount, RunningEndpoint
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.endpoints import Endpoints
from whatsync.engine.event_types import EventTypes
from whatsync.engine.ingest import Ingest
from whatsync.engine.keys import Keys
from whatsync.engine.outcome import Defaults, Outcome
from whatsync.engine.quota import Quota
from whatsync.engine.removal import Removal
from whatsync.engine.sweep import Sweep
from whatsync.engine.test_sends import TestSends
from whatsync.engine.watch import Notice, Watch
from whatsync.model.account_form import AccountForm
from whatsync.model.endpoint import DisabledBy
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.ids import TOKEN_BYTES, Sequence, ms_of, random_id
from whatsync.net.address_guard import AddressGuard
from whatsync.ports.sender import Answer, Failure, Request, Timing
from whatsync.ports.store import StoreUnavailable
from whatsync.sources.whatsapp.examples import arrival_of
from whatsync.sources.whatsapp.samples import example_of
from whatsync.store.memory import Disk, MemoryStore

ACTOR = "key:key_test"
START_MS = 1_780_000_000_000
OK = Answer(200, b"Content-Type: text/plain", b"OK", False, "203.0.113.1", False, Timing(total_us=1200))


def answer(status: int) -> Answer:
    """An answer with this status."""
    return msgspec.structs.replace(OK, status=status)


REFUSED = Failure("connection_refused", "connection refused", Timing(total_us=300))


class HandClock:
    """Stands still until it is told to go on; sleepers wake when their time has come."""

    def __init__(self) -> None:
        self.ms = START_MS
        self.sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        """The time it was set to."""
        return self.ms

    def monotonic(self) -> float:
        """The same in seconds."""
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        """Return when somebody has moved the clock far enough."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.ms + round(seconds * 1000), future))
        await future

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.ms += round(seconds * 1000)
        for due, future in self.sleepers:
            if due <= self.ms and not future.done():
                future.set_result(None)
        self.sleepers = [(due, future) for due, future in self.sleepers if not future.done()]


class CountedRandomness:
    """The same bytes in every run, never the same twice."""

    def __init__(self) -> None:
        self._calls = 0

    def token(self, size_bytes: int) -> bytes:
        """The next bytes."""
        self._calls += 1
        return hashlib.shake_128(self._calls.to_bytes(4, "big")).digest(size_bytes)

    def fraction(self) -> float:
        """No jitter."""
        return 0.5


class ReversingVault:
    """Seals so that no plain text is left, and so that one text is sealed differently each time."""

    def __init__(self) -> None:
        self._sealed = 0

    def seal(self, plain: str) -> str:
        """Turn the text round behind a number."""
        self._sealed += 1
        return f"sealed:{self._sealed}:{plain[::-1]}"

    def unseal(self, sealed: str) -> str:
        """Turn it back."""
        word, _, rest = sealed.partition(":")
        if word != "sealed":
            raise ValueError("not sealed")
        return rest.partition(":")[2][::-1]

    def derive(self, purpose: bytes) -> bytes:
        """Not asked for anything secret here."""
        return purpose.ljust(32, b"\0")


class Begun:
    """Requests as tasks: what a test's sender needs to begin one without waiting for it."""

    async def send(self, request: Request) -> Answer | Failure:
        """Send once; for the sender itself to say how."""
        raise NotImplementedError

    def begin(self, request: Request, done: Callable[[Answer | Failure], None]) -> "asyncio.Task[None]":
        """Send once and call ``done`` with what happened."""

        async def send() -> None:
            done(await self.send(request))

        return asyncio.get_running_loop().create_task(send())


class Receivers(Begun):
    """Answers requests by host and keeps them; a host may be held up until it is let go."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: dict[str, Answer | Failure] = {}
        self.held: dict[str, asyncio.Event] = {}
        self._arrived = asyncio.Condition()

    async def send(self, request: Request) -> Answer | Failure:
        """Take one request."""
        self.requests.append(request)
        async with self._arrived:
            self._arrived.notify_all()
        host = request.target.host
        if host in self.held:
            await self.held[host].wait()
        return self.answers.get(host, OK)

    async def close(self) -> None:
        """Nothing is open."""

    async def until(self, count: int) -> list[Request]:
        """Wait until this many requests have come in all."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests


class Stage:
    """Stands between the memory store and its commits; ``broken`` fails them, ``hold`` keeps changes waiting."""

    def __init__(self) -> None:
        self.broken = False
        self.hold: asyncio.Event | None = None
        self.waiting = False

    async def __call__(self, stage: str) -> None:
        """Let a commit through or not."""
        if self.broken and stage.startswith("before"):
            raise StoreUnavailable("the disk is full")
        if self.hold is not None and stage.startswith("before") and "change" in stage:
            self.waiting = True
            await self.hold.wait()


class Desk:
    """One running engine. ``opened`` makes it, starts its loops and stops them."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.stage = Stage()
        self.store = MemoryStore(disk, self.stage)
        self.clock = HandClock()
        self.randomness = CountedRandomness()
        self.vault = ReversingVault()
        self.receivers = Receivers()
        self.notices: list[Notice] = []
        self.observed: list[Outcome] = []
        self.guard = AddressGuard()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Open the store and wire everything over it."""
        opened = await self.store.open(self.clock.now_ms(), "test")
        clock, store = self.clock, self.store
        self.directory = directory = Directory(self.vault)
        directory.load(opened)
        self.sequence = Sequence(floor=opened.floor)
        self.quota = Quota(clock)
        defaults = Defaults((5.0, 30.0))
        self.attempter = Attempter(self.receivers, clock, self.randomness, defaults, opened.run)
        watch = Watch(self.notices.append, self._disable)
        self.dispatcher = Dispatcher(directory, store, self.attempter, clock, watch, self.observe)
        self.configuration = configuration = Configuration(directory, store)
        self.sweep = Sweep(directory, store, configuration, self.dispatcher, clock)
        configuration.on_endpoint += [self.dispatcher.changed, self.sweep.look]
        self.ingest = Ingest(
            directory=directory,
            store=store,
            history=store,
            dispatcher=self.dispatcher,
            clock=clock,
            sequence=self.sequence,
            new_id=self.new_id,
            quota=self.quota,
        )
        self._serve(defaults)
        self.dispatcher.load(opened.backlog, opened.health, ms_of(opened.floor))
        self.sweep.load(opened.backlog)
        self.removal.load()
        runs: list[Callable[[], object]] = [self.dispatcher.run, self.sweep.run, self.removal.run]
        self._tasks = [asyncio.ensure_future(run()) for run in runs]  # type: ignore[call-overload]

    def _serve(self, defaults: Defaults) -> None:
        directory, configuration = self.directory, self.configuration
        clock, store, randomness = self.clock, self.store, self.randomness
        self.accounts = Accounts(
            directory=directory,
            configuration=configuration,
            history=store,
            vault=self.vault,
            clock=clock,
            randomness=randomness,
            guard=self.guard,
        )
        self.keys = Keys(directory, configuration, clock, randomness)
        self.event_types = EventTypes(directory, configuration, clock)
        self.endpoints = Endpoints(
            directory=directory,
            configuration=configuration,
            history=store,
            dispatcher=self.dispatcher,
            vault=self.vault,
            clock=clock,
            randomness=randomness,
            sequence=self.sequence,
            guard=self.guard,
            defaults=defaults,
            tell=self.notices.append,
        )
        self.test_sends = TestSends(
            directory=directory,
            store=store,
            recorder=self.dispatcher.recorder,
            attempter=self.attempter,
            clock=clock,
            sequence=self.sequence,
            new_id=self.new_id,
            quota=self.quota,
            observe=self.observe,
            randomness=self.randomness,
            meta_example=example_of,
            whatsapp_example=arrival_of,
        )
        self.removal = Removal(directory, store, store, configuration, clock)
        self.accounts.on_deleted.append(self.removal.look)

    async def close(self) -> None:
        """Stop the loops; nothing is drained, as in a crash."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.dispatcher.stop(0.1)

    def _disable(self, endpoint: RunningEndpoint, by: DisabledBy) -> None:
        self.endpoints.disable_soon(endpoint, by)

    def observe(self, outcome: Outcome, _endpoint: RunningEndpoint) -> None:
        """Keep an outcome."""
        self.observed.append(outcome)

    def new_id(self, prefix: str) -> str:
        """A new event id."""
        return random_id(prefix, self.randomness.token(TOKEN_BYTES))

    # What tests begin with

    async def account(self, name: str = "Shop") -> RunningAccount:
        """A new account."""
        return (await self.accounts.create(AccountForm(name=name), ACTOR)).running

    async def endpoint(self, account: RunningAccount, url: str = "https://shop.example/hook") -> RunningEndpoint:
        """A new endpoint for everything."""
        return (await self.endpoints.create(account, EndpointForm(url=url, events=["*"]), ACTOR)).running

    async def event(self, account: RunningAccount, text: str = "Hello") -> str:
        """Accept a message and return its id once it is on disk."""
        data = {"from": "+1234567890", "to": "+0987654321", "text": text}
        body = msgspec.json.encode({"event": "message.incoming", "data": data})
        return (await self.ingest.accept(account, body))[0].id

    def configuration_on_disk(self) -> bytes:
        """Every document and audit entry, as bytes to look for what must not be there."""
        disk = self.store.disk
        bodies = [document.body for document in disk.documents.values()]
        audit = [(entry.before or b"") + (entry.after or b"") for entry in disk.audit if entry is not None]
        return b"\n".join(bodies + audit)

    async def first_keys(self) -> None:
        """Set up the empty store as a first start does."""
        await bootstrap(self.directory, self.accounts, self.keys)


@asynccontextmanager
async def opened_desk(disk: Disk | None = None) -> AsyncIterator[Desk]:
    """A desk that is open while the block runs; a ``disk`` of an earlier one is opened again."""
    desk = Desk(disk)
    await desk.open()
    try:
        yield desk
    finally:
        await desk.close()


async def until(true: Callable[[], bool]) -> None:
    """Let the loops run until something holds; bounded, so that what never holds fails."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():  # noqa: ASYNC110 - what is waited for is anything, so nobody can set an event for it
            await asyncio.sleep(0)
