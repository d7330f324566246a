"""No question and no step reads all of a large table: whatever the store asks over a history of tens of thousands of
deliveries is caught, and PostgreSQL is asked for its plan with the same values.
"""

import itertools
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conformance.clerk import ACCOUNT, DAY, START_MS, Clerk
from tests.conformance.places import PostgresPlace
from tests.store.postgres import databases
from whatsync.model.delivery import State
from whatsync.ports.cluster import Role
from whatsync.ports.history import DeliveryQuery, EventQuery
from whatsync.store.postgres.connection import Address, Pool, connect

DAYS = 4
LARGE_ROWS = 500
"""A table of fewer rows may be read as a whole."""
TYPES = ("message.incoming", "message.status", "own.rare")

FILL = Path(__file__).with_name("history_fill.sql").read_text("utf-8")
ROWS = 20_000


def filled() -> str:
    """The statements that fill, with their values."""
    values = {"account": ACCOUNT, "start": START_MS, "days": DAYS, "rows": ROWS}
    return re.sub(r"(?<!:):([a-z]+)", lambda found: f"{values[found[1]]}::bigint", FILL)


class Asked:
    """What the store has asked PostgreSQL, each statement with the values of its first use."""

    def __init__(self) -> None:
        self.statements: dict[str, tuple[Any, ...]] = {}

    def note(self, query: Any) -> None:
        self.statements.setdefault(query.query, tuple(query.args or ()))


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(Pool, "_count", lambda _pool, query: asked.note(query))
    return asked


@pytest.fixture
async def full(tmp_path: Path, asked: Asked) -> AsyncIterator[PostgresPlace]:
    """A store over a history of four days."""
    place = PostgresPlace(tmp_path)
    await place.open(START_MS)
    last = START_MS // DAY
    await place.postgres.database.make_days(set(range(last - DAYS, last + 1)))
    db = await asyncpg.connect(databases.url(place.database))
    await db.execute(filled())
    await db.execute("ANALYZE")
    await db.close()
    asked.statements.clear()
    yield place
    await place.close()


def wholes(plan: dict[str, Any], rows: dict[str, int]) -> list[str]:
    """Large tables that a plan reads from one end to the other."""
    found = [name for below in plan.get("Plans", ()) for name in wholes(below, rows)]
    name = plan.get("Relation Name", "")
    if plan["Node Type"].endswith("Seq Scan") and rows.get(name, 0) > LARGE_ROWS:
        found.append(name)
    return found


