"""Claims: what is due, in order, once; given back untouched; taken back after a crash."""

import pytest

from tests.conformance.clerk import MINUTE, OTHER, SECOND, Clerk
from whatsync.model.delivery import Happening, State


async def test_by_due_time_then_row(clerk: Clerk) -> None:
    rows = []
    for due in (5, 1, 3, 1):
        event = clerk.event()
        row = clerk.delivery(event, 1, due_ms=clerk.now + due)
        await clerk.accept([event], [row])
        rows.append(row.id)
    clerk.now += 10
    claims = await clerk.claim()
    assert [one.id for one in claims.items] == [rows[1], rows[3], rows[2], rows[0]]
    assert claims.next_due_ms is None


async def test_only_what_is_due(clerk: Clerk) -> None:
    event = clerk.event()
    now, later = clerk.delivery(event, 1), clerk.delivery(event, 1, due_ms=clerk.now + 1)
    await clerk.accept([event], [now, later])
    claims = await clerk.claim()
    assert [one.id for one in claims.items] == [now.id]
    assert claims.next_due_ms == clerk.now + 1
    clerk.now += 1
    assert [one.id for one in (await clerk.claim()).items] == [later.id]


async def test_no_more_than_asked_for(clerk: Clerk) -> None:
    rows = [(await clerk.accepted(1))[0] for _ in range(5)]
    first = await clerk.claim(limit=2)
    assert [one.id for one in first.items] == rows[:2]
    assert first.next_due_ms == clerk.now
    assert [one.id for one in (await clerk.claim(limit=10)).items] == rows[2:]


async def test_nothing_is_claimed_twice(clerk: Clerk) -> None:
    await clerk.accepted(1)
    assert len((await clerk.claim()).items) == 1
    again = await clerk.claim()
    assert (again.items, again.next_due_ms) == ((), None)


async def test_of_one_endpoint_only(clerk: Clerk) -> None:
    first, second = await clerk.accepted(1, 2)
    assert [one.id for one in (await clerk.claim(2)).items] == [second]
    assert [one.id for one in (await clerk.claim(1)).items] == [first]
    nothing = await clerk.claim(3)
    assert (nothing.items, nothing.next_due_ms) == ((), None)


async def test_a_claim_brings_everything_an_attempt_needs(clerk: Clerk) -> None:
    event = clerk.event(details=b'{"wamid":"w"}', number="111", contact="contact_1")
    await clerk.accept([event], [clerk.delivery(event, 1)])
    claimed = await clerk.claim_one()
    assert (claimed.claim, claimed.attempts, claimed.state) == (1, 0, State.PENDING)
    assert (claimed.event.id, claimed.event.body, claimed.event.details) == (event.id, event.body, event.details)
    assert (claimed.event.seq, claimed.event.account, claimed.event.number) == (event.seq, 1, "111")
    assert claimed.contact is None
    await clerk.end(claimed, State.RETRYING, due_ms=clerk.now)
    again = await clerk.claim_one()
    assert (again.claim, again.attempts, again.state) == (2, 1, State.RETRYING)


@pytest.mark.parametrize("state", [state for state in State if state not in (State.PENDING, State.RETRYING)])
async def test_only_what_waits(clerk: Clerk, state: State) -> None:
    await clerk.in_state(state)
    claims = await clerk.claim()
    assert (claims.items, claims.next_due_ms) == ((), None)
    assert (await clerk.claim(early=True)).items == ()


async def test_early_takes_what_is_retrying_oldest_first(clerk: Clerk) -> None:
    rows = [await clerk.in_state(State.RETRYING) for _ in range(3)]
    for row, minutes in zip(rows, (9, 5, 7), strict=True):
        again = await clerk.claim_one_row(row.id)
        await clerk.end(again, State.RETRYING, due_ms=clerk.now + minutes * MINUTE)
    await clerk.accepted(1)
    claims = await clerk.claim(limit=2, early=True)
    assert [one.id for one in claims.items] == [rows[0].id, rows[1].id]
    assert claims.next_due_ms == clerk.now
    assert [one.id for one in (await clerk.claim(early=True)).items] == [rows[2].id]


async def test_what_is_given_back_waits_again(clerk: Clerk) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    await clerk.store.give_back([(claimed.id, claimed.claim)], clerk.now + SECOND)
    view = await clerk.view(claimed.id)
    assert (view.state, view.in_flight, view.due_ms, view.attempts) == (State.PENDING, False, clerk.now + SECOND, 0)
    assert (await clerk.claim()).items == ()
    clerk.now += SECOND
    assert (await clerk.claim_one()).claim == 2


async def test_a_claim_that_is_gone_cannot_be_given_back(clerk: Clerk) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    await clerk.store.give_back([(claimed.id, claimed.claim)], clerk.now)
    newer = await clerk.claim_one()
    await clerk.store.give_back([(claimed.id, claimed.claim), (123, 1)], clerk.now)
    assert (await clerk.view(claimed.id)).in_flight
    await clerk.end(newer, State.SUCCEEDED)
    await clerk.store.give_back([(newer.id, newer.claim)], clerk.now)
    assert await clerk.state(newer.id) is State.SUCCEEDED


@pytest.mark.parametrize("crash", [False, True])
async def test_claims_are_taken_back_when_the_store_opens(clerk: Clerk, crash: bool) -> None:
    first, second = [(await clerk.accepted(1, claimed=True))[0] for _ in range(2)]
    third = await clerk.in_state(State.RETRYING)
    again = await clerk.claim_one_row(third.id)
    clerk.now += MINUTE
    await clerk.reopen(crash=crash)
    for row, state in ((first, State.PENDING), (second, State.PENDING), (third.id, State.RETRYING)):
        view = await clerk.view(row)
        assert (view.state, view.in_flight, view.due_ms) == (state, False, clerk.now)
    (backlog,) = clerk.place.opened.backlog
    assert (backlog.waiting, backlog.held, backlog.next_due_ms) == (3, 0, clerk.now)
    claims = {one.id: one.claim for one in (await clerk.claim()).items}
    assert claims == {first: 2, second: 2, third.id: again.claim + 1}


async def test_counts(clerk: Clerk) -> None:
    assert (await clerk.history.counts(1)).oldest_due_ms is None
    for state in State:
        await clerk.in_state(state)
    await clerk.in_state(State.HELD)
    await clerk.accepted(1, claimed=True)
    await clerk.accepted(1, account=OTHER)
    await clerk.accepted(2)
    event = clerk.event()
    await clerk.accept([event], [clerk.delivery(event, 1, due_ms=5)])
    assert (await clerk.history.counts(1, 1)).waiting == 1
    counts = await clerk.history.counts(1)
    assert (counts.waiting, counts.held, counts.oldest_due_ms) == (5, 2, 5)
    assert counts.ceiling >= 100


async def test_everything_open_is_in_the_backlog(clerk: Clerk) -> None:
    for state in State:
        await clerk.in_state(state, endpoint=3)
    await clerk.in_state(State.SUCCEEDED, endpoint=4)
    await clerk.in_state(State.HELD, endpoint=5)
    await clerk.settle(Happening.RETRY, endpoint=3, due_ms=clerk.now - MINUTE)
    await clerk.reopen()
    backlog = {one.endpoint: one for one in clerk.place.opened.backlog}
    assert sorted(backlog) == [3, 5]
    assert (backlog[3].account, backlog[3].waiting, backlog[3].held) == (1, 2, 1)
    assert backlog[3].next_due_ms == clerk.now - MINUTE
    assert (backlog[5].waiting, backlog[5].held, backlog[5].next_due_ms) == (0, 1, None)
