"""Media rows: written with their event or not at all, claimed by one, ended under their claim, gone with it."""

from typing import Any

import pytest

from tests.conformance.clerk import ACCOUNT, DAY, HOUR, MINUTE, OTHER, Clerk
from whatsync.model import limits
from whatsync.ports.media import MediaOutcome, MediaRow, MediaState
from whatsync.ports.store import Accepted, Admission, Change, Changed, Duplicates, EventRow, Origin


def row_of(clerk: Clerk, event: EventRow, name: str = "a.jpg", **fields: Any) -> MediaRow:
    """A file that came with an event and has to be fetched."""
    values: dict[str, Any] = {
        "state": MediaState.WAITING,
        "due_ms": clerk.now,
        "task": b"task",
        "mime_type": "image/jpeg",
    }
    return MediaRow(name, event.account, event.seq, f"media_{name}", clerk.now, **(values | fields))


async def waiting(clerk: Clerk, name: str = "a.jpg", account: int = ACCOUNT, **fields: Any) -> EventRow:
    """Accept an event that came with a file."""
    event = clerk.event(account)
    admission = Admission(account, 0, (event,), (), media=(row_of(clerk, event, name, **fields),))
    assert await clerk.store.accept(admission) == Accepted()
    return event


def outcome(clerk: Clerk, row: MediaRow, state: MediaState = MediaState.STORED, **fields: Any) -> MediaOutcome:
    """What became of a claimed file."""
    return MediaOutcome(row.name, row.claim, state, clerk.now, **fields)


async def claim(clerk: Clerk, limit: int = 10) -> tuple[MediaRow, ...]:
    found = await clerk.store.claim_media(clerk.now, clerk.now + 15 * MINUTE, 2 * limit - 1, {})
    assert found.after is None
    return found.rows


async def read(clerk: Clerk, name: str = "a.jpg") -> MediaRow:
    row = await clerk.history.media(name)
    assert row is not None
    return row


async def prune_all(clerk: Clerk, account: int = ACCOUNT) -> None:
    cursor: int | None = 0
    while cursor is not None:
        cursor = (await clerk.store.prune(account, clerk.now, cursor, 100, clerk.now)).cursor


async def test_a_row_is_written_with_its_event(clerk: Clerk) -> None:
    event = await waiting(clerk)
    row = await read(clerk)
    assert row == row_of(clerk, event, changed_ms=clerk.now)
    assert await clerk.history.media("b.jpg") is None
    await clerk.reopen(crash=True)
    assert await read(clerk) == row


async def test_nothing_is_written_where_the_event_is_known(clerk: Clerk) -> None:
    event = await waiting(clerk)
    again = clerk.event(id=event.id)
    answer = await clerk.store.accept(Admission(ACCOUNT, 0, (again,), (), media=(row_of(clerk, again, "b.jpg"),)))
    assert isinstance(answer, Duplicates)
    change = Change(ACCOUNT, admissions=(Admission(ACCOUNT, 0, (again,), (), media=(row_of(clerk, again, "b.jpg"),)),))
    assert isinstance(await clerk.store.change(change), Changed)
    assert await clerk.history.media("b.jpg") is None


async def test_a_change_writes_the_files_of_what_is_new(clerk: Clerk) -> None:
    event = clerk.event()
    admission = Admission(ACCOUNT, 0, (event,), (), media=(row_of(clerk, event),))
    await clerk.store.change(Change(ACCOUNT, admissions=(admission,)))
    assert (await read(clerk)).event == event.seq


async def test_a_name_that_exists_stays_as_it_is(clerk: Clerk) -> None:
    first = await waiting(clerk)
    await waiting(clerk, account=OTHER)
    assert (await read(clerk)).event == first.seq


async def test_what_is_due_is_claimed_once_in_order(clerk: Clerk) -> None:
    for name, due in (("c", 0), ("b", -5), ("a", -5), ("later", 1), ("never", None)):
        await waiting(clerk, name, due_ms=None if due is None else clerk.now + due)
    assert [row.name for row in await claim(clerk, 2)] == ["a", "b"]
    (row,) = await claim(clerk)
    assert (row.name, row.claim, row.due_ms, row.task) == ("c", 1, clerk.now + 15 * MINUTE, b"task")
    assert await read(clerk, "c") == row
    clerk.now += 1
    assert [row.name for row in await claim(clerk)] == ["later"]


async def flood(clerk: Clerk, account: int, count: int, due_ms: int) -> None:
    """Accept so many files of one account at once."""
    event = clerk.event(account)
    rows = tuple([row_of(clerk, event, f"{account}-{nth:03}", due_ms=due_ms) for nth in range(count)])
    assert await clerk.store.accept(Admission(account, 0, (event,), (), media=rows)) == Accepted()


async def places(clerk: Clerk, free: int, held: dict[int, int], after: int = 0) -> tuple[list[str], int | None]:
    """Names that get places, and where to go on."""
    found = await clerk.store.claim_media(clerk.now, clerk.now + 15 * MINUTE, free, held, after)
    assert not found.contended
    return [row.name for row in found.rows], found.after


