"""What sources bring: one body, many accounts, people and elements set aside, all of it on disk or none."""

import asyncio
from typing import Any

from tests.conformance.clerk import ACCOUNT, HOUR, OTHER, Clerk
from whatsync.model.ids import first_row_at
from whatsync.ports.arrivals import BodyRow, ContactRow, Count, Outdated, SetAsideQuery, SetAsideRow, TakenIn
from whatsync.ports.media import MediaRow, MediaState
from whatsync.ports.store import Accepted, Admission, EventRow, Intake, IntakeResult, Put

SOURCE = 7
QUARTER = HOUR // 4


def body(clerk: Clerk, raw: bytes = b"{}", source: int = SOURCE) -> BodyRow:
    return BodyRow(clerk.sequence.next(clerk.now), source, raw, 1)


def aside(clerk: Clerk, of: int, **fields: Any) -> SetAsideRow:
    values: dict[str, Any] = {"source": SOURCE, "account": 0, "reason": "no_id", "path": "entry[0]", "sentence": "Odd."}
    return SetAsideRow(clerk.sequence.next(clerk.now), of, **(values | fields))


def person(version: int, account: int = ACCOUNT, name: str = "Ada", **fields: Any) -> ContactRow:
    values: dict[str, Any] = {"id": "contact_1", "words": ("phone:+1", "user:US.1"), "seen_ms": 5, "phone": "+1"}
    return ContactRow(account=account, version=version, name=name, **(values | fields))


async def take_in(clerk: Clerk, *events: EventRow, **fields: Any) -> IntakeResult:
    by_account: dict[int, list[EventRow]] = {}
    for event in events:
        by_account.setdefault(event.account, []).append(event)
    admissions = tuple(
        Admission(
            account,
            clerk.versions.get(account, 0),
            tuple(rows),
            tuple(clerk.delivery(row, 1) for row in rows),
            media=tuple(fields.get("media", ())),
        )
        for account, rows in by_account.items()
    )
    fields.pop("media", None)
    return await clerk.store.take_in(Intake(admissions, **fields))


async def test_a_body_and_the_events_of_two_accounts_are_written_together(clerk: Clerk) -> None:
    raw = body(clerk, b"\x00raw")
    mine, other = clerk.event(), clerk.event(account=OTHER)
    assert await take_in(clerk, mine, other, body=raw) == TakenIn(())
    assert await clerk.history.event(ACCOUNT, mine.id) is not None
    assert await clerk.history.event(OTHER, other.id) is not None
    assert await clerk.history.event(OTHER, mine.id) is None
    assert await clerk.history.body(raw.seq) == raw
    assert await clerk.history.bodies(SOURCE, None, 10) == (BodyRow(raw.seq, SOURCE, b"", 1),)
    assert len((await clerk.claim()).items) == 2


async def test_events_that_exist_are_passed_over_with_what_hangs_on_them(clerk: Clerk) -> None:
    first = clerk.event(id="a")
    assert await take_in(clerk, first) == TakenIn(())
    again, new = clerk.event(id="a", body=b'{"other":1}'), clerk.event(id="b")
    files = [
        MediaRow(f"file{row.seq}", ACCOUNT, row.seq, f"media_{row.seq}", clerk.now, MediaState.WAITING)
        for row in (again, new)
    ]
    assert await take_in(clerk, again, new, media=files) == TakenIn((again.seq,))
    stored = await clerk.history.event(ACCOUNT, "a")
    assert stored is not None
    assert (stored.seq, stored.body) == (first.seq, first.body)
    assert [claimed.event.id for claimed in (await clerk.claim()).items] == ["a", "b"]
    assert await clerk.history.media(files[0].name) is None
    assert await clerk.history.media(files[1].name) is not None


async def test_one_id_twice_in_an_intake_is_one_event(clerk: Clerk) -> None:
    first, again = clerk.event(id="a"), clerk.event(id="a")
    assert await take_in(clerk, first, again) == TakenIn((again.seq,))
    assert len((await clerk.claim()).items) == 1


async def test_an_intake_and_an_accepted_event_of_one_commit_are_one_event(clerk: Clerk) -> None:
    first, again = clerk.event(id="a"), clerk.event(id="a")
    accepted = clerk.store.accept(Admission(ACCOUNT, 0, (first,), ()))
    taken = clerk.store.take_in(Intake((Admission(ACCOUNT, 0, (again,), ()),)))
    assert (await accepted, await taken) == (Accepted(), TakenIn((again.seq,)))


async def test_nothing_is_written_with_an_old_version_of_one_account(clerk: Clerk) -> None:
    await clerk.change(OTHER, Put("endpoint", "ep", OTHER, b"{}"))
    mine, other, raw = clerk.event(), clerk.event(account=OTHER), body(clerk)
    admissions = (Admission(ACCOUNT, 0, (mine,), ()), Admission(OTHER, 0, (other,), ()))
    answer = await clerk.store.take_in(Intake(admissions, (person(1),), raw, (aside(clerk, raw.seq),)))
    assert answer == Outdated({OTHER: 1}, ())
    assert await clerk.history.event(ACCOUNT, mine.id) is None
    assert await clerk.history.body(raw.seq) is None
    assert await clerk.history.contacts(ACCOUNT, ["phone:+1"]) == ()
    assert await clerk.history.set_aside(SetAsideQuery(SOURCE)) == ()


