"""Finding by words when their hashes fall together: the full text decides, in memory and in the runs on disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.clerk import ACCOUNT, OTHER, START_MS, Clerk
from tests.conformance.places import VERSION, SqlitePlace
from whatsync.net.system import SystemClock
from whatsync.ports.store import Accepted, Duplicates
from whatsync.store.keyed_hash import Hash
from whatsync.store.sqlite.store import SqliteStore


def two_hashes(_key: bytes) -> Hash:
    """Every word has one of two hashes, whatever account it is of."""
    return lambda _account, word: len(word) % 2


class Colliding(SqlitePlace):
    """A store whose words all fall together."""

    async def open(self, now_ms: int) -> None:
        self.sqlite = SqliteStore(self._path, clock=SystemClock(), make_hash=two_hashes)
        self.opened = await self.sqlite.open(now_ms, VERSION)
        self.store, self.history = self.sqlite, self.sqlite.history


@pytest.fixture
async def clerk(tmp_path: Path) -> AsyncIterator[Clerk]:
    place = Colliding(tmp_path)
    await place.open(START_MS)
    yield Clerk(place)
    await place.close()


@pytest.mark.parametrize("tidy", [False, True])
async def test_each_word_finds_its_own_events(clerk: Clerk, tidy: bool) -> None:
    ids = [f"evt_{n:02}" for n in range(30)]
    for n, id_ in enumerate(ids):
        event = clerk.event(id=id_, keys=(f"phone:{n % 3}", f"message:{n:02}"))
        assert await clerk.accept([event]) == Accepted()
        assert await clerk.accept([clerk.event(OTHER, id=id_)]) == Accepted()
        if tidy and n == 20:
            await clerk.place.tidy()
    for n, id_ in enumerate(ids):
        found = await clerk.history.event(ACCOUNT, id_)
        assert found is not None
        assert (found.account, found.id) == (ACCOUNT, id_)
        assert [event.id for event in await clerk.history.find(ACCOUNT, [f"message:{n:02}"], 5)] == [id_]
        assert isinstance(await clerk.accept([clerk.event(id=id_)]), Duplicates)
    assert await clerk.history.event(ACCOUNT, "evt_99") is None
    newest = [event.id for event in await clerk.history.find(ACCOUNT, ["phone:1"], 4)]
    assert newest == ["evt_28", "evt_25", "evt_22", "evt_19"]
    assert len(await clerk.history.find(ACCOUNT, ["phone:1"], 100)) == 10
