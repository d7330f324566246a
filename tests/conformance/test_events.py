"""Events read back: lists and filters, look-ups by any of their words, the feed, and what an endpoint missed."""

import pytest

from tests.conformance.clerk import ACCOUNT, DAY, MINUTE, OTHER, SECOND, Clerk
from whatsync.model.ids import first_row_at
from whatsync.ports.history import EventQuery
from whatsync.ports.store import EventRow, Origin, Stale


async def walk(clerk: Clerk, query: EventQuery) -> list[int]:
    """All pages of a list of events."""
    seen: list[int] = []
    while True:
        page = await clerk.history.events(query)
        assert len(page.items) <= query.limit
        seen += [event.seq for event in page.items]
        if page.next is None:
            return seen
        query = EventQuery(**{name: getattr(query, name) for name in query.__struct_fields__} | {"before": page.next})


async def walk_feed(clerk: Clerk, after: int, types: tuple[str, ...] = (), limit: int = 10) -> tuple[list[str], int]:
    """The feed from a cursor to where it stops giving."""
    seen: list[str] = []
    while True:
        events, cursor = await clerk.history.feed(ACCOUNT, after, types, limit)
        assert len(events) <= limit
        seen += [event.id for event in events]
        if cursor == after:
            return seen, cursor
        after = cursor


async def test_lists_newest_first_and_back(clerk: Clerk) -> None:
    events = [clerk.event() for _ in range(23)]
    await clerk.accept(events)
    rows = [event.seq for event in events]
    for limit in (1, 7, 23, 50):
        assert await walk(clerk, EventQuery(ACCOUNT, limit=limit)) == rows[::-1]
        assert await walk(clerk, EventQuery(ACCOUNT, limit=limit, ascending=True)) == rows


async def test_filters_of_events(clerk: Clerk) -> None:
    event = clerk.event(type="message.status", number="111", body=b'{"text":"Blue Whale"}')
    plain = clerk.event(number="222", test=True)
    await clerk.accept([event, plain], [clerk.delivery(event, 1)])
    queries: list[tuple[dict[str, object], list[EventRow]]] = [
        ({"type": "message.status"}, [event]),
        ({"type": "nothing"}, []),
        ({"number": "222"}, [plain]),
        ({"matched": True}, [event]),
        ({"matched": False}, [plain]),
        ({"text": "whale BLUE"}, [event]),
        ({"text": "whale green"}, []),
        ({"seqs": (plain.seq, 5)}, [plain]),
        ({"seqs": ()}, []),
        ({"since_ms": clerk.now}, [plain, event]),
        ({"since_ms": clerk.now + 1}, []),
        ({"until_ms": clerk.now}, []),
        ({"until_ms": clerk.now + 1}, [plain, event]),
        ({"type": "message.status", "number": "222"}, []),
    ]
    for filters, expected in queries:
        query = EventQuery(ACCOUNT, **filters)  # type: ignore[arg-type]
        page = await clerk.history.events(query)
        assert [one.seq for one in page.items] == [one.seq for one in expected], filters
        assert (page.next, page.searched_to_ms) == (None, None)


async def test_one_event(clerk: Clerk) -> None:
    event = clerk.event(id="a")
    await clerk.accept([event])
    by_id = await clerk.history.event(ACCOUNT, "a")
    assert by_id is not None
    assert by_id == await clerk.history.event_by_seq(ACCOUNT, event.seq)
    assert await clerk.history.event(ACCOUNT, "b") is None
    assert await clerk.history.event_by_seq(ACCOUNT, event.seq + 1) is None


