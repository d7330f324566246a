"""The history of deliveries: each filter, alone and with others, against looking at everything; every page once."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.conformance.clerk import ACCOUNT, MINUTE, SECOND, START_MS, Clerk
from tests.conformance.places import PLACES
from whatsync.model.delivery import Happening, State
from whatsync.ports.history import DeliveryQuery, DeliveryView
from whatsync.ports.store import Origin

ENDPOINTS = (1, 2, 3)
TYPES = ("message.incoming", "message.status", "own.type")
NUMBERS = (None, "111", "222")
CODES = ("http_500", "timeout")
WORDS = ("apple", "pear", "Plum")
SPAN_MS = 200 * SECOND


class Everything:
    """All deliveries of a small history, with the bodies of their events."""

    def __init__(self, clerk: Clerk) -> None:
        self.clerk = clerk
        self.views: list[DeliveryView] = []
        self.bodies: dict[int, bytes] = {}

    def matching(self, query: DeliveryQuery) -> list[int]:
        """What a query has to find, by looking at each delivery."""
        found = [view.id for view in self.views if self._fits(view, query)]
        return found if query.ascending else found[::-1]

    def _fits(self, view: DeliveryView, query: DeliveryQuery) -> bool:
        body = self.bodies[view.event].decode().lower()
        return all(
            [
                query.endpoint in (None, view.endpoint),
                query.type in (None, view.type),
                query.number in (None, view.number),
                not query.states or view.state in query.states,
                query.code in (None, view.code),
                query.test in (None, view.origin is Origin.TEST),
                query.event in (None, view.event),
                query.events is None or view.event in query.events,
                all(word in body for word in (query.text or "").lower().split()),
                query.since_ms is None or view.created_ms >= query.since_ms,
                query.until_ms is None or view.created_ms < query.until_ms,
            ]
        )


async def a_small_history(clerk: Clerk) -> Everything:
    """A hundred and fifty events over a few endpoints, in all states; half of it tidied up, half just written."""
    everything = Everything(clerk)
    rows: list[int] = []
    for n in range(150):
        if n == 90:
            await clerk.place.tidy()
        clerk.now += SECOND
        test = n % 10 == 7
        event = clerk.event(
            type=TYPES[n % 7 % 3],
            number=NUMBERS[n % 5 % 3],
            body=f'{{"text":"{WORDS[n % 3]} {WORDS[n % 4 % 3]}"}}'.encode(),
            test=test,
        )
        origin = Origin.TEST if test else Origin.EVENT
        to = [endpoint for endpoint in ENDPOINTS if test or (n + endpoint) % 3]
        new = [clerk.delivery(event, endpoint, claimed=n % 2 == 0, origin=origin) for endpoint in to]
        await clerk.accept([event], new)
        everything.bodies[event.seq] = event.body
        rows += [row.id for row in new]
        if n % 6 == 0:
            again = clerk.delivery(event, ENDPOINTS[n % 3], origin=Origin.RESEND)
            await clerk.accept([], [again])
            rows.append(again.id)
        if n % 3 == 0:
            await some_attempts(clerk, n)
        if n % 11 == 0:
            await clerk.settle((Happening.CANCEL, Happening.DISABLED)[n % 2], rows[-2], reason="why")
    for row in rows:
        everything.views.append(await clerk.view(row))
    assert {view.state for view in everything.views} == set(State)
    return everything


async def some_attempts(clerk: Clerk, n: int) -> None:
    """Try what is due at one endpoint, with every kind of end."""
    endpoint = ENDPOINTS[n % 3]
    ends = (State.SUCCEEDED, State.RETRYING, State.FAILED, State.SUCCEEDED, State.HELD)
    for at, claimed in enumerate((await clerk.claim(endpoint)).items):
        state = ends[(n + at) % 5]
        code = None if state is State.SUCCEEDED else CODES[at % 2]
        await clerk.end(claimed, state, endpoint, code=code, due_ms=clerk.now + MINUTE)


async def walk(clerk: Clerk, query: DeliveryQuery) -> list[int]:
    """All pages of a list."""
    seen: list[int] = []
    while True:
        page = await clerk.history.deliveries(query)
        assert len(page.items) <= query.limit
        assert page.searched_to_ms is None
        seen += [view.id for view in page.items]
        if page.next is None:
            return seen
        assert len(page.items) == query.limit
        query = replace(query, before=page.next)


def queries(everything: Everything) -> st.SearchStrategy[DeliveryQuery]:
    """Any combination of filters, most of them with something to find."""
    events = st.sampled_from(sorted(everything.bodies))
    moments = st.none() | st.integers(START_MS - SECOND, START_MS + SPAN_MS)
    return st.builds(
        DeliveryQuery,
        account=st.just(ACCOUNT),
        endpoint=st.none() | st.sampled_from((*ENDPOINTS, 9)),
        type=st.none() | st.sampled_from((*TYPES, "nothing")),
        number=st.none() | st.sampled_from(("111", "222", "333")),
        states=st.just(()) | st.lists(st.sampled_from(State), min_size=1, max_size=3).map(tuple),
        code=st.none() | st.sampled_from((*CODES, "http_404")),
        test=st.none() | st.booleans(),
        event=st.none() | st.none() | events,
        events=st.none() | st.none() | st.lists(events, max_size=20).map(tuple),
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
        everything = runner.run(a_small_history(clerk))

        def compare(query: DeliveryQuery) -> None:
            assert runner.run(walk(clerk, query)) == everything.matching(query)

        each_combination(everything, compare)
        runner.run(place.close())


def each_combination(everything: Everything, compare: Callable[[DeliveryQuery], None]) -> None:
    """Every filter alone, then combinations that Hypothesis chooses."""
    alone: list[dict[str, object]] = [{}]
    alone += [{"endpoint": endpoint} for endpoint in ENDPOINTS]
    alone += [{"type": name} for name in TYPES]
    alone += [{"number": number} for number in ("111", "222")]
    alone += [{"states": (state,)} for state in State]
    alone += [{"code": code} for code in CODES]
    alone += [{"test": True}, {"test": False}, {"text": "apple pear"}]
    alone += [{"event": event} for event in sorted(everything.bodies)[:5]]
    for filters in alone:
        for ascending in (False, True):
            query = DeliveryQuery(ACCOUNT, ascending=ascending, limit=20, **filters)  # type: ignore[arg-type]
            assert everything.matching(query), filters
            compare(query)
    settings(max_examples=300, deadline=None)(given(query=queries(everything))(compare))()


async def test_a_cursor_stays_right_while_new_ones_come(clerk: Clerk) -> None:
    rows = [(await clerk.accepted(1))[0] for _ in range(10)]
    page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, limit=4))
    await clerk.accepted(1)
    rest = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, limit=50, before=page.next))
    assert [view.id for view in (*page.items, *rest.items)] == rows[::-1]


async def test_a_full_last_page_is_the_last(clerk: Clerk) -> None:
    for _ in range(4):
        await clerk.accepted(1)
    page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, limit=4))
    assert (len(page.items), page.next) == (4, None)


async def test_what_was_acknowledged_is_seen_at_once(clerk: Clerk) -> None:
    for _ in range(20):
        (row,) = await clerk.accepted(1)
        page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, endpoint=1, limit=1))
        assert page.items[0].id == row
        await clerk.settle(Happening.CANCEL, row)
        page = await clerk.history.deliveries(DeliveryQuery(ACCOUNT, states=(State.CANCELLED,), limit=1))
        assert page.items[0].id == row


async def test_a_search_is_bounded_and_goes_on(clerk: Clerk) -> None:
    """Twelve thousand deliveries, the word in the oldest and the newest one's event."""
    needles = []
    for n in range(12):
        clerk.now += MINUTE
        if n in (0, 11):
            needles += await clerk.accepted(1, body=b'{"text":"needle"}')
        plain = clerk.event()
        await clerk.accept([plain], [clerk.delivery(plain, 2) for _ in range(1000)])
        await clerk.place.tidy()
    query = DeliveryQuery(ACCOUNT, text="needle", limit=10)
    found: list[int] = []
    searched: list[int] = []
    while True:
        page = await clerk.history.deliveries(query)
        found += [view.id for view in page.items]
        if page.next is None:
            break
        assert page.searched_to_ms is not None
        searched.append(page.searched_to_ms)
        query = replace(query, before=page.next)
    assert found == needles[::-1]
    assert len(searched) >= 2
    assert searched == sorted(searched, reverse=True)
