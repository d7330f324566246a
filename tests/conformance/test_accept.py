"""Accepting: all or nothing, decided by unique keys, routed with the newest configuration or not at all."""

import asyncio

from tests.conformance.clerk import ACCOUNT, DAY, OTHER, Clerk, key
from whatsync.model.delivery import State
from whatsync.ports.history import DeliveryQuery, EventQuery
from whatsync.ports.store import Accepted, Admission, Duplicates, Origin, Put, Replayed, Stale


async def test_what_was_accepted_can_be_read_back(clerk: Clerk) -> None:
    event = clerk.event(
        type="message.status",
        body='{"event":"message.status","text":"grüße"}'.encode(),
        details=b'{"wamid":"w1"}',
        number="111",
        contact="contact_1",
        keys=("message:msg_1", "phone:+4912345"),
    )
    row = clerk.delivery(event, 7, due_ms=clerk.now + 5)
    assert await clerk.accept([event], [row]) == Accepted()
    stored = await clerk.history.event(ACCOUNT, event.id)
    assert stored is not None
    assert (stored.seq, stored.type, stored.body, stored.details) == (event.seq, event.type, event.body, event.details)
    assert (stored.number, stored.contact, stored.test, stored.deliveries) == ("111", "contact_1", False, 1)
    assert sorted(stored.keys) == sorted(event.keys)
    view = await clerk.view(row.id)
    assert (view.event, view.event_id, view.endpoint, view.type) == (event.seq, event.id, 7, "message.status")
    assert (view.state, view.attempts, view.in_flight, view.due_ms) == (State.PENDING, 0, False, clerk.now + 5)
    assert (view.origin, view.created_ms, view.number, view.ordered) == (Origin.EVENT, clerk.now, "111", False)
    assert (view.finished_ms, view.status, view.code, view.duration_us, view.reason) == (None,) * 5


async def test_a_claimed_delivery_is_in_flight_under_claim_one(clerk: Clerk) -> None:
    (row,) = await clerk.accepted(1, claimed=True)
    view = await clerk.view(row)
    assert (view.state, view.in_flight, view.due_ms) == (State.PENDING, True, None)
    await clerk.store.give_back([(row, 1)], clerk.now)
    assert (await clerk.claim_one()).claim == 2


async def test_an_event_without_deliveries_is_kept(clerk: Clerk) -> None:
    event = clerk.event()
    assert await clerk.accept([event]) == Accepted()
    stored = await clerk.history.event(ACCOUNT, event.id)
    assert stored is not None
    assert stored.deliveries == 0


async def test_an_array_is_one_admission(clerk: Clerk) -> None:
    events = [clerk.event() for _ in range(50)]
    rows = [clerk.delivery(event, endpoint) for event in events for endpoint in (1, 2)]
    assert await clerk.accept(events, rows) == Accepted()
    page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, limit=200))
    assert [view.id for view in page.items] == sorted((row.id for row in rows), reverse=True)


async def test_a_stored_id_is_a_duplicate_and_nothing_is_written(clerk: Clerk) -> None:
    first = clerk.event(id="a")
    await clerk.accept([first], [clerk.delivery(first, 1)])
    new, again = clerk.event(id="b"), clerk.event(id="a", body=b"{}")
    answer = await clerk.accept([new, again], [clerk.delivery(new, 1), clerk.delivery(again, 1)])
    assert isinstance(answer, Duplicates)
    assert answer.existing[0] is None
    assert answer.existing[1] is not None
    assert (answer.existing[1].seq, answer.existing[1].body, answer.existing[1].deliveries) == (
        first.seq,
        first.body,
        1,
    )
    assert len((await clerk.history.events(EventQuery(ACCOUNT))).items) == 1
    assert len((await clerk.history.deliveries(DeliveryQuery(ACCOUNT))).items) == 1


async def test_an_id_twice_in_one_admission_is_a_duplicate(clerk: Clerk) -> None:
    first, second = clerk.event(id="a"), clerk.event(id="a")
    answer = await clerk.accept([first, second])
    assert isinstance(answer, Duplicates)
    assert answer.existing[0] is None
    assert answer.existing[1] is not None
    assert answer.existing[1].body == first.body
    assert await clerk.history.event(ACCOUNT, "a") is None


