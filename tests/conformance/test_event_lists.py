"""Lists of events: any filters against looking at everything, every page once, in both directions."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.conformance.clerk import ACCOUNT, OTHER, SECOND, START_MS, Clerk
from tests.conformance.places import PLACES
from whatsync.model.ids import ms_of
from whatsync.ports.history import EventQuery
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
