"""How commands print: the API's answer as JSON, or tables that are calm on a terminal and plain in a pipe.

What comes from outside is shown without control characters, so that no message can write to the terminal.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whatsync.cli.hints import as_commands

_PIPE_COLUMNS = 10_000
_STYLES = {
    "succeeded": "green",
    "delivered": "green",
    "done": "green",
    "enabled": "green",
    "ok": "green",
    "failed": "red",
    "disabled": "red",
    "problem": "red",
    "retrying": "yellow",
    "held": "yellow",
    "warning": "yellow",
    "failing": "yellow",
    "pending": "cyan",
    "running": "cyan",
    "cancelled": "dim",
    "revoked": "dim",
}
Json = Any
_SCHEDULE = "retrySchedule"
_SENTENCES = ("sentence", "nextStep", "detail")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its title and how its value is found in an item."""

    title: str
    value: str | Callable[[Mapping[str, Json]], object]
    """A path such as ``lastAttempt.status``, or a function of the item."""
    right: bool = False

    def of(self, item: Mapping[str, Json]) -> object:
        """The value of one item, None where it has none."""
        return look_up(item, self.value) if isinstance(self.value, str) else self.value(item)


def look_up(item: Json, path: str) -> Json:
    """Follow a dotted path into JSON, None where it leads nowhere."""
    for part in path.split("."):
        if not isinstance(item, Mapping):
            return None
        item = item.get(part)
    return item


def console(error: bool = False) -> Console:
    """A console of this run's output: as wide as the terminal, or without breaks in a pipe."""
    stream = sys.stderr if error else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _PIPE_COLUMNS, highlight=False, emoji=False)


def clean(value: object) -> str:
    """Write a value for people; whatever could steer a terminal becomes a visible mark."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(part, str | int | float) for part in value):
        value = ", ".join(str(part) for part in value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def styled(value: object) -> Text:
    """A value as Rich text, in the colour of its state where it is one."""
    text = clean(value)
    return Text(text, _STYLES.get(text, ""))


def moment(value: object) -> str:
    """Shorten the API's time for a table."""
    return str(value)[:19].replace("T", " ") if value else ""


def show_json(value: Json) -> None:
    """Print the API's answer as it came, indented on a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    separators = None if indent else (",", ":")
    print(json.dumps(value, ensure_ascii=False, indent=indent, separators=separators))


def show_table(columns: Sequence[Column], items: Iterable[Mapping[str, Json]], empty: str) -> None:
    """Print items as a table, or ``empty`` where there are none. Columns without any value are left out."""
    rows = [[column.of(item) for column in columns] for item in items]
    if not rows:
        if empty:
            remark(empty)
        return
    used = [at for at in range(len(columns)) if any(row[at] not in (None, "", []) for row in rows)]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for at in used:
        table.add_column(columns[at].title, justify="right" if columns[at].right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(styled(row[at]) for at in used))
    _print(table)


def show_fields(item: Mapping[str, Json], first: Sequence[str] = ()) -> None:
    """Print one thing, a field a line: those named in ``first``, then the rest; empty ones are left out.

    A field of an object inside is named by its path.
    """
    item = _flat(item)
    names = [name for name in first if name in item] + [name for name in item if name not in first]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name in names:
        if name.endswith(_SCHEDULE) or item[name] not in (None, [], {}, ""):
            value = _waits(item[name]) if name.endswith(_SCHEDULE) else item[name]
            if value is None:
                continue
            table.add_row(name, styled(as_commands(value) if name.endswith(_SENTENCES) else value))
    _print(table)


def _waits(seconds: Json) -> Json:
    """A retry schedule as it is typed: 5s, 30s, 2m."""
    if not isinstance(seconds, list) or not all(isinstance(one, int | float) for one in seconds):
        return seconds
    return ", ".join(_wait(one) for one in seconds) or "none: one try"


def _wait(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _flat(item: Mapping[str, Json], above: str = "") -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in item.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{above}{name}.")
        else:
            found[above + name] = value
    return found


def show_one(item: Mapping[str, Json], as_json: bool, first: Sequence[str] = ()) -> None:
    """Print one thing as JSON or as fields."""
    if as_json:
        show_json(item)
    else:
        show_fields(item, first)


def say(text: str, style: str = "") -> None:
    """Print a sentence; nothing in it is markup."""
    _print(Text(text, style))


def show_done(answer: Json, as_json: bool, sentence: str) -> None:
    """Print what was done: the API's answer as JSON, or a sentence."""
    if as_json:
        show_json(answer)
    else:
        say(sentence)


def as_typed() -> str:
    """How this command is called from here: by its name where that is on the PATH, else as it was typed."""
    typed = Path(sys.argv[0])
    return str(typed) if typed.name == "whatsync" and shutil.which("whatsync") is None else "whatsync"


def remark(text: str) -> None:
    """Print something beside the result, on standard error."""
    console(error=True).print(Text(text, "dim"))


def _print(renderable: Table | Text) -> None:
    screen = console()
    if screen.is_terminal:
        screen.print(renderable)
        return
    with screen.capture() as captured:
        screen.print(renderable)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
