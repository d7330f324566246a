"""Order within a contact: the next one waits for the end of the one before, whatever end, and not for ever."""

import pytest

from tests.conformance.clerk import ACCOUNT, MINUTE, SECOND, START_MS, Clerk
from whatsync.model.delivery import Happening, State
from whatsync.ports.store import Accepted, Recorded

WAIT = 10 * MINUTE


async def test_the_first_one_is_due_at_once(clerk: Clerk) -> None:
    row = await clerk.ordered(1, "contact_1")
    view = await clerk.view(row)
    assert (view.due_ms, view.ordered) == (clerk.now, True)
    assert (await clerk.claim_one()).contact == "contact_1"
    assert await clerk.history.waiting_for(ACCOUNT, row) is None


async def test_the_next_one_waits_for_the_one_before(clerk: Clerk) -> None:
    first = await clerk.ordered(1, "contact_1")
    clerk.now += SECOND
    second = await clerk.ordered(1, "contact_1")
    third = await clerk.ordered(1, "contact_1")
    assert [one.id for one in (await clerk.claim()).items] == [first]
    assert (await clerk.view(second)).due_ms == START_MS + WAIT
    assert (await clerk.view(third)).due_ms == START_MS + SECOND + WAIT
    assert await clerk.history.waiting_for(ACCOUNT, second) == first
    assert await clerk.history.waiting_for(ACCOUNT, third) == second


async def test_within_one_admission_too(clerk: Clerk) -> None:
    events = [clerk.event(contact="contact_1") for _ in range(3)]
    rows = [clerk.delivery(one, 1, contact="contact_1", contact_wait_ms=WAIT) for one in events]
    assert await clerk.accept(events, rows) == Accepted()
    assert [one.id for one in (await clerk.claim()).items] == [rows[0].id]
    assert await clerk.history.waiting_for(ACCOUNT, rows[2].id) == rows[1].id


async def test_other_contacts_and_endpoints_go_on(clerk: Clerk) -> None:
    rows = [await clerk.ordered(1, "contact_1"), await clerk.ordered(1, "contact_2")]
    other = await clerk.ordered(2, "contact_1")
    assert [one.id for one in (await clerk.claim(1)).items] == rows
    assert [one.id for one in (await clerk.claim(2)).items] == [other]


@pytest.mark.parametrize("end", [State.SUCCEEDED, State.FAILED])
async def test_the_end_of_an_attempt_brings_the_next_one_forward(clerk: Clerk, end: State) -> None:
    await clerk.ordered(1, "contact_1")
    second = await clerk.ordered(1, "contact_1")
    third = await clerk.ordered(1, "contact_1")
    first = await clerk.claim_one()
    clerk.now += SECOND
    assert await clerk.end(first, end) == Recorded(forwarded=(1,))
    assert (await clerk.view(second)).due_ms == clerk.now
    assert (await clerk.claim_one()).id == second
    assert await clerk.history.waiting_for(ACCOUNT, second) is None
    assert await clerk.history.waiting_for(ACCOUNT, third) == second


async def test_a_failed_try_brings_nothing_forward(clerk: Clerk) -> None:
    first = await clerk.ordered(1, "contact_1")
    second = await clerk.ordered(1, "contact_1")
    assert await clerk.end(await clerk.claim_one(), State.RETRYING) == Recorded()
    assert (await clerk.claim()).items == ()
    assert await clerk.history.waiting_for(ACCOUNT, second) == first


async def test_nobody_waits_means_nobody_is_woken(clerk: Clerk) -> None:
    await clerk.ordered(1, "contact_1")
    assert await clerk.end(await clerk.claim_one(), State.SUCCEEDED) == Recorded()


async def test_a_cancelled_one_lets_the_next_one_go(clerk: Clerk) -> None:
    first = await clerk.ordered(1, "contact_1")
    second = await clerk.ordered(1, "contact_1")
    clerk.now += SECOND
    await clerk.settle(Happening.CANCEL, first)
    assert (await clerk.view(second)).due_ms == clerk.now
    assert (await clerk.claim_one()).id == second


async def test_a_late_success_lets_the_next_one_go(clerk: Clerk) -> None:
    await clerk.ordered(1, "contact_1")
    second = await clerk.ordered(1, "contact_1")
    first = await clerk.claim_one()
    await clerk.settle(Happening.DISABLED, first.id)
    clerk.now += SECOND
    assert await clerk.end(first, State.SUCCEEDED) == Recorded(stale=(first.id,), forwarded=(1,))
    assert (await clerk.view(second)).due_ms == clerk.now


