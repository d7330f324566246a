"""Three nodes as real processes over one real PostgreSQL, killed, stopped and started under load, and PostgreSQL with
them: the laws of one server hold for all of them together.
"""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.crash.checker import Checker, read_stories
from tests.crash.clients import Follower, Observer, Sender, event
from tests.crash.nodes import NodeReceiver, Nodes, SlowReceiver
from tests.crash.server import until
from tests.store.postgres.cluster import Cluster
from whatsync.net.system import SystemClock
from whatsync.store.postgres.connection import Address
from whatsync.store.postgres.store import PostgresStore

KILLS = 4
CLOCKS_MS = 200
"""How far clocks of nodes may be apart that go by a database they share a busy machine with."""
RATE = 20
WINDOW_MS = 10_000
HANDED_OVER_SECONDS = 6.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server with the settings that durability needs."""
    cluster = Cluster(durable=True, max_connections="100")
    yield cluster
    cluster.close()


@dataclass
class Crowd:
    """Clients and receivers of three nodes, and what became of everything."""

    nodes: Nodes
    source: random.Random
    receivers: list[NodeReceiver] = field(default_factory=list)
    senders: list[Sender] = field(default_factory=list)
    follower: Follower = field(default_factory=Follower)
    observer: Observer = field(default_factory=Observer)
    going: bool = False

    async def prepare(self) -> None:
        """Endpoints, each made through another node."""
        for number, name in enumerate(("fine", "moody", "ordered")):
            receiver = NodeReceiver(name, lambda: self.nodes.lives, moody=name != "fine", source=self.source)
            await receiver.start()
            await self.nodes.settings_of(receiver)
            self.receivers.append(receiver)
            ordering = "contact" if name == "ordered" else "none"
            await self.nodes.add_endpoint(receiver.url, number, ordering=ordering)
        self.senders = [Sender(f"n{number}") for number in range(3)]
        self.senders += [Sender(f"k{number}", keyed=True) for number in range(2)]
        self.senders += [Sender("a0", size=5), Sender("a1", size=3, keyed=True)]

    @asynccontextmanager
    async def load(self) -> Any:
        """Everybody at work, each request to some node."""
        self.going = True
        async with asyncio.TaskGroup() as group:
            for sender in self.senders:
                group.create_task(self.nodes.roam(self.source, lambda: self.going, sender.submit))
            group.create_task(self.nodes.roam(self.source, lambda: self.going, self._follow))
            group.create_task(self.nodes.roam(self.source, lambda: self.going, self._observe))
            try:
                yield
            finally:
                self.going = False

    async def _follow(self, http: httpx.AsyncClient) -> bool:
        return await self.follower.read(http, wait=1) is not None

    async def _observe(self, http: httpx.AsyncClient) -> bool:
        try:
            answer = await http.get("/v1/deliveries", params={"state": "succeeded", "limit": 200})
        except httpx.HTTPError:
            return False
        now_ms = time.time_ns() // 1_000_000
        for item in answer.json()["items"] if answer.status_code == 200 else ():
            self.observer.seen.setdefault(item["id"], now_ms)
        return False

    async def settle(self) -> None:
        """No faults any more: all comes to its end."""
        for receiver in self.receivers:
            receiver.moody = False
        await self.nodes.finish(self.senders)
        http = self.nodes.clients[0]
        for endpoint in (await http.get("/v1/endpoints")).json()["items"]:
            await until(http, f"/v1/endpoints/{endpoint['id']}", lambda one: one["counts"]["waiting"] == 0)
        while await self.follower.read(http):
            continue

    async def faults(self) -> list[str]:
        """Every broken law. The nodes are stopped."""
        url = self.nodes.cluster.url(self.nodes.database)
        store = PostgresStore(Address(url), clock=SystemClock(), name="checker", label="the checker")
        await store.open(time.time_ns() // 1_000_000, "1")
        stories = await read_stories(store.history)
        await store.close()
        for receiver in self.receivers:
            receiver.stop()
        checker = Checker(self.receivers, self.receivers[2], self.senders, stories, CLOCKS_MS)
        return checker.faults(self.follower, self.observer)

    @property
    def acknowledged(self) -> int:
        """How many events were."""
        return sum(len(sender.acknowledged) for sender in self.senders)


async def test_nodes_and_the_database_killed_under_load_break_no_law(tmp_path: Path, cluster: Cluster) -> None:
    source = random.Random(11)
    async with Nodes(tmp_path, cluster, "kills") as nodes:
        crowd = Crowd(nodes, source)
        await crowd.prepare()
        async with crowd.load():
            for number in range(KILLS):
                await asyncio.sleep(source.random())
                if number == KILLS // 2:
                    cluster.kill()
                    await asyncio.sleep(source.random())
                    cluster.start()
                    nodes.lives += 1
                victim = number % len(nodes.servers)
                await nodes.kill(victim)
                await asyncio.sleep(source.random() * 0.5)
                await nodes.servers[victim].start()
        await crowd.settle()
        assert [await server.stop() for server in nodes.servers] == [0, 0, 0]
    assert await crowd.faults() == []
    assert crowd.acknowledged > 20 * KILLS


async def test_a_rolling_restart_loses_nothing_and_hands_over_at_once(tmp_path: Path, cluster: Cluster) -> None:
    source = random.Random(12)
    async with Nodes(tmp_path, cluster, "rolling") as nodes:
        crowd = Crowd(nodes, source)
        await crowd.prepare()
        async with crowd.load():
            for server in nodes.servers:
                await asyncio.sleep(1)
                assert await server.stop() == 0
                gone, ordered = time.monotonic(), crowd.receivers[2]
                arrived = len(ordered.arrivals)
                while len(ordered.arrivals) < arrived + 5:
                    assert time.monotonic() - gone < HANDED_OVER_SECONDS, "nobody took the endpoint over"
                    await asyncio.sleep(0.02)
                await server.start()
        await crowd.settle()
        assert [await server.stop() for server in nodes.servers] == [0, 0, 0]
    assert await crowd.faults() == []


async def test_what_is_made_on_one_node_is_there_on_the_others(tmp_path: Path, cluster: Cluster) -> None:
    async with Nodes(tmp_path, cluster, "told", count=2) as nodes:
        north, south = nodes.clients
        receiver = NodeReceiver("late", lambda: nodes.lives)
        await receiver.start()
        await nodes.settings_of(receiver)
        for number in range(5):
            made = await nodes.add_endpoint(receiver.url, number % 2)
            taken = await nodes.clients[(number + 1) % 2].post("/v1/events", json=event(f"e{number}", "+49"))
            assert taken.status_code == 202, taken.text
            (item,) = (await north.get(f"/v1/events/{taken.json()['id']}/deliveries")).json()["items"]
            assert item["endpoint"]["id"] == made["id"]
            (await nodes.clients[(number + 1) % 2].delete(f"/v1/endpoints/{made['id']}")).raise_for_status()
        key = (
            (await north.post("/v1/keys", json={"name": "made in the north", "scopes": ["read"]}))
            .raise_for_status()
            .json()["key"]
        )
        headers = {"Authorization": f"Bearer {key}"}
        assert (await south.get("/v1/endpoints", headers=headers)).status_code == 200
        receiver.stop()


async def test_halves_of_the_work_run_apart(tmp_path: Path, cluster: Cluster) -> None:
    async with Nodes(tmp_path, cluster, "halves", count=2) as nodes:
        for server, role in zip(nodes.servers, ("api", "deliver"), strict=True):
            assert await server.stop() == 0
            await server.start(ROLE=role)
        receiver = NodeReceiver("apart", lambda: nodes.lives)
        await receiver.start()
        await nodes.settings_of(receiver)
        endpoint = await nodes.add_endpoint(receiver.url)
        events = [
            (await nodes.clients[0].post("/v1/events", json=event(f"half-{number}", "+49"))).json()["id"]
            for number in range(20)
        ]
        path = f"/v1/endpoints/{endpoint['id']}"
        await until(nodes.clients[0], path, lambda one: one["counts"]["waiting"] == 0)
        assert sorted(arrival.event_id for arrival in receiver.arrivals) == sorted(events)
        assert (await nodes.clients[1].get("/v1/endpoints")).status_code == 404
        assert "state=succeeded" in nodes.servers[1].log.read_text()
        assert "state=succeeded" not in nodes.servers[0].log.read_text()
        receiver.stop()


async def test_a_node_that_was_frozen_for_longer_than_its_lease_joins_again(tmp_path: Path, cluster: Cluster) -> None:
    async with Nodes(tmp_path, cluster, "frozen", count=2) as nodes:
        receiver = NodeReceiver("limited", lambda: nodes.lives)
        await receiver.start()
        await nodes.settings_of(receiver)
        endpoint = await nodes.add_endpoint(receiver.url, rateLimitPerSecond=RATE)
        path = f"/v1/endpoints/{endpoint['id']}"
        events = [
            (await nodes.clients[0].post("/v1/events", json=event(f"frozen-{number}", "+49"))).json()["id"]
            for number in range(5 * RATE)
        ]
        await until(nodes.clients[0], path, lambda one: one["counts"]["waiting"] < 4 * RATE)
        owner = nodes.owner()
        assert owner is not None
        process, other = nodes.servers[owner].process, nodes.clients[1 - owner]
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        nodes.expire(owner)
        await until(other, path, lambda one: one["counts"]["waiting"] == 0)
        process.send_signal(signal.SIGCONT)
        taken = await submit_all(nodes, "after", 10)
        await until(nodes.clients[owner], path, lambda one: one["counts"]["waiting"] == 0)
        receiver.stop()
        arrived = Counter(arrival.event_id for arrival in receiver.arrivals)
        assert set(arrived) == {*events, *taken}
        assert "it joins again" in nodes.servers[owner].log.read_text()


async def submit_all(nodes: Nodes, name: str, count: int) -> list[str]:
    """Events accepted by all nodes in turn."""
    made: list[str] = []
    for number in range(count):
        sender = Sender(f"{name}-{number}")
        while not sender.acknowledged:
            assert await sender.submit(nodes.clients[number % len(nodes.clients)])
        made += sender.acknowledged
    return made


async def test_one_request_at_a_time_is_never_repeated(tmp_path: Path, cluster: Cluster) -> None:
    async with Nodes(tmp_path, cluster, "slow") as nodes:
        receiver = SlowReceiver(0.4)
        await receiver.start()
        endpoint = await nodes.add_endpoint(receiver.url, maxInFlight=1)
        events = await submit_all(nodes, "slow", 15)
        path = f"/v1/endpoints/{endpoint['id']}"
        await until(nodes.clients[1], path, lambda one: one["counts"]["waiting"] == 0)
        receiver.stop()
        assert len(receiver.deliveries) == len(set(receiver.deliveries)) == len(events)
        assert receiver.open_most == 1


def busiest(times_ms: list[int]) -> int:
    """The most requests in any ten seconds."""
    return max(sum(start <= at < start + WINDOW_MS for at in times_ms) for start in times_ms)


async def test_a_rate_holds_over_three_nodes_of_which_one_is_killed(tmp_path: Path, cluster: Cluster) -> None:
    async with Nodes(tmp_path, cluster, "rate") as nodes:
        receiver = NodeReceiver("limited", lambda: nodes.lives)
        await receiver.start()
        await nodes.settings_of(receiver)
        endpoint = await nodes.add_endpoint(receiver.url, rateLimitPerSecond=RATE)
        events = await submit_all(nodes, "rate", 13 * RATE)
        path = f"/v1/endpoints/{endpoint['id']}"
        await until(nodes.clients[0], path, lambda one: one["counts"]["waiting"] < 9 * RATE)
        owner = nodes.owner()
        assert owner is not None
        await nodes.kill(owner)
        # As when its lease has run out: nobody waits for three quarters of a minute here.
        nodes.expire(owner)
        other = nodes.clients[(owner + 1) % 3]
        await until(other, path, lambda one: one["counts"]["waiting"] == 0)
        receiver.stop()
        taken = Counter(arrival.event_id for arrival in receiver.arrivals)
        assert set(taken) == set(events)
        assert max(taken.values()) <= 2
        assert receiver.forged == []
        assert busiest([arrival.at_ms for arrival in receiver.arrivals]) <= 1.1 * RATE * WINDOW_MS / 1000
