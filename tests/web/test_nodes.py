"""Two whole servers over one disk: what one is told the other knows, what one can't do the other does."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.web.receiver import Receiver, receiving
from tests.web.running import InMemory, Running, running
from whatsync.engine.node import Node
from whatsync.engine.posts import post_of
from whatsync.store.memory import Meeting, NodeStore


@dataclass
class Pair:
    """Two servers and a receiver."""

    north: Running
    south: Running
    receiver: Receiver
    stop_north: AsyncExitStack

    @property
    def disk(self) -> Meeting:
        store = self.north.server.services.store
        assert isinstance(store, NodeStore)
        return store.meeting

    async def endpoint(self, of: Running, **fields: Any) -> dict[str, Any]:
        body = {"url": self.receiver.url, "events": ["order.paid"], **fields}
        made = await of.call("POST", "/v1/endpoints", json=body)
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def event(self, of: Running, number: int) -> int:
        body = {"event": "order.paid", "id": f"order-{number}", "data": {"number": number}}
        answer = await of.call("POST", "/v1/events", json=body)
        assert answer.status_code == 202, answer.text
        return int(answer.json()["deliveries"])

    async def until(self, count: int) -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends:
            if len(self.receiver.bodies) >= count:
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"{len(self.receiver.bodies)} of {count} arrived")


@pytest.fixture(params=[("all", "all"), ("api", "deliver")], ids=["equal", "roles"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    disk = Meeting(time.time)
    roles: tuple[str, str] = request.param
    allow = "127.0.0.1/32"
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        stop_north = await stack.enter_async_context(AsyncExitStack())
        north = await stop_north.enter_async_context(
            running(
                tmp_path, disk=InMemory(NodeStore(disk, node="north")), role=roles[0], WHATSYNC_ALLOW_ADDRESSES=allow
            )
        )
        made = await north.call("POST", "/v1/event-types", json={"name": "order.paid", "description": "An order"})
        assert made.status_code == 201, made.text
        south = await stack.enter_async_context(
            running(
                tmp_path,
                disk=InMemory(NodeStore(disk, node="south")),
                role=roles[1],
                keys=north.first,
                WHATSYNC_ALLOW_ADDRESSES=allow,
            )
        )
        yield Pair(north, south, receiver, stop_north)


async def test_an_endpoint_made_at_one_node_gets_what_the_other_accepts_next(pair: Pair) -> None:
    for number in range(5):
        await pair.endpoint(pair.north)
        assert await pair.event(pair.south, number) == number + 1
    await pair.until(15)


async def test_an_endpoint_with_limits_has_one_owner_who_sends_what_both_accept(pair: Pair) -> None:
    made = await pair.endpoint(pair.north, maxInFlight=1)
    for number in range(10):
        await pair.event((pair.north, pair.south)[number % 2], number)
    await pair.until(10)
    row = pair.north.server.services.directory.endpoints_by_id[made["id"]].row
    owners = [one.server.services.standing for one in (pair.north, pair.south)]
    assert sum(row in owner.posts.rows for owner in owners if isinstance(owner, Node)) == 1
    assert post_of(row) in pair.disk.posts


async def test_what_one_node_changes_the_other_shows_and_obeys(pair: Pair) -> None:
    made = await pair.endpoint(pair.north)
    path = f"/v1/endpoints/{made['id']}"
    await pair.event(pair.south, 1)
    await pair.until(1)
    changed = await pair.south.call("PATCH", path, json={"enabled": False})
    assert changed.status_code == 200
    assert await pair.event(pair.north, 2) == 0
    assert (await pair.north.call("GET", path)).json()["enabled"] is False
    assert (await pair.north.call("DELETE", path)).status_code == 204
    assert await pair.event(pair.south, 3) == 0
    assert (await pair.south.call("GET", path)).status_code == 404


async def test_both_are_ready_and_the_work_of_one_that_stops_goes_on(pair: Pair) -> None:
    for one in (pair.north, pair.south):
        assert (await one.call("GET", "/readyz")).status_code == 200
    await pair.endpoint(pair.north, maxInFlight=2)
    await pair.event(pair.south, 1)
    await pair.until(1)
    await pair.stop_north.aclose()
    assert len([one for one in pair.disk.epochs.values() if not one.ended]) == 1
    await pair.event(pair.south, 2)
    await pair.until(2)


async def test_a_node_whose_lease_is_lost_says_so(pair: Pair) -> None:
    standing = pair.south.server.services.standing
    assert isinstance(standing, Node)
    standing.lease.void()
    answer = await pair.south.call("GET", "/readyz")
    assert answer.status_code == 503
    assert "nothing is sent" in answer.text
    made = await pair.endpoint(pair.north)
    tried = await pair.south.call("POST", f"/v1/endpoints/{made['id']}/test", json={"event": "order.paid"})
    assert tried.status_code == 503, tried.text
    await standing.beat()
    assert (await pair.south.call("GET", "/readyz")).status_code == 200


async def test_what_one_node_made_a_moment_ago_the_other_knows(pair: Pair) -> None:
    made = await pair.endpoint(pair.north)
    read = await pair.south.call("GET", f"/v1/endpoints/{made['id']}")
    assert read.status_code == 200, read.text
    key = await pair.north.call("POST", "/v1/keys", json={"name": "fresh", "scopes": ["read"]})
    assert key.status_code == 201, key.text
    listed = await pair.south.call("GET", "/v1/endpoints", key=key.json()["key"])
    assert listed.status_code == 200, listed.text
    assert (await pair.south.call("GET", "/v1/endpoints/ep_none")).status_code == 404
    assert (await pair.south.call("GET", "/v1/endpoints", key="wsk_none")).status_code == 401


async def test_a_reader_of_the_feed_at_one_node_gets_what_the_other_accepts(pair: Pair) -> None:
    start = (await pair.south.call("GET", "/v1/events/feed")).json()
    query = {"after": start["nextCursor"], "wait": "30"}
    waiting = asyncio.ensure_future(pair.south.call("GET", "/v1/events/feed", params=query))
    await asyncio.sleep(0.2)
    await pair.event(pair.north, 1)
    items = (await waiting).json()
    assert "order-1" in str(items)


async def test_nodes_that_start_at_once_make_the_first_keys_once(pair: Pair) -> None:
    made: list[str] = []

    async def make(name: str) -> None:
        made.append(name)
        await asyncio.sleep(0.05)
        made.append(name)

    nodes = {name: one.server.services.standing for name, one in (("north", pair.north), ("south", pair.south))}
    await asyncio.gather(*(node.alone("first keys", partial(make, name)) for name, node in nodes.items()))
    assert made[0] == made[1] != made[2] == made[3]