# People


async def test_a_person_is_found_by_each_of_his_words(clerk: Clerk) -> None:
    assert await take_in(clerk, contacts=(person(1),)) == TakenIn(())
    for words in (["phone:+1"], ["user:US.1"], ["user:US.1", "phone:+1", "phone:+2"]):
        assert await clerk.history.contacts(ACCOUNT, words) == (person(1),)
    assert await clerk.history.contacts(OTHER, ["phone:+1"]) == ()
    assert await clerk.history.contacts(ACCOUNT, ["phone:+2"]) == ()


async def test_a_person_who_changed_meanwhile_stops_the_whole_intake(clerk: Clerk) -> None:
    await take_in(clerk, contacts=(person(1),))
    late = clerk.event()
    answer = await take_in(clerk, late, contacts=(person(1, name="Bob"),))
    assert answer == Outdated({}, ((ACCOUNT, "contact_1"),))
    assert await clerk.history.event(ACCOUNT, late.id) is None
    assert await take_in(clerk, contacts=(person(3),)) == Outdated({}, ((ACCOUNT, "contact_1"),))
    assert await take_in(clerk, late, contacts=(person(2, name="Bob"),)) == TakenIn(())
    assert (await clerk.history.contacts(ACCOUNT, ["phone:+1"]))[0].name == "Bob"


async def test_of_two_who_are_first_only_one_is(clerk: Clerk) -> None:
    answers = await asyncio.gather(
        clerk.store.take_in(Intake((), (person(1, name="Ada"),))),
        clerk.store.take_in(Intake((), (person(1, name="Bob"),))),
    )
    assert list(answers) == [TakenIn(()), Outdated({}, ((ACCOUNT, "contact_1"),))]


async def test_a_person_may_change_twice_in_one_intake(clerk: Clerk) -> None:
    assert await take_in(clerk, contacts=(person(1), person(2, name="Bob"))) == TakenIn(())
    assert (await clerk.history.contacts(ACCOUNT, ["phone:+1"]))[0] == person(2, name="Bob")
    assert await take_in(clerk, contacts=(person(3), person(3))) == Outdated({}, ((ACCOUNT, "contact_1"),))


async def test_a_word_leads_to_the_person_who_was_given_it_last(clerk: Clerk) -> None:
    await take_in(clerk, contacts=(person(1), person(1, id="contact_2", words=("phone:+2",), phone="+2")))
    await take_in(clerk, contacts=(person(2, id="contact_2", words=("user:US.1",)),))
    (one,) = await clerk.history.contacts(ACCOUNT, ["user:US.1"])
    assert (one.id, one.words) == ("contact_2", ("phone:+2", "user:US.1"))
    assert (await clerk.history.contacts(ACCOUNT, ["phone:+1"]))[0].words == ("phone:+1",)


async def test_people_are_forgotten_with_their_words(clerk: Clerk) -> None:
    for at in range(3):
        mine = person(1, id=f"contact_{at}", words=(f"phone:+{at}",))
        await take_in(clerk, contacts=(mine, person(1, account=OTHER, id=f"contact_{at}", words=(f"phone:+{at}",))))
    assert await clerk.store.forget_contacts(ACCOUNT, ["contact_1", "contact_9"], 10) == 1
    assert await clerk.history.contacts(ACCOUNT, ["phone:+1"]) == ()
    assert await clerk.store.forget_contacts(ACCOUNT, [], 1) == 1
    assert await clerk.store.forget_contacts(ACCOUNT, [], 10) == 1
    assert await clerk.store.forget_contacts(ACCOUNT, [], 10) == 0
    assert len(await clerk.history.contacts(OTHER, ["phone:+0", "phone:+1", "phone:+2"])) == 3


# Set aside


async def test_what_is_set_aside_is_found_by_each_of_its_marks(clerk: Clerk) -> None:
    raw = body(clerk)
    rows = (
        aside(clerk, raw.seq, number="11", account=ACCOUNT, reference="wamid.1", count=3),
        aside(clerk, raw.seq, number="12", reason="unassigned"),
        aside(clerk, raw.seq, source=8),
    )
    await take_in(clerk, body=raw, set_aside=rows)
    for query, expected in (
        (SetAsideQuery(), [2, 1, 0]),
        (SetAsideQuery(SOURCE), [1, 0]),
        (SetAsideQuery(SOURCE, before=rows[1].seq), [0]),
        (SetAsideQuery(limit=1), [2]),
        (SetAsideQuery(account=ACCOUNT), [0]),
        (SetAsideQuery(number="12"), [1]),
        (SetAsideQuery(number="12", reason="no_id"), []),
        (SetAsideQuery(reason="unassigned"), [1]),
        (SetAsideQuery(reference="wamid.1", account=ACCOUNT), [0]),
        (SetAsideQuery(reference="wamid.1", account=OTHER), []),
    ):
        assert await clerk.history.set_aside(query) == tuple(rows[at] for at in expected), query


