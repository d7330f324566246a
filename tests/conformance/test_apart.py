"""Nothing crosses accounts: two of them with data that looks alike, and every verb that reads asked for the other's."""

import inspect
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.clerk import ACCOUNT, MINUTE, OTHER, Clerk
from whatsync.model.delivery import State
from whatsync.ports.arrivals import ContactRow, SetAsideQuery, SetAsideRow
from whatsync.ports.history import DeliveryQuery, EventQuery, History
from whatsync.ports.store import AuditEntry, EventRow, Intake, Put

TYPE = "message.incoming"
ENDPOINT = {ACCOUNT: 11, OTHER: 22}
Filters = dict[str, Any]
OPERATORS = {"arrivals", "bodies", "body"}
"""About sources, which are the operator's and no account's."""
BY_ROW_ALONE = {"counts", "document_version", "media"} | OPERATORS
"""Asked with row numbers that their caller looked up within the account, or with a name nobody can guess."""


@dataclass
class Half:
    """One account's part: an event with an ended, an open and an ordered delivery behind that one."""

    event: EventRow
    ended: int
    head: int
    behind: int


@dataclass
class Two:
    """Both accounts."""

    clerk: Clerk
    history: History
    mine: Half
    theirs: Half
    always: tuple[int, int]


async def half(clerk: Clerk, account: int) -> Half:
    """The same data for each account, configuration and audit included."""
    event = clerk.event(
        account,
        id="evt_same",
        number="111",
        contact="contact_same",
        body=b'{"text":"same words"}',
        keys=("phone:+49", "message:msg_same"),
    )
    endpoint = ENDPOINT[account]
    ended = clerk.delivery(event, endpoint, due_ms=clerk.now - MINUTE)
    head, behind = [clerk.delivery(event, endpoint, contact="contact_same", contact_wait_ms=MINUTE) for _ in range(2)]
    await clerk.accept([event], [ended, head, behind])
    claimed = (await clerk.claim(endpoint, limit=1)).items[0]
    await clerk.end(claimed, State.FAILED, endpoint)
    audit = AuditEntry(account, clerk.now, "who", "what", "whom")
    await clerk.change(account, Put("endpoint", f"ep_{account}", account, b"{}"), audit=(audit,))
    return Half(event, ended.id, head.id, behind.id)


@pytest.fixture(params=[False, True])
async def two(request: pytest.FixtureRequest, clerk: Clerk) -> Two:
    """Both accounts' data, just written or long tidied up; and one more event of the other account."""
    mine, theirs = await half(clerk, ACCOUNT), await half(clerk, OTHER)
    await clerk.accept([clerk.event(OTHER, id="evt_later", number="111")])
    if request.param:
        await clerk.place.tidy()
    return Two(clerk, clerk.history, mine, theirs, (0, 2 * clerk.now))


async def test_deliveries(two: Two) -> None:
    async def accounts(**filters: Any) -> set[int]:
        page = await two.history.deliveries(DeliveryQuery(ACCOUNT, **filters))
        return {view.account for view in page.items}

    seq = two.theirs.event.seq
    shared: list[Filters] = [{}, {"type": TYPE}, {"number": "111"}, {"states": (State.FAILED,)}, {"code": "http_500"}]
    theirs: list[Filters] = [{"endpoint": ENDPOINT[OTHER]}, {"event": seq}, {"events": (seq,)}]
    more: list[Filters] = [{}, {"text": "same"}, {"ascending": True}]
    for extra in more:
        for filters in shared:
            assert await accounts(**filters, **extra) == {ACCOUNT}
        for filters in theirs:
            assert await accounts(**filters, **extra) == set()
            assert await accounts(**filters, states=(State.FAILED,)) == set()


async def test_delivery(two: Two) -> None:
    assert await two.history.delivery(ACCOUNT, two.theirs.ended) is None
    assert await two.history.delivery(OTHER, two.theirs.ended) is not None


async def test_attempts(two: Two) -> None:
    assert await two.history.attempts(ACCOUNT, two.theirs.ended) == ()
    assert len(await two.history.attempts(OTHER, two.theirs.ended)) == 1


async def test_waiting_for(two: Two) -> None:
    assert await two.history.waiting_for(ACCOUNT, two.theirs.behind) is None
    assert await two.history.waiting_for(OTHER, two.theirs.behind) == two.theirs.head


async def test_events(two: Two) -> None:
    shared: list[Filters] = [{}, {"type": TYPE}, {"number": "111"}, {"text": "same"}, {"matched": True}]
    for filters in shared:
        page = await two.history.events(EventQuery(ACCOUNT, **filters))
        assert [event.seq for event in page.items] == [two.mine.event.seq]
    assert (await two.history.events(EventQuery(ACCOUNT, matched=False))).items == ()
    assert (await two.history.events(EventQuery(ACCOUNT, seqs=(two.theirs.event.seq,)))).items == ()