async def test_a_flood_of_one_account_leaves_places_for_others(clerk: Clerk) -> None:
    await flood(clerk, ACCOUNT, 2 * limits.MEDIA_DUE_LOOKED_AT, clerk.now - HOUR)
    assert await places(clerk, 4, {}) == ([f"{ACCOUNT}-000", f"{ACCOUNT}-001"], None)
    await flood(clerk, OTHER, 3, clerk.now)
    assert await places(clerk, 2, {ACCOUNT: 2}) == ([f"{OTHER}-000"], None)
    assert await places(clerk, 4, {}) == ([f"{ACCOUNT}-002", f"{OTHER}-001", f"{ACCOUNT}-003"], None)


async def test_in_a_flood_accounts_are_gone_through_in_parts(clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEDIA_DUE_LOOKED_AT", 4)
    monkeypatch.setattr(limits, "MEDIA_ACCOUNTS_LOOKED_AT", 2)
    await flood(clerk, 1, 9, clerk.now - 1)
    for account, due_ms in ((2, clerk.now + 1), (3, clerk.now), (5, clerk.now), (8, clerk.now - 2)):
        await flood(clerk, account, 1, due_ms)
    assert await places(clerk, 3, {}) == (["1-000", "1-001"], 2)
    assert await places(clerk, 3, {}, 2) == (["3-000", "5-000"], 5)
    assert await places(clerk, 3, {}, 5) == (["8-000"], 0)
    assert await places(clerk, 3, {1: 2}) == (["1-002"], 2)
    clerk.now += 1
    assert await places(clerk, 1, {}, 1) == (["2-000"], 3)


async def test_a_claim_ends_at_its_time(clerk: Clerk) -> None:
    await waiting(clerk)
    (first,) = await claim(clerk)
    clerk.now += 15 * MINUTE
    (second,) = await claim(clerk)
    assert (first.claim, second.claim) == (1, 2)
    assert await clerk.store.record_media([outcome(clerk, first)]) == ("a.jpg",)
    assert (await read(clerk)).state is MediaState.WAITING
    assert await clerk.store.record_media([outcome(clerk, second)]) == ()
    assert await clerk.store.record_media([outcome(clerk, second, MediaState.FAILED)]) == ("a.jpg",)
    assert (await read(clerk)).state is MediaState.STORED


async def test_opening_takes_claims_back(clerk: Clerk) -> None:
    await waiting(clerk)
    (first,) = await claim(clerk)
    clerk.now += 1
    await clerk.reopen(crash=True)
    assert await clerk.store.record_media([outcome(clerk, first)]) == ("a.jpg",)
    (second,) = await claim(clerk)
    assert (second.claim, second.attempts) == (2, 0)


async def test_stored_with_what_is_known_now(clerk: Clerk) -> None:
    event = await waiting(clerk, mime_type=None)
    other = clerk.event()
    await clerk.accept([other])
    (row,) = await claim(clerk)
    clerk.now += 5
    ended = outcome(clerk, row, mime_type="image/png", size=7, sha256=b"\1" * 32, event=other.seq)
    await clerk.store.record_media([ended])
    stored = await read(clerk)
    assert (stored.state, stored.mime_type, stored.size, stored.sha256) == (
        MediaState.STORED,
        "image/png",
        7,
        b"\1" * 32,
    )
    assert (stored.task, stored.due_ms, stored.attempts, stored.changed_ms) == (b"", None, 1, clerk.now)
    assert (stored.event, stored.created_ms) == (other.seq, row.created_ms)
    assert event.seq != other.seq


async def test_trying_again_later(clerk: Clerk) -> None:
    await waiting(clerk)
    (row,) = await claim(clerk)
    await clerk.store.record_media(
        [outcome(clerk, row, MediaState.WAITING, due_ms=clerk.now + HOUR, reason="http_500")]
    )
    assert await claim(clerk) == ()
    clerk.now += HOUR
    (again,) = await claim(clerk)
    assert (again.attempts, again.claim, again.reason, again.task, again.mime_type) == (
        1,
        2,
        "http_500",
        b"task",
        "image/jpeg",
    )


async def replan(clerk: Clerk, limit: int = 100) -> int:
    """Plan everything anew; the number of steps."""
    after: tuple[int, str] | None = (clerk.now, "")
    steps = 0
    while after is not None:
        after = await clerk.store.replan_media(clerk.now, after, limit)
        steps += 1
    return steps


async def failed(clerk: Clerk, name: str, wait_ms: int) -> None:
    """A file that came now and could not be fetched now."""
    await waiting(clerk, name)
    (row,) = await claim(clerk)
    await clerk.store.record_media([outcome(clerk, row, MediaState.WAITING, due_ms=clerk.now + wait_ms)])


async def test_a_clock_that_went_back_leaves_files_their_waits(clerk: Clerk) -> None:
    await failed(clerk, "planned by a right clock", 2 * DAY)
    clerk.now += DAY
    await failed(clerk, "tried ahead", HOUR)
    await waiting(clerk, "never tried")
    clerk.now -= DAY
    assert await claim(clerk) == ()
    assert await replan(clerk) == 1
    assert [row.name for row in await claim(clerk)] == ["never tried"]
    assert (await read(clerk, "tried ahead")).due_ms == clerk.now + HOUR
    assert (await read(clerk, "planned by a right clock")).due_ms == clerk.now + 2 * DAY
    clerk.now += MINUTE
    await replan(clerk)
    assert (await read(clerk, "tried ahead")).due_ms == clerk.now + HOUR - MINUTE


async def test_what_was_claimed_ahead_is_taken_back_no_later_than_any(clerk: Clerk) -> None:
    lasts_ms = limits.MEDIA_CLAIM_SECONDS * 1000
    await waiting(clerk)
    clerk.now += DAY
    (row,) = (await clerk.store.claim_media(clerk.now, clerk.now + lasts_ms, 1, {})).rows
    clerk.now -= DAY
    await replan(clerk)
    assert await claim(clerk) == ()
    assert (await read(clerk)).due_ms == clerk.now + lasts_ms
    assert await clerk.store.record_media([outcome(clerk, row)]) == ()


async def test_planning_anew_goes_through_files_in_steps(clerk: Clerk) -> None:
    clerk.now += DAY
    for name in "abcde":
        await waiting(clerk, name)
    clerk.now -= DAY
    assert await replan(clerk, limit=2) == 3
    assert [row.name for row in await claim(clerk)] == list("abcde")


async def test_outcomes_of_nobody(clerk: Clerk) -> None:
    await waiting(clerk)
    unclaimed = MediaOutcome("a.jpg", 0, MediaState.STORED, clerk.now)
    unknown = MediaOutcome("b.jpg", 0, MediaState.STORED, clerk.now)
    assert await clerk.store.record_media([unclaimed, unknown]) == ("a.jpg", "b.jpg")


async def test_removing_voids_claims_and_leaves_the_bytes_to_do(clerk: Clerk) -> None:
    await waiting(clerk, "a")
    await waiting(clerk, "b", state=MediaState.STORED, due_ms=None)
    (row,) = await claim(clerk)
    clerk.now += 1
    await clerk.store.remove_media(ACCOUNT, ["a", "b", "unknown"], "erased", clerk.now)
    assert await clerk.store.record_media([outcome(clerk, row)]) == ("a",)
    removed = await claim(clerk)
    assert [(one.name, one.state, one.reason, one.task) for one in removed] == [
        ("a", MediaState.REMOVED, "erased", b""),
        ("b", MediaState.REMOVED, "erased", b""),
    ]
    await clerk.store.remove_media(ACCOUNT, ["a"], "again", clerk.now)
    ended = [outcome(clerk, one, MediaState.REMOVED, reason=one.reason) for one in removed]
    assert await clerk.store.record_media(ended) == ()
    assert (await read(clerk, "a")).reason == "erased"
    assert await claim(clerk) == ()


async def test_others_media_cannot_be_removed(clerk: Clerk) -> None:
    await waiting(clerk)
    await clerk.store.remove_media(OTHER, ["a.jpg"], "erased", clerk.now)
    assert (await read(clerk)).state is MediaState.WAITING


async def test_media_go_with_their_event(clerk: Clerk) -> None:
    await waiting(clerk, "a", state=MediaState.STORED, due_ms=None)
    await waiting(clerk, "b")
    await waiting(clerk, "failed", state=MediaState.FAILED, due_ms=None, reason="http_404")
    await waiting(clerk, "theirs", account=OTHER)
    clerk.now += DAY
    held = await waiting(clerk, "held")
    await clerk.accept([], [clerk.delivery(held, 1, origin=Origin.RESEND)])
    clerk.now += DAY
    await prune_all(clerk)
    found = {row.name: (row.state, row.reason) for row in await claim(clerk)}
    assert found == {
        "a": (MediaState.REMOVED, "expired"),
        "b": (MediaState.REMOVED, "expired"),
        "held": (MediaState.WAITING, None),
        "theirs": (MediaState.WAITING, None),
    }
    assert (await read(clerk, "failed")).reason == "http_404"


async def test_what_ended_long_ago_is_forgotten(clerk: Clerk) -> None:
    await waiting(clerk, "gone")
    await waiting(clerk, "failed", account=OTHER, state=MediaState.FAILED, due_ms=None)
    await waiting(clerk, "stored", account=OTHER, state=MediaState.STORED, due_ms=None)
    await clerk.store.remove_media(ACCOUNT, ["gone"], "erased", clerk.now)
    (row,) = await claim(clerk)
    clerk.now += limits.MEDIA_ENDED_DAYS * DAY + 1
    await prune_all(clerk)
    assert await clerk.history.media("failed") is None
    assert (await read(clerk, "gone")).state is MediaState.REMOVED
    await clerk.store.record_media([outcome(clerk, row, MediaState.REMOVED)])
    assert (await read(clerk, "stored")).state is MediaState.STORED
    clerk.now += limits.MEDIA_ENDED_DAYS * DAY + 1
    await prune_all(clerk)
    assert await clerk.history.media("gone") is None
