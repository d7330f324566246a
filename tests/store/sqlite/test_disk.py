"""A disk that is full, fails or runs out of room: refused with a reason, nothing half written, well again by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.conformance.clerk import ACCOUNT, START_MS, Clerk
from tests.store.sqlite.conftest import SqlitePlace
from tests.store.sqlite.faulty_disk import FaultyDisk
from whatsync.model.delivery import Happening, State
from whatsync.ports.store import Accepted, Duplicates, StoreRefused, StoreUnavailable
from whatsync.store.sqlite import connection, writer


@pytest.fixture
async def shaky(
    make_clerk: Callable[..., Any], disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Clerk]:
    """Somebody who works on a disk that fails when told to; the store tries again without a pause."""
    monkeypatch.setattr(writer, "QUIET_SECONDS", 0.01)
    clerk, place = await make_clerk(vfs=disk.name)
    place.sqlite._disk.pause_seconds = 0.01
    yield clerk
    disk.write = disk.sync = disk.open = None


async def until_writable(clerk: Clerk) -> None:
    """Wait for the store to find out by itself that its disk is well."""
    async with asyncio.timeout(20):
        while not clerk.store.state().writable:  # noqa: ASYNC110 - it tells its state to whoever asks
            await asyncio.sleep(0.005)


async def test_a_full_disk(shaky: Clerk, disk: FaultyDisk) -> None:
    (before,) = await shaky.accepted(1, claimed=True)
    disk.write = apsw.FullError
    with pytest.raises(StoreUnavailable, match="is full: make room"):
        await shaky.accept([shaky.event(id="evt_lost")])
    state = shaky.store.state()
    assert not state.writable
    assert "is full: make room" in str(state.reason)
    with pytest.raises(StoreUnavailable, match="is full"):
        await shaky.accept([shaky.event()])
    assert await shaky.history.event(ACCOUNT, "evt_lost") is None
    disk.write = None
    await until_writable(shaky)
    assert await shaky.accept([shaky.event(id="evt_lost")]) == Accepted()
    assert await shaky.state(before) is State.PENDING


async def test_a_disk_that_fails_while_writing(shaky: Clerk, disk: FaultyDisk) -> None:
    """Errors of input and output at the commit: unknown, so replayed until the disk says yes."""
    disk.write = apsw.IOError
    answer = asyncio.ensure_future(shaky.accept([shaky.event(id="evt_kept")]))
    await disk.failed(3)
    assert not answer.done()
    disk.write = None
    assert await answer == Accepted()
    assert await shaky.history.event(ACCOUNT, "evt_kept") is not None


async def test_a_database_that_can_not_be_opened_again(shaky: Clerk, disk: FaultyDisk) -> None:
    disk.sync = apsw.IOError
    answer = asyncio.ensure_future(shaky.accept([shaky.event()]))
    await disk.failed(1)
    disk.open = apsw.CantOpenError
    disk.sync = None
    await disk.failed(5)
    assert not answer.done()
    disk.open = None
    assert await answer == Accepted()


async def test_outcomes_are_refused_too_and_taken_later(shaky: Clerk, disk: FaultyDisk) -> None:
    claimed = await shaky.in_state(State.PENDING)
    claimed = await shaky.claim_one()
    disk.write = apsw.FullError
    with pytest.raises(StoreUnavailable):
        await shaky.end(claimed, State.SUCCEEDED)
    disk.write = None
    await shaky.end(claimed, State.SUCCEEDED)
    assert shaky.store.state().writable
    assert await shaky.state(claimed.id) is State.SUCCEEDED
    assert len(await shaky.history.attempts(ACCOUNT, claimed.id)) == 1


async def test_everybody_in_the_group_is_refused(shaky: Clerk, disk: FaultyDisk) -> None:
    disk.write = apsw.FullError
    events = [shaky.event() for _ in range(50)]
    calls = []
    for event in events:
        try:
            calls.append(asyncio.ensure_future(shaky.accept([event])))
        except StoreUnavailable:
            break
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    disk.write = None
    await until_writable(shaky)
    for event in events:
        assert await shaky.history.event(ACCOUNT, event.id) is None


async def test_a_commit_whose_fate_is_unknown_is_answered_when_it_is_known(shaky: Clerk, disk: FaultyDisk) -> None:
    """The sync fails after the pages were written. Nobody is told yes or no before the disk is well again."""
    event = shaky.event(id="evt_unknown")
    disk.sync = apsw.IOError
    answer = asyncio.ensure_future(shaky.accept([event], [shaky.delivery(event, 1)]))
    await disk.failed(3)
    assert not answer.done()
    assert not shaky.store.state().writable
    disk.sync = None
    assert await answer == Accepted()
    assert shaky.store.state().writable
    found = await shaky.history.event(ACCOUNT, "evt_unknown")
    assert found is not None
    assert found.deliveries == 1
    assert isinstance(await shaky.accept([shaky.event(id="evt_unknown")]), Duplicates)
    assert len((await shaky.claim()).items) == 1


async def test_closing_does_not_wait_for_a_dead_disk(make_clerk: Callable[..., Any], disk: FaultyDisk) -> None:
    clerk, place = await make_clerk(vfs=disk.name)
    place.sqlite._disk.pause_seconds = 0.01
    disk.sync = apsw.IOError
    answer = asyncio.ensure_future(clerk.accept([clerk.event()]))
    await disk.failed(3)
    async with asyncio.timeout(20):
        await place.close()
        with pytest.raises(StoreUnavailable):
            await answer
    disk.sync = None
    await place.open(START_MS)


async def test_a_disk_with_little_room_takes_no_events_but_outcomes(make_clerk: Callable[..., Any]) -> None:
    room = [10_000]
    clerk, _ = await make_clerk(free_bytes_min=5_000, free_bytes=lambda folder: room[0])
    (row,) = await clerk.accepted(1)
    claimed = await clerk.claim_one()
    room[0] = 4_999
    await clerk.end(claimed, State.RETRYING)
    state = clerk.store.state()
    assert (state.writable, state.free_bytes) == (False, 4_999)
    assert "WHATSYNC_MIN_FREE_DISK" in str(state.reason)
    with pytest.raises(StoreUnavailable, match="no new event is accepted"):
        await clerk.accept([clerk.event()])
    await clerk.end((await clerk.claim(early=True)).items[0], State.SUCCEEDED)
    assert await clerk.state(row) is State.SUCCEEDED
    room[0] = 5_000
    await until_writable(clerk)
    assert await clerk.accept([clerk.event()]) == Accepted()


async def test_the_log_begins_anew(place: SqlitePlace, clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that has grown beyond its bound is begun anew, however many readers there were."""
    monkeypatch.setattr("whatsync.store.sqlite.disk.WAL_BYTES_MAX", 200_000)
    for _ in range(40):
        await clerk.accept([clerk.event(body=bytes(10_000)) for _ in range(10)])
        await clerk.history.event(ACCOUNT, "evt_1")
    assert clerk.store.state().wal_bytes < 2_000_000


