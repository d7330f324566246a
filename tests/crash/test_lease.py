"""A node dies and nobody helps: its work is taken over when its lease is over, three quarters of a minute later."""

import asyncio
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.nodes import NodeReceiver, Nodes, SlowReceiver, submit_all
from tests.crash.server import until
from tests.store.postgres.cluster import Cluster
from whatsync.model import limits

pytestmark = pytest.mark.slow
AFTERWARDS_SECONDS = 20.0
"""For the others to notice, and to look at what waits."""


async def test_what_a_killed_node_had_is_taken_over_when_its_lease_is_over(tmp_path: Path) -> None:
    with closing(Cluster(durable=True)) as cluster:
        async with Nodes(tmp_path, cluster, "lease", count=2) as nodes:
            slow, limited = SlowReceiver(1.0), NodeReceiver("limited", lambda: nodes.lives)
            await asyncio.gather(slow.start(), limited.start())
            await nodes.settings_of(limited)
            made = [await nodes.add_endpoint(slow.url), await nodes.add_endpoint(limited.url, maxInFlight=1)]
            paths = [f"/v1/endpoints/{one['id']}" for one in made]
            # All through one node: it has claimed them, most of them still wait in its memory.
            events = await submit_all(nodes, "lease", 60, by=0)
            await nodes.kill(0)
            died = time.monotonic()
            over = died + nodes.lease_left(0)
            other = nodes.clients[1]
            assert (await other.get(paths[0])).json()["counts"]["waiting"] > 0
            for path in paths:
                await until(other, path, lambda one: one["counts"]["waiting"] == 0, 90)
            ended = time.monotonic()
            assert over - died <= limits.LEASE_SECONDS
            assert over < ended < over + AFTERWARDS_SECONDS
            slow.stop()
            limited.stop()
            assert {one.event_id for one in limited.arrivals} == set(events)
            # Only what was under way when it died comes twice.
            assert sum(count - 1 for count in Counter(slow.deliveries).values()) <= limits.IN_FLIGHT_DEFAULT
            assert len(set(slow.deliveries)) == len(events)
