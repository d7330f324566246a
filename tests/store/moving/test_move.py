"""Moving an installation from SQLite to PostgreSQL: the history is the same behind it, work in flight goes on, an
interrupted move goes on, and nothing is moved from under a running server or over something else.
"""

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conformance.clerk import ACCOUNT, DAY, HOUR, START_MS, Clerk
from tests.conformance.places import VERSION, Place, PostgresPlace, SqlitePlace
from tests.conformance.script import Actor
from tests.conformance.test_arrivals import SOURCE, aside, body, person, take_in
from tests.store.postgres import databases
from whatsync.model.delivery import State
from whatsync.net.system import SystemClock
from whatsync.ports.arrivals import Count, SetAsideQuery, TakenIn
from whatsync.ports.media import MediaRow, MediaState
from whatsync.ports.store import Accepted, Admission, AuditEntry, Change, Changed, Delete, Put, StoreRefused
from whatsync.store.moving.move import Moved, move
from whatsync.store.moving.steps import STEPS
from whatsync.store.postgres.connection import Address

VERBS = (
    ["accept"] * 6 + ["array"] * 2 + ["claim"] * 4 + ["end"] * 5 + ["pass_time", "settle", "settle_endpoint", "erase"]
)
STEPS_DONE = 400
MANY = 8_000
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


async def live(place: Place, seed: int) -> Actor:
    """Some hundred steps of everything, and one of each further kind."""
    await place.open(START_MS)
    actor, source = Actor(Clerk(place)), random.Random(seed)
    clerk = actor.clerk
    for _ in range(STEPS_DONE):
        await actor.do((source.choice(VERBS), tuple(source.randrange(101) for _ in range(3))))
    puts = tuple(
        Put(kind, f"{kind}_1", ACCOUNT, b'{"a":1}') for kind in ("endpoint", "user", "source", "job", "number")
    )
    entry = AuditEntry(ACCOUNT, clerk.now, "somebody\0", "endpoint.created", "ep_1", None, b"{}")
    changed = await clerk.store.change(Change(ACCOUNT, (*puts, Put("job", "job_2", ACCOUNT, b"")), audit=(entry,)))
    assert isinstance(changed, Changed)
    clerk.versions[ACCOUNT] = changed.version
    await clerk.store.change(Change(ACCOUNT, deletes=(Delete("job", "job_2"),), routing=False))
    event, raw = clerk.event(id="with a\0zero", keys=("phone:+1", "message:m")), body(clerk, b"\x00raw")
    file = MediaRow("name", ACCOUNT, event.seq, "media_1", clerk.now, MediaState.WAITING, clerk.now, task=b"do")
    set_aside = (aside(clerk, raw.seq),)
    taken = await take_in(clerk, event, body=raw, contacts=(person(1),), set_aside=set_aside, media=(file,))
    assert isinstance(taken, TakenIn)
    await clerk.store.count_arrivals([Count(SOURCE, "15550001", 0, "taken", 3, 1, 2)])
    ordered = [await clerk.ordered(12, "anna") for _ in range(2)]
    assert len(set(ordered)) == 2
    return actor


async def history_of(actor: Actor) -> dict[str, Any]:
    """All that can be read."""
    clerk = actor.clerk
    history, opened = clerk.history, clerk.place.opened
    found = await actor.everything()
    found["documents"], found["versions"], found["health"] = opened.documents, opened.versions, opened.health
    found["contacts"] = await history.contacts(ACCOUNT, ["phone:+1", "user:US.1"])
    found["bodies"] = await history.bodies(SOURCE, None, 10)
    found["body"] = await history.body(found["bodies"][0].seq)
    found["set aside"] = await history.set_aside(SetAsideQuery(source=SOURCE))
    found["arrivals"] = await history.arrivals(SOURCE, None, 0, 2 * clerk.now)
    found["days"] = await history.rollups(ACCOUNT, None, 0, 2 * clerk.now, DAY)
    found["media"] = await history.media("name")
    return found


def path_of(folder: Path) -> Path:
    return folder / "whatsync.db"