async def test_found_by_any_of_its_words(clerk: Clerk) -> None:
    events = [
        clerk.event(id="a", keys=("message:msg_1", "phone:+49")),
        clerk.event(id="b", keys=("message:msg_1",)),
        clerk.event(id="c", keys=("phone:+49", "wamid:" + "x" * 100)),
        clerk.event(id="d"),
    ]
    await clerk.accept(events)

    async def find(*keys: str, limit: int = 10) -> list[str]:
        return [event.id for event in await clerk.history.find(ACCOUNT, keys, limit)]

    assert await find("message:msg_1") == ["b", "a"]
    assert await find("phone:+49") == ["c", "a"]
    assert await find("wamid:" + "x" * 100) == ["c"]
    assert await find("id:d") == ["d"]
    assert await find("id:a", "message:msg_1", "phone:+49", "id:nothing") == ["c", "b", "a"]
    assert await find("message:msg_1", "phone:+49", limit=2) == ["c", "b"]
    below = await clerk.history.find(ACCOUNT, ("id:c", "message:msg_1", "phone:+49"), 10, before=events[2].seq)
    assert [event.id for event in below] == ["b", "a"]
    below = await clerk.history.find(ACCOUNT, ("phone:+49",), 1, before=events[2].seq)
    assert [event.id for event in below] == ["a"]
    assert await find("message:msg_2") == await find("wamid:x") == await find() == []


async def test_the_feed_gives_every_event_once_and_no_tests(clerk: Clerk) -> None:
    events = [clerk.event(test=n % 5 == 0) for n in range(25)]
    for event in events[:15]:
        await clerk.accept([event])
    first, cursor = await walk_feed(clerk, 0, limit=4)
    await clerk.accept(events[15:])
    rest, end = await walk_feed(clerk, cursor, limit=4)
    assert first + rest == [event.id for event in events if not event.test]
    assert await walk_feed(clerk, end) == ([], end)


async def test_the_feed_never_skips_what_is_committed_late(clerk: Clerk) -> None:
    """An event can be handed in again, under its old row, after younger ones: its routing was stale the first time."""
    old, young = clerk.event(id="old"), clerk.event(id="young")
    await clerk.change()
    assert await clerk.accept([old], version=0) == Stale(1)
    await clerk.accept([young])
    seen, cursor = await walk_feed(clerk, 0)
    assert seen == ["young"]
    await clerk.accept([old])
    assert (await walk_feed(clerk, cursor))[0] == ["old"]
    assert sorted((await walk_feed(clerk, 0))[0]) == ["old", "young"]


async def test_the_feed_of_some_types(clerk: Clerk) -> None:
    await clerk.accept([clerk.event(id=f"{n}", type=("a", "b", "c")[n % 3]) for n in range(12)])
    assert (await walk_feed(clerk, 0, ("a",), limit=2))[0] == ["0", "3", "6", "9"]
    assert (await walk_feed(clerk, 0, ("a", "c"), limit=3))[0] == ["0", "2", "3", "5", "6", "8", "9", "11"]
    assert (await walk_feed(clerk, 0, ("nothing",)))[0] == []


async def test_the_bounds_of_the_feed(clerk: Clerk) -> None:
    oldest, newest = await clerk.history.feed_bounds(ACCOUNT)
    assert oldest == newest
    events = [clerk.event() for _ in range(6)]
    await clerk.accept(events[:3])
    clerk.now += DAY
    await clerk.accept([clerk.event(id="last")])
    oldest, newest = await clerk.history.feed_bounds(ACCOUNT)
    assert len((await walk_feed(clerk, oldest))[0]) == 4
    assert await walk_feed(clerk, newest) == ([], newest)
    await clerk.store.prune(ACCOUNT, clerk.now, 0, 100, clerk.now)
    pruned, newest = await clerk.history.feed_bounds(ACCOUNT)
    assert oldest < pruned < newest
    assert (await walk_feed(clerk, pruned))[0] == ["last"]


