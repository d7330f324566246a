"""A seeded world around the engine: receivers with habits, clients that repeat themselves, a disk that fails, crashes.

Everything random comes from the seed; the same seed gives the same history.
"""

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.sim.loop import Time
from whatsync.model.url import Target
from whatsync.ports.sender import Answer, Failure, Request, Timing

if TYPE_CHECKING:
    import asyncio

EPOCH_S = 1_780_000_000
MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR
DOWN: tuple[int | str, ...] = (500, 503, "connection_refused", "timeout")
FAULTY: tuple[int | str, ...] = (500, 429, 404, "connection_reset", "dns_error")


class Clock:
    """Virtual time; the wall clock can be off, and jumps when the world says so."""

    def __init__(self, time: Time, sleeper: "Sleeper") -> None:
        self._time = time
        self._sleeper = sleeper
        self.offset_s = 0.0

    def now_ms(self) -> int:
        return round((EPOCH_S + self._time.now + self.offset_s) * 1000)

    def monotonic(self) -> float:
        return self._time.now

    async def sleep(self, seconds: float) -> None:
        await self._sleeper(seconds)


class Sleeper:
    """``asyncio.sleep`` under another name, so that the world's sleeps can be told from the engine's."""

    async def __call__(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)


class Randomness:
    """Seeded; good enough for a world."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def token(self, size_bytes: int) -> bytes:
        return self._source.randbytes(size_bytes)

    def fraction(self) -> float:
        return self._source.random()


class Vault:
    """Seals nothing: secrets at rest are not the simulator's subject."""

    def seal(self, plain: str) -> str:
        return plain

    def unseal(self, sealed: str) -> str:
        return sealed

    def derive(self, purpose: bytes) -> bytes:
        """Not asked for anything secret here."""
        return purpose.ljust(32, b"\0")


@dataclass
class Habits:
    """How a receiver behaves until the faults stop; afterwards it answers 200 at once unless it is dead for ever."""

    latency_s: float = 0.05
    fails: float = 0.0
    """Share of requests answered badly."""
    loses: float = 0.0
    """Share of requests that are taken but whose answer is lost."""
    down_until_s: float = 0.0
    dead: bool = False
    gone_at_s: float | None = None


@dataclass(frozen=True)
class Arrival:
    """One request as a receiver saw it."""

    host: str
    at_s: float
    sent_s: float
    life: int
    event_id: str
    delivery: str
    attempt: int
    body: bytes
    signature: str
    answered: int | None
    """Status that reached the sender, ``None`` where none did."""


@dataclass
class Network:
    """All receivers, and what arrived."""

    time: Time
    source: random.Random
    habits: dict[str, Habits] = field(default_factory=dict)
    faults_until_s: float = 0.0
    arrivals: list[Arrival] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    most_in_flight: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def reaction(self, host: str) -> tuple[float, int | str, bool]:
        """Latency, status or failure code, and whether the request is taken."""
        habits = self.habits[host]
        now, source = self.time.now, self.source
        faulty = now < self.faults_until_s
        latency = habits.latency_s * (0.5 + source.random()) if faulty else 0.02
        if habits.dead or (faulty and now < habits.down_until_s):
            return latency, source.choice(DOWN), True
        if habits.gone_at_s is not None and faulty and now >= habits.gone_at_s:
            return latency, 410, True
        if faulty and source.random() < habits.fails:
            return latency, source.choice(FAULTY), source.random() < 0.7
        if faulty and source.random() < habits.loses:
            return latency, "connection_reset", True
        return latency, 200, True


class Sender:
    """Brings requests to the receivers of the world; belongs to one life of the server."""

    def __init__(self, network: Network, life: int) -> None:
        self._network = network
        self._life = life

    async def send(self, request: Request) -> Answer | Failure:
        import asyncio

        network, host = self._network, request.target.host
        network.in_flight[host] += 1
        network.most_in_flight[host] = max(network.most_in_flight[host], network.in_flight[host])
        sent_s = network.time.now
        latency, result, taken = network.reaction(host)
        await asyncio.sleep(latency / 2)
        if taken:
            network.arrivals.append(self._arrival(request, sent_s, result))
        await asyncio.sleep(latency / 2)
        network.in_flight[host] -= 1
        timing = Timing(total_us=round(latency * 1e6))
        if isinstance(result, str):
            return Failure(result, "simulated", timing)
        return Answer(result, b"", b"ok", False, "192.0.2.1", True, timing)

    def begin(self, request: Request, done: Callable[[Answer | Failure], None]) -> "asyncio.Task[None]":
        import asyncio

        async def send() -> None:
            done(await self.send(request))

        return asyncio.get_running_loop().create_task(send())

    async def close(self) -> None:
        return

    def _arrival(self, request: Request, sent_s: float, result: int | str) -> Arrival:
        headers = dict(line.split(": ", 1) for line in request.head.decode().split("\r\n")[1:] if line)
        return Arrival(
            host=request.target.host,
            at_s=self._network.time.now,
            sent_s=sent_s,
            life=self._life,
            event_id=headers["webhook-id"],
            delivery=headers["X-WhatsSync-Delivery"],
            attempt=int(headers["X-WhatsSync-Attempt"]),
            body=request.body,
            signature=headers["X-WhatsSync-Signature"],
            answered=result if isinstance(result, int) else None,
        )


def target_of(host: str) -> Target:
    """Where a receiver of the world listens."""
    return Target("http", host, 80, "/", host)


def fraction_of(*words: object) -> float:
    """A number in [0, 1) that depends on the words alone."""
    digest = hashlib.sha256(repr(words).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
