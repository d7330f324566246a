"""The statements of the ``.sql`` files by name, and their many-row forms, cut to sizes the statement cache keeps.

Knows no table. A statement with a part in braces, ``VALUES {(?, ?)}``, can be run over many rows at once.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import apsw

SQL_CHARS_CACHED_MAX = 16_000
"""apsw keeps compiled statements up to 16 KiB of text."""
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_REPEATED = re.compile(r"\{(.*?)\}", re.DOTALL)
_PLACE = re.compile(r"\?")


def fetch(db: apsw.Connection, text: str, values: Sequence[Any] = ()) -> list[Any]:
    """Run a statement and return all its rows."""
    return db.execute(text, values).fetchall()


class Many:
    """A statement over many rows. Its texts hold 1, 2, 4, … rows, so that few of them cover every number."""

    def __init__(self, name: str, text: str) -> None:
        found = _REPEATED.search(text)
        assert found is not None, f"{name} repeats nothing"
        self._before, self._row, self._after = text[: found.start()], found.group(1), text[found.end() :]
        self.width = len(_PLACE.findall(self._row))
        self.fixed = len(_PLACE.findall(self._before)) + len(_PLACE.findall(self._after))
        sizes = [1]
        while self._chars(sizes[-1] * 2) <= SQL_CHARS_CACHED_MAX:
            sizes.append(sizes[-1] * 2)
        self._texts = tuple((size, self._text(size)) for size in reversed(sizes))

    def _chars(self, rows: int) -> int:
        return len(self._before) + len(self._after) + rows * (len(self._row) + 1)

    def _text(self, rows: int) -> str:
        return self._before + ",".join([self._row] * rows) + self._after

    def pieces(self, values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
        """Cut flat values into texts and the values that belong to each."""
        at, rows = 0, len(values) // self.width
        for size, text in self._texts:
            while rows >= size:
                end = at + size * self.width
                yield text, values[at:end]
                at, rows = end, rows - size

    def run(self, db: apsw.Connection, values: Sequence[Any]) -> int:
        """Run it over all rows in ``values`` (flat) and return how many rows it changed."""
        changed = 0
        for text, part in self.pieces(values):
            db.execute(text, part)
            changed += db.changes()
        return changed

    def rows(self, db: apsw.Connection, values: Sequence[Any], *fixed: Any) -> list[Any]:
        """Run it over all rows in ``values`` and return the rows it gives; ``fixed`` values stand behind the rows'."""
        found: list[Any] = []
        for text, part in self.pieces(values):
            found.extend(db.execute(text, (*part, *fixed)))
        return found


class Statements:
    """All statements of one file."""

    def __init__(self, file: str) -> None:
        text = files(__package__).joinpath("queries", file).read_text("utf-8")
        parts = _NAME.split(text)[1:]
        self._texts = {
            name: "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
            for name, body in zip(parts[::2], parts[1::2], strict=True)
        }

    def __getitem__(self, name: str) -> str:
        """The text of a statement."""
        return self._texts[name]

    def names(self) -> tuple[str, ...]:
        """The names of all of them."""
        return tuple(self._texts)

    def many(self, name: str) -> Many:
        """A statement over many rows."""
        return Many(name, self._texts[name])


@cache
def statements(file: str) -> Statements:
    """Read one file of statements, once."""
    return Statements(file)
