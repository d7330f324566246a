"""Recording attempts: guarded by claim, kept even when late, counted once. What is final stays final."""

import asyncio

import msgspec
import pytest

from tests.conformance.clerk import ACCOUNT, MINUTE, SECOND, START_MS, Clerk
from tests.conformance.places import VERSION
from whatsync.model.delivery import FINAL, OPEN, Happening, State
from whatsync.model.health import Health
from whatsync.ports.history import DeliveryQuery
from whatsync.ports.store import AttemptRow, HealthRow, Origin, Recorded


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.RETRYING, State.FAILED, State.HELD])
async def test_an_attempt_decides_the_state(clerk: Clerk, state: State) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    clerk.now += SECOND
    assert await clerk.end(claimed, state) == Recorded()
    view = await clerk.view(claimed.id)
    assert (view.state, view.attempts, view.in_flight, view.reason) == (state, 1, False, None)
    assert view.due_ms == (clerk.now + MINUTE if state is State.RETRYING else None)
    assert view.finished_ms == (clerk.now if state in FINAL else None)
    assert view.duration_us == 30_000
    assert (view.status, view.code) == ((200, None) if state is State.SUCCEEDED else (500, "http_500"))


async def test_an_attempt_is_read_back_as_it_was_written(clerk: Clerk) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    row = AttemptRow(
        delivery=claimed.id,
        claim=claimed.claim,
        number=1,
        account=ACCOUNT,
        endpoint=1,
        started_ms=clerk.now,
        finished_ms=clerk.now + 250,
        state=State.RETRYING,
        due_ms=clerk.now + MINUTE,
        status=503,
        code="http_503",
        detail="a sentence",
        address="192.0.2.7",
        reused=True,
        dns_us=1,
        connect_us=2,
        tls_us=3,
        first_byte_us=4,
        total_us=250_000,
        endpoint_version=9,
        signed_s=clerk.now // 1000,
        signatures=bytes(range(96)),
        run=clerk.place.opened.run,
        answer_headers=b"HTTP/1.1 503 No\r\nX-A: \xff\r\n",
        answer_body=b"\x00\xff" * 8192,
        truncated=True,
        test=False,
        ordered=False,
    )
    await clerk.store.record([row])
    (exchange,) = await clerk.history.attempts(ACCOUNT, claimed.id)
    assert (exchange.late, exchange.version) == (False, VERSION)
    assert exchange.row == row


async def test_an_attempt_that_never_reached_anybody(clerk: Clerk) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    await clerk.end(claimed, State.RETRYING, status=None, code="dns_error", total_us=0)
    (exchange,) = await clerk.history.attempts(ACCOUNT, claimed.id)
    assert (exchange.row.status, exchange.row.code, exchange.row.address) == (None, "dns_error", None)
    assert (exchange.row.dns_us, exchange.row.connect_us, exchange.row.first_byte_us) == (None, None, None)
    assert (exchange.row.answer_headers, exchange.row.answer_body) == (b"", b"")
    view = await clerk.view(claimed.id)
    assert (view.status, view.code, view.duration_us) == (None, "dns_error", 0)


async def test_attempts_come_first_to_last(clerk: Clerk) -> None:
    await clerk.accepted(1)
    for _ in range(12):
        await clerk.end(await clerk.claim_one(), State.RETRYING, due_ms=clerk.now)
    (page,) = (await clerk.history.deliveries(DeliveryQuery(ACCOUNT))).items
    assert page.attempts == 12
    exchanges = await clerk.history.attempts(ACCOUNT, page.id)
    assert [one.row.number for one in exchanges] == list(range(1, 13))


async def test_many_outcomes_in_one_call(clerk: Clerk) -> None:
    event = clerk.event()
    await clerk.accept([event], [clerk.delivery(event, 1) for _ in range(300)])
    claims = (await clerk.claim(limit=300)).items
    ends = [State.SUCCEEDED, State.RETRYING, State.FAILED]
    rows = [clerk.attempt(one, ends[n % 3]) for n, one in enumerate(claims)]
    assert await clerk.store.record(rows) == Recorded()
    for state in ends:
        page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, states=(state,), limit=200))
        assert len(page.items) == 100


