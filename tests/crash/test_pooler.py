"""Two nodes behind PgBouncer in transaction mode: what a session could keep is not there, and all laws hold."""

import asyncio
import random
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.crowd import Crowd
from tests.crash.nodes import Nodes, unready
from tests.store.postgres.cluster import Cluster
from tests.store.postgres.pooler import SERVERS, Pooler
from whatsync.model.limits import LEASE_SECONDS

FOUND_SECONDS = LEASE_SECONDS - 5
"""Two for the look that stands in for a signal; the rest is a busy machine's. What nobody looks for is found when a
lease is over."""

pytestmark = pytest.mark.slow


async def test_nodes_behind_a_pooler_in_transaction_mode_break_no_law(tmp_path: Path) -> None:
    with closing(Cluster(durable=True)) as cluster, closing(Pooler(cluster)) as pooler:
        urls = [cluster.url("pooled", pooler.port)] * 2
        async with Nodes(tmp_path, cluster, "pooled", count=2, urls=urls, DATABASE_POOLER="transaction") as nodes:
            crowd = Crowd(nodes, random.Random(31))
            await crowd.prepare()
            began = time.monotonic()
            async with crowd.load():
                # Deliveries of the ordered endpoint go to its owner, who hears nothing and looks instead.
                while len(crowd.receivers[2].arrivals) < 20:
                    assert time.monotonic() - began < FOUND_SECONDS
                    await asyncio.sleep(0.05)
                await asyncio.sleep(2)
                pooler.kill()
                for http in nodes.clients:
                    await unready(http, "store")
                pooler.start()
                accepted = crowd.acknowledged
                began = time.monotonic()
                while crowd.acknowledged < accepted + 20:
                    assert time.monotonic() - began < FOUND_SECONDS
                    await asyncio.sleep(0.05)
            await crowd.settle()
            used = cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'pooled'")
            assert 0 < int(used) <= SERVERS
            assert [await server.stop() for server in nodes.servers] == [0, 0]
        assert await crowd.faults() == []
        assert crowd.acknowledged > 50
