"""Rollups over long times: whichever of minutes, hours and days they are read from, every attempt counts once."""

import random
from collections import Counter

from tests.conformance.clerk import ACCOUNT, DAY, HOUR, MINUTE, OTHER, START_MS, Clerk
from whatsync.model.delivery import State
from whatsync.ports.history import RollupRow
from whatsync.ports.rows import Waiting

STEPS = (1, MINUTE, 20 * MINUTE, 90 * MINUTE, HOUR, 2 * HOUR, 8 * HOUR, DAY, 7 * DAY, 30 * DAY)
FIRST_MS = START_MS - START_MS % DAY


async def weeks(clerk: Clerk, seed: int) -> list[tuple[int, int, str]]:
    """Attempts over three weeks, many of them near the ends of hours and days: endpoint, minute, outcome."""
    chance = random.Random(seed)
    ended = []
    for _ in range(120):
        near = chance.randrange(21) * DAY + chance.choice((0, HOUR, 23 * HOUR, chance.randrange(DAY)))
        at = FIRST_MS + near + chance.choice((-1, 0, 1, MINUTE, chance.randrange(HOUR)))
        endpoint = chance.choice((1, 2, 3))
        await clerk.accepted(endpoint)
        state, code = chance.choice(((State.SUCCEEDED, None), (State.FAILED, "timeout")))
        claimed = await clerk.claim_one(endpoint)
        await clerk.end(claimed, state, endpoint, code=code, finished_ms=at, total_us=1_500)
        ended.append((endpoint, at - at % MINUTE, code or "succeeded"))
    return ended


async def test_any_time_in_any_steps_adds_up_to_what_ended_in_it(clerk: Clerk) -> None:
    ended = await weeks(clerk, 1)
    chance = random.Random(2)
    for tidied in (False, True):
        for _ in range(60):
            step = chance.choice(STEPS)
            since, until = sorted(FIRST_MS + chance.randrange(-DAY, 22 * DAY) for _ in range(2))
            if chance.random() < 0.5:
                since, until = since - since % HOUR, until - until % DAY
            endpoint = chance.choice((1, 2, 3, None))
            rows = await clerk.history.rollups(ACCOUNT, endpoint, since, until, step)
            expected = Counter(
                (at - at % step, outcome) for to, at, outcome in ended if since <= at < until and endpoint in (to, None)
            )
            found = {(row.start_ms, row.outcome): row.count for row in rows if row.outcome != "accepted"}
            assert found == expected, (since, until, step, endpoint)
        if not tidied:
            await clerk.place.tidy()


async def test_several_endpoints_are_added_up_with_one_question(clerk: Clerk) -> None:
    ended = await weeks(clerk, 3)
    since, until = FIRST_MS + 3 * DAY + 5 * MINUTE, FIRST_MS + 18 * DAY + 7 * HOUR
    for _ in range(2):
        rows = await clerk.history.rollup_sums(ACCOUNT, [1, 3], since, until)
        expected = Counter((to, outcome) for to, at, outcome in ended if since <= at < until and to != 2)
        assert {(row.endpoint, row.outcome): row.count for row in rows} == expected
        assert await clerk.history.rollup_sums(OTHER, [1, 3], since, until) == ()
        assert await clerk.history.rollup_sums(ACCOUNT, [], since, until) == ()
        await clerk.place.tidy()


async def test_days_go_only_when_they_are_over_as_a_whole(clerk: Clerk) -> None:
    for day in range(4):
        await clerk.accepted(1)
        at = FIRST_MS + day * DAY + 12 * HOUR
        await clerk.end(await clerk.claim_one(), State.SUCCEEDED, finished_ms=at, total_us=1_500)
    clerk.now = FIRST_MS + 40 * DAY
    await clerk.place.tidy()
    before = FIRST_MS + 2 * DAY + 6 * HOUR
    cursor: int | None = 0
    while cursor is not None:
        cursor = (await clerk.store.prune(ACCOUNT, before, cursor, 100, clerk.now)).cursor
    for step in (1, HOUR, DAY, 7 * DAY):
        rows = await clerk.history.rollups(ACCOUNT, 1, 0, clerk.now, step)
        assert sum(row.count for row in rows) == 2, step


async def test_how_long_the_oldest_waited_is_counted_by_endpoint_and_account(clerk: Clerk) -> None:
    minute = START_MS - START_MS % MINUTE
    looks = [Waiting(ACCOUNT, 1, minute + 1, 5_000), Waiting(ACCOUNT, 2, minute + 2, 70_000)]
    await clerk.store.count_waiting(looks)
    await clerk.store.count_waiting([Waiting(ACCOUNT, 1, minute + MINUTE, 66_000), Waiting(OTHER, 9, minute, 1)])
    for _ in range(2):
        rows = await clerk.history.rollups(ACCOUNT, None, 0, 2 * START_MS)
        assert rows == (
            RollupRow(minute, 0, "waiting", 13, 1),
            RollupRow(minute, 0, "waiting", 17, 1),
            RollupRow(minute + MINUTE, 0, "waiting", 17, 1),
        )
        own = await clerk.history.rollups(ACCOUNT, 1, 0, 2 * START_MS, DAY)
        assert [(row.outcome, row.bucket, row.count) for row in own] == [("waiting", 13, 1), ("waiting", 17, 1)]
        await clerk.place.tidy()


async def test_counts_say_when_the_one_that_waits_longest_was_made(clerk: Clerk) -> None:
    assert (await clerk.history.counts(1)).oldest_made_ms is None
    first = await clerk.in_state(State.RETRYING)
    made = clerk.now
    clerk.now += MINUTE
    await clerk.accepted(1)
    assert (await clerk.history.counts(1)).oldest_made_ms == made
    await clerk.place.tidy()
    assert (await clerk.history.counts(1)).oldest_made_ms == made
    await clerk.in_state(State.HELD)
    await clerk.end(await clerk.claim_one_row(first.id), State.SUCCEEDED)
    assert (await clerk.history.counts(1)).oldest_made_ms == made + MINUTE
