"""Bad days of the database and of the way to it, with real nodes: a failover to a synchronous standby, no connection
left, a full disk, slowness, a line of one node that is cut or stalls, clocks an hour apart that jump.

Each time accepting answers 503 quickly and never lies, `/readyz` tells, and all goes on by itself.
"""

import asyncio
import os
import random
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.crash.clients import event
from tests.crash.crowd import Crowd
from tests.crash.nodes import NodeReceiver, Nodes, unready
from tests.crash.server import until
from tests.store.postgres.cluster import NOBODY, Cluster
from tests.store.postgres.proxy import Proxy
from whatsync.store.postgres.batches import PATIENCE_SECONDS
from whatsync.store.postgres.connection import STATEMENT_SECONDS

QUICK_SECONDS = 0.5
HOUR_SECONDS = 3_600
SLOW_SECONDS = 0.03
"""Each way, of each piece."""
FAKETIME = "faketime/libfaketimeMT.so.1"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server with the settings that durability needs."""
    with closing(Cluster(durable=True, max_connections="60", superuser_reserved_connections="0")) as cluster:
        yield cluster


@asynccontextmanager
async def receiving(nodes: Nodes) -> AsyncIterator[NodeReceiver]:
    """A receiver with an endpoint that every message goes to."""
    receiver = NodeReceiver("fine", lambda: nodes.lives)
    await receiver.start()
    await nodes.settings_of(receiver)
    await nodes.add_endpoint(receiver.url)
    try:
        yield receiver
    finally:
        receiver.stop()


async def submit(http: httpx.AsyncClient, name: str) -> tuple[int, float]:
    """Submit an event of this name: the status, and how long it took in seconds."""
    began = time.monotonic()
    answer = await http.post("/v1/events", json={**event(name, "+49"), "id": name})
    return answer.status_code, time.monotonic() - began


async def refused(http: httpx.AsyncClient, count: int = 10) -> None:
    """Accepting answers 503, quickly, and `/readyz` says that it is not ready."""
    answers = [await submit(http, f"refused-{number}") for number in range(count)]
    assert {status for status, _ in answers} == {503}
    assert sorted(seconds for _, seconds in answers)[count // 2] < QUICK_SECONDS
    assert (await http.get("/readyz")).status_code == 503
    assert (await http.get("/healthz")).status_code == 200


async def well(http: httpx.AsyncClient, seconds: float = 60) -> None:
    """Wait until it accepts and says that it is ready."""
    ends = time.monotonic() + seconds
    while (await submit(http, "well"))[0] not in (200, 202) or (await http.get("/readyz")).status_code != 200:
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)


async def all_sent(nodes: Nodes, receiver: NodeReceiver, names: set[str]) -> None:
    """Every event of these names arrives, and nothing else waits."""
    for http in nodes.clients:
        await until(http, "/v1/deliveries?state=pending", lambda page: not page["items"])
    assert names <= {arrival.event_id for arrival in receiver.arrivals if arrival.taken}
    assert receiver.forged == []


async def test_a_failover_to_a_synchronous_standby_under_load_loses_nothing(tmp_path: Path) -> None:
    with closing(Cluster(durable=True)) as primary, closing(Cluster(durable=True, primary=primary)) as standby:
        primary.wait_for_standby()
        url = f"postgresql://whatsync@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/failover"
        async with Nodes(tmp_path, primary, "failover", count=2, urls=[url] * 2) as nodes:
            crowd = Crowd(nodes, random.Random(21))
            await crowd.prepare()
            async with crowd.load():
                await asyncio.sleep(2)
                before = crowd.acknowledged
                primary.kill()
                for http in nodes.clients:
                    await unready(http, "store")
                    await refused(http)
                standby.promote()
                promoted = time.monotonic()
                while crowd.acknowledged < before + 20:
                    assert time.monotonic() - promoted < 60, "nothing is accepted after the failover"
                    await asyncio.sleep(0.1)
            await crowd.settle()
            assert [(await http.get("/readyz")).status_code for http in nodes.clients] == [200, 200]
            assert [await server.stop() for server in nodes.servers] == [0, 0]
            nodes.cluster = standby
            assert await crowd.faults() == []
            assert before > 20


async def test_without_a_connection_left_it_waits_for_one(tmp_path: Path, cluster: Cluster) -> None:
    async with Nodes(tmp_path, cluster, "crowded", count=1) as nodes, receiving(nodes) as receiver:
        http = nodes.clients[0]
        assert (await submit(http, "before"))[0] == 202
        hoard: list[asyncpg.Connection] = []
        try:
            while len(hoard) < 60:
                cluster_url = cluster.url()
                try:
                    hoard.append(await asyncpg.connect(cluster_url))
                except asyncpg.TooManyConnectionsError:
                    # Nothing of the server's is left to it, and whatever ends is taken at once.
                    if not await hoard[0].fetch(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'whatsync'"
                    ):
                        break
            await unready(http, "no connection left")
            await refused(http)
        finally:
            for one in hoard:
                await one.close()
        await well(http)
        assert (await submit(http, "after"))[0] == 202
        await all_sent(nodes, receiver, {"before", "after"})


@pytest.fixture
def small_disk(cluster: Cluster) -> Iterator[Path]:
    """A disk of 64 MB with a tablespace ``small`` on it."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a disk")
    disk = cluster.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", disk], check=True)
    try:
        (disk / "space").mkdir()
        os.chown(disk / "space", NOBODY, NOBODY)
        cluster.sql(f"CREATE TABLESPACE small LOCATION '{disk}/space'")
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


