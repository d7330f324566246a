"""Every command explains itself: help, an example that is true, `--json`; and listing them imports next to nothing."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from tests.cli.conftest import Shell
from whatsync.cli.app import COMMANDS, app

LANGUAGE = {"serve", "bench"}
"""Commands whose output is not an answer that could be JSON."""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that can be called, by the words one types."""
    root: Any = typer.main.get_command(app)
    for entry in COMMANDS:
        found = root.get_command(None, entry.name)
        below = getattr(found, "commands", None)
        if below is None:
            yield entry.name, found
        else:
            yield from ((f"{entry.name} {name}", command) for name, command in below.items())


ALL = dict(commands())


def options_of(command: Any) -> set[str]:
    return {word for parameter in command.params for word in getattr(parameter, "opts", [])}


@pytest.mark.parametrize("words", ALL)
def test_help_has_a_sentence_and_an_example(words: str) -> None:
    shown = Shell()(*words.split(), "--help").out
    assert f"  whatsync {words}" in shown or f"Example: whatsync {words}" in shown or f" whatsync {words} " in shown
    assert ALL[words].help.strip().split("\n")[0].endswith((".", "?"))


@pytest.mark.parametrize("words", ALL)
def test_examples_are_calls_that_are_understood(words: str) -> None:
    for line in ALL[words].epilog.splitlines():
        example = line.strip().removeprefix("Example: ")
        if "whatsync" not in example:
            continue
        typed = shlex.split(example[example.index("whatsync ") :])[1 + len(words.split()) :]
        with ALL[words].make_context(words, typed) as context:
            assert context.command is ALL[words]


@pytest.mark.parametrize("words", [words for words in ALL if words not in LANGUAGE])
def test_every_command_speaks_json(words: str) -> None:
    assert "--json" in options_of(ALL[words])


def test_the_list_of_commands_is_quick() -> None:
    code = """
import sys
from whatsync.cli.app import app
try:
    app(["--help"])
except SystemExit:
    pass
heavy = {"httpx", "rich", "msgspec", "apsw", "starlette", "asyncio", "cryptography"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for entry in COMMANDS:
        assert entry.summary in " ".join(done.stdout.split())


def test_wrong_use_exits_with_2() -> None:
    shell = Shell()
    assert "No such command" in shell("nonsense", code=2).err
    assert "No such option" in shell("demo", "--nonsense", code=2).err
    assert "Missing" in shell("endpoints", "get", code=2).err


def test_the_version_is_told() -> None:
    assert Shell()("--version").out.startswith("whatsync ")


def test_a_noun_shows_whole_sentences_and_a_mistyped_command_the_near_one() -> None:
    shell = Shell({"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert "..." not in shell("endpoints", "--help").out.partition("Commands:")[2]
    assert "Did you mean 'endpoints'?" in shell("endpont", code=2).err
    assert "Did you mean 'create'" in shell("endpoints", "crete", code=2).err