async def test_a_full_disk_at_the_start(tmp_path: Path, disk: FaultyDisk) -> None:
    """Refused in words; the next start finds everything."""
    place = SqlitePlace(tmp_path, vfs=disk.name)
    await place.open(START_MS)
    (row,) = await Clerk(place).accepted(1)
    await place.close()
    disk.write = apsw.FullError
    with pytest.raises(StoreRefused, match="can't be opened"):
        await place.open(START_MS)
    disk.write = None
    await place.open(START_MS)
    assert [one.id for one in (await Clerk(place).claim()).items] == [row]
    await place.close()


async def test_a_quiet_store_sees_by_itself_that_the_disk_is_well(shaky: Clerk, disk: FaultyDisk) -> None:
    disk.write = apsw.FullError
    with pytest.raises(StoreUnavailable):
        await shaky.settle(Happening.CANCEL, 1)
    disk.write = None
    await until_writable(shaky)
    commits = shaky.store.state().commits
    await shaky.history.event(ACCOUNT, "evt_1")
    assert shaky.store.state().commits - commits <= 1


async def test_a_commit_that_had_taken_effect_is_not_made_twice(shaky: Clerk, disk: FaultyDisk) -> None:
    """With no reader left, opening anew finds the whole commit in the log though its sync failed."""
    place = shaky.place
    assert isinstance(place, SqlitePlace)
    await place.history.close()  # type: ignore[attr-defined]  # the adapter's own
    event = shaky.event(id="evt_once")
    disk.sync = apsw.IOError
    answer = asyncio.ensure_future(shaky.accept([event], [shaky.delivery(event, 1)]))
    await disk.failed(2)
    assert not answer.done()
    disk.sync = None
    assert await answer == Accepted()
    session = place.sqlite._running().session
    assert session.db.execute("SELECT count(*) FROM delivery").fetchall() == [(1,)]
    assert isinstance(await shaky.accept([shaky.event(id="evt_once")]), Duplicates)


async def test_nobody_is_answered_before_a_sync(shaky: Clerk, disk: FaultyDisk) -> None:
    claimed = None
    for _ in range(3):
        before = disk.syncs
        await shaky.accepted(1)
        assert disk.syncs > before
        before = disk.syncs
        claimed = await shaky.claim_one()
        assert disk.syncs > before
        before = disk.syncs
        await shaky.end(claimed, State.SUCCEEDED)
        assert disk.syncs > before


async def test_a_database_that_another_program_holds(
    make_clerk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READ_WAIT_MS", 50)
    monkeypatch.setattr(writer, "QUIET_SECONDS", 0.01)
    clerk, place = await make_clerk()
    other = apsw.Connection(str(place.path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"another program holds the database .* locked: end it"):
        await clerk.accept([clerk.event(id="evt_locked")])
    assert not clerk.store.state().writable
    other.execute("ROLLBACK")
    await until_writable(clerk)
    assert await clerk.accept([clerk.event(id="evt_locked")]) == Accepted()
    other.close()


async def test_a_start_on_a_database_that_another_program_holds(
    make_clerk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READ_WAIT_MS", 50)
    _, place = await make_clerk()
    await place.close()
    other = apsw.Connection(str(place.path))
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreRefused, match=r"another program is using the database .*; stop it first"):
        await place.open(START_MS)
    other.execute("ROLLBACK")
    other.close()
    await place.open(START_MS)
