"""The reading threads: answers, failures, questions that run away; and that every statement finds its index."""

import asyncio
from pathlib import Path

import apsw
import pytest

from whatsync.store.sqlite.connection import open_reader, open_writer
from whatsync.store.sqlite.readers import Reader, Readers, rows_value, sql, word_values
from whatsync.store.sqlite.schema import migrate
from whatsync.store.sqlite.statements import statements

FRAGMENTS = {"delivery_columns", "delivery_filter", "event_filter", "missing_filter", "body_filter"}
WHOLE = {"rollups_pending", "count_unqueued", "keyword_runs", "fold", "secret"}
"""May look at a whole table: a small one, or the tail."""
SORTED = {"attempts"}
"""May sort: a few dozen rows."""
ADDED_UP = {"rollups"}
"""May group what it found by an index: counts of one endpoint, a chart's steps come out."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty database."""
    database = tmp_path / "whatsync.db"
    db = open_writer(database)
    migrate(db, database)
    db.close()
    return database


async def test_questions_are_answered_side_by_side(path: Path) -> None:
    readers = Readers(lambda: open_reader(path), 2)
    readers.start()
    answers = await asyncio.gather(*[readers.ask(lambda reader, n=n: (n, reader.fold())) for n in range(50)])  # type: ignore[misc]
    assert answers == [(n, -1) for n in range(50)]
    readers.close()
    with pytest.raises(RuntimeError):
        await readers.ask(Reader.fold)


async def test_a_failing_question_fails_its_asker_alone(path: Path) -> None:
    readers = Readers(lambda: open_reader(path), 1)
    readers.start()

    def broken(reader: Reader) -> None:
        reader.fold()
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await readers.ask(broken)
    assert await readers.ask(Reader.fold) == -1
    readers.close()


async def test_an_asker_who_leaves_disturbs_nobody(path: Path) -> None:
    readers = Readers(lambda: open_reader(path), 1)
    readers.start()
    asking = asyncio.ensure_future(readers.ask(Reader.fold))
    await asyncio.sleep(0)
    asking.cancel()
    assert await readers.ask(Reader.fold) == -1
    readers.close()


async def test_a_question_that_runs_away_is_stopped(path: Path) -> None:
    readers = Readers(lambda: open_reader(path), 1)
    readers.start()

    def endless(reader: Reader) -> object:
        counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        return reader.db.execute(counting).fetchall()

    for _ in range(2):
        with pytest.raises(apsw.InterruptError):
            await readers.ask(endless)
        assert await readers.ask(Reader.fold) == -1
    readers.close()


async def test_a_reader_cannot_write(path: Path) -> None:
    readers = Readers(lambda: open_reader(path), 1)
    readers.start()
    with pytest.raises(apsw.ReadOnlyError):
        await readers.ask(lambda reader: reader.db.execute("INSERT INTO word (text) VALUES ('x')").fetchall())
    readers.close()


async def test_no_read_transaction_is_left_open(path: Path) -> None:
    """A checkpoint that has to wait for no reader empties the log."""
    readers = Readers(lambda: open_reader(path), 2)
    readers.start()
    await asyncio.gather(*[readers.ask(Reader.fold) for _ in range(10)])
    db = open_writer(path)
    db.execute("INSERT INTO word (text) VALUES ('x')")
    assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall() == [(0, 0, 0)]
    db.close()
    readers.close()


@pytest.mark.parametrize("name", sorted(set(statements("history.sql").names()) - FRAGMENTS))
def test_every_statement_finds_its_rows_by_an_index(path: Path, name: str) -> None:
    db = open_reader(path)
    for ascending in (False, True):
        plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql(name, ascending), _Anything())]
        scans = [step for step in plan if step.startswith("SCAN") and not _may_scan(step)]
        assert name in WHOLE or not scans, plan
        sorts = [step for step in plan if "USE TEMP B-TREE" in step]
        if name in ADDED_UP:
            assert sorts == ["USE TEMP B-TREE FOR GROUP BY"], plan
        else:
            assert name in SORTED or not sorts, plan
    db.close()


def _may_scan(step: str) -> bool:
    """Values that were handed in, and what an inner statement gave."""
    return any(
        word in step for word in ("VIRTUAL TABLE", "(subquery", "CONSTANT ROW", "SCAN present", "SCAN d", "SCAN r")
    )


class _Anything(dict[str, object]):
    """A value for whatever name a statement asks for."""

    def __missing__(self, name: str) -> object:
        return rows_value([1]) if name == "rows" else None


def test_words_become_patterns_that_stand_for_themselves() -> None:
    values = word_values("100% A_b wow!")
    assert values == {"word": "%100!%%", "second_word": "%wow!!%", "more_words": '["%a!_b%"]', "forms": None}
    assert set(word_values(None).values()) == set(word_values("  ").values()) == {None}
