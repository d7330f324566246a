"""Look-ups by hash: true collisions are kept apart, folding moves entries without losing one, a crash loses none."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.clerk import ACCOUNT, DAY, OTHER, START_MS, Clerk, key
from tests.store.sqlite.conftest import SqlitePlace
from whatsync.ports.store import Accepted, Duplicates, Replayed
from whatsync.store.keyed_hash import Hash, keyed_hash
from whatsync.store.sqlite import lookup_fold
from whatsync.store.sqlite.lookup import Kind


def always_the_same(_secret: bytes) -> Hash:
    """A hash that lets everything collide."""
    return lambda account, word: 7


@pytest.mark.parametrize("folded", [False, True])
async def test_a_true_collision_is_no_duplicate(make_clerk: Callable[..., Any], folded: bool) -> None:
    clerk, place = await make_clerk(make_hash=always_the_same)
    first, second = clerk.event(id="evt_a", keys=("phone:1",)), clerk.event(id="evt_b", keys=("phone:2",))
    assert await clerk.accept([first], key=key("key-1")) == Accepted()
    if folded:
        await place.tidy()
    assert await clerk.accept([second], key=key("key-2")) == Accepted()
    if folded:
        await place.tidy()
    assert await clerk.accept([clerk.event(OTHER, id="evt_a")]) == Accepted()
    assert isinstance(await clerk.accept([clerk.event(id="evt_b")]), Duplicates)
    assert isinstance(await clerk.accept([clerk.event()], key=key("key-1")), Replayed)
    assert (await clerk.history.event(ACCOUNT, "evt_a")).seq == first.seq
    assert [event.seq for event in await clerk.history.find(ACCOUNT, ["phone:2"], 10)] == [second.seq]


async def test_collisions_within_one_admission(make_clerk: Callable[..., Any]) -> None:
    clerk, _ = await make_clerk(make_hash=always_the_same)
    assert await clerk.accept([clerk.event(id=f"evt_{at}") for at in range(5)]) == Accepted()
    answer = await clerk.accept([clerk.event(id="evt_9"), clerk.event(id="evt_3")])
    assert [known is not None for known in answer.existing] == [False, True]


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds after a few dozen events, runs of a few hundred entries."""
    monkeypatch.setattr(lookup_fold, "IDENTITIES_MAX", 32)
    monkeypatch.setattr(lookup_fold, "KEYWORDS_MAX", 64)
    monkeypatch.setattr(lookup_fold, "RUN_ENTRIES_MAX", (200, 100))


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("crash", [False, True])
async def test_nothing_is_lost_on_the_way_into_the_runs(clerk: Clerk, place: SqlitePlace, crash: bool) -> None:
    events = [clerk.event(keys=(f"phone:{at % 7}", f"wamid:{at}")) for at in range(1000)]
    for event in events:
        assert await clerk.accept([event]) == Accepted()
    session = place.sqlite._running().session
    assert [len(runs.items) > 3 for runs in session.runs] == [True, True]
    await clerk.reopen(crash=crash)
    for event in events[::7]:
        assert isinstance(await clerk.accept([clerk.event(id=event.id)]), Duplicates)
        assert (await clerk.history.find(ACCOUNT, [event.keys[1]], 2))[0].seq == event.seq
    found = await clerk.history.find(ACCOUNT, ["phone:3"], 500)
    assert [event.seq for event in found] == [event.seq for event in events[3::7]][::-1]
    assert await clerk.accept([clerk.event(id="evt_new")]) == Accepted()


@pytest.mark.usefixtures("small_runs")
async def test_the_filter_never_denies_what_is_there(clerk: Clerk, place: SqlitePlace) -> None:
    for _ in range(10):
        await clerk.accept([clerk.event() for _ in range(100)])
    await place.tidy()
    for crash in (False, True):
        session = place.sqlite._running().session
        rows = session.db.execute("SELECT run, hash FROM identity").fetchall()
        assert len(rows) == 1000
        for number, hash_ in rows:
            run = next(run for run in session.runs[Kind.IDENTITY].items if run.number == number)
            assert run.may_hold(hash_)  # type: ignore[arg-type]
        strangers = [sum(run.may_hold(at * 2**33 + 5) for at in range(2000)) for run in session.runs[0].items]
        assert max(strangers) < 200
        await clerk.reopen(crash=crash)


@pytest.mark.usefixtures("small_runs")
async def test_ids_and_keys_are_remembered_to_the_last_day(clerk: Clerk, place: SqlitePlace) -> None:
    """Retention of a day; the ids and keys of what it removed stay known for eight, and their runs with them."""
    for at in range(300):
        await clerk.accept([clerk.event(id=f"evt_{at}", keys=(f"wamid:{at}",))], key=key(f"key-{at}"))
    clerk.now = START_MS + 8 * DAY
    await prune(clerk)
    assert await clerk.history.event(ACCOUNT, "evt_7") is None
    assert isinstance(await clerk.accept([clerk.event(id="evt_7")]), Duplicates)
    assert isinstance(await clerk.accept([clerk.event()], key=key("key-7")), Replayed)
    clerk.now += DAY
    await prune(clerk)
    await place.tidy()
    session = place.sqlite._running().session
    assert [run.number for run in session.runs[Kind.KEYWORD].items] == [session.runs[Kind.KEYWORD].items[-1].number]
    runs = {run.number for run in session.runs[Kind.IDENTITY].items}
    assert {row for (row,) in session.db.execute("SELECT DISTINCT run FROM identity")} <= runs
    assert await clerk.accept([clerk.event(id="evt_7")], key=key("key-7")) == Accepted()


async def prune(clerk: Clerk) -> None:
    """Remove what is older than a day, to the end."""
    cursor: int | None = 0
    while cursor is not None:
        cursor = (await clerk.store.prune(ACCOUNT, clerk.now - DAY, cursor, 100, clerk.now)).cursor


async def test_rows_committed_out_of_order_are_found_after_a_crash(clerk: Clerk, place: SqlitePlace) -> None:
    late = clerk.event(id="evt_late", keys=("wamid:late",))
    delivery = clerk.delivery(late, 1, claimed=True)
    await clerk.accepted(1)
    await place.tidy()
    assert await clerk.accept([late], [delivery], key=key("late")) == Accepted()
    await clerk.reopen(crash=True)
    assert isinstance(await clerk.accept([clerk.event(id="evt_late")]), Duplicates)
    assert isinstance(await clerk.accept([clerk.event()], key=key("late")), Replayed)
    assert (await clerk.history.find(ACCOUNT, ["wamid:late"], 2))[0].seq == late.seq
    assert delivery.id in {one.id for one in (await clerk.claim()).items}


async def test_the_secret_stays_the_same(clerk: Clerk, place: SqlitePlace) -> None:
    first = place.sqlite.hash_of(1, "id:evt_1")
    await clerk.reopen()
    assert place.sqlite.hash_of(1, "id:evt_1") == first
    assert keyed_hash(b"another")(1, "id:evt_1") != first
    assert place.sqlite.hash_of(2, "id:evt_1") != first
