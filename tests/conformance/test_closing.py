"""The end of a store: everything handed in is written, nothing is taken afterwards; and copies made while it runs."""

import asyncio
from pathlib import Path

import pytest

from tests.conformance.clerk import ACCOUNT, Clerk
from whatsync.model.delivery import Happening, State
from whatsync.ports.history import DeliveryQuery
from whatsync.ports.store import Accepted, Admission, Change, Settlement, StoreUnavailable


async def test_what_was_handed_in_before_is_written(clerk: Clerk) -> None:
    events = [clerk.event(id=f"{n}") for n in range(50)]
    answers = [clerk.store.accept(Admission(ACCOUNT, 0, (event,), (clerk.delivery(event, 1),))) for event in events]
    await clerk.reopen()
    assert {await answer == Accepted() for answer in answers} == {True}
    assert len((await clerk.history.deliveries(DeliveryQuery(ACCOUNT, limit=200))).items) == 50


async def test_nothing_is_taken_afterwards(clerk: Clerk) -> None:
    event = clerk.event(id="late")
    store = clerk.store
    await clerk.place.close()
    with pytest.raises(StoreUnavailable):
        await store.accept(Admission(ACCOUNT, 0, (event,), ()))
    with pytest.raises(StoreUnavailable):
        await store.record([])
    with pytest.raises(StoreUnavailable):
        await store.claim(1, clerk.now, 10)
    with pytest.raises(StoreUnavailable):
        await store.settle(Settlement(ACCOUNT, Happening.CANCEL, clerk.now, endpoint=1))
    with pytest.raises(StoreUnavailable):
        await store.change(Change(ACCOUNT))
    assert not store.state().writable
    await clerk.place.open(clerk.now)
    assert await clerk.history.event(ACCOUNT, "late") is None
    assert clerk.store.state().writable


async def test_row_numbers_begin_above_everything_known(clerk: Clerk) -> None:
    (row,) = await clerk.accepted(1)
    await clerk.reopen()
    assert clerk.place.opened.floor >= row
    clerk.now += 1
    await clerk.settle(Happening.CANCEL, row)
    await clerk.store.prune(ACCOUNT, clerk.now, 0, 10, clerk.now)
    await clerk.reopen(crash=True)
    assert clerk.place.opened.run == 3


async def test_a_copy_made_while_running_is_whole(clerk: Clerk, tmp_path: Path) -> None:
    rows = [(await clerk.accepted(1))[0] for _ in range(20)]
    await clerk.end((await clerk.claim(limit=1)).items[0], State.SUCCEEDED)
    copying = asyncio.ensure_future(clerk.place.copy(tmp_path / "copy"))
    more = [(await clerk.accepted(1))[0] for _ in range(20)]
    copy = await copying
    await copy.open(clerk.now)
    other = Clerk(copy, clerk.now)
    found = [view.id for view in (await other.history.deliveries(DeliveryQuery(ACCOUNT, limit=100))).items]
    assert found[-20:] == rows[::-1]
    assert set(found) <= {*rows, *more}
    assert await other.state(rows[0]) is State.SUCCEEDED
    await copy.close()
