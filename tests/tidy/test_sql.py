"""SQL lives in .sql files, where it can be read, searched and planned as SQL."""

import ast
import re
from collections.abc import Iterable, Iterator

from tests.tidy.tree import Module, files, modules, report

STATEMENT = re.compile(
    r"\b(SELECT\b.{0,400}?\bFROM|INSERT\s+(OR\s+\w+\s+)?INTO|REPLACE\s+INTO|DELETE\s+FROM|UPDATE\s+\w+\s+SET"
    r"|CREATE\s+(UNIQUE\s+|TEMP\s+|VIRTUAL\s+)*(TABLE|INDEX|TRIGGER|VIEW)|ALTER\s+TABLE|DROP\s+(TABLE|INDEX))\b",
    re.DOTALL,
)


def literals(tree: Iterable[Module]) -> Iterator[str]:
    """Statements written into Python; documentation may speak of them."""
    for module in tree:
        spoken = module.docstrings()
        strings = (node for node in ast.walk(module.tree) if isinstance(node, ast.Constant))
        for node in strings:
            if id(node) not in spoken and isinstance(node.value, str) and STATEMENT.search(node.value):
                yield f"{module.path}:{node.lineno}: move this statement to a .sql file"


def test_no_statement_stands_in_python() -> None:
    report(literals(modules("src")))


def test_sql_files_lie_in_the_store() -> None:
    outside = [path for path in files("src") if path.suffix == ".sql" and "store" not in path.parts]
    assert outside == []


def test_a_statement_is_found() -> None:
    for text in (
        'x = "SELECT id FROM events"',
        'x = f"INSERT INTO {table} VALUES (?)"',
        'x = "UPDATE deliveries SET state = 1"',
        'x = "CREATE UNIQUE INDEX a ON b(c)"',
    ):
        assert list(literals([Module("src/a.py", text)])), text
    for text in (
        '"""SELECT id FROM events"""',
        'x = "Select one from the list"',
        'x = "PRAGMA synchronous=FULL"',
    ):
        assert not list(literals([Module("src/a.py", text)])), text


def test_migrations_are_numbered_from_one_without_a_gap_or_a_number_twice() -> None:
    for store in ("sqlite", "postgres"):
        found = [path for path in files("src") if path.suffix == ".sql" and path.parts[-3:-1] == (store, "schema")]
        numbers = sorted(int(path.name[:4]) for path in found)
        assert numbers
        assert numbers == list(range(1, len(numbers) + 1))
