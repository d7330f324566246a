"""Upkeep in pieces: none is large, what waits for it stays bounded however much comes in, and whatever happens between
two pieces, nothing is missing from an index or forgotten in a crash.
"""

import random
from collections.abc import Callable

import pytest

from tests.conformance.clerk import ACCOUNT, Clerk
from tests.store.sqlite.conftest import SqlitePlace
from whatsync.model.delivery import State
from whatsync.ports.store import Accepted, Duplicates
from whatsync.store.sqlite import fold, lookup_fold, rollup, upkeep, writer
from whatsync.store.sqlite.fold import TailFold
from whatsync.store.sqlite.lookup_fold import LookupFold
from whatsync.store.sqlite.rollup import Adding
from whatsync.store.sqlite.session import Session

PIECE = 16
ENTRIES_MAX = 128
TAIL_MAX = 100
PENDING_MAX = 6


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything a few dozen rows large; and the writer never rests, so that nothing is done but beside the calls."""
    monkeypatch.setattr(writer, "PAUSE_SECONDS", 3600)
    monkeypatch.setattr(writer, "QUIET_SECONDS", 3600)
    monkeypatch.setattr(upkeep, "PIECE_ROWS_MAX", PIECE)
    monkeypatch.setattr(upkeep, "SPARE_ROWS", 4 * PIECE)
    monkeypatch.setattr(lookup_fold, "IDENTITIES_MAX", ENTRIES_MAX)
    monkeypatch.setattr(lookup_fold, "KEYWORDS_MAX", ENTRIES_MAX)
    monkeypatch.setattr(lookup_fold, "RUN_ENTRIES_MAX", (400, 400))
    monkeypatch.setattr(fold, "TAIL_ROWS_MAX", TAIL_MAX)
    monkeypatch.setattr(fold, "FOLD_ROWS_MAX", TAIL_MAX // 2)
    monkeypatch.setattr(fold, "PIECE_OWNERS_MAX", 4)
    monkeypatch.setattr(rollup, "PENDING_MAX", PENDING_MAX)
    monkeypatch.setattr(rollup, "ROW_ENTRIES_MAX", 8)


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """The sizes of the pieces that are done, by kind of upkeep."""
    sizes: dict[str, list[int]] = {}

    def watch(kind: type[TailFold] | type[LookupFold] | type[Adding]) -> None:
        before: Callable[[object, int], int] = kind.step  # type: ignore[assignment]
        mine = sizes.setdefault(kind.__name__, [])

        def step(self: object, rows: int) -> int:
            mine.append(before(self, rows))
            return mine[-1]

        monkeypatch.setattr(kind, "step", step)

    watch(TailFold)
    watch(LookupFold)
    watch(Adding)
    return sizes


def session_of(place: SqlitePlace) -> Session:
    return place.sqlite._running().session


async def burst(clerk: Clerk, events: int, endpoints: int = 1) -> list[str]:
    """Accept events in one call; their ids."""
    made = [clerk.event(keys=(f"wamid:{clerk.now}-{at}", f"phone:{at % 3}")) for at in range(events)]
    rows = [clerk.delivery(event, 1 + endpoint) for event in made for endpoint in range(endpoints)]
    assert await clerk.accept(made, rows) == Accepted()
    return [event.id for event in made]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("array", [1, 7, 60])
async def test_what_waits_is_bounded_while_events_keep_coming(
    clerk: Clerk, place: SqlitePlace, pieces: dict[str, list[int]], array: int
) -> None:
    session = session_of(place)
    for _ in range(1200 // array):
        await burst(clerk, array, endpoints=2)
        recent = session.recent
        in_memory = sum(len(shard) for known in (*recent.current, *recent.folding) for shard in known)
        # One fold's entries, which began when they were one call's too many, and as many that came since; of each kind.
        assert in_memory <= 2 * 2 * (ENTRIES_MAX + 2 * array)
        assert session.tail <= 2 * TAIL_MAX + 3 * array
        assert session.pending_rollups <= 2 * PENDING_MAX + array
    assert len(session.runs[0].items) > 2
    assert session.folded > session.top - 2_000_000
    assert all(pieces.values())


@pytest.mark.usefixtures("small")
async def test_no_piece_is_large(clerk: Clerk, pieces: dict[str, list[int]]) -> None:
    for _ in range(12):
        await burst(clerk, 100, endpoints=3)
    assert max(pieces["LookupFold"]) <= PIECE
    # Its unit is a statement over one range, of which the rows of four endpoints at most.
    assert max(pieces["TailFold"]) <= TAIL_MAX // 2 + 1
    assert max(pieces["Adding"]) <= PIECE + 8


@pytest.mark.usefixtures("small")
async def test_a_small_call_does_little_beside_it(clerk: Clerk, pieces: dict[str, list[int]]) -> None:
    """A burst leaves a fold half done; one event after it pays for a piece or two, not for the burst."""
    for _ in range(5):
        await burst(clerk, 40)
    for _ in range(30):
        for sizes in pieces.values():
            sizes.clear()
        await burst(clerk, 1)
        done = sum(sum(sizes) for sizes in pieces.values())
        assert done <= PIECE + 2 * 6 + TAIL_MAX // 2 + 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_missing_from_an_index(clerk: Clerk, place: SqlitePlace, seed: int) -> None:
    """Rows committed out of order, calls that are undone, crashes and quiet moments, at any point of a fold."""
    chance = random.Random(seed)
    held = []
    ids = []
    for _ in range(150):
        await burst(clerk, chance.choice((1, 1, 3, 20)), endpoints=chance.randrange(8))
        event = clerk.event(keys=(f"wamid:{chance.random()}",), type=chance.choice(("own.a", "own.b")))
        held.append((event, clerk.delivery(event, chance.randrange(1, 9))))
        if chance.random() < 0.4:
            event, row = held.pop(chance.randrange(len(held)))
            assert await clerk.accept([event], [row]) == Accepted()
            ids.append((event.id, event.keys[0]))
        if chance.random() < 0.05:
            with pytest.raises(UnicodeEncodeError):
                await clerk.accept([clerk.event(), clerk.event(id="evt_\ud800")])
        if chance.random() < 0.04:
            await (place.tidy() if chance.random() < 0.3 else clerk.reopen(crash=chance.random() < 0.7))
    for event_id, word in ids:
        assert isinstance(await clerk.accept([clerk.event(id=event_id)]), Duplicates)
        assert [event.id for event in await clerk.history.find(ACCOUNT, [word], 3)] == [event_id]
    await place.tidy()
    assert missing(session_of(place)) == []


def missing(session: Session) -> list[object]:
    """Rows that stand in a table and not in its index, or the other way round."""
    wanted = {
        "event_by_type": "SELECT account, type, seq FROM event",
        "event_by_number": "SELECT account, number, seq FROM event WHERE number IS NOT NULL",
        "delivery_by_endpoint": "SELECT endpoint, id FROM delivery",
        "delivery_by_type": "SELECT account, type, id FROM delivery",
        "delivery_by_number": "SELECT account, number, id FROM delivery WHERE number IS NOT NULL",
    }
    found: list[object] = []
    for table, rows in wanted.items():
        for one, other in ((rows, f"SELECT * FROM {table}"), (f"SELECT * FROM {table}", rows)):
            found += [(table, *row) for row in session.db.execute(f"{one} EXCEPT {other}")]
    found += session.db.execute("SELECT id FROM delivery WHERE state = 0 AND queued = 0").fetchall()
    return found


@pytest.mark.usefixtures("small")
async def test_a_row_committed_late_while_the_lookups_are_written(clerk: Clerk, place: SqlitePlace) -> None:
    """It lies below the mark that the fold under way is going to set, so it may not be in memory alone."""
    late = clerk.event(id="evt_late", keys=("wamid:late",))
    lookups = place.sqlite._running().upkeep.lookups
    while not lookups._shards:
        await burst(clerk, 10)
    assert await clerk.accept([late]) == Accepted()
    session = session_of(place)
    while session.looked_up < late.seq:
        await burst(clerk, 1)
    await clerk.reopen(crash=True)
    assert isinstance(await clerk.accept([clerk.event(id="evt_late")]), Duplicates)
    assert [event.id for event in await clerk.history.find(ACCOUNT, ["wamid:late"], 3)] == ["evt_late"]


@pytest.mark.usefixtures("small")
async def test_counts_of_many_endpoints_in_one_commit(clerk: Clerk, place: SqlitePlace) -> None:
    """They are written as several rows and added in several pieces, each once."""
    for endpoint in range(1, 41):
        await clerk.in_state(State.PENDING, endpoint)
    claimed = [await clerk.claim_one(endpoint) for endpoint in range(1, 41)]
    rows = [clerk.attempt(one, State.SUCCEEDED, at) for at, one in enumerate(claimed, 1)]
    before = session_of(place).pending_rollups
    await clerk.store.record(rows)
    assert session_of(place).pending_rollups != before
    for _ in range(20):
        await burst(clerk, 1)
        if session_of(place).pending_rollups < PENDING_MAX:
            break  # each commit writes a row of its own, too
    assert session_of(place).pending_rollups < PENDING_MAX
    counted = [
        (row.endpoint, row.outcome, row.count)
        for endpoint in range(1, 41)
        for row in await clerk.history.rollups(ACCOUNT, endpoint, 0, clerk.now + 1)
    ]
    assert sorted(counted) == [(endpoint, "succeeded", 1) for endpoint in range(1, 41)]