async def test_event(two: Two) -> None:
    found = await two.history.event(ACCOUNT, "evt_same")
    assert found is not None
    assert found.seq == two.mine.event.seq
    assert await two.history.event(ACCOUNT, "evt_later") is None


async def test_event_by_seq(two: Two) -> None:
    assert await two.history.event_by_seq(ACCOUNT, two.theirs.event.seq) is None
    assert await two.history.event_by_seq(OTHER, two.theirs.event.seq) is not None


async def test_find(two: Two) -> None:
    found = await two.history.find(ACCOUNT, ["phone:+49", "message:msg_same", "id:evt_same", "id:evt_later"], 10)
    assert [event.seq for event in found] == [two.mine.event.seq]


async def test_feed(two: Two) -> None:
    events, cursor = await two.history.feed(ACCOUNT, 0, (), 10)
    assert [event.seq for event in events] == [two.mine.event.seq]
    assert (await two.history.feed(ACCOUNT, cursor, (TYPE,), 10))[0] == ()


async def test_feed_bounds(two: Two) -> None:
    oldest, newest = await two.history.feed_bounds(ACCOUNT)
    assert [event.seq for event in (await two.history.feed(ACCOUNT, oldest, (), 10))[0]] == [two.mine.event.seq]
    assert (await two.history.feed(ACCOUNT, newest, (), 10))[0] == ()


async def test_missing(two: Two) -> None:
    events, _ = await two.history.missing(ACCOUNT, ENDPOINT[OTHER], (TYPE,), *two.always, 0, 10)
    assert [event.seq for event in events] == [two.mine.event.seq]
    assert (await two.history.missing(ACCOUNT, ENDPOINT[ACCOUNT], (TYPE,), *two.always, 0, 10))[0] == ()


async def test_rollups(two: Two) -> None:
    for account in (ACCOUNT, OTHER):
        rows = await two.history.rollups(account, None, *two.always)
        events = 1 if account == ACCOUNT else 2
        assert [(row.outcome, row.count) for row in rows] == [("accepted", events), ("http_500", 1)]
        assert [row.count for row in await two.history.rollups(account, ENDPOINT[account], *two.always)] == [1]
    assert await two.history.rollups(ACCOUNT, ENDPOINT[OTHER], *two.always) == ()


async def test_rollup_sums(two: Two) -> None:
    both = [ENDPOINT[ACCOUNT], ENDPOINT[OTHER]]
    for account in (ACCOUNT, OTHER):
        rows = await two.history.rollup_sums(account, both, *two.always)
        assert [(row.endpoint, row.outcome, row.count) for row in rows] == [(ENDPOINT[account], "http_500", 1)]
    assert await two.history.rollup_sums(ACCOUNT, [ENDPOINT[OTHER]], *two.always) == ()


async def test_audit(two: Two) -> None:
    assert len(await two.history.audit(ACCOUNT, None, 10)) == 1


async def test_contacts(two: Two) -> None:
    store = two.clerk.store
    for account, name in ((ACCOUNT, "Ada"), (OTHER, "Bob")):
        row = ContactRow(account, "contact_same", ("phone:+49",), 1, 1, "+49", None, name)
        await store.take_in(Intake((), (row,)))
    assert [one.name for one in await two.history.contacts(ACCOUNT, ["phone:+49"])] == ["Ada"]
    await store.forget_contacts(ACCOUNT, [], 10)
    assert [one.name for one in await two.history.contacts(OTHER, ["phone:+49"])] == ["Bob"]


async def test_set_aside(two: Two) -> None:
    for account in (ACCOUNT, OTHER):
        seq = two.clerk.sequence.next(two.clerk.now)
        row = SetAsideRow(seq, 1, 1, account, "no_id", "entry[0]", "Odd.", "111", "wamid.same")
        await two.clerk.store.take_in(Intake((), set_aside=(row,)))
    for filters in ({}, {"number": "111"}, {"reference": "wamid.same"}, {"source": 1}):
        found = await two.history.set_aside(SetAsideQuery(account=ACCOUNT, **filters))
        assert [row.account for row in found] == [ACCOUNT]


def test_every_verb_that_reads_is_asked_here() -> None:
    verbs = {name for name, _ in inspect.getmembers(History, inspect.isfunction) if not name.startswith("_")}
    asked = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert verbs - BY_ROW_ALONE <= asked
    assert verbs >= BY_ROW_ALONE
