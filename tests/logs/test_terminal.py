"""Log lines on a terminal: a sentence each, and nothing that could steer the terminal."""

import re
from typing import Any

import pytest

from whatsync.logs import Lines, Screen, set_up
from whatsync.terminal import line

NOW_MS = 1_686_838_953_123
ATTEMPT: dict[str, Any] = {
    "account": "acc_1", "endpoint": "ep_1", "delivery": "dlv_1", "attempt": 2, "state": "succeeded", "status": 200,
    "code": None, "host": "shop.example", "address": "8.8.8.8", "reused": True, "dnsMicroseconds": None,
    "connectMicroseconds": None, "tlsMicroseconds": None, "firstByteMicroseconds": 11_900, "totalMicroseconds": 12_345,
    "dueMs": 1, "test": False,
}  # fmt: skip
ACCEPTED = {"account": "acc_1", "type": "message.incoming", "deliveries": 2, "repeated": False, "events": 1}
TAKEN = {"source": "src_1", "events": 1, "repeated": 2, "setAside": 0, "requestBytes": 9, "milliseconds": 1.5}
REFUSED = {"request": "req-1", "status": 422, "code": "invalid", "source": None}


def words(event: str, fields: dict[str, Any], level: str = "info") -> str:
    """The line without its time, which is this machine's."""
    text = line(NOW_MS, level, event, fields, colour=False)
    assert re.match(r"\d\d:\d\d:\d\d ", text)
    return text[9:]


@pytest.mark.parametrize(
    ("event", "fields", "told"),
    [
        ("attempt", ATTEMPT, "delivered to shop.example: 200 in 12 ms (dlv_1, attempt 2)"),
        (
            "attempt",
            ATTEMPT | {"state": "retrying", "status": 500, "code": "http_500"},
            "not delivered to shop.example: http_500 in 12 ms; it is tried again (dlv_1, attempt 2)",
        ),
        (
            "attempt",
            ATTEMPT | {"test": True, "state": "failed", "status": None, "code": "timeout"},
            "test not delivered to shop.example: timeout in 12 ms (dlv_1, attempt 2)",
        ),
        ("event accepted", ACCEPTED, "message.incoming accepted, for 2 endpoints"),
        ("event accepted", ACCEPTED | {"deliveries": 0}, "message.incoming accepted, which no endpoint wants"),
        ("event accepted", ACCEPTED | {"repeated": True}, "message.incoming came again and is known already"),
        ("webhook taken in", TAKEN, "webhook taken in: 1 event, 2 known already (src_1)"),
        ("request refused", REFUSED, "request refused: 422 invalid (request req-1)"),
        ("request refused", REFUSED | {"leftOut": 1234}, "(request req-1); 1,234 lines before it were left out"),
        ("anything else", {"logger": "whatsync.x", "size": 5, "none": None}, "anything else (size 5)"),
        ("anything else", {"logger": "whatsync.x"}, "anything else"),
    ],
)
def test_each_line_is_a_sentence(event: str, fields: dict[str, Any], told: str) -> None:
    said = words(event, fields)
    assert said.startswith("info    ")
    assert said.endswith(told)


def test_a_bug_is_told_whole_and_nothing_steers_the_terminal() -> None:
    said = words("died \x1b[2J", {"exception": "Traceback:\n  line"}, "error")
    assert said == "error   died �[2J\nTraceback:\n  line"
    coloured = line(NOW_MS, "error", "died", {}, colour=True)
    assert coloured.endswith("\x1b[31merror   \x1b[0mdied")


def written(style: str, screen: Screen | None) -> str:
    out: list[bytes] = []
    log: Lines = set_up(out.append, lambda: NOW_MS, style, "info", screen)
    log.line("info", "attempt", dict(ATTEMPT))
    return b"".join(out).decode()


@pytest.mark.usefixtures("root")
def test_only_the_console_style_on_a_terminal_is_sentences() -> None:
    assert "delivered to shop.example" in written("console", Screen(colour=False))
    assert "host=shop.example" in written("console", None)
    assert written("json", Screen(colour=True)).startswith('{"time":"2023-06-15T14:22:33.123Z"')
