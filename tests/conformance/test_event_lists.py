"""Lists of events: any filters against looking at everything, every page once, in both directions."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.conformance.clerk import ACCOUNT, OTHER, SECOND, START_MS, Clerk
from tests.conformance.places import PLACES
from whatsync.model import limits
from whatsync.model.ids import ms_of
from whatsync.ports.history import DeliveryQuery, EventQuery
from whatsync.ports.store import EventRow

TYPES = ("message.incoming", "message.status", "own.type")
NUMBERS = (None, "111", "222")
WORDS = ("apple", "pear", "Plum")
EVENTS = 160


async def a_small_history(clerk: Clerk) -> list[EventRow]:
    """Events with and without deliveries, some of another account; half of it tidied up, half just written."""
    events: list[EventRow] = []
    for n in range(EVENTS):
        if n == EVENTS // 2:
            await clerk.place.tidy()
        clerk.now += SECOND
        event = clerk.event(
            OTHER if n % 5 == 4 else ACCOUNT,
            type=TYPES[n % 7 % 3],
            number=NUMBERS[n % 5 % 3],
            body=f'{{"text":"{WORDS[n % 3]} {WORDS[n % 4 % 3]}"}}'.encode(),
            test=n % 10 == 7,
        )
        rows = [clerk.delivery(event, 1 + to) for to in range(n % 4)]
        await clerk.accept([event], rows)
        events.append(replace(event, deliveries=len(rows)))
    return events


def matching(events: list[EventRow], query: EventQuery) -> list[EventRow]:
    """What a query has to find, by looking at each event."""
    words = (query.text or "").lower().split()
    found = [
        event
        for event in events
        if all(
            [
                event.account == query.account,
                query.type in (None, event.type),
                event.type not in query.without,
                query.number in (None, event.number),
                query.matched in (None, event.deliveries > 0),
                query.seqs is None or event.seq in query.seqs,
                all(word in event.body.decode().lower() for word in words),
                query.since_ms is None or ms_of(event.seq) >= query.since_ms,
                query.until_ms is None or ms_of(event.seq) < query.until_ms,
            ]
        )
    ]
    return found if query.ascending else found[::-1]


async def walk(clerk: Clerk, query: EventQuery) -> list[EventRow]:
    """All pages of a list."""
    seen: list[EventRow] = []
    while True:
        page = await clerk.history.events(query)
        assert len(page.items) <= query.limit
        assert page.searched_to_ms is None
        seen += page.items
        if page.next is None:
            return seen
        assert len(page.items) == query.limit
        query = replace(query, before=page.next)


def queries(events: list[EventRow]) -> st.SearchStrategy[EventQuery]:
    """Any combination of filters, most of them with something to find."""
    moments = st.none() | st.integers(START_MS - SECOND, START_MS + (EVENTS + 1) * SECOND)
    some = st.lists(st.sampled_from([event.seq for event in events]), max_size=30).map(tuple)
    return st.builds(
        EventQuery,
        account=st.sampled_from((ACCOUNT, OTHER)),
        type=st.none() | st.sampled_from((*TYPES, "nothing")),
        without=st.just(()) | st.sets(st.sampled_from((*TYPES, "nothing"))).map(tuple),
        number=st.none() | st.sampled_from(("111", "222", "333")),
        matched=st.none() | st.booleans(),
        seqs=st.none() | some,
        text=st.none() | st.sampled_from(("apple", "PLUM", "pear apple", "kiwi")),
        since_ms=moments,
        until_ms=moments,
        limit=st.sampled_from((1, 7, 50, 200)),
        ascending=st.booleans(),
    )


@pytest.mark.parametrize("kind", sorted(PLACES))
def test_any_filters_give_what_looking_at_everything_gives(kind: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        place = PLACES[kind](tmp_path)
        runner.run(place.open(START_MS))
        clerk = Clerk(place)
        events = runner.run(a_small_history(clerk))

        @settings(max_examples=200)
        @given(query=queries(events))
        def compare(query: EventQuery) -> None:
            assert runner.run(walk(clerk, query)) == matching(events, query)

        compare()
        runner.run(place.close())


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_what_is_left_out_costs_nothing(kind: str, tmp_path: Path) -> None:
    """More events of a type that is left out than one page may look at lie before those that are found."""
    place = PLACES[kind](tmp_path)
    await place.open(START_MS)
    clerk = Clerk(place)
    wanted = [clerk.event(type="message.status") for _ in range(3)]
    await clerk.accept(wanted, [])
    for begin in range(0, limits.PAGE_ROWS_EXAMINED_MAX + 1_000, 1_000):
        clerk.now += SECOND
        notices = [clerk.event(type="own.type") for _ in range(begin, begin + 1_000)]
        others = [clerk.event(type="message.incoming") for _ in range(begin, begin + 1_000)]
        await clerk.accept([*notices, *others], [clerk.delivery(event, 1) for event in others])
    for tidied in (False, True):
        if tidied:
            await place.tidy()
        query = EventQuery(ACCOUNT, matched=False, without=("own.type",))
        page = await clerk.history.events(query)
        assert [event.seq for event in page.items] == [event.seq for event in wanted[::-1]], kind
        assert (page.next, page.searched_to_ms) == (None, None)
    await place.close()


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_words_are_found_in_either_case(kind: str, tmp_path: Path) -> None:
    """Events and deliveries alike, by one word, two, many, and beside what is special in a pattern."""
    place = PLACES[kind](tmp_path)
    await place.open(START_MS)
    clerk = Clerk(place)
    texts = ("Grüße aus der STRASSE 100%", "grüsse aus der Straße", "Привет, Ünal_1!", "nothing of it")
    events = [clerk.event(body=f'{{"text":"{text}"}}'.encode()) for text in texts]
    await clerk.accept(events, [clerk.delivery(event, 1) for event in events])
    expected = {
        "straße": [1, 0], "STRASSE": [1, 0], "GRÜSSE": [1, 0], "aus grüße STRASSE der": [1, 0], "100% straße": [0],
        "ÜNAL_1": [2], "ünal%1": [], "ПРИВЕТ": [2], "привет ünal": [2], "straße kiwi": [], "kiwi ünal": [],
        "strase": [], "ÄÖÜ " * 30: [], "OF": [3],
    }  # fmt: skip
    for tidied in (False, True):
        if tidied:
            await place.tidy()
        for text, found in expected.items():
            seqs = [events[at].seq for at in found]
            assert [row.seq for row in (await clerk.history.events(EventQuery(ACCOUNT, text=text))).items] == seqs, text
            page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, text=text))
            assert [one.event for one in page.items] == seqs, text
    await place.close()
