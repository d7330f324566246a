"""Configuration: documents in versions, changed whole or not at all, together with what belongs to the change."""

import asyncio

from tests.conformance.clerk import ACCOUNT, MINUTE, OTHER, Clerk, key
from whatsync.model.delivery import Happening, State
from whatsync.ports.history import DeliveryQuery
from whatsync.ports.store import (
    Admission,
    AuditEntry,
    Change,
    ChangeConflict,
    Changed,
    Delete,
    Document,
    Put,
    Settlement,
    Stale,
)


def put(id_: str, body: bytes = b"{}", expected: int | None = None, kind: str = "endpoint") -> Put:
    return Put(kind, id_, ACCOUNT, body, expected)


def entry(action: str, account: int = ACCOUNT) -> AuditEntry:
    return AuditEntry(account, 5, "somebody", action, "ep_1", None, b'{"a":1}')


async def test_documents_get_rows_and_versions(clerk: Clerk) -> None:
    first = await clerk.change(ACCOUNT, put("ep_1", b"one", 0), put("ep_2", b"two", 0))
    assert isinstance(first, Changed)
    one, two = first.documents
    assert (one.kind, one.id, one.account, one.version, one.body) == ("endpoint", "ep_1", ACCOUNT, 1, b"one")
    assert (two.id, two.version) == ("ep_2", 1)
    assert one.row > 0
    assert two.row > one.row
    assert first.version == 1
    second = await clerk.change(ACCOUNT, put("ep_1", b"new", 1))
    assert second == Changed(2, (Document("endpoint", "ep_1", one.row, ACCOUNT, 2, b"new"),))


async def test_everything_is_there_again_after_opening(clerk: Clerk) -> None:
    await clerk.change(0, Put("account", "acct_1", 0, b"account"))
    await clerk.change(ACCOUNT, put("ep_1"), put("ep_2"))
    await clerk.change(ACCOUNT, put("ep_2", b"newer"))
    await clerk.change(OTHER, Put("endpoint", "ep_3", OTHER, b"three"))
    await clerk.change(ACCOUNT, deletes=(Delete("endpoint", "ep_1"),))
    await clerk.reopen()
    found = [(one.kind, one.id, one.account, one.version, one.body) for one in clerk.place.opened.documents]
    assert sorted(found) == [
        ("account", "acct_1", 0, 1, b"account"),
        ("endpoint", "ep_2", ACCOUNT, 2, b"newer"),
        ("endpoint", "ep_3", OTHER, 1, b"three"),
    ]
    assert clerk.place.opened.versions == {0: 1, ACCOUNT: 3, OTHER: 1}


async def test_another_version_than_expected_is_a_conflict(clerk: Clerk) -> None:
    assert await clerk.change(ACCOUNT, put("ep_1", expected=1)) == ChangeConflict("endpoint", "ep_1")
    await clerk.change(ACCOUNT, put("ep_1", b"one", 0))
    for expected in (0, 2):
        assert await clerk.change(ACCOUNT, put("ep_1", expected=expected)) == ChangeConflict("endpoint", "ep_1")
    assert isinstance(await clerk.change(ACCOUNT, put("ep_1", b"two")), Changed)
    assert await clerk.change(ACCOUNT, put("ep_1", expected=1)) == ChangeConflict("endpoint", "ep_1")


async def test_of_two_writers_with_the_same_version_one_wins(clerk: Clerk) -> None:
    await clerk.change(ACCOUNT, put("ep_1", b"one", 0))
    answers = await asyncio.gather(
        *[clerk.store.change(Change(ACCOUNT, (put("ep_1", body, 1),))) for body in (b"a", b"b")]
    )
    assert [type(answer) for answer in answers] == [Changed, ChangeConflict]
    await clerk.reopen()
    assert [document.body for document in clerk.place.opened.documents] == [b"a"]


async def test_a_conflict_writes_nothing_at_all(clerk: Clerk) -> None:
    await clerk.change(ACCOUNT, put("ep_1", b"one"))
    (row,) = await clerk.accepted(1)
    event = clerk.event(id="new")
    answer = await clerk.store.change(
        Change(
            ACCOUNT,
            puts=(put("ep_2"), put("ep_1", b"two", 7)),
            deletes=(Delete("endpoint", "ep_1"),),
            audit=(entry("endpoint.update"),),
            admissions=(Admission(ACCOUNT, 1, (event,), (clerk.delivery(event, 1),)),),
            settlements=(Settlement(ACCOUNT, Happening.CANCEL, clerk.now, (row,)),),
        )
    )
    assert answer == ChangeConflict("endpoint", "ep_1")
    assert await clerk.state(row) is State.PENDING
    assert await clerk.history.event(ACCOUNT, "new") is None
    assert await clerk.history.audit(ACCOUNT, None, 10) == ()
    assert (await clerk.accept([clerk.event()], version=1)) != Stale(2)
    await clerk.reopen()
    assert [(one.id, one.body) for one in clerk.place.opened.documents] == [("ep_1", b"one")]
    assert clerk.place.opened.versions == {ACCOUNT: 1}


