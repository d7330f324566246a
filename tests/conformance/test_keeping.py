"""Retention and erasure: what is over goes, what is on its way stays, and a person's words can be taken away."""

import pytest

from tests.conformance.clerk import ACCOUNT, DAY, HOUR, OTHER, Clerk
from whatsync.model.delivery import OPEN, WAITING, Happening, State
from whatsync.model.health import Health
from whatsync.ports.history import DeliveryQuery, EventQuery
from whatsync.ports.store import AuditEntry, Changed, Delete, Duplicates, HealthRow, Origin, Pruned, Put


async def prune(clerk: Clerk, before_ms: int, limit: int = 100) -> list[Pruned]:
    """Prune to the end, step by step."""
    steps = [await clerk.store.prune(ACCOUNT, before_ms, 0, limit, clerk.now)]
    while (cursor := steps[-1].cursor) is not None:
        steps.append(await clerk.store.prune(ACCOUNT, before_ms, cursor, limit, clerk.now))
    return steps


@pytest.mark.parametrize("state", State)
async def test_only_what_is_over_goes(clerk: Clerk, state: State) -> None:
    claimed = await clerk.in_state(state)
    clerk.now += 30 * DAY
    steps = await prune(clerk, clerk.now - DAY)
    stays = state in WAITING
    assert sum(step.removed for step in steps) == (0 if stays else 1)
    assert sum(step.cancelled for step in steps) == (1 if state is State.HELD else 0)
    assert (await clerk.history.delivery(ACCOUNT, claimed.id) is not None) == stays
    assert (await clerk.history.event_by_seq(ACCOUNT, claimed.event.seq) is not None) == stays
    assert (await clerk.history.event(ACCOUNT, claimed.event.id) is not None) == stays
    if not stays:
        assert await clerk.history.attempts(ACCOUNT, claimed.id) == ()
        assert (await clerk.history.deliveries(DeliveryQuery(ACCOUNT))).items == ()
        assert (await clerk.history.counts(1)).held == 0


async def test_one_open_delivery_keeps_the_event_and_its_others(clerk: Clerk) -> None:
    ended, waiting = await clerk.accepted(1, 2)
    await clerk.end(await clerk.claim_one(1), State.SUCCEEDED)
    clerk.now += 30 * DAY
    assert await prune(clerk, clerk.now) == [Pruned(0, 0, None)]
    assert await clerk.state(ended) is State.SUCCEEDED
    assert len(await clerk.history.attempts(ACCOUNT, ended)) == 1
    await clerk.end(await clerk.claim_one(2), State.FAILED, endpoint=2)
    assert [step.removed for step in await prune(clerk, clerk.now)] == [1]
    assert await clerk.history.delivery(ACCOUNT, waiting) is None


async def test_resends_hang_on_the_event_too(clerk: Clerk) -> None:
    event = clerk.event()
    await clerk.accept([event], [clerk.delivery(event, 1)])
    await clerk.end(await clerk.claim_one(), State.SUCCEEDED)
    clerk.now += 2 * DAY
    again = clerk.delivery(event, 1, origin=Origin.RESEND)
    await clerk.accept([], [again])
    assert await prune(clerk, clerk.now - DAY) == [Pruned(0, 0, None)]
    await clerk.settle(Happening.CANCEL, again.id)
    assert [step.removed for step in await prune(clerk, clerk.now - DAY)] == [1]
    assert await clerk.history.delivery(ACCOUNT, again.id) is None


async def test_the_young_stay(clerk: Clerk) -> None:
    old = await clerk.in_state(State.SUCCEEDED)
    border = clerk.now + 1
    clerk.now = border
    young = clerk.event()
    await clerk.accept([young])
    assert [step.removed for step in await prune(clerk, border)] == [1]
    assert await clerk.history.event_by_seq(ACCOUNT, young.seq) is not None
    assert await clerk.history.event_by_seq(ACCOUNT, old.event.seq) is None


async def test_in_steps(clerk: Clerk) -> None:
    events = [clerk.event() for _ in range(25)]
    await clerk.accept(events, [clerk.delivery(event, 1) for event in events[10:20:2]])
    clerk.now += DAY
    steps = await prune(clerk, clerk.now, limit=4)
    assert sum(step.removed for step in steps) == 20
    assert all(step.removed <= 4 for step in steps)
    left = (await clerk.history.events(EventQuery(ACCOUNT, ascending=True))).items
    assert [event.seq for event in left] == [event.seq for event in events[10:20:2]]


