"""Log lines: form, level, redaction, and that nothing personal reaches them from the hot path."""

import asyncio
import json
import logging

import pytest
import structlog

from whatsync.logs import Lines, redact, set_up

NOW_MS = 1_686_838_953_123


def lines(style: str = "json", level: str = "info") -> tuple[Lines, list[bytes]]:
    out: list[bytes] = []
    return set_up(out.append, lambda: NOW_MS, style, level), out


@pytest.mark.usefixtures("root")
def test_a_json_line_has_time_level_event_and_fields() -> None:
    log, out = lines()
    log.line("info", "attempt", {"status": 200, "code": None})
    expected = {"time": "2023-06-15T14:22:33.123Z", "level": "info", "event": "attempt", "status": 200, "code": None}
    assert json.loads(out[0]) == expected
    assert out[0].endswith(b"\n")


@pytest.mark.usefixtures("root")
def test_a_console_line_is_for_people() -> None:
    log, out = lines("console")
    log.line("warning", "attempt", {"status": 500, "code": None})
    assert out == [b"2023-06-15T14:22:33.123Z warning attempt  status=500\n"]
    log.line("error", "odd", {"reason": "two words", "test": True, "exception": "Traceback:\n  line"})
    assert (
        out[1] == b"2023-06-15T14:22:33.123Z error   odd  reason='two words' test=yes exception=\nTraceback:\n  line\n"
    )


@pytest.mark.usefixtures("root")
def test_lines_below_the_level_are_not_written() -> None:
    log, out = lines(level="warning")
    log.line("info", "attempt", {})
    logging.getLogger("whatsync.x").info("no")
    structlog.get_logger().info("no")
    assert out == []


@pytest.mark.usefixtures("root")
async def test_lines_of_one_turn_of_the_loop_are_written_together() -> None:
    log, out = lines()
    for number in range(3):
        log.line("info", "attempt", {"number": number})
    assert out == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(out) == 1
    assert out[0].count(b"\n") == 3


@pytest.mark.usefixtures("root")
def test_what_libraries_log_goes_the_same_way_with_secrets_blotted_out() -> None:
    _, out = lines()
    logging.getLogger("library").warning("key %s of +4915112345678", "wsk_abcdefghij")
    structlog.get_logger().error("odd", url="https://u:pw@example.com/x?token=1")
    try:
        raise ValueError("whsec_topsecret")
    except ValueError:
        logging.getLogger("library").exception("died")
    text = b"".join(out).decode()
    for secret in ("abcdefghij", "4915112345678", "token=1", "u:pw", "topsecret"):
        assert secret not in text
    assert "Traceback" in text
    assert [json.loads(line)["level"] for line in text.splitlines()] == ["warning", "error", "error"]


@pytest.mark.parametrize(
    ("text", "blotted"),
    [
        ("Bearer wsk_AbC-123_x", "Bearer wsk_…"),
        ("secret whsec_MfKQ9r+/=", "secret whsec_…"),
        ("event msg_abc and status_1, wamid.HBgM=", "event msg_… and status_…, wamid.…"),
        ("from +4915112345678 to 15550001111", "from … to …"),
        ("https://example.com/hook?token=s3cret#x end", "https://example.com/hook?… end"),
        ("postgresql://user:pass@db/x", "postgresql://…@db/x"),
        ("delivery dlv_38ga9bgoc0100 of ep_abc took 1234 ms", "delivery dlv_38ga9bgoc0100 of ep_abc took 1234 ms"),
        ("2023-06-15T14:22:33.123Z at 127.0.0.1:8600", "2023-06-15T14:22:33.123Z at 127.0.0.1:8600"),
    ],
)
def test_redaction(text: str, blotted: str) -> None:
    assert redact(text) == blotted
