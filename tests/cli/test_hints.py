"""Hints of the API come as commands that exist; no sentence of the engine is forgotten."""

import ast
import re
from pathlib import Path

import pytest

import whatsync
from tests.cli.conftest import Shell
from whatsync.cli.hints import as_commands

SOURCE = Path(whatsync.__file__).parent
CALL = re.compile(r"(POST|PATCH|GET|PUT|DELETE) (/v1/|it with|this endpoint)")


def sentences() -> list[str]:
    """Texts of engine and model that name a call, with the values put in that stand open."""
    found = []
    for path in (*SOURCE.glob("engine/*.py"), *SOURCE.glob("model/*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        passed = {
            id(part) for node in ast.walk(tree) if isinstance(node, _WHOLE) for part in ast.iter_child_nodes(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "thing_1" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
                text = node.value
            else:
                continue
            if CALL.search(text):
                found.append(text)
    return found


_WHOLE = (ast.JoinedStr, ast.Expr)
"""What is looked at as a whole, and descriptions in the source."""
HOW = ' {"enabled": true, "held": "send"}'


def test_there_is_something_to_say() -> None:
    assert len(sentences()) >= 8


@pytest.mark.parametrize("sentence", sentences())
def test_every_call_that_is_named_has_its_command(sentence: str) -> None:
    if sentence.endswith("PATCH /v1/endpoints/thing_1 thing_1"):
        sentence = sentence.removesuffix(" thing_1") + f" with{HOW}"
    said = as_commands(sentence)
    assert not CALL.search(said)
    assert "{" not in said.replace("{id}", "")


@pytest.mark.parametrize(
    ("sentence", "command"),
    [
        ("POST /v1/events/msg_1/resend", "whatsync events resend msg_1"),
        (f"PATCH /v1/endpoints/ep_1 with{HOW}", "whatsync endpoints enable ep_1 --held send"),
        ('PATCH /v1/endpoints/ep_1 with {"enabled": true}', "whatsync endpoints enable ep_1"),
        (f"PATCH it with{HOW}.", "whatsync endpoints enable ENDPOINT --held send."),
        ("To try at once: POST /v1/deliveries/dlv_1/retry.", "To try at once: whatsync deliveries retry dlv_1."),
        ("POST /v1/endpoints/{id}/test", "whatsync endpoints test ENDPOINT"),
        (
            "add ?account=acc_… or the header X-WhatsSync-Account",
            "add --account acc_… (`whatsync accounts list` shows them)",
        ),
        ("GET /v1/event-types lists them", "whatsync event-types list shows them"),
    ],
)
def test_the_commands_are_right(sentence: str, command: str) -> None:
    assert as_commands(sentence) == command


def test_they_exist() -> None:
    shell = Shell()
    for words in ("events resend", "endpoints enable", "endpoints test", "deliveries retry", "event-types list"):
        shell(*words.split(), "--help")
    assert "--held" in shell("endpoints", "enable", "--help").out
