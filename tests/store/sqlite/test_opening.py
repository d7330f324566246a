"""Opening: who may, which files, what is taken back; and closing without a trace of others' rights."""

import asyncio
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.conformance.clerk import ACCOUNT, MINUTE, START_MS, Clerk
from tests.store.sqlite.conftest import SqlitePlace
from whatsync.model.delivery import Happening, State
from whatsync.ports.store import Backlog, StoreRefused
from whatsync.store.sqlite import schema
from whatsync.store.sqlite.backup import Backup


async def test_a_second_server_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    first = SqlitePlace(tmp_path, owner="http://127.0.0.1:8600")
    await first.open(START_MS)
    second = SqlitePlace(tmp_path)
    with pytest.raises(StoreRefused, match=r"process \d+, http://127.0.0.1:8600") as refused:
        await second.open(START_MS)
    assert "WHATSYNC_DATA_DIR" in refused.value.reason
    await first.close()
    await second.open(START_MS)
    await second.close()


async def test_nobody_else_may_read(place: SqlitePlace, clerk: Clerk) -> None:
    await clerk.accepted(1)
    folder = place.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes) >= {"whatsync.db", "whatsync.db-wal", "whatsync.db-shm", "whatsync.db.lock"}
    assert set(modes.values()) == {0o600}


def written(path: Path, content: bytes) -> SqlitePlace:
    place = SqlitePlace(path)
    place.path.parent.mkdir()
    place.path.write_bytes(content)
    return place


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="is no SQLite database; move it away"):
        await written(tmp_path, b"my shopping list\n" * 1000).open(START_MS)


async def test_another_programs_database(tmp_path: Path) -> None:
    place = written(tmp_path, b"")
    with sqlite3.connect(place.path) as other:
        other.execute("CREATE TABLE recipe (name TEXT)")
    other.close()
    with pytest.raises(StoreRefused, match="of another program"):
        await place.open(START_MS)


async def test_a_damaged_database(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    await place.open(START_MS)
    await place.close()
    content = bytearray(place.path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    place.path.write_bytes(content)
    with pytest.raises(StoreRefused, match="is damaged; restore it from a backup"):
        await place.open(START_MS)


async def test_a_database_from_a_newer_version(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    await place.open(START_MS)
    await place.close()
    with sqlite3.connect(place.path) as other:
        other.execute("PRAGMA user_version = 999")
    other.close()
    with pytest.raises(StoreRefused, match=r"newer version of WhatsSync \(schema 999"):
        await place.open(START_MS)


async def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in the way")
    with pytest.raises(StoreRefused, match="can't be used"):
        await SqlitePlace(tmp_path).open(START_MS)


async def test_a_refused_start_lets_the_next_one_in(tmp_path: Path) -> None:
    place = written(tmp_path, b"no database " * 1000)
    with pytest.raises(StoreRefused):
        await place.open(START_MS)
    place.path.unlink()
    await place.open(START_MS)
    await place.close()


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("folded", [False, True])
async def test_what_was_under_way_is_taken_back(clerk: Clerk, place: SqlitePlace, crash: bool, folded: bool) -> None:
    """In the tail and below it; handed over at the door, claimed from the store, and tried before."""
    (handed_over,) = await clerk.accepted(1, claimed=True)
    (waiting,) = await clerk.accepted(1)
    await clerk.claim_one_row(waiting)
    retrying = await clerk.in_state(State.RETRYING)
    await clerk.claim_one_row(retrying.id)
    (done,) = await clerk.accepted(2, claimed=True)
    held = await clerk.in_state(State.RETRYING)
    await clerk.settle(Happening.DISABLED, held.id)
    if folded:
        await place.tidy()
    clerk.now += MINUTE
    await clerk.reopen(crash=crash)
    (first, second) = place.opened.backlog
    assert first == Backlog(endpoint=1, account=ACCOUNT, waiting=3, held=1, next_due_ms=clerk.now)
    assert (second.endpoint, second.waiting) == (2, 1)
    claims = await clerk.claim()
    assert {one.id: one.claim for one in claims.items} == {handed_over: 2, waiting: 2, retrying.id: 3}
    assert [one.id for one in (await clerk.claim(2)).items] == [done]


async def test_migrations_keep_work_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database written under schema 1, crashed, opened by a version that knows one more."""
    place = SqlitePlace(tmp_path)
    await place.open(START_MS)
    clerk = Clerk(place)
    (row,) = await clerk.accepted(1, claimed=True)
    await clerk.reopen(crash=True)
    await clerk.claim_one()
    await place.crash()
    known = schema.migrations()
    newest = max(known) + 1
    further = known | {newest: "ALTER TABLE health ADD COLUMN noted_ms INTEGER;"}
    monkeypatch.setattr(schema, "migrations", lambda: further)
    await place.open(START_MS)
    claimed = await clerk.claim_one()
    assert (claimed.id, claimed.claim) == (row, 3)
    await place.close()
    db = apsw.Connection(str(place.path))
    assert schema.version(db) == newest
    assert "noted_ms" in {column[1] for column in db.execute("PRAGMA table_info(health)")}
    db.close()


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = SqlitePlace(tmp_path)
    await place.open(START_MS)
    await place.close()
    known = schema.migrations()
    broken = "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1);"
    monkeypatch.setattr(schema, "migrations", lambda: known | {max(known) + 1: broken})
    with pytest.raises(StoreRefused):
        await place.open(START_MS)
    monkeypatch.setattr(schema, "migrations", lambda: known)
    await place.open(START_MS)
    await place.close()


async def test_runs_are_counted(clerk: Clerk, place: SqlitePlace) -> None:
    assert place.opened.run == 1
    await clerk.reopen()
    assert place.opened.run == 2
    await clerk.reopen(crash=True)
    assert place.opened.run == 3


async def test_a_backup_beside_writers_is_whole(
    make_clerk: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events go on being accepted while the copy is made; it opens, and holds all that came before it."""
    clerk, place = await make_clerk()
    copy, seen = Backup.step, -1

    def between_commits(backup: Backup) -> bool:
        """A step of the copy after each commit, however slowly these come."""
        nonlocal seen
        commits = place.sqlite._running().commits
        if commits == seen:
            time.sleep(0.001)
            return False
        seen = commits
        return copy(backup)

    monkeypatch.setattr(Backup, "step", between_commits)
    for _ in range(20):
        await clerk.accept([clerk.event(body=bytes(20_000)) for _ in range(50)])
    before = await clerk.accepted(1)
    target = tmp_path / "copy.db"
    copying = asyncio.ensure_future(place.sqlite.backup(str(target)))
    meanwhile = 0
    while not copying.done():
        await clerk.accepted(1)
        meanwhile += 1
    await copying
    assert meanwhile > 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not target.with_name("copy.db.part").exists()
    db = apsw.Connection(str(target))
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("SELECT count(*) FROM delivery WHERE id = ?", before).fetchall() == [(1,)]
    db.close()


async def test_a_backup_that_can_not_be_written(place: SqlitePlace, clerk: Clerk, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="backup"):
        await place.sqlite.backup(str(tmp_path / "nowhere" / "copy.db"))
    await clerk.accepted(1)