async def faults(place: PostgresPlace, asked: Asked) -> list[str]:
    """The statements that read too much, each with what it reads."""
    db = await connect(Address(databases.url(place.database), unsafe_allowed=True))
    # Tables of a test are small enough that reading them may be cheapest: whether there is another way is what counts.
    await db.execute("SET enable_seqscan = off")
    counted = await db.fetch(
        "SELECT relname, reltuples::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    rows: dict[str, int] = dict(counted)
    found = []
    # The store itself may ask something meanwhile.
    for text, values in list(asked.statements.items()):
        if not re.match(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b", text):
            continue
        (line,) = await db.fetchrow(f"EXPLAIN (FORMAT JSON) {text}", *values)
        found += [f"{name} is read as a whole by: {text}" for name in wholes(json.loads(line)[0]["Plan"], rows)]
    await db.close()
    return found


DELIVERY_FILTERS: dict[str, list[Any]] = {
    "endpoint": [1, 4_000],
    "type": ["message.incoming", "own.rare", "nothing"],
    "number": ["1008"],
    "states": [(State.FAILED,), (State.SUCCEEDED,), (State.PENDING,), (State.HELD, State.RETRYING), tuple(State)],
    "code": ["http_500", "tls_error"],
    "test": [True, False],
    "text": ["order 471"],
    "since_ms": [START_MS - DAY],
    "until_ms": [START_MS - 2 * DAY],
}
EVENT_FILTERS: dict[str, list[Any]] = {
    "type": ["message.incoming", "own.rare"],
    "without": [("message.incoming", "nothing")],
    "number": ["1008"],
    "matched": [True, False],
    "text": ["order 471"],
    "since_ms": [START_MS - DAY],
    "until_ms": [START_MS - 2 * DAY],
}


def questions(filters: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """No filter, each one with each value, and each pair with the first."""
    alone = [[(name, value) for value in values] for name, values in filters.items()]
    pairs = [dict((left[0], right[0])) for left, right in itertools.combinations(alone, 2)]
    return [{}, *(dict([one]) for one in itertools.chain(*alone)), *pairs]


async def test_a_statement_without_an_index_is_found(full: PostgresPlace, asked: Asked) -> None:
    asked.statements["SELECT id FROM open_delivery WHERE holder = $1"] = (77,)
    assert len(await faults(full, asked)) == 1


async def test_no_page_of_a_list_reads_a_table(full: PostgresPlace, asked: Asked) -> None:
    history, seen = full.history, 0
    for fields in questions(DELIVERY_FILTERS):
        for ascending in (False, True):
            page = await history.deliveries(DeliveryQuery(ACCOUNT, limit=10, ascending=ascending, **fields))
            seen += len(page.items)
            if page.next is not None:
                more = DeliveryQuery(ACCOUNT, limit=10, ascending=ascending, before=page.next, **fields)
                seen += len((await history.deliveries(more)).items)
    for fields in questions(EVENT_FILTERS):
        for ascending in (False, True):
            found = await history.events(EventQuery(ACCOUNT, limit=10, ascending=ascending, **fields))
            seen += len(found.items)
            if found.next is not None:
                again = EventQuery(ACCOUNT, limit=10, ascending=ascending, before=found.next, **fields)
                seen += len((await history.events(again)).items)
    for after in (0, ROWS // 2 << 16):
        seen += len((await history.feed(ACCOUNT, after, (), 20))[0])
        seen += len((await history.feed(ACCOUNT, after, ("own.rare",), 20))[0])
    await history.missing(ACCOUNT, 1, TYPES, START_MS - DAY, START_MS, 0, 20)
    assert seen > 1_000
    assert len(asked.statements) > 20
    assert await faults(full, asked) == []


async def test_no_step_of_the_work_reads_a_table(full: PostgresPlace, asked: Asked) -> None:
    clerk, store = Clerk(full, START_MS + 1_000), full.store
    clerk.ids_from(1_000_000)
    for endpoint in (1, 4):
        claims = (await store.claim(endpoint, START_MS, 5)).items
        assert claims
        await store.record([clerk.attempt(claims[0], State.SUCCEEDED, endpoint)])
        await store.record([clerk.attempt(claims[1], State.FAILED, endpoint)])
        await store.give_back([(one.id, one.claim) for one in claims[2:]], START_MS)
        await store.claim(endpoint, START_MS, 5, early=True)
        assert await store.replan(endpoint, START_MS - DAY, (START_MS - DAY, 0), 5)
        await full.history.counts(endpoint)
    await store.replan_media(START_MS - DAY, (START_MS - DAY, ""), 5)
    await clerk.accepted(1)
    cursor: int | None = 0
    steps = 0
    while cursor is not None and steps < 3:
        cursor = (await store.prune(ACCOUNT, START_MS - 2 * DAY, cursor, 200, START_MS)).cursor
        steps += 1
    await store.prune(0, START_MS - 2 * DAY, 0, 200, START_MS)
    await store.prune_arrivals(1, START_MS - 2 * DAY, 100)
    await full.postgres.tidy()
    await full.postgres.cluster.waiting()
    await full.postgres.cluster.beat(Role.ALL, 45)
    db = await asyncpg.connect(databases.url(full.database))
    await db.execute(
        "INSERT INTO run (id, node, label, version, started_ms, lease_until) OVERRIDING SYSTEM VALUE"
        " VALUES (77, 'dead', 'dead', '1', 0, now() - interval '1 minute')"
    )
    await full.postgres.cluster.beat(Role.ALL, 45)
    assert await db.fetchval("SELECT count(*) FROM open_delivery WHERE holder = 77") == 0
    assert await db.fetchval("SELECT cleared FROM run WHERE id = 77")
    await db.close()
    assert len(asked.statements) > 30
    assert await faults(full, asked) == []
