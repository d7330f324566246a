"""The network between node and database cut, stalled, and cut in the very moment of a COMMIT."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.conformance.clerk import ACCOUNT, START_MS
from tests.store.postgres import databases
from tests.store.postgres.cluster import quick
from tests.store.postgres.proxy import Proxy
from whatsync.model.ids import Sequence
from whatsync.net.system import SystemClock
from whatsync.ports.store import (
    Accepted,
    Admission,
    Change,
    Changed,
    DeliveryRow,
    Duplicates,
    EventRow,
    Put,
    StoreUnavailable,
)
from whatsync.store.postgres import connection
from whatsync.store.postgres.connection import Address
from whatsync.store.postgres.store import PostgresStore

WELL_SECONDS = 60.0
_sequence = Sequence()


class Line:
    """A store and the line it hangs on."""

    def __init__(self, proxy: Proxy, store: PostgresStore) -> None:
        self.proxy = proxy
        self.store = store

    async def well(self) -> None:
        """Wait until the store takes writes again."""
        ends = time.monotonic() + WELL_SECONDS
        while not self.store.state().writable:
            assert time.monotonic() < ends
            await asyncio.sleep(0.02)

    async def takes(self, number: int) -> None:
        """Hand an event in until it is taken: a machine that stands still for long looks like a database that does."""
        await taken(self.store, number)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    name = await databases.borrow()
    proxy = Proxy(quick().port)
    await proxy.start()
    address = Address(quick().url(name, proxy.port), unsafe_allowed=True)
    store = PostgresStore(address, clock=SystemClock(), name="one", label="a test")
    await store.open(START_MS, "1")
    yield Line(proxy, store)
    proxy.flow()
    await store.abandon()
    await proxy.stop()


def admission(number: int, version: int = 0) -> Admission:
    """One event with a delivery."""
    event = EventRow(_sequence.next(START_MS), ACCOUNT, f"evt_{number}", "message.incoming", b"{}")
    row = DeliveryRow(_sequence.next(START_MS), event.seq, ACCOUNT, 1, event.type, claimed=True, due_ms=START_MS)
    return Admission(ACCOUNT, version, (event,), (row,))


async def taken(store: PostgresStore, number: int) -> None:
    """Hand an event in until the store has it."""
    given, ends = admission(number), time.monotonic() + WELL_SECONDS
    while True:
        try:
            answer = await store.accept(given)
        except StoreUnavailable:
            assert time.monotonic() < ends
            await asyncio.sleep(0.05)
        else:
            # What seemed not to be written may have been, a little later.
            assert isinstance(answer, Accepted | Duplicates)
            return


async def test_a_commit_whose_answer_was_lost_is_answered_with_what_became_of_it(line: Line) -> None:
    await line.store.accept(admission(0))
    line.proxy.swallow_commits = 3
    answers = await asyncio.gather(*[line.store.accept(admission(n)) for n in range(1, 40)], return_exceptions=True)
    assert line.proxy.swallow_commits < 3
    await line.well()
    for number, answer in enumerate(answers, start=1):
        stored = await line.store.history.event(ACCOUNT, f"evt_{number}")
        assert (stored is not None) == (answer == Accepted()), answer
        assert answer == Accepted() or isinstance(answer, StoreUnavailable)
    assert Accepted() in answers


async def test_a_change_whose_answer_was_lost_happens_once(line: Line) -> None:
    line.proxy.swallow_commits = 1
    changed = await line.store.change(Change(ACCOUNT, (Put("endpoint", "ep_1", ACCOUNT, b"one", 0),)))
    assert isinstance(changed, Changed)
    assert (changed.version, changed.documents[0].version) == (1, 1)
    await line.well()
    assert await line.store.accept(admission(1, version=1)) == Accepted()


async def test_claims_whose_answer_was_lost_are_not(line: Line) -> None:
    one = admission(1)
    waiting = Admission(ACCOUNT, 0, one.events, (DeliveryRow(one.deliveries[0].id, one.events[0].seq, ACCOUNT, 1,
        "message.incoming", claimed=False, due_ms=START_MS),))  # fmt: skip
    await line.store.accept(waiting)
    line.proxy.swallow_commits = 1
    claims = await line.store.claim(1, START_MS, 10)
    assert [claimed.id for claimed in claims.items] == [one.deliveries[0].id]


async def test_a_cut_line_is_told_at_once_and_mends_itself(line: Line) -> None:
    line.proxy.refusing = True
    line.proxy.cut()
    with pytest.raises(StoreUnavailable):
        await line.store.accept(admission(1))
    # From now on nobody waits for anything.
    told = line.store.accept(admission(2))
    assert told.done()
    with pytest.raises(StoreUnavailable):
        told.result()
    with pytest.raises(StoreUnavailable):
        line.store.history.event(ACCOUNT, "evt_1").send(None)
    state = line.store.state()
    assert not state.writable
    assert state.reason
    line.proxy.refusing = False
    await line.well()
    await line.takes(3)


async def test_a_stalled_line_is_given_up(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    await line.takes(0)
    with monkeypatch.context() as hurried:
        hurried.setattr(connection, "STATEMENT_SECONDS", 0.5)
        hurried.setattr(connection, "CONNECT_SECONDS", 0.5)
        line.proxy.cut()
        with pytest.raises(StoreUnavailable):
            await line.store.accept(admission(1))
        await line.well()
        line.proxy.stall()
        with pytest.raises(StoreUnavailable):
            await line.store.accept(admission(2))
    line.proxy.flow()
    await line.well()
    await line.takes(3)