async def test_others_history_stays(clerk: Clerk) -> None:
    await clerk.accept([clerk.event(account=OTHER, id="theirs")])
    clerk.now += 30 * DAY
    await prune(clerk, clerk.now)
    assert await clerk.history.event(OTHER, "theirs") is not None


async def test_what_was_pruned_cannot_be_found(clerk: Clerk) -> None:
    await clerk.accept([clerk.event(id="a", keys=("phone:+49",))])
    clerk.now += 30 * DAY
    await prune(clerk, clerk.now)
    assert await clerk.history.find(ACCOUNT, ["id:a", "phone:+49"], 10) == ()
    assert (await clerk.history.feed(ACCOUNT, 0, (), 10))[0] == ()


async def test_rollups_and_audit_go_with_their_time(clerk: Clerk) -> None:
    for _ in range(2):
        await clerk.accept([clerk.event()])
        await clerk.change(audit=(AuditEntry(ACCOUNT, clerk.now, "who", "what", "whom"),))
        clerk.now += 30 * DAY
    await prune(clerk, clerk.now - 45 * DAY)
    rows = await clerk.history.rollups(ACCOUNT, None, 0, clerk.now)
    assert sum(row.count for row in rows) == 1
    assert [row.at_ms for row in await clerk.history.audit(ACCOUNT, None, 10)] == [clerk.now - 30 * DAY]


async def test_pruning_survives_a_crash(clerk: Clerk) -> None:
    claimed = await clerk.in_state(State.HELD)
    clerk.now += 30 * DAY
    await prune(clerk, clerk.now)
    await clerk.reopen(crash=True)
    assert await clerk.history.delivery(ACCOUNT, claimed.id) is None
    assert clerk.place.opened.backlog == ()


async def test_regression_the_id_of_what_was_pruned_is_remembered_over_a_crash(clerk: Clerk) -> None:
    await clerk.accept([clerk.event(id="a")])
    clerk.now += 2 * DAY
    assert (await prune(clerk, clerk.now))[0].removed == 1
    await clerk.reopen(crash=True)
    answer = await clerk.accept([clerk.event(id="a")])
    assert isinstance(answer, Duplicates)
    assert answer.existing[0] is not None


async def test_erasing_takes_the_words_and_leaves_the_facts(clerk: Clerk) -> None:
    event = clerk.event(
        body=b'{"text":"hello"}',
        details=b'{"profileName":"Ada"}',
        contact="contact_1",
        number="111",
        keys=("message:msg_1", "phone:+4912345", "contact:contact_1"),
    )
    row = clerk.delivery(event, 1)
    await clerk.accept([event], [row])
    claimed = await clerk.claim_one()
    await clerk.end(claimed, State.SUCCEEDED, answer_headers=b"X-Name: Ada\r\n", answer_body=b"hello Ada")
    before = await clerk.view(row.id)
    await clerk.store.erase(ACCOUNT, event.seq, b'{"text":null}', ["message:msg_1"])
    stored = await clerk.history.event(ACCOUNT, event.id)
    assert stored is not None
    assert (stored.body, stored.details, stored.contact, stored.keys) == (
        b'{"text":null}',
        None,
        None,
        ("message:msg_1",),
    )
    assert (stored.seq, stored.type, stored.number, stored.deliveries) == (event.seq, event.type, "111", 1)
    (exchange,) = await clerk.history.attempts(ACCOUNT, row.id)
    assert (exchange.row.answer_headers, exchange.row.answer_body, exchange.row.status) == (b"", b"", 200)
    assert await clerk.view(row.id) == before
    assert await clerk.history.find(ACCOUNT, ["phone:+4912345", "contact:contact_1"], 10) == ()
    assert len(await clerk.history.find(ACCOUNT, ["message:msg_1"], 10)) == 1


async def test_an_erased_event_goes_on_being_delivered(clerk: Clerk) -> None:
    event = clerk.event(contact="contact_1")
    await clerk.accept([event], [clerk.delivery(event, 1)])
    await clerk.store.erase(ACCOUNT, event.seq, b"{}", [])
    claimed = await clerk.claim_one()
    assert (claimed.event.body, claimed.event.details, claimed.event.contact) == (b"{}", None, None)


async def test_others_events_cannot_be_erased(clerk: Clerk) -> None:
    event = clerk.event()
    await clerk.accept([event])
    await clerk.store.erase(OTHER, event.seq, b"{}", [])
    await clerk.store.erase(ACCOUNT, event.seq + 1, b"{}", [])
    stored = await clerk.history.event(ACCOUNT, event.id)
    assert stored is not None
    assert stored.body == event.body


