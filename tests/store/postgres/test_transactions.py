"""What only PostgreSQL has to show: few statements for many events, a feed over transactions that commit in any order,
days that go when nothing is left in them, settings that are refused, any characters.
"""

import asyncio
import random

import pytest

from tests.conformance.clerk import ACCOUNT, DAY, Clerk
from tests.conformance.places import PostgresPlace
from tests.store.postgres import databases
from whatsync.model.delivery import State
from whatsync.net.system import SystemClock
from whatsync.ports.store import Accepted, Admission, AuditEntry, Claimed, Recorded, StoreRefused
from whatsync.store.postgres import feeds
from whatsync.store.postgres.accept import learn_words, write_rows
from whatsync.store.postgres.connection import Address, connect, fetch_value
from whatsync.store.postgres.database import Transaction
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.opening import set_place_base
from whatsync.store.postgres.statements import numbered
from whatsync.store.postgres.store import PostgresStore

EVENTS = 3_000


async def test_at_full_load_an_event_costs_a_tenth_of_a_statement(clerk: Clerk, place: PostgresPlace) -> None:
    await clerk.accepted(1)
    database = place.postgres.database
    before = database.writers.statements + database.readers.statements
    calls, claims = [], []
    for _ in range(EVENTS):
        event = clerk.event(keys=("phone:+49", "message:msg_1"))
        row = clerk.delivery(event, 1, claimed=True)
        calls.append(clerk.store.accept(Admission(ACCOUNT, 0, (event,), (row,))))
        claims.append(Claimed(row.id, 1, 0, State.PENDING, event))
    assert set(map(type, await asyncio.gather(*calls))) == {Accepted}
    done = [clerk.store.record([clerk.attempt(claimed, State.SUCCEEDED)]) for claimed in claims]
    assert set(await asyncio.gather(*done)) == {Recorded()}
    statements = database.writers.statements + database.readers.statements - before
    assert 0 < statements / EVENTS <= 0.1
    assert (await clerk.history.counts(1)).waiting == 1


async def test_a_node_that_opens_while_others_write_keeps_where_the_feeds_places_begin(
    clerk: Clerk, place: PostgresPlace
) -> None:
    connection = await connect(Address(databases.url(place.database), unsafe_allowed=True))
    await connection.execute("BEGIN")
    await fetch_value(connection, numbered("SELECT pg_current_xact_id()::text"))
    opening = Transaction(connection)
    for _ in range(3):
        await clerk.accepted(1)
    node = Node("late", "late")
    await set_place_base(opening, node)
    await connection.execute("ROLLBACK")
    await connection.close()
    assert node.place_base == place.postgres.node.place_base


async def test_eight_connections_committing_out_of_order_skip_nothing(clerk: Clerk, place: PostgresPlace) -> None:
    source = random.Random(3)
    database, node = place.postgres.database, place.postgres.node
    await learn_words(database, [Admission(ACCOUNT, 0, (clerk.event(),), ())])
    address = Address(databases.url(place.database), unsafe_allowed=True)
    connections = [await connect(address) for _ in range(8)]
    seen: list[str] = []
    written: list[str] = []
    cursor = 0

    async def read() -> None:
        nonlocal cursor
        wanted = feeds.Wanted(ACCOUNT, cursor, (), 3, node.place_base)
        page = await database.ask(lambda reader: feeds.feed(reader, database.words, wanted))
        seen.extend(event.id for event in page.items)
        cursor = page.cursor

    for _ in range(6):
        order = list(range(8))
        source.shuffle(order)
        for at in order:
            events = tuple(clerk.event() for _ in range(source.randint(1, 3)))
            written += [event.id for event in events]
            await connections[at].execute("BEGIN")
            await write_rows(Transaction(connections[at]), database, node, [Admission(ACCOUNT, 0, events, ())])
        source.shuffle(order)
        for at in order:
            await connections[at].execute("COMMIT")
            await read()
    while len(seen) < len(written):
        before = cursor
        await read()
        assert cursor > before
    assert sorted(seen) == sorted(written)
    assert len(set(seen)) == len(seen)
    for connection in connections:
        await connection.close()


async def test_a_day_goes_when_nothing_is_left_in_it(clerk: Clerk, place: PostgresPlace) -> None:
    await clerk.in_state(State.SUCCEEDED)
    event = clerk.event(contact="contact_1", keys=("phone:+49",))
    waiting = clerk.delivery(event, 2, due_ms=clerk.now + 40 * DAY)
    await clerk.accept([event], [waiting])
    (tried,) = await clerk.accepted(3)
    await clerk.end(await clerk.claim_one(3), State.RETRYING, endpoint=3, due_ms=clerk.now + 40 * DAY)
    old = clerk.now // DAY
    clerk.now += 30 * DAY
    await clerk.store.prune(ACCOUNT, clerk.now - DAY, 0, 100, clerk.now)
    assert old not in await place.postgres.database.known_days()
    assert (await clerk.history.find(ACCOUNT, ["phone:+49"], 5))[0].seq == event.seq
    assert len(await clerk.history.attempts(ACCOUNT, tried)) == 1
    clerk.now += 10 * DAY
    for endpoint, row in ((2, waiting.id), (3, tried)):
        claimed = await clerk.claim_one(endpoint)
        assert claimed.id == row
        assert await clerk.end(claimed, State.SUCCEEDED, endpoint) == Recorded()
    assert [len(await clerk.history.attempts(ACCOUNT, row)) for row in (waiting.id, tried)] == [1, 2]
    assert (await clerk.store.prune(ACCOUNT, clerk.now, 0, 100, clerk.now)).removed == 2


async def test_any_characters_survive(clerk: Clerk) -> None:
    odd = "zero \x00 and \ud800 and 🙂"
    event = clerk.event(body=b'{"a":"\x00\xff"}', details=b"\x00", contact=odd, number=odd, keys=(f"phone:{odd}",))
    await clerk.accept([event], [clerk.delivery(event, 1)])
    await clerk.end(await clerk.claim_one(), State.FAILED, detail=odd, code=odd, answer_body=b"\x00", address=odd)
    stored = await clerk.history.event(ACCOUNT, event.id)
    assert stored is not None
    assert (stored.body, stored.details, stored.contact, stored.number) == (event.body, b"\x00", odd, odd)
    assert len(await clerk.history.find(ACCOUNT, [f"phone:{odd}"], 5)) == 1
    await clerk.change(audit=(AuditEntry(ACCOUNT, 1, odd, odd, odd),))
    assert (await clerk.history.audit(ACCOUNT, None, 1))[0].subject == odd


async def test_unsafe_settings_are_refused(place: PostgresPlace) -> None:
    address = Address(databases.url(place.database))
    store = PostgresStore(address, clock=SystemClock(), name="two", label="another")
    with pytest.raises(StoreRefused, match=r"fsync and full_page_writes and synchronous_commit = off"):
        await store.open(0, "1")


async def test_behind_a_pooler_nothing_is_kept_in_a_session(clerk: Clerk, place: PostgresPlace) -> None:
    await place.close()
    address = Address(databases.url(place.database), pooled=True, unsafe_allowed=True)
    store = PostgresStore(address, clock=SystemClock(), name="one", label="pooled")
    await store.open(clerk.now, "1")
    place.postgres = store
    place.store, place.history = store, store.history
    for _ in range(3):
        await clerk.accepted(1)
        await clerk.end(await clerk.claim_one(), State.SUCCEEDED)
    kept = numbered("SELECT count(*) FROM pg_prepared_statements")
    assert await store.database.ask(lambda connection: fetch_value(connection, kept)) == 0