async def test_calls_that_share_a_commit_are_answered_apart(clerk: Clerk) -> None:
    await clerk.accepted(1)
    await clerk.accepted(1)
    first, second = (await clerk.claim()).items
    stale = msgspec.structs.replace(second, claim=99)
    answers = await asyncio.gather(
        clerk.store.record([clerk.attempt(first, State.SUCCEEDED)]),
        clerk.store.record([clerk.attempt(stale, State.RETRYING)]),
        clerk.store.record([clerk.attempt(second, State.FAILED)]),
    )
    assert list(answers) == [Recorded(), Recorded(stale=(second.id,)), Recorded()]


async def test_a_late_attempt_is_kept_and_changes_nothing(clerk: Clerk) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    await clerk.settle(Happening.DISABLED, claimed.id, reason="endpoint disabled")
    before = await clerk.view(claimed.id)
    answer = await clerk.end(claimed, State.RETRYING)
    assert answer == Recorded(stale=(claimed.id,))
    after = await clerk.view(claimed.id)
    assert after == msgspec.structs.replace(before, attempts=1)
    (exchange,) = await clerk.history.attempts(ACCOUNT, claimed.id)
    assert exchange.late


@pytest.mark.parametrize("state", State)
async def test_a_late_success_closes_what_is_open(clerk: Clerk, state: State) -> None:
    old = await clerk.in_state(state)
    before = await clerk.view(old.id)
    late = msgspec.structs.replace(old, claim=77, attempts=5)
    clerk.now += SECOND
    assert (await clerk.end(late, State.SUCCEEDED)).stale == (old.id,)
    view = await clerk.view(old.id)
    assert view.attempts == 6
    if state in OPEN:
        assert (view.state, view.finished_ms, view.due_ms, view.status) == (State.SUCCEEDED, clerk.now, None, 200)
    else:
        assert view == msgspec.structs.replace(before, attempts=6)


async def test_a_late_success_takes_the_delivery_from_its_new_claimer(clerk: Clerk) -> None:
    await clerk.accepted(1)
    old = await clerk.claim_one()
    await clerk.store.give_back([(old.id, old.claim)], clerk.now)
    new = await clerk.claim_one()
    await clerk.end(old, State.SUCCEEDED)
    view = await clerk.view(old.id)
    assert (view.state, view.in_flight) == (State.SUCCEEDED, False)
    assert (await clerk.end(new, State.RETRYING)).stale == (new.id,)
    assert await clerk.state(old.id) is State.SUCCEEDED
    exchanges = await clerk.history.attempts(ACCOUNT, old.id)
    assert [(one.row.claim, one.late) for one in exchanges] == [(1, True), (2, True)]


@pytest.mark.parametrize("final", sorted(FINAL))
@pytest.mark.parametrize("late", [State.RETRYING, State.FAILED, State.HELD, State.SUCCEEDED])
async def test_final_stays_final(clerk: Clerk, final: State, late: State) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    if final is State.CANCELLED:
        await clerk.settle(Happening.CANCEL, claimed.id)
    else:
        await clerk.end(claimed, final)
    before = await clerk.view(claimed.id)
    answer = await clerk.end(msgspec.structs.replace(claimed, claim=2, attempts=1), late)
    assert answer.stale == (claimed.id,)
    assert msgspec.structs.replace(await clerk.view(claimed.id), attempts=before.attempts) == before


async def test_a_retrying_delivery_that_was_held_meanwhile_stays_held(clerk: Clerk) -> None:
    retrying = await clerk.in_state(State.RETRYING)
    again = await clerk.claim_one_row(retrying.id)
    await clerk.settle(Happening.DISABLED, again.id)
    await clerk.end(again, State.RETRYING)
    view = await clerk.view(again.id)
    assert (view.state, view.attempts, view.due_ms) == (State.HELD, 2, None)
    assert (await clerk.claim()).items == ()


async def test_an_attempt_of_a_delivery_that_is_gone_is_dropped(clerk: Clerk) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    nowhere = msgspec.structs.replace(claimed, id=claimed.id + 1)
    assert (await clerk.end(nowhere, State.SUCCEEDED)).stale == (nowhere.id,)
    assert await clerk.history.attempts(ACCOUNT, nowhere.id) == ()


async def test_health_is_kept_with_the_outcome(clerk: Clerk) -> None:
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    health = Health(failed_attempts=3, sample=(1, 2), first_failure_ms=5, last_failure_code="timeout", notice_ms=9)
    await clerk.store.record([clerk.attempt(claimed, State.RETRYING)], [HealthRow(1, Health()), HealthRow(2, Health())])
    await clerk.store.record([], [HealthRow(1, health)])
    await clerk.reopen()
    assert clerk.place.opened.health == (HealthRow(1, health), HealthRow(2, Health()))


