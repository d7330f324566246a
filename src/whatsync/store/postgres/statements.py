"""The statements of the ``.sql`` files by name, their named values turned into PostgreSQL's numbered ones.

Knows no table. ``:name`` is a value, ``<name>`` the text of another statement of the same file.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_VALUE = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)\b")
_FRAGMENT = re.compile(r"<(\w+)>")


class Statement(msgspec.Struct, frozen=True):
    """One statement and the names of its values in order."""

    text: str
    names: tuple[str, ...]

    def values(self, given: dict[str, Any]) -> Sequence[Any]:
        """The values in order. Raises KeyError where one is missing."""
        return [given[name] for name in self.names]


class Statements:
    """All statements of one file."""

    def __init__(self, file: str) -> None:
        text = files(__package__).joinpath("queries", file).read_text("utf-8")
        parts = _NAME.split(text)[1:]
        self._texts = {
            name: "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
            for name, body in zip(parts[::2], parts[1::2], strict=True)
        }
        self._known: dict[tuple[str, bool], Statement] = {}

    def __getitem__(self, name: str) -> Statement:
        """A statement as it is written."""
        return self.directed(name, ascending=False)

    def directed(self, name: str, ascending: bool) -> Statement:
        """A statement as it is written (downwards), or the same upwards."""
        known = self._known.get((name, ascending))
        if known is None:
            text = self._filled(self._texts[name])
            if ascending:
                text = text.replace(" DESC", " ASC")
            known = self._known[name, ascending] = numbered(text)
        return known

    def names(self) -> tuple[str, ...]:
        """The names of all of them."""
        return tuple(self._texts)

    def _filled(self, text: str) -> str:
        while _FRAGMENT.search(text):
            text = _FRAGMENT.sub(lambda found: self._texts[found[1]], text)
        return text


def numbered(text: str) -> Statement:
    """Number the named values of a text; a name that stands twice has one number."""
    names: dict[str, int] = {}
    text = _VALUE.sub(lambda found: f"${names.setdefault(found[1], len(names) + 1)}", text)
    return Statement(text, tuple(names))


@cache
def statements(file: str) -> Statements:
    """Read one file of statements, once."""
    return Statements(file)
