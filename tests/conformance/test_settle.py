"""Changes of state without an attempt follow the table of transitions, and nothing else."""

import pytest

from tests.conformance.clerk import ACCOUNT, MINUTE, OTHER, SECOND, START_MS, Clerk
from whatsync.model.delivery import FINAL, OPEN, WAITING, Happening, State, next_state
from whatsync.ports.store import Changed, Delete, Put, Settled

RELEASES = (Happening.RELEASED, Happening.RELEASED_TRIED)


@pytest.mark.parametrize("happening", Happening)
@pytest.mark.parametrize("state", State)
async def test_every_state_and_happening(clerk: Clerk, state: State, happening: Happening) -> None:
    """The deliveries have one attempt behind them, except the pending ones."""
    claimed = await clerk.in_state(state)
    before = await clerk.view(claimed.id)
    clerk.now += SECOND
    (settled,) = await clerk.settle(happening, claimed.id, reason="because", due_ms=clerk.now + 5)
    expected = next_state(state, Happening.RELEASED_TRIED if happening in RELEASES else happening)
    assert settled == Settled(claimed.id, 1, state, expected or state, in_flight=False)
    after = await clerk.view(claimed.id)
    if expected is None:
        assert after == before
        return
    assert (after.state, after.attempts, after.in_flight) == (expected, before.attempts, False)
    assert after.due_ms == (clerk.now + 5 if expected in WAITING else None)
    assert after.finished_ms == (clerk.now + 5 if expected in FINAL else None)
    assert after.reason == (None if expected in WAITING else "because")


@pytest.mark.parametrize("happening", RELEASES)
async def test_a_release_goes_by_the_attempts_made(clerk: Clerk, happening: Happening) -> None:
    (untried,) = await clerk.accepted(1)
    await clerk.settle(Happening.DISABLED, untried)
    tried = (await clerk.in_state(State.HELD)).id
    settled = await clerk.settle(happening, untried, tried)
    assert [one.after for one in settled] == [State.PENDING, State.RETRYING]
    assert [one.id for one in (await clerk.claim()).items] == [untried, tried]


@pytest.mark.parametrize("happening", [happening for happening in Happening if happening is not Happening.RETRY])
async def test_a_claim_is_taken_away(clerk: Clerk, happening: Happening) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    (settled,) = await clerk.settle(happening, claimed.id)
    expected = next_state(State.PENDING, happening)
    assert settled == Settled(claimed.id, 1, State.PENDING, expected or State.PENDING, in_flight=True)
    view = await clerk.view(claimed.id)
    assert view.in_flight == (expected is None)
    answer = await clerk.end(claimed, State.RETRYING)
    assert answer.stale == (() if expected is None else (claimed.id,))


async def test_a_retry_leaves_what_is_in_flight_alone(clerk: Clerk) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    assert await clerk.settle(Happening.RETRY, claimed.id) == [
        Settled(claimed.id, 1, State.PENDING, State.PENDING, in_flight=True)
    ]
    assert await clerk.settle(Happening.RETRY, endpoint=1) == []
    assert (await clerk.view(claimed.id)).in_flight
    assert (await clerk.end(claimed, State.SUCCEEDED)).stale == ()


async def test_a_retry_makes_it_due(clerk: Clerk) -> None:
    await clerk.accepted(1)
    await clerk.end(await clerk.claim_one(), State.RETRYING, due_ms=clerk.now + 60 * MINUTE)
    assert (await clerk.claim()).items == ()
    (view,) = await clerk.settle(Happening.RETRY, endpoint=1)
    assert (view.before, view.after) == (State.RETRYING, State.RETRYING)
    assert (await clerk.claim_one()).attempts == 1


async def test_named_deliveries_come_back_as_named_and_unknown_ones_do_not(clerk: Clerk) -> None:
    rows = [(await clerk.accepted(1))[0] for _ in range(3)]
    settled = await clerk.settle(Happening.CANCEL, rows[2], 12345, rows[0])
    assert {one.id for one in settled} == {rows[2], rows[0]}
    assert [await clerk.state(row) for row in rows] == [State.CANCELLED, State.PENDING, State.CANCELLED]


async def test_others_deliveries_are_not_touched(clerk: Clerk) -> None:
    (mine,) = await clerk.accepted(1)
    assert await clerk.settle(Happening.CANCEL, mine, account=OTHER) == []
    assert await clerk.settle(Happening.CANCEL, account=OTHER, endpoint=1) == []
    assert await clerk.state(mine) is State.PENDING