async def test_a_held_one_is_not_at_its_end(clerk: Clerk) -> None:
    """Whoever comes behind waits its ten minutes, and then goes on."""
    first = await clerk.ordered(1, "contact_1")
    second = await clerk.ordered(1, "contact_1")
    await clerk.settle(Happening.DISABLED, first)
    assert (await clerk.view(second)).due_ms == START_MS + WAIT
    assert await clerk.history.waiting_for(ACCOUNT, second) == first
    clerk.now += WAIT
    assert (await clerk.claim_one()).id == second


async def test_nobody_waits_longer_than_the_endpoint_says(clerk: Clerk) -> None:
    await clerk.ordered(1, "contact_1", wait=MINUTE)
    clerk.now += SECOND
    second = await clerk.ordered(1, "contact_1", wait=MINUTE)
    await clerk.end(await clerk.claim_one(), State.RETRYING, due_ms=clerk.now + 60 * MINUTE)
    clerk.now = START_MS + MINUTE - 1
    assert (await clerk.claim()).items == ()
    clerk.now += 1
    assert (await clerk.claim_one()).id == second
    clerk.now += SECOND
    third = await clerk.ordered(1, "contact_1", wait=MINUTE)
    assert (await clerk.view(third)).due_ms == START_MS + SECOND + MINUTE


async def test_who_comes_when_the_wait_is_over_goes_at_once(clerk: Clerk) -> None:
    await clerk.ordered(1, "contact_1", wait=MINUTE)
    await clerk.end(await clerk.claim_one(), State.RETRYING, due_ms=clerk.now + 60 * MINUTE)
    clerk.now += 2 * MINUTE
    second = await clerk.ordered(1, "contact_1", wait=MINUTE)
    assert (await clerk.view(second)).due_ms == clerk.now


async def test_a_cancelled_one_in_the_middle_does_not_break_the_chain(clerk: Clerk) -> None:
    first = await clerk.ordered(1, "contact_1")
    clerk.now += SECOND
    second = await clerk.ordered(1, "contact_1")
    third = await clerk.ordered(1, "contact_1")
    await clerk.settle(Happening.CANCEL, second)
    assert (await clerk.view(third)).due_ms == START_MS + WAIT
    assert await clerk.history.waiting_for(ACCOUNT, third) == first
    await clerk.end(await clerk.claim_one(), State.SUCCEEDED)
    assert (await clerk.claim_one()).id == third


async def test_what_was_tried_keeps_its_schedule(clerk: Clerk) -> None:
    """The second one overtook the first after the wait and failed: the first one's end must not shorten its pause."""
    await clerk.ordered(1, "contact_1", wait=MINUTE)
    second = await clerk.ordered(1, "contact_1", wait=MINUTE)
    first = await clerk.claim_one()
    clerk.now += MINUTE
    await clerk.end(await clerk.claim_one(), State.RETRYING, due_ms=clerk.now + 60 * MINUTE)
    assert await clerk.end(first, State.SUCCEEDED) == Recorded()
    assert (await clerk.view(second)).due_ms == clerk.now + 60 * MINUTE


async def test_released_ones_come_back_in_order(clerk: Clerk) -> None:
    rows = [await clerk.ordered(1, "contact_1") for _ in range(3)]
    other = await clerk.ordered(1, "contact_2")
    await clerk.settle(Happening.DISABLED, endpoint=1)
    clerk.now += 24 * 60 * MINUTE
    await clerk.settle(Happening.RELEASED, endpoint=1)
    assert [(await clerk.view(row)).due_ms for row in rows] == [clerk.now, clerk.now + WAIT, clerk.now + WAIT]
    for row in rows:
        claims = (await clerk.claim()).items
        assert [one.id for one in claims if one.id != other] == [row]
        await clerk.end(next(one for one in claims if one.id == row), State.SUCCEEDED)


@pytest.mark.parametrize("crash", [False, True])
async def test_order_survives_a_restart(clerk: Clerk, crash: bool) -> None:
    first = await clerk.ordered(1, "contact_1")
    second = await clerk.ordered(1, "contact_1")
    await clerk.claim_one()
    clerk.now += SECOND
    await clerk.reopen(crash=crash)
    claimed = await clerk.claim_one()
    assert (claimed.id, claimed.contact) == (first, "contact_1")
    assert await clerk.end(claimed, State.SUCCEEDED) == Recorded(forwarded=(1,))
    assert (await clerk.claim_one()).id == second


async def test_a_retry_asked_for_by_hand_goes_ahead(clerk: Clerk) -> None:
    await clerk.ordered(1, "contact_1")
    second = await clerk.ordered(1, "contact_1")
    await clerk.claim_one()
    await clerk.settle(Happening.RETRY, second)
    assert (await clerk.claim_one()).id == second
