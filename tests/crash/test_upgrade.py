"""An upgrade with work in flight: the schema is brought up to date under nodes of the version before, which go on
beside new ones until they are replaced, one after the other.
"""

import asyncio
import random
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash import older
from tests.crash.crowd import Crowd
from tests.crash.nodes import Nodes
from tests.store.postgres.cluster import Cluster
from whatsync.store.postgres.schema import migrations

pytestmark = pytest.mark.slow


def reached(cluster: Cluster) -> int:
    """The number of the last migration."""
    return int(cluster.sql("SELECT max(number) FROM whatsync_schema", "upgraded"))


async def test_old_and_new_nodes_serve_side_by_side_while_one_replaces_the_other(tmp_path: Path) -> None:
    newest = max(migrations())
    assert newest - 1 == older.SCHEMA
    with closing(Cluster(durable=True)) as cluster:
        nodes = Nodes(tmp_path, cluster, "upgraded", count=2)
        before = str(Path(older.__file__))
        for server in nodes.servers:
            server.program = (before,)
        async with nodes:
            assert reached(cluster) == older.SCHEMA
            crowd = Crowd(nodes, random.Random(41))
            await crowd.prepare()
            async with crowd.load():
                await asyncio.sleep(1)
                for number, server in enumerate(nodes.servers):
                    if number == 0:
                        await nodes.kill(number)
                    else:
                        assert await server.stop() == 0
                    server.program = ("-m", "whatsync")
                    await server.start()
                    assert reached(cluster) == newest
                    accepted = crowd.acknowledged
                    await asyncio.sleep(1.5)
                    began = time.monotonic()
                    while crowd.acknowledged <= accepted:
                        assert time.monotonic() - began < 60, "nothing is accepted any more"
                        await asyncio.sleep(0.05)
            waiting = [len(receiver.arrivals) for receiver in crowd.receivers]
            assert min(waiting) > 0
            await crowd.settle()
            assert [await server.stop() for server in nodes.servers] == [0, 0]
        assert await crowd.faults() == []
        server = nodes.servers[0]
        server.program = (before,)
        status, said = await server.refused()
        assert status == 2
        assert "newer version of WhatsSync" in said
