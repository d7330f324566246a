"""No statement of the writing side walks a whole table or sorts one: each is planned by SQLite and looked at."""

import re
from pathlib import Path

import pytest

from tests.store.sqlite.conftest import SqlitePlace
from whatsync.store import sqlite
from whatsync.store.sqlite.statements import statements

FILES = (
    "accept", "arrivals", "claim", "documents", "fold", "lookup", "media", "opening", "order", "record", "retention",
    "rollup", "session", "settle", "words",
)  # fmt: skip
SMALL = frozenset({"document", "mark", "account_version", "rollup_pending", "committed", "health", "found", "walk"})
"""Tables that are small by nature, and steps of recursion."""
FIRST_ROW_ONLY = frozenset({"oldest_event", "oldest_key"})
COUNTS_AT_START = frozenset({"count_open"})
SORTS_ONE_FOLD = re.compile("^(fold_.*|add_hours)$")
MANY = re.compile(r"\{(.*?)\}", re.DOTALL)


def named(file: str) -> list[tuple[str, str]]:
    return [(name, MANY.sub(r"\1, \1", statements(f"{file}.sql")[name])) for name in statements(f"{file}.sql").names()]


@pytest.mark.parametrize("file", FILES)
async def test_every_statement_is_a_search(place: SqlitePlace, file: str) -> None:
    db = place.sqlite._running().session.db
    for name, text in named(file):
        numbered = [int(number) for number in re.findall(r"\?(\d+)", text)]
        values = (1,) * (max(numbered) if numbered else text.count("?"))
        for row in db.execute("EXPLAIN QUERY PLAN " + text, values).fetchall():
            step = str(row[3])
            scanned = re.match(r"SCAN (\w+)(?! ROW)", step)
            if scanned and "VALUES CLAUSE" not in step and "CONSTANT ROW" not in step:
                assert scanned.group(1) in SMALL or name in FIRST_ROW_ONLY | COUNTS_AT_START, f"{name}: {step}"
            if "TEMP B-TREE" in step:
                assert SORTS_ONE_FOLD.match(name), f"{name}: {step}"


def test_every_file_is_looked_at() -> None:
    folder = Path(sqlite.__file__).parent / "queries"
    assert {path.stem for path in folder.glob("*.sql")} - {"history"} == set(FILES)
