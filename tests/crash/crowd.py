"""Clients and receivers of several nodes at work all at once, each request at another node. Knows nothing of faults."""

import asyncio
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.crash.checker import Checker, read_stories
from tests.crash.clients import Follower, Observer, Sender
from tests.crash.nodes import NodeReceiver, Nodes
from tests.crash.server import until
from whatsync.net.system import SystemClock
from whatsync.store.postgres.connection import Address
from whatsync.store.postgres.store import PostgresStore

CLOCKS_MS = 200
"""How far clocks of nodes may be apart that go by a database they share a busy machine with."""


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
            node = number % len(self.nodes.clients)
            await self.nodes.add_endpoint(receiver.url, node, ordering=ordering)
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