async def moved_into(folder: Path, database: str) -> list[Moved]:
    address = Address(databases.url(database), unsafe_allowed=True)
    return await move(path_of(folder), address, SystemClock(), VERSION, lambda *_: None)


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_history_is_the_same_and_work_goes_on(tmp_path: Path, seed: int) -> None:
    place = SqlitePlace(tmp_path)
    actor = await live(place, seed)
    waiting = {one.endpoint for one in await _waiting(actor)}
    await place.close()
    database = await databases.borrow()
    moved = await moved_into(tmp_path, database)
    assert [one.table for one in moved] == list(STEPS)
    rows = {one.table: one.rows for one in moved}
    empty = {table for table, count in rows.items() if not count}
    assert empty <= {"remembered", "feed_floor", "health", "rollup_mark", "key_use"}
    await place.open(actor.clerk.now)
    before = await history_of(actor)
    await place.close()
    target = PostgresPlace(tmp_path, database)
    await target.open(actor.clerk.now)
    actor.clerk.place = target
    try:
        after = await history_of(actor)
        for name, expected in before.items():
            assert after[name] == expected, name
        clerk = actor.clerk
        clerk.now += HOUR
        claimed = [one for endpoint in waiting for one in (await clerk.claim(endpoint, limit=1000)).items]
        assert claimed
        await clerk.end(claimed[0], State.SUCCEEDED)
        new = clerk.event()
        version = target.opened.versions.get(ACCOUNT, 0)
        assert await clerk.store.accept(Admission(ACCOUNT, version, (new,), ())) == Accepted()
        changed = await clerk.store.change(Change(ACCOUNT, (Put("job", "job_3", ACCOUNT, b""),), routing=False))
        assert isinstance(changed, Changed)
        assert changed.documents[0].row > max(one.row for one in before["documents"]) + 1
    finally:
        await target.close()


async def _waiting(actor: Actor) -> list[Any]:
    views = (await actor.everything())[f"deliveries {ACCOUNT}"]
    return [view for view in views if view.state in (State.PENDING, State.RETRYING)]


async def many(folder: Path) -> None:
    """A file with some thousand events."""
    place = SqlitePlace(folder)
    await place.open(START_MS)
    clerk = Clerk(place)
    calls = []
    for _ in range(MANY):
        event = clerk.event(keys=("phone:+49",))
        calls.append(clerk.store.accept(Admission(ACCOUNT, 0, (event,), (clerk.delivery(event, 1),))))
    await asyncio.gather(*calls)
    await place.close()


async def begin(folder: Path, url: str) -> asyncio.subprocess.Process:
    """The command, begun."""
    environment = {**os.environ, "WHATSYNC_DATABASE_UNSAFE": "true", "WHATSYNC_DATA_DIR": str(folder)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "whatsync", "migrate", "--from", f"sqlite:///{path_of(folder)}", "--to", url,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_a_move_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    await many(tmp_path)
    database = await databases.borrow()
    url = databases.url(database)
    connection, barrier = [await asyncpg.connect(url) for _ in range(2)]
    # Behind the events it waits, however late it is seen that they come.
    await barrier.execute("BEGIN; LOCK TABLE event_id IN SHARE MODE")
    process = await begin(tmp_path, url)
    async with asyncio.timeout(60):
        while not await connection.fetchval("SELECT count(*) FROM event"):
            assert process.returncode is None, await process.communicate()
    process.kill()
    await process.wait()
    await barrier.close()
    async with asyncio.timeout(60):
        while await connection.fetchval(OTHERS):  # noqa: ASYNC110 - it only answers
            await asyncio.sleep(0.01)
    assert await connection.fetchval("SELECT value FROM meta WHERE name = 'moving'")
    assert await connection.fetchval("SELECT count(*) FROM delivery") < MANY
    await connection.close()
    half = PostgresPlace(tmp_path, database)
    with pytest.raises(StoreRefused, match="only a part"):
        await half.open(START_MS)
    said, progress = [part.decode() for part in await (await begin(tmp_path, url)).communicate()]
    rows = {line.split()[0]: line.split()[1] for line in said.splitlines() if line}
    assert (rows["event"], rows["delivery"], rows["open_delivery"]) == (str(MANY),) * 3
    assert "the same on both sides" in said.replace("\n", " ")
    assert f"open_delivery: {MANY:,} of {MANY:,}" in progress
    assert "Media files stay where they are" in progress
    with pytest.raises(StoreRefused, match="already"):
        await moved_into(tmp_path, database)
    databases.give_back(database)


async def test_nothing_is_moved_from_under_a_running_server(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    await place.open(START_MS)
    database = await databases.borrow()
    with pytest.raises(StoreRefused, match="another server"):
        await moved_into(tmp_path, database)
    await place.close()


async def test_a_source_that_was_used_since_is_refused(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    await place.open(START_MS)
    await place.close()
    database = await databases.borrow()
    connection = await asyncpg.connect(databases.url(database))
    await connection.execute("INSERT INTO meta (name, value) VALUES ('moving', 'something else')")
    await connection.close()
    with pytest.raises(StoreRefused, match="a part of something else"):
        await moved_into(tmp_path, database)
    connection = await asyncpg.connect(databases.url(database))
    await connection.execute("DELETE FROM meta WHERE name = 'moving'")
    await connection.close()
    databases.give_back(database)
