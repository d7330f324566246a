"""The server is killed again and again under load, over the same data: nothing acknowledged may be lost, nothing
recorded as delivered may be sent again, and everything else keeps its laws, too."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import httpx
import pytest

from tests.crash.checker import Checker, Story, read_stories
from tests.crash.clients import Client, Follower, Observer, Sender, Tinkerer
from tests.crash.receiver import Receiver
from tests.crash.server import KEY, Server, until
from whatsync.store.sqlite.history import SqliteHistory
from whatsync.store.sqlite.lookup import Recent

ROUNDS = 50
SEEDS = (1, 2)
"""Two series of fifty rounds, each over data of its own, so that two cores can share them."""
PLANTED_ROUNDS = 5
PLANTED_PATIENCE_SECONDS = 6.0
PLANTED_REQUESTS = 60
"""Of each life and receiver where a bug shows in retries, so that there are some on a slow machine, too."""
LOAD_SECONDS = (0.0, 0.6)
STARTING_SECONDS = 1.2
STOPPING_SECONDS = 0.1


@dataclass
class World:
    """One server, its receivers and its clients."""

    server: Server
    source: random.Random
    lives: int = 0
    receivers: list[Receiver] = field(default_factory=list)
    senders: list[Sender] = field(default_factory=list)
    follower: Follower = field(default_factory=Follower)
    observer: Observer = field(default_factory=Observer)
    tinkerer: Tinkerer = field(default_factory=lambda: Tinkerer(""))
    stories: dict[str, Story] = field(default_factory=dict)
    load_seconds: tuple[float, float] = LOAD_SECONDS
    load_requests: int = 0
    """So many come to each receiver in each life under load, however long that takes."""
    patience_seconds: float = 120.0
    restless: list[str] = field(default_factory=list)
    """What had not come to its end after so long without faults."""
    limits: httpx.Limits = field(default_factory=lambda: httpx.Limits(max_connections=None))

    async def prepare(self) -> None:
        """First start: an endpoint for each receiver."""
        self.receivers = [
            Receiver("fine", lambda: self.lives),
            Receiver("moody", lambda: self.lives, moody=True, source=self.source),
            Receiver("ordered", lambda: self.lives, moody=True, source=self.source),
        ]
        self.senders = [Sender(f"n{number}") for number in range(3)]
        self.senders += [Sender(f"k{number}", keyed=True) for number in range(2)]
        self.senders += [Sender("a0", size=5), Sender("a1", size=3, keyed=True)]
        await self.start()
        async with self.server.client() as http:
            secret = (await http.get("/v1/account/secret")).json()["secret"]
            for receiver in self.receivers:
                await receiver.start()
                receiver.secret = secret
                ordering = "contact" if receiver.name == "ordered" else "none"
                form = {"url": receiver.url, "events": ["message.incoming"], "ordering": ordering}
                made = (await http.post("/v1/endpoints", json=form)).raise_for_status().json()
                self.tinkerer.path = f"/v1/endpoints/{made['id']}"

    async def start(self) -> None:
        """Begin a life."""
        self.lives += 1
        await self.server.start()

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """All clients at work; they end when the server does."""
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=self.server.url, headers=headers, timeout=20, limits=self.limits) as http:
            workers: list[Client] = [*self.senders, self.follower, self.observer, self.tinkerer]
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker.work(http))
                yield

    async def round(self) -> None:
        """One life and its end: mostly under load, now and then while it starts or stops."""
        kind = self.source.random()
        if kind < 0.1:
            self.lives += 1
            await self.server.begin()
            await asyncio.sleep(self.source.random() * STARTING_SECONDS)
            await self.server.kill()
            return
        await self.start()
        async with self.load():
            shortest, longest = self.load_seconds
            before = [len(receiver.arrivals) for receiver in self.receivers]
            await asyncio.sleep(shortest + self.source.random() ** 2 * (longest - shortest))
            await self._loaded(before)
            if kind < 0.2:
                assert self.server.process is not None
                self.server.process.terminate()
                await asyncio.sleep(self.source.random() * STOPPING_SECONDS)
            await self.server.kill()

    async def _loaded(self, before: list[int]) -> None:
        async with asyncio.timeout(60):
            for receiver, count in zip(self.receivers, before, strict=True):
                while len(receiver.arrivals) < count + self.load_requests:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.02)

    async def settle(self) -> None:
        """A last life without faults: everything comes to its end, and the clients get their answers."""
        for receiver in self.receivers:
            receiver.moody = False
        await self.start()
        async with self.server.client() as http:
            for sender in self.senders:
                while sender.unsure is not None:
                    assert await sender.submit(http)
            await self.tinkerer.look(http)
            for endpoint in (await http.get("/v1/endpoints")).json()["items"]:
                await self._come_to_rest(http, f"/v1/endpoints/{endpoint['id']}")
            while await self.follower.read(http):
                continue
        assert await self.server.stop() == 0

    async def _come_to_rest(self, http: httpx.AsyncClient, path: str) -> None:
        try:
            await until(
                http, path, lambda one: one["counts"]["waiting"] == 0, 0.2 if self.restless else self.patience_seconds
            )
        except AssertionError as problem:
            self.restless.append(str(problem))


async def stories_on_disk(path: Path) -> dict[str, Story]:
    """The whole history, once the server is gone; the file itself must be sound."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    history = SqliteHistory(path, Recent())
    await history.open()
    try:
        return await read_stories(history)
    finally:
        await history.close()


