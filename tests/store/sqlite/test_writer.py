"""Group commit: many callers, few commits; nobody is answered before the disk has it; one bad call harms no other."""

import asyncio
import contextlib

import apsw
import pytest

from tests.conformance.clerk import ACCOUNT, Clerk
from tests.store.sqlite.conftest import SqlitePlace
from whatsync.model.delivery import State
from whatsync.ports.store import Accepted, Admission, Claimed, Duplicates, EventRow, Recorded, StoreUnavailable
from whatsync.store.sqlite import fold as fold_module
from whatsync.store.sqlite.connection import open_reader
from whatsync.store.sqlite.fold import TailFold, fold
from whatsync.store.sqlite.session import Session


def admission(clerk: Clerk, **fields: object) -> Admission:
    event = clerk.event(**fields)  # type: ignore[arg-type]
    return Admission(ACCOUNT, 0, (event,), (clerk.delivery(event, 1, claimed=True),))


async def test_many_callers_share_few_commits(clerk: Clerk) -> None:
    before = clerk.store.state()
    calls = [clerk.store.accept(admission(clerk)) for _ in range(500)]
    assert await asyncio.gather(*calls) == [Accepted()] * 500
    after = clerk.store.state()
    assert after.operations - before.operations == 500
    assert after.commits - before.commits < 50


async def test_one_caller_does_not_wait_for_company(clerk: Clerk) -> None:
    before = clerk.store.state().commits
    await clerk.store.accept(admission(clerk))
    assert clerk.store.state().commits == before + 1


async def test_whoever_is_answered_finds_it_on_disk(clerk: Clerk, place: SqlitePlace) -> None:
    """At the moment of the answer another connection sees the row."""
    seen: list[int] = []

    def look(_answer: object) -> None:
        with contextlib.closing(open_reader(place.path)) as db:
            seen.append(db.execute("SELECT count(*) FROM event").fetchall()[0][0])  # type: ignore[arg-type]

    for count in range(1, 6):
        answer = clerk.store.accept(admission(clerk))
        answer.add_done_callback(look)
        await answer
        await asyncio.sleep(0)
        assert seen[-1] == count


async def test_one_bad_call_among_good_ones(clerk: Clerk) -> None:
    """A lone surrogate can't be written as UTF-8: only who brought it hears of it."""
    good = [admission(clerk) for _ in range(20)]
    bad = admission(clerk, id="evt_\ud800")
    calls = [clerk.store.accept(one) for one in (*good[:10], bad, *good[10:])]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results.pop(10), UnicodeEncodeError)
    assert results == [Accepted()] * 20
    for one in good:
        assert await clerk.history.event_by_seq(ACCOUNT, one.events[0].seq) is not None


async def test_a_bad_call_leaves_no_trace_in_memory(clerk: Clerk) -> None:
    """Its other event was taken in before the bad one: its id must be free again, its new words forgotten."""
    first = clerk.event(id="evt_once", type="own.new")
    broken = clerk.event(body="no bytes", contact="\ud800")
    with pytest.raises(UnicodeEncodeError):
        await clerk.store.accept(Admission(ACCOUNT, 0, (first, broken), ()))
    again = clerk.event(id="evt_once", type="own.new")
    assert await clerk.accept([again]) == Accepted()
    found = await clerk.history.event(ACCOUNT, "evt_once")
    assert found is not None
    assert (found.seq, found.type) == (again.seq, "own.new")


async def test_the_same_id_twice_in_one_commit(clerk: Clerk) -> None:
    calls = [clerk.store.accept(admission(clerk, id="evt_same")) for _ in range(3)]
    first, *others = await asyncio.gather(*calls)
    assert first == Accepted()
    for other in others:
        assert isinstance(other, Duplicates)
        (existing,) = other.existing
        assert isinstance(existing, EventRow)
        assert (existing.id, existing.deliveries) == ("evt_same", 1)


async def test_steps_that_fail_are_undone_and_told(clerk: Clerk, place: SqlitePlace) -> None:
    def step(session: Session) -> None:
        session.db.execute("INSERT INTO health (endpoint, body) VALUES (1, x'')")
        raise ValueError("a bug")

    good = clerk.store.accept(admission(clerk))
    with pytest.raises(ValueError, match="a bug"):
        await place.sqlite._step(step)
    assert await good == Accepted()
    with contextlib.closing(open_reader(place.path)) as db:
        assert db.execute("SELECT count(*) FROM health").fetchall() == [(0,)]


async def test_stale_and_good_outcomes_in_one_commit(clerk: Clerk) -> None:
    rows = [admission(clerk) for _ in range(5)]
    await asyncio.gather(*[clerk.store.accept(one) for one in rows])
    attempts = [
        clerk.attempt(Claimed(one.deliveries[0].id, 1, 0, State.PENDING, one.events[0]), State.SUCCEEDED)
        for one in rows
    ]
    stale = clerk.attempt(Claimed(rows[0].deliveries[0].id, 7, 0, State.PENDING, rows[0].events[0]), State.FAILED)
    results = await asyncio.gather(*[clerk.store.record([one]) for one in (*attempts, stale)])
    assert results == [Recorded()] * 5 + [Recorded(stale=(stale.delivery,))]
    for one in rows:
        assert await clerk.state(one.deliveries[0].id) is State.SUCCEEDED


async def test_a_closed_store_says_so(clerk: Clerk, place: SqlitePlace) -> None:
    await place.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        clerk.store.accept(admission(clerk))
    with pytest.raises(StoreUnavailable, match="closed"):
        await clerk.store.claim(1, clerk.now, 1)
    assert not clerk.store.state().writable


async def test_what_waits_is_written_before_closing(clerk: Clerk, place: SqlitePlace) -> None:
    calls = [clerk.store.accept(admission(clerk)) for _ in range(300)]
    await place.close()
    assert [call.result() for call in calls] == [Accepted()] * 300
    await place.open(clerk.now)
    assert place.opened.backlog[0].waiting == 300


def test_sqlite_is_new_enough() -> None:
    """Older ones can damage a log that two connections restart at the same moment."""
    assert apsw.sqlite_lib_version() >= "3.51.3"


async def test_a_mistake_in_the_upkeep_costs_no_event(
    clerk: Clerk, place: SqlitePlace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_fold: TailFold, _rows: int) -> int:
        raise ValueError("a bug in folding")

    monkeypatch.setattr(TailFold, "step", broken)
    monkeypatch.setattr(fold_module, "TAIL_ROWS_MAX", 10)
    for _ in range(5):
        await clerk.accepted(*range(1, 11))
    assert "upkeep has stopped" in caplog.text
    await clerk.reopen()
    assert [one.waiting for one in place.opened.backlog] == [5] * 10
    await place.sqlite._step(fold)
    assert len((await clerk.claim()).items) == 5