async def test_rollups_count_attempts_by_minute_outcome_and_latency(clerk: Clerk) -> None:
    minute = START_MS - START_MS % MINUTE
    ends = [
        (State.SUCCEEDED, None, 0, 900),
        (State.SUCCEEDED, None, 0, 1_000),
        (State.SUCCEEDED, None, 0, 1_999),
        (State.FAILED, "http_500", 0, 30_000_000),
        (State.FAILED, "timeout", MINUTE, 0),
    ]
    for state, code, later, total_us in ends:
        await clerk.accepted(1)
        claimed = await clerk.claim_one()
        await clerk.end(claimed, state, code=code, finished_ms=minute + later, total_us=total_us)
    (row,) = await clerk.accepted(2)
    await clerk.settle(Happening.CANCEL, row)
    rows = await clerk.history.rollups(ACCOUNT, 1, minute, minute + 2 * MINUTE)
    assert [(one.start_ms - minute, one.outcome, one.bucket, one.count) for one in rows] == [
        (0, "http_500", 15, 1),
        (0, "succeeded", 0, 1),
        (0, "succeeded", 1, 2),
        (MINUTE, "timeout", 0, 1),
    ]
    await clerk.accepted(3)
    await clerk.end((await clerk.claim_one(3)), State.SUCCEEDED, endpoint=3, finished_ms=minute, total_us=1_500)
    total = await clerk.history.rollups(ACCOUNT, None, minute, minute + MINUTE)
    assert [(one.endpoint, one.outcome, one.bucket, one.count) for one in total] == [
        (0, "accepted", 0, 7),
        (0, "http_500", 15, 1),
        (0, "succeeded", 0, 1),
        (0, "succeeded", 1, 3),
    ]
    assert [one.outcome for one in await clerk.history.rollups(ACCOUNT, 1, minute + 1, minute + MINUTE + 1)] == [
        "timeout"
    ]


async def test_rollups_are_added_up_in_steps(clerk: Clerk) -> None:
    hour = START_MS - START_MS % (60 * MINUTE)
    for later, code in ((0, None), (MINUTE, None), (MINUTE, "timeout"), (30 * MINUTE, None)):
        await clerk.accepted(1)
        state = State.SUCCEEDED if code is None else State.FAILED
        await clerk.end(await clerk.claim_one(), state, code=code, finished_ms=hour + later, total_us=1_500)
    for _ in range(2):  # as they were counted, and again when they may have been added to what is kept
        rows = await clerk.history.rollups(ACCOUNT, 1, hour + MINUTE, hour + 60 * MINUTE, 20 * MINUTE)
        assert [(one.start_ms - hour, one.outcome, one.count) for one in rows] == [
            (0, "succeeded", 1),
            (0, "timeout", 1),
            (20 * MINUTE, "succeeded", 1),
        ]
        await clerk.settle(Happening.CANCEL, (await clerk.accepted(2))[0])


async def test_rollups_count_late_attempts_and_no_tests(clerk: Clerk) -> None:
    event = clerk.event(test=True)
    test = clerk.delivery(event, 1, origin=Origin.TEST)
    await clerk.accept([event], [test])
    await clerk.end(await clerk.claim_one(), State.SUCCEEDED, test=True)
    await clerk.accepted(1)
    claimed = await clerk.claim_one()
    await clerk.settle(Happening.CANCEL, claimed.id)
    await clerk.end(claimed, State.SUCCEEDED)
    rows = await clerk.history.rollups(ACCOUNT, 1, 0, 2 * START_MS)
    assert [(row.outcome, row.count) for row in rows] == [("succeeded", 1)]


async def test_attempts_carry_the_version_of_their_run(clerk: Clerk) -> None:
    await clerk.accepted(1)
    await clerk.end(await clerk.claim_one(), State.RETRYING, due_ms=clerk.now)
    first = clerk.place.opened.run
    await clerk.reopen()
    assert clerk.place.opened.run == first + 1
    claimed = await clerk.claim_one()
    await clerk.end(claimed, State.SUCCEEDED)
    exchanges = await clerk.history.attempts(ACCOUNT, claimed.id)
    assert [one.row.run for one in exchanges] == [first, first + 1]
    assert [one.version for one in exchanges] == [VERSION, VERSION]
