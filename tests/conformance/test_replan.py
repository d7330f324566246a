"""A clock that ran ahead and went back: what it had planned comes forward, everything else stays where it is."""

import pytest

from tests.conformance.clerk import MINUTE, SECOND, Clerk
from whatsync.model.delivery import Happening, State

HOUR = 60 * MINUTE
ALL = 100


async def due(clerk: Clerk, row: int) -> int | None:
    return (await clerk.view(row)).due_ms


async def replan(clerk: Clerk, now_ms: int, limit: int = ALL, endpoint: int = 1) -> int:
    """Plan everything of one endpoint anew; the number of steps."""
    after: tuple[int, int] | None = (now_ms, 0)
    steps = 0
    while after is not None:
        after = await clerk.store.replan(endpoint, now_ms, after, limit)
        steps += 1
    return steps


async def retrying(clerk: Clerk, wait_ms: int, endpoint: int = 1) -> int:
    """A delivery whose attempt failed now."""
    await clerk.accepted(endpoint)
    claimed = await clerk.claim_one(endpoint)
    await clerk.end(claimed, State.RETRYING, endpoint, due_ms=clerk.now + wait_ms)
    return claimed.id


async def test_a_retry_keeps_its_wait_counted_from_now(clerk: Clerk) -> None:
    right = clerk.now
    before = await retrying(clerk, 2 * HOUR)
    clerk.now += HOUR
    ahead = await retrying(clerk, 5 * MINUTE)
    clerk.now = right + SECOND
    await replan(clerk, clerk.now)
    assert await due(clerk, ahead) == clerk.now + 5 * MINUTE
    assert await due(clerk, before) == right + 2 * HOUR
    assert (await clerk.claim()).next_due_ms == clerk.now + 5 * MINUTE


async def test_what_waits_for_its_first_attempt_is_due_at_once(clerk: Clerk) -> None:
    right = clerk.now
    clerk.now += HOUR
    (row,) = await clerk.accepted(1)
    clerk.now = right
    assert (await clerk.claim()).next_due_ms == right + HOUR
    await replan(clerk, right)
    assert [one.id for one in (await clerk.claim()).items] == [row]


async def test_what_was_asked_for_by_hand_waits_no_longer_than_before(clerk: Clerk) -> None:
    right = clerk.now
    row = await retrying(clerk, MINUTE)
    clerk.now += HOUR
    await clerk.settle(Happening.RETRY, row)
    clerk.now = right + SECOND
    await replan(clerk, clerk.now)
    assert await due(clerk, row) == clerk.now + MINUTE


async def test_only_the_last_attempt_counts(clerk: Clerk) -> None:
    right = clerk.now
    row = await retrying(clerk, 5 * SECOND)
    clerk.now += HOUR
    await clerk.end(await clerk.claim_one(), State.RETRYING, due_ms=clerk.now + 30 * SECOND)
    clerk.now = right + MINUTE
    await replan(clerk, clerk.now)
    assert await due(clerk, row) == clerk.now + 30 * SECOND


async def test_behind_another_about_the_same_contact_it_waits_no_longer_than_its_wait(clerk: Clerk) -> None:
    right = clerk.now
    clerk.now += HOUR
    first, second = [await clerk.ordered(1, "contact_a", wait=10 * MINUTE) for _ in range(2)]
    clerk.now = right
    await replan(clerk, right)
    assert (await due(clerk, first), await due(clerk, second)) == (right, right + 10 * MINUTE)


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_step_by_step_everything_is_looked_at_once(clerk: Clerk, limit: int) -> None:
    right = clerk.now
    clerk.now += HOUR
    rows = [await retrying(clerk, wait * MINUTE) for wait in (3, 1, 2, 2, 1)]
    clerk.now = right
    assert await replan(clerk, right, limit) == 5 // limit + 1
    assert [await due(clerk, row) for row in rows] == [right + wait * MINUTE for wait in (3, 1, 2, 2, 1)]


async def test_other_endpoints_and_what_is_on_its_way_are_left_alone(clerk: Clerk) -> None:
    right = clerk.now
    clerk.now += HOUR
    other = await retrying(clerk, MINUTE, endpoint=2)
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    clerk.now = right
    await replan(clerk, right)
    assert await due(clerk, other) == right + HOUR + MINUTE
    assert (await clerk.view(claimed.id)).in_flight
    await clerk.end(claimed, State.SUCCEEDED)
    assert await clerk.state(claimed.id) is State.SUCCEEDED
    await replan(clerk, right)
    assert await clerk.state(claimed.id) is State.SUCCEEDED


async def test_a_second_time_nothing_moves(clerk: Clerk) -> None:
    right = clerk.now
    clerk.now += HOUR
    row = await retrying(clerk, MINUTE)
    clerk.now = right
    await replan(clerk, right)
    clerk.now += SECOND
    await replan(clerk, clerk.now)
    assert await due(clerk, row) == right + MINUTE


async def test_behind_one_that_was_made_ahead_the_wait_counts_from_now(clerk: Clerk) -> None:
    right = clerk.now
    clerk.now += HOUR
    await clerk.ordered(1, "contact_a", wait=10 * MINUTE)
    clerk.now = right
    second = await clerk.ordered(1, "contact_a", wait=10 * MINUTE)
    assert await due(clerk, second) == right + 10 * MINUTE


async def test_a_turn_that_comes_behind_one_made_ahead_counts_from_now(clerk: Clerk) -> None:
    right = clerk.now
    clerk.now += HOUR
    first, _, third = [await clerk.ordered(1, "contact_a", wait=wait * MINUTE) for wait in (1, 1, 10)]
    claimed = await clerk.claim_one()
    assert claimed.id == first
    clerk.now = right
    await clerk.settle(Happening.CANCEL, first)
    await replan(clerk, right)
    assert await due(clerk, third) == right + 10 * MINUTE