async def test_rows_are_never_used_again(clerk: Clerk) -> None:
    first = await clerk.change(ACCOUNT, put("ep_1"))
    await clerk.change(ACCOUNT, deletes=(Delete("endpoint", "ep_1"), Delete("endpoint", "nothing")))
    await clerk.reopen()
    second = await clerk.change(ACCOUNT, put("ep_1", expected=0))
    assert isinstance(first, Changed)
    assert isinstance(second, Changed)
    assert second.documents[0].row > first.documents[0].row
    assert second.documents[0].version == 1


async def test_the_same_id_under_two_kinds_is_two_documents(clerk: Clerk) -> None:
    changed = await clerk.change(ACCOUNT, put("x", b"1", 0, kind="key"), put("x", b"2", 0, kind="job"))
    assert isinstance(changed, Changed)
    assert len({document.row for document in changed.documents}) == 2


async def test_what_does_not_route_leaves_the_version(clerk: Clerk) -> None:
    await clerk.change(ACCOUNT, put("ep_1"))
    job = await clerk.change(ACCOUNT, put("job_1", kind="job"), routing=False)
    assert isinstance(job, Changed)
    assert job.version == 1
    assert await clerk.accept([clerk.event()], version=1) != Stale(1)


async def test_old_versions_of_an_endpoint_stay_readable(clerk: Clerk) -> None:
    made = await clerk.change(ACCOUNT, put("ep_1", b"one"))
    assert isinstance(made, Changed)
    row = made.documents[0].row
    await clerk.change(ACCOUNT, put("ep_1", b"two"))
    await clerk.change(ACCOUNT, deletes=(Delete("endpoint", "ep_1"),))
    for version, body in ((1, b"one"), (2, b"two")):
        document = await clerk.history.document_version("endpoint", row, version)
        assert document == Document("endpoint", "ep_1", row, ACCOUNT, version, body)
    assert await clerk.history.document_version("endpoint", row, 3) is None
    assert await clerk.history.document_version("endpoint", row + 1, 1) is None
    assert await clerk.history.document_version("key", row, 1) is None


async def test_a_change_brings_events_and_settles_deliveries(clerk: Clerk) -> None:
    """Disabling an endpoint, told to the account's other one: all of it in one commit."""
    held, gone = [(await clerk.accepted(1))[0] for _ in range(2)]
    told = clerk.event(id="told", type="endpoint.disabled")
    changed = await clerk.change(
        ACCOUNT,
        put("ep_1", b"disabled"),
        admissions=(Admission(ACCOUNT, 0, (told,), (clerk.delivery(told, 2),)),),
        settlements=(
            Settlement(ACCOUNT, Happening.CANCEL, clerk.now, (gone,), reason="asked"),
            Settlement(ACCOUNT, Happening.DISABLED, clerk.now, endpoint=1),
        ),
    )
    assert isinstance(changed, Changed)
    assert [(one.id, one.after) for one in changed.settled] == [(gone, State.CANCELLED), (held, State.HELD)]
    assert (await clerk.claim_one(2)).event.id == "told"
    stored = await clerk.history.event(ACCOUNT, "told")
    assert stored is not None
    assert stored.deliveries == 1


async def test_an_event_that_exists_is_passed_over_with_its_deliveries(clerk: Clerk) -> None:
    await clerk.accept([clerk.event(id="told")], key=key("k"))
    again, new = clerk.event(id="told"), clerk.event(id="new")
    rows = (clerk.delivery(again, 1), clerk.delivery(new, 1))
    changed = await clerk.change(ACCOUNT, admissions=(Admission(ACCOUNT, 0, (again, new), rows),))
    assert isinstance(changed, Changed)
    page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT))
    assert [view.id for view in page.items] == [rows[1].id]


async def test_a_job_resends_in_a_change(clerk: Clerk) -> None:
    event = clerk.event()
    await clerk.accept([event])
    again = clerk.delivery(event, 1, claimed=True)
    await clerk.change(
        ACCOUNT, put("job_1", kind="job"), admissions=(Admission(ACCOUNT, 0, (), (again,)),), routing=False
    )
    assert (await clerk.view(again.id)).in_flight


async def test_the_audit_log_is_newest_first(clerk: Clerk) -> None:
    for n in range(5):
        await clerk.change(ACCOUNT, audit=(entry(f"action.{n}"), entry("theirs", OTHER)))
    first = await clerk.history.audit(ACCOUNT, None, 3)
    assert [row.action for row in first] == ["action.4", "action.3", "action.2"]
    rest = await clerk.history.audit(ACCOUNT, first[-1].id, 3)
    assert [row.action for row in rest] == ["action.1", "action.0"]
    assert (rest[0].at_ms, rest[0].actor, rest[0].subject, rest[0].before, rest[0].after) == (
        5,
        "somebody",
        "ep_1",
        None,
        b'{"a":1}',
    )


async def test_a_change_survives_a_crash(clerk: Clerk) -> None:
    await clerk.change(ACCOUNT, put("ep_1", b"one"))
    clerk.now += MINUTE
    await clerk.reopen(crash=True)
    assert [document.body for document in clerk.place.opened.documents] == [b"one"]
    assert await clerk.accept([clerk.event()], version=0) == Stale(1)
