"""Three nodes as real processes over one real PostgreSQL, killed, stopped and started under load, and PostgreSQL with
them: the laws of one server hold for all of them together.
"""

import asyncio
import functools
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.crash import rarely
from tests.crash.clients import event
from tests.crash.crowd import Crowd
from tests.crash.nodes import NodeReceiver, Nodes, SlowReceiver, submit_all
from tests.crash.server import until
from tests.store.postgres.cluster import Cluster
from tests.web.people import post
from whatsync.model.limits import LEASE_SECONDS

KILLS = 4
RATE = 20
QUEUED = 102
WINDOW_MS = 10_000
HANDED_OVER_SECONDS = 6.0
"""Mostly: one of three times the machine may be busy with something else, but not until a lease is over."""
TAKEN_OVER_SECONDS = LEASE_SECONDS - 5
RARELY = str(Path(rarely.__file__))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server with the settings that durability needs."""
    cluster = Cluster(durable=True, max_connections="100")
    yield cluster
    cluster.close()


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
        took = []
        async with crowd.load():
            for server in nodes.servers:
                await asyncio.sleep(1)
                assert await server.stop() == 0
                gone, ordered = time.monotonic(), crowd.receivers[2]
                arrived = len(ordered.arrivals)
                while len(ordered.arrivals) < arrived + 5:
                    assert time.monotonic() - gone < TAKEN_OVER_SECONDS, "nobody took the endpoint over"
                    await asyncio.sleep(0.02)
                took.append(time.monotonic() - gone)
                await server.start()
        await crowd.settle()
        assert sorted(took)[1] < HANDED_OVER_SECONDS, took
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


def _has_user(email: str, page: dict[str, Any]) -> bool:
    return email in {user["email"] for user in page["items"]}


async def test_people_sessions_and_sources_of_one_node_are_known_to_the_others(
    tmp_path: Path, cluster: Cluster
) -> None:
    nodes = Nodes(tmp_path, cluster, "people", count=2)
    for server in nodes.servers:
        server.program = (RARELY,)
    async with nodes:
        north, south = nodes.clients
        tokens = [next(server.folder.glob("*token*")).read_text().strip() for server in nodes.servers]
        operators = [{"Authorization": f"Bearer {token}"} for token in tokens]
        account = (await north.get("/v1/account")).raise_for_status().json()["id"]
        for number in range(3):
            one, other = (north, south) if number % 2 else (south, north)
            mine, theirs = operators if number % 2 else operators[::-1]
            form = {"name": f"Source {number}", "appSecret": f"{number}" * 32}
            source = (await one.post("/v1/sources", json=form, headers=mine)).raise_for_status().json()
            asked = {"hub.mode": "subscribe", "hub.verify_token": source["verifyToken"], "hub.challenge": "4711"}
            assert (await other.get(f"/sources/whatsapp/{source['id']}", params=asked)).text == "4711"
            email = f"someone{number}@example.com"
            (await one.post("/v1/users", json={"email": email}, headers=mine)).raise_for_status()
            # What is asked for by name is known at once; a list needs the signal to have come.
            async with httpx.AsyncClient(base_url=str(other.base_url), headers=theirs) as operator:
                there = functools.partial(_has_user, email)
                await until(operator, "/v1/users", there)
            path = f"/v1/accounts/{account}/sign-in-link"
            link = urlsplit((await one.post(path, headers=mine)).raise_for_status().json()["url"]).path
            browser = {"accept": "text/html", "sec-fetch-site": "same-origin"}
            async with httpx.AsyncClient(base_url=str(other.base_url), headers=browser) as visitor:
                assert (await post(visitor, link)).status_code == 303
                page = await visitor.get(f"{str(one.base_url).rstrip('/')}/a/{account}")
                assert page.status_code == 200
                # Signed out on one, on all.
                assert (await post(visitor, "/sign-out")).status_code == 303
                page = await visitor.get(f"{str(one.base_url).rstrip('/')}/a/{account}")
                assert page.status_code == 303


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
        # In one piece: they are to wait for their turn, however slow the machine is.
        form = [event(f"frozen-{number}", "+49") for number in range(5 * RATE)]
        accepted = (await nodes.clients[0].post("/v1/events", json=form)).raise_for_status().json()
        events = [one["id"] for one in accepted["items"]]
        await until(nodes.clients[0], path, lambda one: one["counts"]["waiting"] < 4 * RATE)
        owner = nodes.owner()
        assert owner is not None
        process, other = nodes.servers[owner].process, nodes.clients[1 - owner]
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        nodes.expire(owner)
        await nodes.over(owner)
        await until(other, path, lambda one: one["counts"]["waiting"] == 0)
        process.send_signal(signal.SIGCONT)
        taken = await submit_all(nodes, "after", 10)
        await until(nodes.clients[owner], path, lambda one: one["counts"]["waiting"] == 0)
        receiver.stop()
        arrived = Counter(arrival.event_id for arrival in receiver.arrivals)
        assert set(arrived) == {*events, *taken}
        assert "it joins again" in nodes.servers[owner].log.read_text()


async def test_one_request_at_a_time_is_never_repeated(tmp_path: Path, cluster: Cluster) -> None:
    async with Nodes(tmp_path, cluster, "slow") as nodes:
        # The first answers take longer than heartbeats and looks; the other hundred are spared that.
        receiver = SlowReceiver(0.1, first=(10.0, 10.0))
        await receiver.start()
        endpoint = await nodes.add_endpoint(receiver.url, maxInFlight=1, timeoutSeconds=30)
        events = await submit_all(nodes, "slow", QUEUED)
        path = f"/v1/endpoints/{endpoint['id']}"
        await until(nodes.clients[1], path, lambda one: one["counts"]["waiting"] == 0, 120)
        receiver.stop()
        assert len(receiver.deliveries) == len(set(receiver.deliveries)) == len(events) == QUEUED
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
