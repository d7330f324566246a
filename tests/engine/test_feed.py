"""The feed: oldest first, nothing skipped or told twice, tests left out, and a wait that every reader wakes from."""

import asyncio

import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import until
from tests.patience import PATIENCE_SECONDS
from whatsync.engine.directory import RunningAccount
from whatsync.engine.feed import CursorExpired, FeedPage
from whatsync.model import limits


async def page(counter: Counter, account: RunningAccount, after: int | None = None, limit: int = 50) -> FeedPage:
    """What comes after a cursor, which must be a good one."""
    read = await counter.feed.read(account, after, limit=limit)
    assert isinstance(read, FeedPage)
    return read


async def test_everything_comes_once_and_in_order() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        made = [await counter.event(account, f"{at}") for at in range(5)]
        got: list[str] = []
        cursor = None
        while True:
            read = await page(counter, account, cursor, 2)
            if not read.items:
                break
            got += [event.id for event in read.items]
            cursor = read.cursor
        assert got == made
        assert read.cursor == cursor


async def test_types_can_be_chosen_and_the_cursor_passes_over_the_others() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.event(account)
        status = await counter.submit(account, event="message.status", data={"messageId": "msg_1", "status": "read"})
        await counter.event(account)
        read = await counter.feed.read(account, None, ("message.status",))
        assert isinstance(read, FeedPage)
        assert [event.id for event in read.items] == [status]
        rest = await counter.feed.read(account, read.cursor, ("message.status",))
        assert isinstance(rest, FeedPage)
        assert (rest.items, rest.cursor) == ((), (await counter.store.feed_bounds(account.row))[1])


async def test_tests_are_left_out() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        endpoint = await counter.endpoint(account)
        await counter.test_sends.send(account, endpoint.endpoint.id, "message.incoming")
        assert (await page(counter, account)).items == ()


async def test_all_waiting_readers_wake() -> None:
    async with opened_counter() as counter:
        account, stranger = await counter.account(), await counter.account("Other")
        readers = [asyncio.ensure_future(counter.feed.read(account, wait_seconds=30)) for _ in range(3)]
        other = asyncio.ensure_future(counter.feed.read(stranger, wait_seconds=30))
        await until(lambda: account.row in counter.ingest.listeners and stranger.row in counter.ingest.listeners)
        event_id = await counter.event(account)
        async with asyncio.timeout(PATIENCE_SECONDS):
            pages = await asyncio.gather(*readers)
        assert [[event.id for event in read.items] for read in pages if isinstance(read, FeedPage)] == [[event_id]] * 3
        assert not other.done()
        counter.feed.stop()
        read = await other
        assert isinstance(read, FeedPage)
        assert read.items == ()


async def test_a_reader_of_one_type_goes_on_waiting_through_others() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        reader = asyncio.ensure_future(counter.feed.read(account, None, ("message.status",), wait_seconds=30))
        await until(lambda: account.row in counter.ingest.listeners)
        await counter.event(account)
        await until(lambda: account.row in counter.ingest.listeners)
        assert not reader.done()
        await counter.submit(account, event="message.status", data={"messageId": "msg_1", "status": "read"})
        async with asyncio.timeout(PATIENCE_SECONDS):
            read = await reader
        assert isinstance(read, FeedPage)
        assert [event.type for event in read.items] == ["message.status"]


async def test_a_wait_ends_in_time() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        async with asyncio.timeout(PATIENCE_SECONDS):
            read = await counter.feed.read(account, wait_seconds=0.01)
        assert isinstance(read, FeedPage)
        assert read.items == ()


async def test_now_is_behind_everything_that_was() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.event(account, "old")
        cursor = await counter.feed.newest(account)
        assert (await page(counter, account, cursor)).items == ()
        new = await counter.event(account, "new")
        assert [event.id for event in (await page(counter, account, cursor)).items] == [new]


async def test_an_expired_cursor_names_the_oldest_valid_one() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.event(account, "old")
        first = (await page(counter, account, None, 1)).cursor
        await counter.event(account, "older than retention too")
        counter.clock.advance((limits.RETENTION_DAYS + 1) * 86_400)
        kept = await counter.event(account, "new")
        await counter.retention.pass_once()
        expired = await counter.feed.read(account, first)
        assert isinstance(expired, CursorExpired)
        assert [event.id for event in (await page(counter, account, expired.oldest)).items] == [kept]


async def test_a_cursor_from_the_future_waits_for_nothing() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        beyond = await page(counter, account, 2**60)
        event_id = await counter.event(account)
        assert [event.id for event in (await page(counter, account, beyond.cursor)).items] == [event_id]


async def test_nothing_crosses_accounts() -> None:
    async with opened_counter() as counter:
        account, stranger = await counter.account(), await counter.account("Other")
        await counter.event(account)
        assert (await page(counter, stranger)).items == ()


async def test_a_type_that_never_comes_is_not_looked_for_through_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE_ROWS_EXAMINED_MAX", 3)
    async with opened_counter() as counter:
        account = await counter.account()
        for at in range(30):
            await counter.event(account, f"{at}")
        calls = 0
        seen: list[int] = []
        cursor: int | None = None
        while not seen or cursor != seen[-1]:
            if cursor is not None:
                seen.append(cursor)
            read = await counter.feed.read(account, cursor, ("contact.update",), wait_seconds=30 if calls == 0 else 0)
            assert isinstance(read, FeedPage)
            assert read.items == ()
            cursor, calls = read.cursor, calls + 1
            assert calls < 10
        assert seen == sorted(seen)
        assert calls > 2
        late = await counter.submit(account, event="contact.update", data={"contactId": "contact_1", "phone": "+491"})
        read = await counter.feed.read(account, cursor, ("contact.update",))
        assert isinstance(read, FeedPage)
        assert [event.id for event in read.items] == [late]
