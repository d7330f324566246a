"""`whatsync demo` as a person runs it: to its end, or stopped in the middle; it leaves nothing behind."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SECONDS, Shell
from whatsync.cli.child_server import ChildServer
from whatsync.cli.failure import Failure
from whatsync.cli.output import as_typed
from whatsync.cli.receiver import document_check, standard_check
from whatsync.model.catalogue import DOCUMENTED


@pytest.fixture
def away(tmp_path: Path) -> Shell:
    """A shell whose temporary files, so all that the demo makes, lie in one folder; with wrong settings around it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return Shell({"TMPDIR": str(folder), "WHATSYNC_URL": "http://127.0.0.1:9", "WHATSYNC_DATA_DIR": "/nowhere"})


def left_behind(away: Shell) -> list[Path]:
    return list(Path(away.environment["TMPDIR"]).iterdir())


@pytest.mark.slow
def test_the_whole_demo(away: Shell) -> None:
    process = away.start("demo", "--json")
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    steps: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    received = [step for step in steps if step["step"] == "received"]
    assert all(step["signature"] and step["standardWebhooks"] for step in received)
    assert [step["body"]["event"] for step in received[:4]] == list(DOCUMENTED)
    shaky = [step for step in received if step["path"].endswith("/shaky")]
    assert [step["answered"] for step in shaky] == [503, 503, 200]
    assert [step["headers"]["x-whatssync-attempt"] for step in shaky] == ["1", "2", "3"]
    history = next(step for step in steps if step["step"] == "history")["deliveries"]
    posted = [step for step in steps if step["step"] == "posted"]
    assert [step["body"]["object"] for step in posted] == ["whatsapp_business_account"] * 2
    of_source = [step["body"] for step in received if step["path"] == "/webhooks"][5:]
    assert sorted(body["event"] for body in of_source) == ["contact.update", "message.incoming", "message.status"]
    assert "💙" in next(body for body in of_source if body["event"] == "message.incoming")["data"]["text"]
    assert sorted(delivery["attempts"] for delivery in history) == [*[1] * 9, 3]
    assert {delivery["state"] for delivery in history} == {"succeeded"}
    assert steps[-1]["step"] == "ended"
    assert left_behind(away) == []


def test_it_can_be_read_and_says_where_to_look_next(away: Shell) -> None:
    process = away.start("demo", "--fast")
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert out.count("✓ signature ✓ Standard Webhooks") == 11
    assert "✗" not in out
    for words in (*DOCUMENTED, "answered 503", "whatsync serve", "whatsync trigger", "whatsync listen"):
        assert words in out
    assert "\x1b" not in out


@pytest.mark.slow
@pytest.mark.parametrize(("words", "number"), [((), signal.SIGINT), (("--stay",), signal.SIGINT), ((), signal.SIGTERM)])
def test_it_can_be_stopped_at_any_time_and_cleans_up(away: Shell, words: tuple[str, ...], number: int) -> None:
    process = away.start("demo", "--json", *words)
    assert process.stdout is not None
    wanted = "staying" if words else "accepted"
    for line in process.stdout:
        if json.loads(line)["step"] == wanted:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["step"] == "ended"
    assert left_behind(away) == []


def test_a_server_that_does_not_start_is_told_of(tmp_path: Path) -> None:
    server = ChildServer({"NONSENSE": "1"}, tmp_path)
    with pytest.raises(Failure, match="WHATSYNC_NONSENSE"):
        server.__enter__()
    assert server.process is not None
    assert server.process.poll() == 2


def test_the_receivers_checks_can_fail() -> None:
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    example = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert standard_check(example, body, secret, 1614265330)
    assert not standard_check(example, body, secret, 1614265330 + 301)
    assert not standard_check(example, body + b" ", secret, 1614265330)
    assert not standard_check({}, body, secret, 1614265330)
    assert not document_check({}, body, secret)
    assert not document_check({"x-whatsync-signature": "0" * 64}, b"no JSON", secret)


def test_it_names_itself_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/whatsync", "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert as_typed() == ".venv/bin/whatsync"
    monkeypatch.setattr("sys.argv", ["pytest"])
    assert as_typed() == "whatsync"