async def test_on_a_full_disk_it_says_so_and_goes_on_when_there_is_room(
    tmp_path: Path, cluster: Cluster, small_disk: Path
) -> None:
    async with Nodes(tmp_path, cluster, "filled", count=1, tablespace="small") as nodes, receiving(nodes) as receiver:
        http = nodes.clients[0]
        filler = small_disk / "filler"
        facts = os.statvfs(small_disk)
        filler.write_bytes(bytes(facts.f_bavail * facts.f_bsize))
        accepted: set[str] = set()
        while (answer := await submit(http, f"room-{len(accepted)}"))[0] == 202:
            accepted.add(f"room-{len(accepted)}")
        assert answer[0] == 503
        await unready(http, "disk is full")
        await refused(http)
        filler.unlink()
        await well(http)
        await all_sent(nodes, receiver, accepted)
        cluster.sql("DROP DATABASE filled WITH (FORCE)")


async def test_a_slow_database_makes_it_slow_and_nothing_else(tmp_path: Path, cluster: Cluster) -> None:
    line = Proxy(cluster.port)
    await line.start()
    url = cluster.url("slow", line.port)
    async with Nodes(tmp_path, cluster, "slow", count=1, urls=[url]) as nodes, receiving(nodes) as receiver:
        http = nodes.clients[0]
        line.delay_seconds = SLOW_SECONDS
        answers = await asyncio.gather(*[submit(http, f"slow-{number}") for number in range(100)])
        assert {status for status, _ in answers} == {202}
        assert (await http.get("/readyz")).status_code == 200
        await all_sent(nodes, receiver, {f"slow-{number}" for number in range(100)})
        line.delay_seconds = 0
    await line.stop()


async def test_one_nodes_line_is_cut_and_stalls_and_the_others_go_on(tmp_path: Path, cluster: Cluster) -> None:
    line = Proxy(cluster.port)
    await line.start()
    urls = [cluster.url("cut", line.port), cluster.url("cut")]
    async with Nodes(tmp_path, cluster, "cut", count=2, urls=urls) as nodes, receiving(nodes) as receiver:
        lost, other = nodes.clients
        accepted = {"first"}
        assert (await submit(lost, "first"))[0] == 202
        line.refusing = True
        line.cut()
        await unready(lost, "store")
        await refused(lost)
        assert (await submit(other, "meanwhile"))[0] == 202
        line.refusing = False
        await well(lost)
        line.stall()
        status, seconds = await submit(lost, "stalled")
        assert status == 503
        # It was told before the statement itself was given up.
        assert PATIENCE_SECONDS <= seconds < STATEMENT_SECONDS
        await refused(lost)
        assert (await submit(other, "beside"))[0] == 202
        line.flow()
        await well(lost)
        accepted |= {"meanwhile", "beside", "stalled"}
        assert (await submit(lost, "stalled"))[0] in (200, 202)
        await all_sent(nodes, receiver, accepted)
        assert len([one for one in receiver.arrivals if one.event_id == "beside"]) == 1
    await line.stop()


async def test_clocks_of_nodes_an_hour_apart_that_jump(tmp_path: Path, cluster: Cluster) -> None:
    nodes = Nodes(tmp_path, cluster, "clocks")
    library = next(Path("/usr/lib").glob(f"*/{FAKETIME}"))  # noqa: ASYNC240
    hands = [tmp_path / f"clock{number}" for number in range(3)]
    for server, hand, offset in zip(nodes.servers, hands, ("+0", f"+{HOUR_SECONDS}", f"-{HOUR_SECONDS}"), strict=True):
        hand.write_text(offset)
        server.world = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(hand),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
    async with nodes:
        crowd = Crowd(nodes, random.Random(22))
        await crowd.prepare()
        said = [(await http.get("/readyz")).json()["warnings"] for http in nodes.clients]
        assert [any("clock" in line for line in lines) for lines in said] == [False, True, True]
        async with crowd.load():
            for jump in ("+7200", "-1800", "+0", "-7200"):
                await asyncio.sleep(1)
                crowd.source.choice(hands).write_text(jump)
            await asyncio.sleep(1)
        await crowd.settle()
        assert [await server.stop() for server in nodes.servers] == [0, 0, 0]
    assert await crowd.faults() == []
    assert crowd.acknowledged > 20