async def test_of_two_callers_with_one_id_one_wins(clerk: Clerk) -> None:
    """Both wait for the same commit, which must not hide one from the other."""
    events = [clerk.event(id="a"), clerk.event(id="a"), clerk.event(id="b")]
    answers = await asyncio.gather(*[clerk.accept([event], [clerk.delivery(event, 1)]) for event in events])
    assert answers[0] == Accepted()
    assert isinstance(answers[1], Duplicates)
    assert answers[1].existing[0] is not None
    assert answers[1].existing[0].seq == events[0].seq
    assert answers[2] == Accepted()
    assert len((await clerk.history.deliveries(DeliveryQuery(ACCOUNT))).items) == 2


async def test_a_refused_neighbour_fails_nobody(clerk: Clerk) -> None:
    """Forty calls in one commit, a quarter of them duplicates: each gets its own answer."""
    await clerk.accept([clerk.event(id="taken")])
    calls = [clerk.accept([clerk.event(id="taken" if n % 4 == 0 else f"new_{n}")]) for n in range(40)]
    answers = await asyncio.gather(*calls)
    assert [isinstance(answer, Duplicates) for answer in answers] == [n % 4 == 0 for n in range(40)]
    for n in range(40):
        assert (await clerk.history.event(ACCOUNT, f"new_{n}") is not None) == (n % 4 != 0)


async def test_ids_are_each_accounts_own(clerk: Clerk) -> None:
    assert await clerk.accept([clerk.event(id="a")]) == Accepted()
    assert await clerk.accept([clerk.event(id="a", account=OTHER)]) == Accepted()


async def test_ids_are_compared_exactly(clerk: Clerk) -> None:
    for id_ in ("a", "A", "a_", "a-", "0", "00"):
        assert await clerk.accept([clerk.event(id=id_)]) == Accepted()


async def test_stale_routing_writes_nothing(clerk: Clerk) -> None:
    await clerk.change(ACCOUNT, Put("endpoint", "ep_1", ACCOUNT, b"{}"))
    event = clerk.event(id="a")
    rows = [clerk.delivery(event, 1)]
    assert await clerk.accept([event], rows, version=0) == Stale(1)
    assert await clerk.history.event(ACCOUNT, "a") is None
    assert await clerk.accept([event], rows) == Accepted()
    assert await clerk.accept([clerk.event(account=OTHER)], version=0) == Accepted()


async def test_no_admission_slips_past_a_change(clerk: Clerk) -> None:
    """Handed in behind a change that is under way, an admission with the older version is refused."""
    changing = asyncio.ensure_future(clerk.change(ACCOUNT, Put("endpoint", "ep_1", ACCOUNT, b"{}")))
    await asyncio.sleep(0)
    answer = await clerk.accept([clerk.event()], version=0)
    await changing
    assert answer == Stale(1)


async def test_a_repeated_key_gives_the_first_answer(clerk: Clerk) -> None:
    events = [clerk.event(), clerk.event()]
    await clerk.accept(events, [clerk.delivery(events[0], 1)], key=key("k", b"finger"))
    answer = await clerk.accept([clerk.event()], key=key("k", b"other"))
    assert isinstance(answer, Replayed)
    assert answer.fingerprint == b"finger"
    assert [event.id for event in answer.events] == [event.id for event in events]
    assert [event.deliveries for event in answer.events] == [1, 0]
    assert len((await clerk.history.events(EventQuery(ACCOUNT))).items) == 2
    assert await clerk.accept([clerk.event(account=OTHER)], key=key("k")) == Accepted()


async def test_of_two_callers_with_one_key_one_wins(clerk: Clerk) -> None:
    events = [clerk.event(), clerk.event()]
    answers = await asyncio.gather(*[clerk.accept([event], key=key("k")) for event in events])
    assert answers[0] == Accepted()
    assert isinstance(answers[1], Replayed)
    assert [event.seq for event in answers[1].events] == [events[0].seq]


async def test_a_refused_admission_does_not_use_its_key(clerk: Clerk) -> None:
    await clerk.accept([clerk.event(id="a")])
    assert isinstance(await clerk.accept([clerk.event(id="a")], key=key("k")), Duplicates)
    await clerk.change()
    assert isinstance(await clerk.accept([clerk.event()], key=key("k"), version=0), Stale)
    assert await clerk.accept([clerk.event()], key=key("k")) == Accepted()


