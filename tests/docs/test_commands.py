"""docs/commands.md describes exactly the commands there are, and no page shows one that isn't."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer

from tests.docs.pages import all_pages, difference, entries, page
from whatsync.cli.app import app

SHELL_BLOCK = re.compile(r"^```(?:sh|bash|console|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WORD = re.compile(r"[a-z][a-z-]*")


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the words one types after ``whatsync``."""
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    for name in command.list_commands(None):
        child = command.get_command(None, name)
        if not child.hidden:
            yield from leaves(child, f"{path} {name}".strip())


def commands() -> dict[str, Any]:
    return dict(leaves(typer.main.get_command(app)))


def test_the_page_describes_exactly_the_commands() -> None:
    described = {name.removeprefix("whatsync ") for name in entries(page("commands.md"), r"whatsync [a-z][a-z -]*")}
    found = difference(described, set(commands()))
    assert not found, found


def test_each_command_explains_itself_with_an_example() -> None:
    silent = []
    for name, command in commands().items():
        explanation = f"{command.help or ''}\n{command.epilog or ''}"
        if f"whatsync {name}" not in explanation:
            silent.append(name)
    assert not silent, f"without an example in --help: {', '.join(silent)}"


def test_no_page_shows_a_command_that_is_not_there() -> None:
    known = set(commands())
    known |= {name.rpartition(" ")[0] for name in known}
    unknown = []
    for path, text in all_pages().items():
        for block in SHELL_BLOCK.findall(text):
            for line in re.findall(r"^\s*(?:\$ )?(?:\.venv/bin/)?whatsync (.*)$", block, re.MULTILINE):
                words = shlex.split(line, comments=True)
                typed = [word for word in words[:2] if WORD.fullmatch(word)]
                if typed and " ".join(typed) not in known and typed[0] not in known:
                    unknown.append(f"{path}: whatsync {line}")
    assert not unknown, "\n".join(unknown)