async def live_through(world: World, rounds: int) -> list[str]:
    """A series of rounds over one data folder; every law it broke."""
    server = world.server
    try:
        await world.prepare()
        await world.server.kill()
        for _ in range(rounds):
            await world.round()
        await world.settle()
    finally:
        await server.kill()
        for receiver in world.receivers:
            receiver.stop()
    world.stories = await stories_on_disk(server.folder / "whatsync.db")
    checker = Checker(world.receivers, world.receivers[2], world.senders, world.stories)
    return [*world.restless, *checker.faults(world.follower, world.observer), *world.tinkerer.lost]


def make_server(folder: Path) -> Server:
    """A server that tries again every four seconds."""
    return Server(folder, RETRY_SCHEDULE=",".join(["4s"] * 30))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_fifty_kills_under_load_break_no_law(tmp_path: Path, seed: int) -> None:
    world = World(make_server(tmp_path / "data"), random.Random(seed))
    assert await live_through(world, ROUNDS) == []
    acknowledged = sum(len(sender.acknowledged) for sender in world.senders)
    assert acknowledged > 10 * ROUNDS, "the load was too small to prove anything"
    assert world.tinkerer.acknowledged > ROUNDS / 2
    assert len(world.observer.seen) > ROUNDS
    assert any(story.view.attempts > 1 for story in world.stories.values())


SIGNS = {
    "202 before the commit": "never got",
    "outcomes forgotten": " is pending",
    "too much taken back": "after its success was recorded",
    "retry early": "ms early",
    "order ignored": "overtook",
    "body changed after signing": "wrong signature",
}
OF_RETRIES = frozenset({"retry early", "order ignored"})


@pytest.mark.slow
@pytest.mark.parametrize("bug", list(SIGNS))
async def test_a_planted_bug_is_found(tmp_path: Path, bug: str) -> None:
    server = make_server(tmp_path / "data")
    server.program = (str(Path(__file__).with_name("planted.py")), bug)
    world = World(
        server,
        random.Random(1),
        load_seconds=(0.5, 1.0),
        load_requests=PLANTED_REQUESTS if bug in OF_RETRIES else 0,
        patience_seconds=PLANTED_PATIENCE_SECONDS,
    )
    faults = await live_through(world, PLANTED_ROUNDS)
    assert any(SIGNS[bug] in fault for fault in faults), faults[:5]
