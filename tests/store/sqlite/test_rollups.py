"""Rollups count every attempt once: joined commits, late ones, crashes and hours made of minutes change no sum."""

import random
from collections import Counter

import pytest

from tests.conformance.clerk import ACCOUNT, DAY, HOUR, MINUTE, START_MS, Clerk
from tests.store.sqlite.conftest import SqlitePlace
from whatsync.model.delivery import State
from whatsync.store.sqlite import rollup


async def work(clerk: Clerk, seed: int) -> Counter[tuple[int, str]]:
    """Some hours of attempts that end in every way; what was counted by endpoint and outcome."""
    chance = random.Random(seed)
    counted: Counter[tuple[int, str]] = Counter()
    for _ in range(60):
        clerk.now += chance.randrange(20 * MINUTE)
        endpoint = chance.choice((1, 2))
        await clerk.in_state(State.PENDING, endpoint)
        claimed = await clerk.claim_one(endpoint)
        late = chance.random() < 0.2
        if late:
            await clerk.store.give_back([(claimed.id, claimed.claim)], clerk.now)
        state = chance.choice((State.SUCCEEDED, State.FAILED))
        test = chance.random() < 0.2
        await clerk.end(claimed, state, endpoint, test=test, total_us=chance.randrange(10_000_000))
        if late and state is State.FAILED:
            again = await clerk.claim_one(endpoint)
            await clerk.end(again, State.SUCCEEDED, endpoint)
            counted[endpoint, "succeeded"] += 1
        if not test:
            counted[endpoint, "succeeded" if state is State.SUCCEEDED else "http_500"] += 1
    return counted


async def sums(clerk: Clerk) -> Counter[tuple[int, str]]:
    counted: Counter[tuple[int, str]] = Counter()
    for endpoint in (1, 2):
        for row in await clerk.history.rollups(ACCOUNT, endpoint, 0, clerk.now + DAY):
            counted[endpoint, row.outcome] += row.count
    return counted


@pytest.mark.parametrize("pending", [1, 7, 1000])
@pytest.mark.parametrize("crash", [False, True])
async def test_sums_equal_attempts(clerk: Clerk, monkeypatch: pytest.MonkeyPatch, pending: int, crash: bool) -> None:
    monkeypatch.setattr(rollup, "PENDING_MAX", pending)
    counted = await work(clerk, pending)
    assert await sums(clerk) == counted
    await clerk.reopen(crash=crash)
    assert await sums(clerk) == counted


async def test_hours_hold_what_their_minutes_held(clerk: Clerk, place: SqlitePlace) -> None:
    counted = await work(clerk, 3)
    before = await clerk.history.rollups(ACCOUNT, 1, 0, clerk.now + DAY)
    assert any(row.start_ms % HOUR for row in before)
    clerk.now += 3 * DAY
    for _ in range(2):
        await clerk.store.prune(ACCOUNT, START_MS - DAY, 0, 100, clerk.now)
        after = await clerk.history.rollups(ACCOUNT, 1, 0, clerk.now + DAY)
        assert await sums(clerk) == counted
        assert not any(row.start_ms % HOUR for row in after)
        hours = Counter((row.start_ms // HOUR, row.outcome, row.bucket) for row in after)
        assert max(hours.values()) == 1