async def test_nothing_open_is_ever_lost_to_retention(clerk: Clerk) -> None:
    """Everything old, every state, one after the other: what waits is there afterwards, untouched."""
    rows = {state: await clerk.in_state(state) for state in State}
    (flying,) = await clerk.accepted(1, claimed=True)
    before = {state: await clerk.view(one.id) for state, one in rows.items() if state in OPEN - {State.HELD}}
    clerk.now += 365 * DAY
    await prune(clerk, clerk.now + HOUR, limit=2)
    for view in before.values():
        assert await clerk.view(view.id) == view
    assert (await clerk.view(flying)).in_flight
    page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT))
    assert len(page.items) == 3


async def versions_kept(clerk: Clerk, row: int, newest: int) -> list[int]:
    """Which versions of an endpoint can be read."""
    found = [await clerk.history.document_version("endpoint", row, version) for version in range(1, newest + 1)]
    return [document.version for document in found if document is not None]


async def test_an_old_version_stays_as_long_as_a_delivery_may_have_used_it(clerk: Clerk) -> None:
    made = await clerk.change(ACCOUNT, Put("endpoint", "ep_1", ACCOUNT, b"one"))
    assert isinstance(made, Changed)
    row = made.documents[0].row
    (waiting,) = await clerk.accepted(row)
    clerk.now += DAY
    await clerk.change(ACCOUNT, Put("endpoint", "ep_1", ACCOUNT, b"two"))
    (late,) = await clerk.accepted(row)
    clerk.now += DAY
    await clerk.change(ACCOUNT, Put("endpoint", "ep_1", ACCOUNT, b"three"))
    await prune(clerk, clerk.now + HOUR)
    assert await versions_kept(clerk, row, 3) == [1, 2, 3]
    await clerk.settle(Happening.CANCEL, waiting)
    await prune(clerk, clerk.now - 2 * DAY - HOUR)
    assert await versions_kept(clerk, row, 3) == [1, 2, 3]
    await prune(clerk, clerk.now - HOUR)
    assert await clerk.history.delivery(ACCOUNT, waiting) is None
    assert await versions_kept(clerk, row, 3) == [2, 3]
    await clerk.settle(Happening.CANCEL, late)
    await prune(clerk, clerk.now + HOUR)
    assert await versions_kept(clerk, row, 3) == [3]
    newest = await clerk.history.document_version("endpoint", row, None)
    assert newest is not None
    assert newest.body == b"three"


async def test_nothing_of_a_deleted_endpoint_stays_for_ever(clerk: Clerk) -> None:
    made = await clerk.change(ACCOUNT, Put("endpoint", "ep_1", ACCOUNT, b"sealed"))
    assert isinstance(made, Changed)
    row = made.documents[0].row
    claimed = await clerk.in_state(State.SUCCEEDED, row)
    await clerk.store.record([], [HealthRow(row, Health(failed_attempts=1))])
    await clerk.change(ACCOUNT, deletes=(Delete("endpoint", "ep_1"),))
    clerk.now += DAY
    await prune(clerk, clerk.now - 2 * DAY)
    assert await versions_kept(clerk, row, 1) == [1]
    await clerk.reopen()
    assert clerk.place.opened.health == ()
    await prune(clerk, clerk.now)
    assert await clerk.history.delivery(ACCOUNT, claimed.id) is None
    assert await versions_kept(clerk, row, 1) == []


async def test_the_installations_own_pass_forgets_what_accounts_left_behind(clerk: Clerk) -> None:
    account = await clerk.change(0, Put("account", "acc_1", 0, b"{}"))
    assert isinstance(account, Changed)
    gone = account.documents[0].row
    made = await clerk.change(gone, Put("endpoint", "ep_1", gone, b"sealed"))
    assert isinstance(made, Changed)
    row = made.documents[0].row
    await clerk.change(gone, deletes=(Delete("endpoint", "ep_1"),))
    await clerk.store.record([], [HealthRow(row, Health(failed_attempts=1))])
    await clerk.store.prune(0, clerk.now, 0, 100, clerk.now)
    assert await versions_kept(clerk, row, 1) == [1]
    await clerk.change(gone, deletes=(Delete("account", "acc_1"),))
    await clerk.store.prune(0, clerk.now, 0, 100, clerk.now)
    assert await versions_kept(clerk, row, 1) == []
    await clerk.reopen()
    assert clerk.place.opened.health == ()
    assert gone not in clerk.place.opened.versions