async def test_processing_a_body_again_replaces_what_was_set_aside_of_it(clerk: Clerk) -> None:
    raw, other = body(clerk), body(clerk)
    await take_in(clerk, body=raw, set_aside=(aside(clerk, raw.seq), aside(clerk, raw.seq)))
    kept = aside(clerk, other.seq)
    await take_in(clerk, body=other, set_aside=(kept,))
    left, event = aside(clerk, raw.seq, reason="unassigned", number="11"), clerk.event()
    assert await take_in(clerk, event, settled=raw.seq, set_aside=(left,)) == TakenIn(())
    assert await clerk.history.set_aside(SetAsideQuery(SOURCE)) == (left, kept)


# Keeping


async def test_old_bodies_go_with_what_was_set_aside_of_them(clerk: Clerk) -> None:
    old = [body(clerk) for _ in range(3)]
    for raw in old:
        await take_in(clerk, body=raw, set_aside=(aside(clerk, raw.seq),))
    other = body(clerk, source=8)
    await take_in(clerk, body=other)
    start = clerk.now
    clerk.now += HOUR
    new = body(clerk)
    await take_in(clerk, body=new, set_aside=(aside(clerk, new.seq),))
    await clerk.store.count_arrivals([Count(SOURCE, "", start, "webhook", 1, start, start)])
    border = start + 1
    assert first_row_at(border) > old[-1].seq
    assert await clerk.store.prune_arrivals(SOURCE, border, 2)
    assert not await clerk.store.prune_arrivals(SOURCE, border, 2)
    assert [row.seq for row in await clerk.history.bodies(SOURCE, None, 10)] == [new.seq]
    assert [row.body for row in await clerk.history.set_aside(SetAsideQuery(SOURCE))] == [new.seq]
    assert [row.seq for row in await clerk.history.bodies(8, None, 10)] == [other.seq]
    assert await clerk.history.arrivals(SOURCE, None, 0, clerk.now) == ()


async def test_a_bodys_bytes_can_be_replaced(clerk: Clerk) -> None:
    raw = body(clerk, b"personal")
    await take_in(clerk, body=raw)
    await clerk.store.erase_body(raw.seq, b"gone")
    await clerk.store.erase_body(raw.seq + 1, b"gone")
    found = await clerk.history.body(raw.seq)
    assert found is not None
    assert (found.body, found.updates) == (b"gone", 1)


async def test_bodies_are_listed_in_pages(clerk: Clerk) -> None:
    rows = [body(clerk) for _ in range(3)]
    for raw in rows:
        await take_in(clerk, body=raw)
    page = await clerk.history.bodies(SOURCE, None, 2)
    assert [row.seq for row in page] == [rows[2].seq, rows[1].seq]
    assert [row.seq for row in await clerk.history.bodies(SOURCE, page[-1].seq, 2)] == [rows[0].seq]


async def test_counts_add_up_and_their_bounds_widen(clerk: Clerk) -> None:
    start = clerk.now - clerk.now % QUARTER
    await clerk.store.count_arrivals([Count(SOURCE, "11", start, "update", 2, start + 5, start + 9)])
    await clerk.store.count_arrivals(
        [
            Count(SOURCE, "11", start, "update", 3, start + 3, start + 7),
            Count(SOURCE, "", start, "rejected", 1, start, start),
            Count(SOURCE, "11", start + QUARTER, "update", 1, start + QUARTER, start + QUARTER),
            Count(8, "11", start, "update", 1, start, start),
        ]
    )
    merged = Count(SOURCE, "11", start, "update", 5, start + 3, start + 9)
    later = Count(SOURCE, "11", start + QUARTER, "update", 1, start + QUARTER, start + QUARTER)
    refused = Count(SOURCE, "", start, "rejected", 1, start, start)
    assert await clerk.history.arrivals(SOURCE, None, start, start + HOUR) == (refused, merged, later)
    assert await clerk.history.arrivals(SOURCE, "11", start, start + HOUR) == (merged, later)
    assert await clerk.history.arrivals(SOURCE, "11", start, start + QUARTER) == (merged,)
    assert await clerk.history.arrivals(SOURCE, "12", 0, start + HOUR) == ()


async def test_all_of_it_survives_a_crash(clerk: Clerk) -> None:
    raw, event = body(clerk, b"raw"), clerk.event()
    row = aside(clerk, raw.seq)
    await take_in(clerk, event, body=raw, contacts=(person(1),), set_aside=(row,))
    await clerk.reopen(crash=True)
    assert await clerk.history.event(ACCOUNT, event.id) is not None
    assert await clerk.history.body(raw.seq) == raw
    assert await clerk.history.contacts(ACCOUNT, ["phone:+1"]) == (person(1),)
    assert await clerk.history.set_aside(SetAsideQuery(SOURCE)) == (row,)
    assert await take_in(clerk, clerk.event(id=event.id), contacts=(person(2),)) != TakenIn(())
