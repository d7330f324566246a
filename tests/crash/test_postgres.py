"""The server over PostgreSQL, and PostgreSQL itself, killed again and again under load: nothing acknowledged may be
lost, nothing recorded as delivered may be sent again, and delivery resumes by itself.
"""

import asyncio
import random
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.crash.checker import Checker, read_stories
from tests.crash.clients import event
from tests.crash.receiver import Receiver
from tests.crash.server import Server, until
from tests.crash.test_sigkill import World
from tests.store.postgres.cluster import Cluster
from whatsync.net.system import SystemClock
from whatsync.store.postgres.connection import Address
from whatsync.store.postgres.store import PostgresStore

ROUNDS = 8
DOWN_SECONDS = (0.0, 1.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server with the settings that durability needs."""
    cluster = Cluster(durable=True)
    cluster.sql("CREATE DATABASE whatsync TEMPLATE template0 ENCODING 'UTF8'")
    yield cluster
    cluster.close()


def make_server(folder: Path, cluster: Cluster, database: str) -> Server:
    """A server that tries again every four seconds."""
    return Server(folder, RETRY_SCHEDULE=",".join(["4s"] * 30), DATABASE_URL=cluster.url(database))


async def round_of(world: World, cluster: Cluster) -> None:
    """One life: the database dies in its middle or not, and then the server does."""
    kind = world.source.random()
    await world.start()
    async with world.load():
        await asyncio.sleep(world.source.random() * 0.8)
        if kind < 0.6:
            cluster.kill()
            await asyncio.sleep(world.source.uniform(*DOWN_SECONDS))
            cluster.start()
            await asyncio.sleep(world.source.random() * 1.5)
        await world.server.kill()


@pytest.mark.slow
async def test_kills_of_both_under_load_break_no_law(tmp_path: Path, cluster: Cluster) -> None:
    world = World(make_server(tmp_path / "data", cluster, "whatsync"), random.Random(5))
    try:
        await world.prepare()
        await world.server.kill()
        for _ in range(ROUNDS):
            await round_of(world, cluster)
        await world.settle()
    finally:
        await world.server.kill()
        for receiver in world.receivers:
            receiver.stop()
    store = PostgresStore(Address(cluster.url("whatsync")), clock=SystemClock(), name="checker", label="the checker")
    await store.open(time.time_ns() // 1_000_000, "1")
    world.stories = await read_stories(store.history)
    await store.close()
    checker = Checker(world.receivers, world.receivers[2], world.senders, world.stories)
    faults = [*world.restless, *checker.faults(world.follower, world.observer), *world.tinkerer.lost]
    assert faults == []
    assert sum(len(sender.acknowledged) for sender in world.senders) > 3 * ROUNDS
    assert any(story.view.attempts > 1 for story in world.stories.values())


@asynccontextmanager
async def served(folder: Path, cluster: Cluster, database: str) -> AsyncIterator[tuple[Server, Receiver]]:
    """A server with one endpoint over a database of its own."""
    cluster.sql(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'")
    server, receiver = make_server(folder, cluster, database), Receiver("fine", lambda: 1)
    await receiver.start()
    try:
        await server.start()
        async with server.client() as http:
            receiver.secret = (await http.get("/v1/account/secret")).json()["secret"]
            form = {"url": receiver.url, "events": ["message.incoming"]}
            (await http.post("/v1/endpoints", json=form)).raise_for_status()
        yield server, receiver
    finally:
        await server.kill()
        receiver.stop()


async def test_while_it_is_down_503_comes_quickly_and_then_all_goes_on(tmp_path: Path, cluster: Cluster) -> None:
    async with served(tmp_path / "data", cluster, "down") as (server, _), server.client() as http:
        assert (await http.post("/v1/events", json=event("before", "+49"))).status_code == 202
        cluster.kill()
        seconds = []
        for _ in range(10):
            began = time.monotonic()
            answer = await http.post("/v1/events", json=event("meanwhile", "+49"))
            seconds.append(time.monotonic() - began)
            assert answer.status_code == 503
            assert "PostgreSQL" in answer.json()["detail"] or "connection" in answer.json()["detail"]
        assert sorted(seconds)[5] < 0.5
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["errors"][0]["field"]) == (503, "store")
        assert (await http.get("/healthz")).status_code == 200
        cluster.start()
        began = time.monotonic()
        # Under one id: what is told to be unsure is repeated, and happens once.
        while (await http.post("/v1/events", json={**event("after", "+49"), "id": "after"})).status_code == 503:
            assert time.monotonic() - began < 60
        await until(http, "/v1/deliveries?state=succeeded", lambda page: len(page["items"]) == 2)
        assert (await http.get("/readyz")).status_code == 200


async def test_a_second_server_needs_the_same_key_and_then_works_beside_the_first(
    tmp_path: Path, cluster: Cluster
) -> None:
    async with served(tmp_path / "data", cluster, "pair") as (server, _):
        second = make_server(tmp_path / "other", cluster, "pair")
        status, said = await second.refused()
        assert status == 2
        assert "another encryption key" in said
        shutil.copy(tmp_path / "data" / "encryption.key", tmp_path / "other")
        await second.start()
        async with second.client() as http:
            assert (await http.post("/v1/events", json=event("second", "+49"))).status_code == 202
        assert await server.stop() == 0
        assert await second.stop() == 0


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://whatsync@127.0.0.1:1/x", "can't be reached"),
        ("postgresql://whatsync:secret@127.0.0.1:{port}/nothing", "there is no such database"),
    ],
)
async def test_at_the_start_it_says_what_is_wrong(tmp_path: Path, cluster: Cluster, url: str, words: str) -> None:
    status, said = await Server(tmp_path / "data", DATABASE_URL=url.format(port=cluster.port)).refused()
    assert status == 2
    assert words in said
    assert "secret" not in said
