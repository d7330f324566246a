"""A synchronous standby: what is acknowledged is there when the primary is lost, and nothing is acknowledged that is
not, whatever the primary itself says about it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from tests.conformance.clerk import ACCOUNT, START_MS
from tests.store.postgres.cluster import Cluster
from tests.store.postgres.proxy import Proxy
from tests.store.postgres.test_network import admission, taken
from whatsync.net.system import SystemClock
from whatsync.ports.store import StoreUnavailable
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
    patch: pytest.MonkeyPatch

    async def hurry(self) -> None:
        """Nobody waits for a quarter of a minute from here on, and connections are opened anew for that."""
        await self.takes(1)
        self.patch.setattr(connection, "STATEMENT_SECONDS", 1.0)
        self.patch.setattr(batches, "PATIENCE_SECONDS", 0.5)
        self.store.database.writers.cut()
        self.store.database.readers.cut()
        await self.takes(0)

    async def takes(self, number: int) -> None:
        """Hand an event in until it is taken: a machine that stands still for long looks like a database that does."""
        await taken(self.store, number)

    def has(self, cluster: Cluster, number: int) -> bool:
        """Whether a server has an event."""
        return cluster.sql(f"SELECT count(*) FROM event_id WHERE id = 'evt_{number}'", DATABASE).strip() == "1"

    def has_free(self, cluster: Cluster, number: int) -> bool:
        """Whether an event's delivery is there for whoever looks."""
        found = f"event_id AS i JOIN open_delivery AS o ON o.event = i.seq AND i.id = 'evt_{number}'"
        return cluster.sql(f"SELECT o.holder FROM {found} WHERE o.due_ms IS NOT NULL", DATABASE) == "\n"

    def waits(self) -> bool:
        """Whether the primary waits for the standby."""
        return self.primary.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "0\n"

    def well(self) -> bool:
        """Whether the store takes writes."""
        return self.store.state().writable


async def true(wanted: Callable[[], bool], seconds: float = 60) -> None:
    """Return when something is so."""
    ends = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    primary = Cluster(durable=True)
    primary.sql(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8'")
    line = Proxy(primary.port)
    await line.start()
    standby = await asyncio.to_thread(Cluster, durable=True, primary=primary, through=line.port)
    await asyncio.to_thread(primary.wait_for_standby)
    url = f"postgresql://whatsync@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/{DATABASE}"
    store = PostgresStore(Address(url), clock=SystemClock(), name="one", label="a test")
    await store.open(START_MS, "1")
    yield Pair(primary, standby, line, store, monkeypatch)
    line.flow()
    await store.abandon()
    standby.close()
    primary.close()
    await line.stop()


async def test_what_the_standby_does_not_have_is_not_acknowledged_while_it_is_away(pair: Pair) -> None:
    await pair.hurry()
    pair.line.stall()
    # Told while the statement goes on: the end of that has other words.
    with pytest.raises(StoreUnavailable, match="the same request again"):
        await pair.store.accept(admission(2))
    # The primary has it, gave up waiting when it was told to, and would say that it is committed.
    await true(lambda: pair.has(pair.primary, 2))
    await true(lambda: not pair.well())
    for number in (3, 4):
        with pytest.raises(StoreUnavailable):
            await pair.store.accept(admission(number))
    pair.line.flow()
    await true(pair.well)
    await pair.takes(5)
    # What was written when nobody waited for it any more is not forgotten.
    await true(lambda: pair.has_free(pair.primary, 2))


@pytest.mark.parametrize("called_off", [False, True])
async def test_a_promoted_standby_is_asked_what_it_has_and_not_which_ids_it_used(pair: Pair, called_off: bool) -> None:
    await pair.hurry()
    # From here on the standby gets nothing: what the primary writes will be lost with it.
    pair.line.stall()
    calls = [asyncio.ensure_future(pair.store.accept(admission(number))) for number in range(2, 6)]
    if called_off:
        while not pair.has(pair.primary, 2):
            # Then COMMIT succeeds, and only a warning tells.
            pair.primary.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            await asyncio.sleep(0.02)
    else:
        await true(pair.waits)
    pair.primary.kill()
    pair.line.cut()
    pair.standby.promote()
    for number, answer in enumerate(await asyncio.gather(*calls, return_exceptions=True), start=2):
        assert isinstance(answer, StoreUnavailable), answer
        assert not pair.has(pair.standby, number)
    await true(pair.well)
    assert pair.has(pair.standby, 1)
    await pair.takes(9)
    assert await pair.store.history.event(ACCOUNT, "evt_9") is not None