async def test_a_key_is_remembered_for_eight_days(clerk: Clerk) -> None:
    """Retention of an hour removes the event, and neither the key nor the id."""
    await clerk.accept([clerk.event(id="a")], key=key("k", b"finger"))
    clerk.now += 8 * DAY - 1
    pruned = await clerk.store.prune(ACCOUNT, clerk.now, 0, 100, clerk.now)
    assert (pruned.removed, pruned.cursor) == (1, None)
    answer = await clerk.accept([clerk.event()], key=key("k"))
    assert isinstance(answer, Replayed)
    assert answer.fingerprint == b"finger"
    duplicate = await clerk.accept([clerk.event(id="a")])
    assert isinstance(duplicate, Duplicates)
    assert duplicate.existing[0] is not None
    assert (duplicate.existing[0].id, duplicate.existing[0].body) == ("a", b"")


async def test_keys_and_ids_are_forgotten_in_the_end(clerk: Clerk) -> None:
    await clerk.accept([clerk.event(id="a")], key=key("k"))
    clerk.now += 10 * DAY
    await clerk.store.prune(ACCOUNT, clerk.now, 0, 100, clerk.now)
    assert await clerk.accept([clerk.event(id="a")], key=key("k")) == Accepted()


async def test_ids_live_as_long_as_the_event(clerk: Clerk) -> None:
    """Retention of thirty days: after twenty, the key is gone and the id is not."""
    await clerk.accept([clerk.event(id="a")], key=key("k"))
    clerk.now += 20 * DAY
    await clerk.store.prune(ACCOUNT, clerk.now - 30 * DAY, 0, 100, clerk.now)
    assert isinstance(await clerk.accept([clerk.event(id="a")]), Duplicates)
    assert await clerk.accept([clerk.event()], key=key("k")) == Accepted()


async def test_a_resend_brings_deliveries_of_a_stored_event(clerk: Clerk) -> None:
    event = clerk.event()
    await clerk.accept([event], [clerk.delivery(event, 1)])
    clerk.now += 1000
    again = clerk.delivery(event, 1, origin=Origin.RESEND)
    assert await clerk.store.accept(Admission(ACCOUNT, 0, (), (again,))) == Accepted()
    assert (await clerk.view(again.id)).origin is Origin.RESEND
    page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, event=event.seq))
    assert page.items[0].id == again.id
    assert len(page.items) == 2
    stored = await clerk.history.event(ACCOUNT, event.id)
    assert stored is not None
    assert stored.deliveries == 1


async def test_a_huge_fan_out_is_one_commit(clerk: Clerk) -> None:
    event = clerk.event()
    rows = [clerk.delivery(event, endpoint) for endpoint in range(1, 10_001)]
    assert await clerk.accept([event], rows) == Accepted()
    seen: list[int] = []
    before: int | None = None
    while True:
        page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, event=event.seq, before=before, limit=200))
        seen += [view.endpoint for view in page.items]
        before = page.next
        if before is None:
            break
    assert seen == list(range(10_000, 0, -1))
    assert (await clerk.claim_one(9_999)).event.id == event.id


async def test_the_rollups_count_accepted_events_and_no_tests(clerk: Clerk) -> None:
    await clerk.accept([clerk.event(), clerk.event(), clerk.event(test=True)])
    await clerk.accept([clerk.event(account=OTHER)])
    rows = await clerk.history.rollups(ACCOUNT, None, 0, clerk.now + 1)
    assert [(row.endpoint, row.outcome, row.bucket, row.count) for row in rows] == [(0, "accepted", 0, 2)]


async def test_a_key_is_kept_where_nothing_was_new(clerk: Clerk) -> None:
    """Under a row of its own: also when the store is opened anew, and as long as any other key."""
    used = clerk.event().seq
    admission = Admission(ACCOUNT, clerk.versions.get(ACCOUNT, 0), (), (), key("k", b"finger"), used=used)
    assert await clerk.store.accept(admission) == Accepted()
    for _ in range(2):
        answer = await clerk.accept([clerk.event()], key=key("k", b"other"))
        assert answer == Replayed(b"finger", ())
        await clerk.reopen()
    clerk.now += 9 * DAY
    await clerk.store.prune(ACCOUNT, clerk.now - 30 * DAY, 0, 100, clerk.now)
    assert await clerk.accept([clerk.event()], key=key("k")) == Accepted()
