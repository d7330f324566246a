"""A synchronous standby: what is acknowledged is there when the primary is lost, and nothing is acknowledged that is
not, whatever the primary itself says about it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.conformance.clerk import ACCOUNT, START_MS
from tests.store.postgres.cluster import Cluster
from tests.store.postgres.proxy import Proxy
from tests.store.postgres.test_network import admission
from whatsync.net.system import SystemClock
from whatsync.ports.store import Accepted, StoreUnavailable
from whatsync.store.postgres import batches, connection
from whatsync.store.postgres.connection import Address
from whatsync.store.postgres.store import PostgresStore

pytestmark = pytest.mark.slow
DATABASE = "whatsync"


@dataclass
class Pair:
    """A primary and its standby, the line between them, and a store that knows both."""

    primary: Cluster
    standby: Cluster
    line: Proxy
    store: PostgresStore

    async def has(self, cluster: Cluster, number: int) -> bool:
        """Whether a server has an event."""
        said = await asyncio.to_thread(
            cluster.sql, f"SELECT count(*) FROM event_id WHERE id = 'evt_{number}'", DATABASE
        )
        return said.strip() == "1"

    async def well(self) -> None:
        """Wait until the store takes writes."""
        ends = time.monotonic() + 30
        while not self.store.state().writable:
            assert time.monotonic() < ends
            await asyncio.sleep(0.05)


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    # Nobody waits for a quarter of a minute here.
    monkeypatch.setattr(connection, "STATEMENT_SECONDS", 1.0)
    monkeypatch.setattr(batches, "PATIENCE_SECONDS", 0.5)
    primary = Cluster(durable=True)
    primary.sql(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8'")
    line = Proxy(primary.port)
    await line.start()
    standby = await asyncio.to_thread(Cluster, durable=True, primary=primary, through=line.port)
    await asyncio.to_thread(primary.wait_for_standby)
    url = f"postgresql://whatsync@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/{DATABASE}"
    store = PostgresStore(Address(url), clock=SystemClock(), name="one", label="a test")
    await store.open(START_MS, "1")
    yield Pair(primary, standby, line, store)
    line.flow()
    await store.abandon()
    standby.close()
    primary.close()
    await line.stop()


async def test_what_the_standby_does_not_have_is_not_acknowledged_while_it_is_away(pair: Pair) -> None:
    assert await pair.store.accept(admission(1)) == Accepted()
    pair.line.stall()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await pair.store.accept(admission(2))
    assert time.monotonic() - began < 1
    # The primary has it, gave up waiting when it was told to, and would say that it is committed.
    while not await pair.has(pair.primary, 2):
        await asyncio.sleep(0.1)
    while pair.store.state().writable:
        await asyncio.sleep(0.05)
    for number in (3, 4):
        with pytest.raises(StoreUnavailable):
            await pair.store.accept(admission(number))
    pair.line.flow()
    await pair.well()
    assert await pair.store.accept(admission(5)) == Accepted()
    # What was written when nobody waited for it any more is not forgotten: whoever looks may send it.
    async with asyncio.timeout(10):
        while len(claims := (await pair.store.claim(1, 1 << 60, 10)).items) < 1:
            await asyncio.sleep(0.05)
    assert "evt_2" in {claimed.event.id for claimed in claims}


async def test_a_promoted_standby_is_asked_what_it_has_and_not_which_ids_it_used(pair: Pair) -> None:
    assert await pair.store.accept(admission(1)) == Accepted()
    # From here on the standby gets nothing: the primary writes what will be lost with it.
    pair.line.stall()
    calls = [asyncio.ensure_future(pair.store.accept(admission(number))) for number in range(2, 6)]
    change = asyncio.ensure_future(pair.store.count_arrivals(()))
    while not await pair.has(pair.primary, 2):
        with suppress(RuntimeError):
            await asyncio.to_thread(
                pair.primary.sql,
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'", DATABASE,
            )  # fmt: skip
        await asyncio.sleep(0.05)
    await asyncio.to_thread(pair.primary.kill)
    pair.line.cut()
    await asyncio.to_thread(pair.standby.promote)
    await pair.well()
    for number, call in enumerate(calls, start=2):
        answer = (await asyncio.gather(call, return_exceptions=True))[0]
        assert answer == Accepted() or isinstance(answer, StoreUnavailable), answer
        assert answer != Accepted() or await pair.has(pair.standby, number)
    await asyncio.gather(change, return_exceptions=True)
    assert await pair.has(pair.standby, 1)
    assert await pair.store.accept(admission(9)) == Accepted()
    assert await pair.store.history.event(ACCOUNT, "evt_9") is not None