async def test_what_an_endpoint_missed(clerk: Clerk) -> None:
    hour = clerk.now
    events = []
    for n in range(20):
        clerk.now += SECOND
        event = clerk.event(type=("a", "b")[n % 2], test=n == 4)
        await clerk.accept([event], [clerk.delivery(event, 1 + n % 4)])
        events.append(event)
    again = clerk.delivery(events[6], 1, origin=Origin.RECOVER)
    await clerk.accept([], [again])
    missed = [event for n, event in enumerate(events) if n % 4 != 0 and n not in (4, 6)]

    async def missing(types: tuple[str, ...], since: int, until: int, limit: int = 3) -> list[int]:
        seen: list[int] = []
        after: int | None = 0
        while after is not None:
            found, after = await clerk.history.missing(ACCOUNT, 1, types, since, until, after, limit)
            assert len(found) <= limit
            seen += [event.seq for event in found]
        return seen

    assert await missing(("a", "b"), 0, 2 * hour) == [event.seq for event in missed]
    assert await missing(("a",), 0, 2 * hour) == [event.seq for event in missed if event.type == "a"]
    window = (hour + 5 * SECOND, hour + 15 * SECOND)
    inside = [event.seq for event in missed if first_row_at(window[0]) <= event.seq < first_row_at(window[1])]
    assert await missing(("a", "b"), *window) == inside
    assert await missing(("a", "b"), *window, limit=100) == inside
    assert await missing((), 0, 2 * hour) == await missing(("c",), 0, 2 * hour) == []


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("grüße", True),
        ("GRüßE", True),
        ("straße gruss", False),
        ('"quoted"', True),
        ("back\\slash", True),
        ("100%", True),
        ("100_", False),
        ("emoji🙂", True),
        ("  ", True),
    ],
)
async def test_words_are_compared_as_they_were_written(clerk: Clerk, word: str, found: bool) -> None:
    text = '{"text":"grüße \\"quoted\\" back\\\\slash 100% straße emoji🙂"}'
    await clerk.accept([clerk.event(body=text.encode())])
    page = await clerk.history.events(EventQuery(ACCOUNT, text=word))
    assert (len(page.items) == 1) == found


async def test_a_search_is_bounded_and_says_how_far_it_got(clerk: Clerk) -> None:
    """Twelve thousand events, the word in the oldest one: no page looks at all of them, and it is found in the end."""
    needle = clerk.event(body=b'{"text":"needle"}')
    await clerk.accept([needle])
    for _ in range(12):
        clerk.now += MINUTE
        await clerk.accept([clerk.event() for _ in range(1000)])
    page = await clerk.history.events(EventQuery(ACCOUNT, text="needle"))
    searched = []
    while page.next is not None and not page.items:
        assert page.searched_to_ms is not None
        searched.append(page.searched_to_ms)
        page = await clerk.history.events(EventQuery(ACCOUNT, text="needle", before=page.next))
    assert [event.seq for event in page.items] == [needle.seq]
    assert (page.next, page.searched_to_ms) == (None, None)
    assert len(searched) >= 2
    assert searched == sorted(searched, reverse=True)


async def test_events_of_another_account_are_no_ones_business(clerk: Clerk) -> None:
    theirs = clerk.event(account=OTHER, id="a", keys=("phone:+49",))
    await clerk.accept([theirs], [clerk.delivery(theirs, 9)])
    assert await clerk.history.event(ACCOUNT, "a") is None
    assert await clerk.history.event_by_seq(ACCOUNT, theirs.seq) is None
    assert await clerk.history.find(ACCOUNT, ["id:a", "phone:+49"], 10) == ()
    assert (await walk_feed(clerk, 0))[0] == []
    assert (await clerk.history.missing(ACCOUNT, 1, (theirs.type,), 0, 2 * clerk.now, 0, 10))[0] == ()
    assert (await clerk.history.events(EventQuery(ACCOUNT, seqs=(theirs.seq,)))).items == ()


async def test_a_list_may_ask_for_the_beginnings_alone(clerk: Clerk) -> None:
    long = clerk.event(body=b'{"text":"' + "grüße".encode() * 400 + b'"}', details=b'{"raw":"' + b"x" * 900 + b'"}')
    short = clerk.event(body=b'{"a":1}')
    await clerk.accept([long])
    await clerk.accept([short])
    for bytes_max in (1, 10, 13, 1_000):
        items = (await clerk.history.events(EventQuery(ACCOUNT, bytes_max=bytes_max))).items
        assert [event.body for event in items] == [short.body[:bytes_max], long.body[:bytes_max]]
        assert long.details is not None
        assert [event.details for event in items] == [None, long.details[:bytes_max]]
    assert [event.body for event in (await clerk.history.events(EventQuery(ACCOUNT))).items] == [short.body, long.body]