@pytest.mark.parametrize("happening", [Happening.DISABLED, Happening.DELETED, Happening.CANCEL])
async def test_an_endpoint_is_settled_in_chunks(clerk: Clerk, happening: Happening) -> None:
    event = clerk.event()
    rows = [clerk.delivery(event, 1, claimed=n % 3 == 0) for n in range(25)]
    elsewhere = clerk.delivery(event, 2)
    await clerk.accept([event], [*rows, elsewhere])
    sizes = []
    seen: list[int] = []
    while True:
        settled = await clerk.settle(happening, endpoint=1, limit=10, reason="why")
        sizes.append(len(settled))
        seen += [one.id for one in settled]
        if len(settled) < 10:
            break
    assert sizes == [10, 10, 5]
    assert seen == [row.id for row in rows]
    assert {await clerk.state(row.id) for row in rows} == {next_state(State.PENDING, happening)}
    assert await clerk.state(elsewhere.id) is State.PENDING


async def test_an_endpoint_is_retried_in_chunks_that_come_to_an_end(clerk: Clerk) -> None:
    event = clerk.event()
    rows = [clerk.delivery(event, 1, due_ms=clerk.now + MINUTE + n) for n in range(25)]
    await clerk.accept([event], rows)
    sizes = [len(await clerk.settle(Happening.RETRY, endpoint=1, limit=10)) for _ in range(4)]
    assert sizes == [10, 10, 5, 0]
    assert [one.id for one in (await clerk.claim()).items] == [row.id for row in rows]


async def test_of_an_endpoint_only_what_the_happening_fits(clerk: Clerk) -> None:
    states = {state: (await clerk.in_state(state)).id for state in State}
    settled = await clerk.settle(Happening.RELEASED, endpoint=1)
    assert [(one.id, one.after) for one in settled] == [(states[State.HELD], State.RETRYING)]
    settled = await clerk.settle(Happening.DELETED, endpoint=1)
    assert sorted(one.before for one in settled) == [State.PENDING, State.RETRYING, State.RETRYING]
    assert [await clerk.state(states[state]) for state in State if state not in OPEN] == [
        state for state in State if state not in OPEN
    ]


async def test_a_release_stops_at_its_border(clerk: Clerk) -> None:
    rows = [(await clerk.in_state(State.HELD)).id for _ in range(4)]
    settled = await clerk.settle(Happening.DROPPED, endpoint=1, until=rows[1])
    assert [one.id for one in settled] == rows[:2]
    assert await clerk.settle(Happening.DROPPED, endpoint=1, until=rows[1]) == []
    assert [await clerk.state(row) for row in rows[2:]] == [State.HELD, State.HELD]


async def test_a_settled_delivery_survives_a_crash(clerk: Clerk) -> None:
    (row,) = await clerk.accepted(1, claimed=True)
    await clerk.settle(Happening.DISABLED, row, reason="endpoint disabled")
    await clerk.reopen(crash=True)
    view = await clerk.view(row)
    assert (view.state, view.in_flight, view.due_ms, view.reason) == (State.HELD, False, None, "endpoint disabled")
    assert view.created_ms == START_MS
    assert await clerk.history.waiting_for(ACCOUNT, row) is None


async def test_a_settlement_does_nothing_where_the_endpoint_has_changed(clerk: Clerk) -> None:
    made = await clerk.change(ACCOUNT, Put("endpoint", "ep_1", ACCOUNT, b"{}"))
    assert isinstance(made, Changed)
    (endpoint,) = made.documents
    (row,) = await clerk.accepted(endpoint.row)
    for version in (0, 2):
        assert await clerk.settle(Happening.DISABLED, endpoint=endpoint.row, version=version) == []
    assert await clerk.state(row) is State.PENDING
    await clerk.settle(Happening.DISABLED, endpoint=endpoint.row, version=1)
    assert await clerk.state(row) is State.HELD
    await clerk.change(ACCOUNT, deletes=(Delete("endpoint", "ep_1"),))
    assert await clerk.settle(Happening.DELETED, endpoint=endpoint.row, version=1) == []
    await clerk.settle(Happening.DELETED, endpoint=endpoint.row, version=0)
    assert await clerk.state(row) is State.CANCELLED
