"""What nodes over one database may rely on: epochs and leases, claims that end with them, posts, news, signals."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.clerk import ACCOUNT, HOUR, MINUTE, START_MS, Clerk
from tests.conformance.halls import HALLS, LEASE_SECONDS, Hall, Seat
from whatsync.model.delivery import Happening, State
from whatsync.model.ids import NODE_MAX, Sequence
from whatsync.ports.cluster import Gone, Over, Role, Signal, Waiting
from whatsync.ports.media import MediaRow, MediaState
from whatsync.ports.store import (
    Accepted,
    Admission,
    Change,
    ChangeConflict,
    Changed,
    Delete,
    Put,
    Recorded,
    Settlement,
    Stale,
    StoreUnavailable,
)

HEARD_SECONDS = 60.0
"""Long enough for a machine that stands still now and then. Who hears nothing waits for ever."""


@pytest.fixture(params=sorted(HALLS))
async def hall(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Hall]:
    """A database that nodes meet over."""
    hall = HALLS[request.param](tmp_path)
    yield hall
    await hall.close()


async def two(hall: Hall) -> tuple[Seat, Seat]:
    return await hall.enter("north"), await hall.enter("south")


def clerk_of(seat: Seat, now_ms: int = START_MS) -> Clerk:
    """Somebody who works at one node, with row numbers of its own."""
    clerk = Clerk(seat, now_ms)
    clerk.sequence = Sequence(seat.opened.run & NODE_MAX)
    clerk.ids_from(seat.opened.run * 1_000)
    return clerk


async def put(seat: Seat, id_: str, body: bytes = b"{}", kind: str = "endpoint") -> Changed:
    changed = await seat.store.change(Change(ACCOUNT, (Put(kind, id_, ACCOUNT, body),)))
    assert isinstance(changed, Changed)
    return changed


# Epochs and leases


async def test_nodes_open_beside_each_other_and_see_each_other(hall: Hall) -> None:
    north, south = await two(hall)
    assert north.opened.run < south.opened.run
    before_ms = await hall.now_ms()
    seen = await north.beat()
    assert seen.epoch == north.opened.run
    assert [(one.epoch, one.node) for one in seen.members] == [
        (north.opened.run, "north"),
        (south.opened.run, "south"),
    ]
    assert before_ms <= seen.now_ms <= await hall.now_ms()


async def test_role_and_leaving_are_told(hall: Hall) -> None:
    north, south = await two(hall)
    await north.beat(Role.API, leaving=True)
    first, second = (await south.beat(Role.DELIVER)).members
    assert (first.role, first.leaving) == (Role.API, True)
    assert (second.role, second.leaving) == (Role.DELIVER, False)


async def test_opening_takes_nothing_from_living_nodes(hall: Hall) -> None:
    north = await hall.enter("north")
    clerk = clerk_of(north)
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    south = await hall.enter("south")
    assert (await clerk_of(south).claim()).items == ()
    assert await clerk.end(claimed, State.SUCCEEDED) == Recorded()
    assert await clerk.state(claimed.id) is State.SUCCEEDED


async def test_a_lease_that_ran_out_ends_the_epoch_when_somebody_looks(hall: Hall) -> None:
    north, south = await two(hall)
    await hall.expire(north)
    assert [one.node for one in (await south.beat()).members] == ["south"]
    assert isinstance(await north.cluster.beat(Role.ALL, LEASE_SECONDS), Over)


async def test_a_lease_that_ran_out_unnoticed_may_be_renewed(hall: Hall) -> None:
    north, south = await two(hall)
    await hall.expire(north)
    await north.beat()
    assert len((await south.beat()).members) == 2


async def test_a_dead_epochs_deliveries_are_due_at_the_databases_time(hall: Hall) -> None:
    north, south = await two(hall)
    late = clerk_of(north, START_MS + HOUR)
    claimed_first = await late.accepted(1, claimed=True)
    waiting = await late.accepted(1)
    claimed = await late.claim_one()
    assert claimed.id == waiting[0]
    await hall.expire(north)
    assert [one.next_due_ms for one in await south.cluster.waiting()] == [None]
    before_ms = await hall.now_ms()
    await south.beat()
    (found,) = await south.cluster.waiting()
    assert found.next_due_ms is not None
    assert before_ms <= found.next_due_ms <= await hall.now_ms()
    clerk = clerk_of(south, await hall.now_ms() + 5_000)
    taken = (await clerk.claim()).items
    assert sorted(one.id for one in taken) == sorted([*claimed_first, *waiting])
    assert {one.id: one.claim for one in taken} == {claimed_first[0]: 2, waiting[0]: 2}


async def test_outcomes_under_an_old_claim_change_nothing_but_are_kept(hall: Hall) -> None:
    north, south = await two(hall)
    mine = clerk_of(north)
    await mine.accepted(1)
    claimed = await mine.claim_one()
    await hall.expire(north)
    await south.beat()
    beat = await north.cluster.rejoin(Role.ALL, LEASE_SECONDS)
    assert beat.epoch > south.opened.run
    recorded = await mine.end(claimed, State.FAILED)
    assert recorded.stale == (claimed.id,)
    assert await mine.state(claimed.id) is State.PENDING
    (attempt,) = await north.history.attempts(ACCOUNT, claimed.id)
    assert attempt.late


async def test_an_epoch_that_is_over_writes_nothing(hall: Hall) -> None:
    north, south = await two(hall)
    clerk = clerk_of(north)
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    await hall.expire(north)
    await south.beat()
    event = clerk.event()
    with pytest.raises(StoreUnavailable):
        await clerk.accept([event], [clerk.delivery(event, 1, claimed=True)])
    with pytest.raises(StoreUnavailable):
        await clerk.claim()
    with pytest.raises(StoreUnavailable):
        await clerk.end(claimed, State.SUCCEEDED)
    with pytest.raises(StoreUnavailable):
        await north.store.change(Change(ACCOUNT, (Put("endpoint", "ep_1", ACCOUNT, b"{}"),)))
    with pytest.raises(StoreUnavailable):
        await north.cluster.take(["jobs"])
    assert await south.history.event_by_seq(ACCOUNT, event.seq) is None
    assert (await south.history.attempts(ACCOUNT, claimed.id)) == ()
    assert not north.store.state().writable
    await north.cluster.rejoin(Role.ALL, LEASE_SECONDS)
    assert north.store.state().writable
    assert await clerk.accept([event], [clerk.delivery(event, 1, claimed=True)]) == Accepted()


async def test_what_is_claimed_after_joining_again_belongs_to_the_new_epoch(hall: Hall) -> None:
    north, south = await two(hall)
    await hall.expire(north)
    await south.beat()
    await north.cluster.rejoin(Role.ALL, LEASE_SECONDS)
    clerk = clerk_of(north)
    (row,) = await clerk.accepted(1, claimed=True)
    await south.beat()
    assert (await clerk_of(south).claim()).items == ()
    await hall.expire(north)
    await south.beat()
    other = clerk_of(south, await hall.now_ms() + 5_000)
    assert [one.id for one in (await other.claim()).items] == [row]


async def test_joining_again_is_asked_behind_what_was_asked_before(hall: Hall) -> None:
    north, _ = await two(hall)
    clerk = clerk_of(north)
    order: list[str] = []
    event = clerk.event()
    admission = Admission(ACCOUNT, 0, (event,), (clerk.delivery(event, 1, claimed=True),))
    north.store.accept(admission).add_done_callback(lambda _: order.append("accepted"))
    await north.cluster.rejoin(Role.ALL, LEASE_SECONDS)
    order.append("joined")
    await asyncio.sleep(0)
    assert order == ["accepted", "joined"]


async def test_joining_again_gives_up_what_the_living_epoch_had(hall: Hall) -> None:
    north, south = await two(hall)
    (row,) = await clerk_of(north).accepted(1, claimed=True)
    assert await north.cluster.take(["jobs"]) == {"jobs"}
    await north.cluster.rejoin(Role.ALL, LEASE_SECONDS)
    assert await south.cluster.take(["jobs"]) == {"jobs"}
    clerk = clerk_of(south, await hall.now_ms() + 5_000)
    assert [one.id for one in (await clerk.claim()).items] == [row]


async def test_a_node_that_starts_again_ends_its_own_earlier_epoch(hall: Hall) -> None:
    north, _ = await two(hall)
    (row,) = await clerk_of(north).accepted(1, claimed=True)
    again = await hall.enter("north")
    assert [one.node for one in (await again.beat()).members] == ["south", "north"]
    clerk = clerk_of(again, await hall.now_ms() + 5_000)
    assert [one.id for one in (await clerk.claim()).items] == [row]


async def test_leaving_hands_everything_over_at_once(hall: Hall) -> None:
    north, south = await two(hall)
    await south.cluster.hear()
    (row,) = await clerk_of(north).accepted(1, claimed=True)
    await north.cluster.take(["jobs"])
    await north.cluster.leave()
    assert (await asyncio.wait_for(south.cluster.hear(), HEARD_SECONDS)).everything
    assert [one.node for one in (await south.beat()).members] == ["south"]
    assert await south.cluster.take(["jobs"]) == {"jobs"}
    clerk = clerk_of(south, await hall.now_ms() + 5_000)
    assert [one.id for one in (await clerk.claim()).items] == [row]


async def test_media_of_a_dead_epoch_are_due_again(hall: Hall) -> None:
    north, south = await two(hall)
    clerk = clerk_of(north)
    event = clerk.event()
    row = MediaRow("name", ACCOUNT, event.seq, "media_1", clerk.now, MediaState.WAITING, clerk.now)
    assert await north.store.accept(Admission(ACCOUNT, 0, (event,), (), media=(row,))) == Accepted()
    until_ms = clerk.now + HOUR
    assert len((await north.store.claim_media(clerk.now, until_ms, 5, {})).rows) == 1
    assert (await south.store.claim_media(clerk.now, until_ms, 5, {})).rows == ()
    await hall.expire(north)
    await south.beat()
    (taken,) = (await south.store.claim_media(await hall.now_ms() + 5_000, until_ms, 5, {})).rows
    assert (taken.name, taken.claim) == ("name", 2)


async def test_row_numbers_of_living_nodes_never_meet(hall: Hall) -> None:
    seats = [await hall.enter(f"node-{number}") for number in range(5)]
    for _ in range(8):
        await seats[0].cluster.rejoin(Role.ALL, LEASE_SECONDS)
    epochs = [one.epoch for one in (await seats[0].beat()).members]
    assert len({epoch & NODE_MAX for epoch in epochs}) == len(epochs) == 5


async def test_order_about_a_contact_is_that_of_commits_on_whatever_node(hall: Hall) -> None:
    north, south = await two(hall)
    ahead, behind = clerk_of(north, START_MS + 50), clerk_of(south, START_MS)
    first = await ahead.ordered(1, "anna")
    second = await behind.ordered(1, "anna")
    assert second < first
    (claimed,) = (await ahead.claim()).items
    assert claimed.id == first
    assert await south.history.waiting_for(ACCOUNT, second) == first
    assert (await ahead.end(claimed, State.SUCCEEDED)).forwarded == (1,)
    behind.now += MINUTE
    assert [one.id for one in (await behind.claim()).items] == [second]


# Posts


async def test_one_node_at_a_time_holds_a_post(hall: Hall) -> None:
    north, south = await two(hall)
    first, second = await asyncio.gather(north.cluster.take(["jobs", "x"]), south.cluster.take(["jobs", "x"]))
    assert first | second == {"jobs", "x"}
    assert not first & second
    holder = north if "jobs" in first else south
    assert await holder.cluster.take(["jobs", "other"]) == {"jobs", "other"}


async def test_a_post_is_given_up_by_its_holder_alone(hall: Hall) -> None:
    north, south = await two(hall)
    await north.cluster.take(["jobs"])
    await south.cluster.give_up(["jobs"])
    assert await south.cluster.take(["jobs"]) == frozenset()
    await north.cluster.give_up(["jobs", "never held"])
    assert await south.cluster.take(["jobs"]) == {"jobs"}


async def test_a_dead_epochs_posts_are_free_once_it_is_over(hall: Hall) -> None:
    north, south = await two(hall)
    await north.cluster.take(["jobs"])
    await hall.expire(north)
    assert await south.cluster.take(["jobs"]) == frozenset()
    await south.beat()
    assert await south.cluster.take(["jobs"]) == {"jobs"}


async def test_many_posts_are_taken_at_once(hall: Hall) -> None:
    north, _ = await two(hall)
    posts = [f"endpoint:{row}" for row in range(2_000)]
    assert await north.cluster.take(posts) == frozenset(posts)
    await north.cluster.give_up(posts)


# Configuration


async def test_news_has_what_others_changed_in_its_newest_version(hall: Hall) -> None:
    north, south = await two(hall)
    await put(north, "ep_1", b"1")
    await put(north, "ep_1", b"2")
    await put(north, "ep_2", b"3")
    news = await south.cluster.news(south.opened.cursor)
    assert [(one.id, one.version, one.body) for one in news.documents] == [("ep_1", 2, b"2"), ("ep_2", 1, b"3")]
    assert news.versions == {ACCOUNT: 3}
    assert news.gone == ()
    assert (await south.beat()).changed == news.cursor
    nothing = await south.cluster.news(news.cursor)
    assert (nothing.documents, nothing.gone, nothing.versions) == ((), (), {})
    assert nothing.cursor == news.cursor


async def test_news_begins_where_opening_ended(hall: Hall) -> None:
    north = await hall.enter("north")
    await put(north, "ep_1")
    south = await hall.enter("south")
    assert [one.id for one in south.opened.documents] == ["ep_1"]
    assert (await south.cluster.news(south.opened.cursor)).documents == ()
    assert (await north.beat()).changed == (await north.cluster.news(0)).cursor


async def test_news_has_own_changes_too(hall: Hall) -> None:
    north, _ = await two(hall)
    await put(north, "ep_1")
    assert [one.id for one in (await north.cluster.news(north.opened.cursor)).documents] == ["ep_1"]


async def test_news_names_what_is_gone_by_its_row(hall: Hall) -> None:
    north, south = await two(hall)
    (first,) = (await put(north, "ep_1")).documents
    await north.store.change(Change(ACCOUNT, deletes=(Delete("endpoint", "ep_1"),)))
    (second,) = (await put(north, "ep_1", b"again")).documents
    await put(north, "ep_2")
    news = await south.cluster.news(south.opened.cursor)
    assert news.gone == (Gone("endpoint", "ep_1", first.row),)
    assert [(one.id, one.row) for one in news.documents][:1] == [("ep_1", second.row)]
    await north.store.change(Change(ACCOUNT, deletes=(Delete("endpoint", "ep_1"), Delete("endpoint", "ep_none"))))
    assert (await south.cluster.news(news.cursor)).gone == (Gone("endpoint", "ep_1", second.row),)


async def test_a_change_that_does_not_route_raises_no_version(hall: Hall) -> None:
    north, south = await two(hall)
    change = Change(ACCOUNT, (Put("job", "job_1", ACCOUNT, b"{}"),), routing=False)
    assert isinstance(await north.store.change(change), Changed)
    news = await south.cluster.news(south.opened.cursor)
    assert [one.kind for one in news.documents] == ["job"]
    assert news.versions == {}


async def test_changes_from_all_sides_are_all_in_the_news(hall: Hall) -> None:
    north, south = await two(hall)
    seats = (north, south)
    await asyncio.gather(*(put(seats[number % 2], f"ep_{number}") for number in range(40)))
    seen: set[str] = set()
    cursor = north.opened.cursor
    while (news := await north.cluster.news(cursor)).documents:
        seen |= {one.id for one in news.documents}
        cursor = news.cursor
    assert seen == {f"ep_{number}" for number in range(40)}


async def test_news_read_while_changes_commit_skips_nothing(hall: Hall) -> None:
    north, south = await two(hall)
    watcher = await hall.enter("west")
    seen: set[str] = set()
    done = False

    async def read() -> None:
        cursor = watcher.opened.cursor
        while not done or (await watcher.cluster.news(cursor)).documents:
            news = await watcher.cluster.news(cursor)
            seen.update(one.id for one in news.documents)
            cursor = news.cursor
            await asyncio.sleep(0)

    reader = asyncio.ensure_future(read())
    await asyncio.gather(*(put((north, south)[number % 2], f"ep_{number}") for number in range(30)))
    done = True
    await asyncio.wait_for(reader, HEARD_SECONDS)
    assert seen == {f"ep_{number}" for number in range(30)}


async def test_routing_that_another_node_has_outdated_is_refused(hall: Hall) -> None:
    north, south = await two(hall)
    changed = await put(north, "ep_1")
    clerk = clerk_of(south)
    event = clerk.event()
    assert await clerk.accept([event], version=0) == Stale(changed.version)
    assert await clerk.accept([event], version=changed.version) == Accepted()


async def test_of_two_that_change_one_document_one_is_refused(hall: Hall) -> None:
    north, south = await two(hall)
    await put(north, "ep_1")
    changes = [
        seat.store.change(Change(ACCOUNT, (Put("endpoint", "ep_1", ACCOUNT, seat.name.encode(), 1),)))
        for seat in (north, south)
    ]
    results = await asyncio.gather(*changes)
    assert sorted(isinstance(one, ChangeConflict) for one in results) == [False, True]


async def test_a_settlement_of_an_endpoint_that_has_changed_does_nothing(hall: Hall) -> None:
    north, south = await two(hall)
    (document,) = (await put(north, "ep_1")).documents
    clerk = clerk_of(south)
    clerk.versions[ACCOUNT] = 1
    await clerk.accepted(document.row)
    stale = Settlement(ACCOUNT, Happening.DISABLED, clerk.now, endpoint=document.row, version=document.version + 1)
    assert await south.store.settle(stale) == ()
    gone = Settlement(ACCOUNT, Happening.DELETED, clerk.now, endpoint=document.row, version=0)
    assert await south.store.settle(gone) == ()
    held = Settlement(ACCOUNT, Happening.DISABLED, clerk.now, endpoint=document.row, version=document.version)
    assert [one.after for one in await south.store.settle(held)] == [State.HELD]


# Finding work


async def test_waiting_names_every_endpoint_with_open_deliveries(hall: Hall) -> None:
    north, south = await two(hall)
    clerk = clerk_of(north)
    await clerk.accepted(1, 2, 3)
    await clerk.accepted(1)
    clerk.now += MINUTE
    await clerk.claim_one(2)
    held = Settlement(ACCOUNT, Happening.DISABLED, clerk.now, endpoint=3)
    await north.store.settle(held)
    first, *others = await south.cluster.waiting()
    assert (first.endpoint, first.account, first.next_due_ms) == (1, ACCOUNT, START_MS)
    assert others == [Waiting(2, ACCOUNT, None), Waiting(3, ACCOUNT, None)]


async def test_nodes_that_claim_at_once_share_what_is_due(hall: Hall) -> None:
    north, south = await two(hall)
    clerk = clerk_of(north)
    rows = [row for _ in range(40) for row in await clerk.accepted(1)]
    taken = await asyncio.gather(*(clerk_of(seat).claim(limit=10) for seat in (north, south) * 3))
    ids = [one.id for claims in taken for one in claims.items]
    assert len(ids) == len(set(ids))
    assert set(ids) <= set(rows)
    assert len(ids) >= 20


# Signals


async def test_others_hear_a_signal_and_the_teller_does_not(hall: Hall) -> None:
    north, south = await two(hall)
    assert (await south.cluster.hear()).everything
    assert (await north.cluster.hear()).everything
    signal = Signal(endpoints=(7, 8), ended=((7, 1 << 60),), configuration=True)
    await north.cluster.tell(signal)
    assert await asyncio.wait_for(south.cluster.hear(), HEARD_SECONDS) == signal
    await south.cluster.tell(Signal(endpoints=(9,)))
    assert (await asyncio.wait_for(north.cluster.hear(), HEARD_SECONDS)).endpoints == (9,)


async def test_signals_that_nobody_waited_for_are_heard_together(hall: Hall) -> None:
    north, south = await two(hall)
    await south.cluster.hear()
    for row in range(3):
        await north.cluster.tell(Signal(endpoints=(row,)))
    heard: set[int] = set()
    while len(heard) < 3:
        heard |= set((await asyncio.wait_for(south.cluster.hear(), HEARD_SECONDS)).endpoints)
    assert heard == {0, 1, 2}


async def test_the_largest_signal_gets_through(hall: Hall) -> None:
    north, south = await two(hall)
    await south.cluster.hear()
    rows = tuple(range(2**31 - 400, 2**31))
    await north.cluster.tell(Signal(endpoints=rows, ended=tuple((row, (1 << 62) + row) for row in rows)))
    heard: set[int] = set()
    everything = False
    while heard < set(rows) and not everything:
        signal = await asyncio.wait_for(south.cluster.hear(), HEARD_SECONDS)
        heard |= set(signal.endpoints)
        everything = signal.everything
