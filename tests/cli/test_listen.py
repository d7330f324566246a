"""`whatsync listen` against a real server and a receiver: the same bytes, signed, in order, through restarts."""

import json
import queue
import signal
import stat
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.cli.conftest import SECONDS, Shell
from tests.cli.terminal import Terminal
from whatsync.cli.child_server import ChildServer
from whatsync.cli.client import Client
from whatsync.cli.forwarder import body_of
from whatsync.cli.listen_secret import kept_secret
from whatsync.cli.receiver import Received, Receiver
from whatsync.model.javascript import parse
from whatsync.net.system import SystemClock, SystemRandomness


class Listening:
    """A running `whatsync listen --json`: its lines as they come."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self.process = shell.start("listen", "--json", *words)
        self.lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def until(self, what: str) -> dict[str, Any]:
        """The next line of this kind."""
        while True:
            line = self.lines.get(timeout=SECONDS)
            assert line is not None, self.process.stderr and self.process.stderr.read()
            if line["what"] == what:
                return line

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@pytest.fixture
def listening(shell: Shell, receiver: Receiver) -> Iterator[Any]:
    """Start `listen` at the receiver, which learns the secret that is shown."""
    started: list[Listening] = []

    def start(*words: str) -> Listening:
        one = Listening(shell, "--forward-to", receiver.url + "/hook", *words)
        started.append(one)
        receiver.secret = one.until("began")["secret"]
        return one

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def send(api: Client, event: str = "message.incoming", **data: object) -> str:
    filled: dict[str, dict[str, object]] = {
        "message.incoming": {"from": "+1", "to": "+2", "text": "Hello", "media": None},
        "message.status": {"messageId": "msg_1", "status": "read"},
    }
    accepted = api.post("/v1/events", {"event": event, "data": {**filled[event], **data}})
    return str(accepted["id"])


def arrival(receiver: Receiver) -> Received:
    received = receiver.arrivals.get(timeout=SECONDS)
    assert received.verified
    return received


def test_a_copy_is_what_an_endpoint_gets(api: Client, listening: Any, receiver: Receiver) -> None:
    """The same body to the byte and the same headers, as sent to a real endpoint."""
    one = listening()
    one.until("connected")
    real = Receiver(lambda path, event_id, before: 200, lambda: SystemClock().now_ms() // 1000)
    real.secret = api.get("/v1/account/secret")["secret"]
    api.post("/v1/endpoints", {"url": real.url + "/hook", "events": ["*"]})
    event = send(api, text='Grüße 👋 "quoted" \u2028 </script>')
    copy, original = arrival(receiver), arrival(real)
    real.close()
    assert copy.body == original.body
    changing = {"host", "x-whatssync-delivery", "x-whatssync-signature", "x-whatsync-signature"}
    changing |= {"webhook-timestamp", "webhook-signature"}
    assert {name: value for name, value in copy.headers.items() if name not in changing} == {
        name: value for name, value in original.headers.items() if name not in changing
    }
    assert copy.headers.keys() == original.headers.keys()
    Webhook(receiver.secret).verify(copy.body, copy.headers)
    line = one.until("sent")
    assert (line["event"], line["id"], line["status"], line["code"]) == ("message.incoming", event, 200, None)
    assert line["durationMs"] > 0
    assert one.end() == 0


def test_only_what_was_asked_for(api: Client, listening: Any, receiver: Receiver) -> None:
    listening("--event", "message.status", "--count", "2").until("connected")
    send(api)
    first = send(api, "message.status", status="sent")
    send(api)
    second = send(api, "message.status", status="read")
    assert [arrival(receiver).headers["webhook-id"] for _ in range(2)] == [first, second]


def test_since_and_then_live_without_a_gap_or_a_repeat(api: Client, listening: Any, receiver: Receiver) -> None:
    past = [send(api, text=str(n)) for n in range(3)]
    one = listening("--since", "1h", "--count", "5")
    assert [arrival(receiver).headers["webhook-id"] for _ in past] == past
    one.until("connected")
    live = [send(api, text=str(n)) for n in range(2)]
    assert [arrival(receiver).headers["webhook-id"] for _ in live] == live
    assert one.process.wait(SECONDS) == 0


def test_replay(api: Client, shell: Shell, listening: Any, receiver: Receiver) -> None:
    event = send(api)
    one = listening("--replay", event, "--count", "1")
    assert arrival(receiver).headers["webhook-id"] == event
    assert one.process.wait(SECONDS) == 0
    words = ("--forward-to", receiver.url, "--replay", "msg_unknown")
    assert "no event" in shell("listen", *words, code=1).err


def test_a_program_that_is_not_there_is_told_of_and_does_no_harm(api: Client, shell: Shell) -> None:
    one = Listening(shell, "--forward-to", "http://127.0.0.1:9/hook", "--count", "1")
    one.until("connected")
    send(api)
    line = one.until("sent")
    assert (line["status"], line["code"]) == (None, "connection_refused")
    assert "Start the receiver" in line["sentence"]
    assert one.process.wait(SECONDS) == 0


def test_plain_lines_without_a_terminal(api: Client, shell: Shell, receiver: Receiver) -> None:
    event = send(api)
    process = shell.start("listen", "--forward-to", receiver.url, "--since", "1h", "--count", "1")
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert "Signing secret: whsec_" in out
    line = next(line for line in out.splitlines() if event in line)
    assert "message.incoming" in line
    assert "401 Unauthorized" in line
    assert "not signed with the account's" in out
    assert " ms" in line
    assert "\x1b" not in out


def test_it_comes_back_after_a_restart_and_misses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """The server's address and token change; what is accepted while nobody listens is sent afterwards."""
    with ChildServer({"MIN_FREE_DISK": "1MB"}, tmp_path) as server:
        shell = Shell({"WHATSYNC_DATA_DIR": str(server.data_dir), "XDG_CONFIG_HOME": str(tmp_path / "settings")})
        one = Listening(shell, "--forward-to", receiver.url)
        receiver.secret = one.until("began")["secret"]
        one.until("connected")
        assert server.stop() == 0
        assert one.until("lost")["nextTrySeconds"] <= 15
        server.start()
        event = send(Client(server.access))
        one.until("connected")
        assert arrival(receiver).headers["webhook-id"] == event
        assert one.end(signal.SIGINT) == 0


def test_a_key_that_is_refused_ends_it(shell: Shell, receiver: Receiver) -> None:
    wrong = Shell({**shell.environment, "WHATSYNC_API_KEY": "wsk_" + "x" * 43})
    process = wrong.start("listen", "--forward-to", receiver.url)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "WHATSYNC_API_KEY" in err


def test_no_server_and_bad_targets(shell: Shell, bare: Shell) -> None:
    assert "whatsync serve" in bare("listen", "--forward-to", "3000", code=1).err
    assert "--forward-to" in shell("listen", "--forward-to", "ftp://x", code=2).err
    assert "--since" in shell("listen", "--forward-to", "3000", "--since", "x", code=2).err


def test_the_secret_stays_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret"
    first = kept_secret(SystemRandomness(), path)
    assert kept_secret(SystemRandomness(), path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("nonsense")
    assert kept_secret(SystemRandomness(), path) not in (first, "nonsense")


def test_details_stand_last_in_data() -> None:
    event = {"event": "e", "id": "i", "timestamp": "t", "data": {"a": 1e21}, "details": {"number": "1"}}
    assert body_of(event, with_details=True).endswith(b'"data":{"a":1e+21,"details":{"number":"1"}}}')
    assert parse(body_of(event, with_details=False)) == {"event": "e", "id": "i", "timestamp": "t", "data": {"a": 1e21}}


def test_keys_on_a_terminal(api: Client, shell: Shell, receiver: Receiver) -> None:
    terminal = Terminal(shell, "listen", "--forward-to", receiver.url)
    try:
        terminal.until("listening to")
        terminal.press("r")
        terminal.until("Nothing was sent yet")
        receiver.secret = "whsec_" + terminal.seen.split("whsec_")[1][:32]
        event = send(api)
        terminal.until(event)
        terminal.until("200 OK")
        first = arrival(receiver)
        terminal.press("r")
        terminal.until("\x1b[36magain")
        again = arrival(receiver)
        assert again.body == first.body
        assert again.headers["x-whatssync-delivery"] != first.headers["x-whatssync-delivery"]
        terminal.press("q")
        terminal.until("2 sent well, 0 failed")
        assert terminal.process.wait(SECONDS) == 0
        assert termios.tcgetattr(terminal.theirs) == terminal.before
    finally:
        terminal.close()


def test_one_slow_copy_is_waited_for_not_overtaken(api: Client, listening: Any, receiver: Receiver) -> None:
    """Copies keep their order even where the program takes its time over one."""
    held = threading.Event()
    judged: list[str] = []

    def judge(path: str, event_id: str, before: int) -> int:
        if not judged:
            held.wait(SECONDS)
        judged.append(event_id)
        return 200

    receiver._judge = judge
    listening().until("connected")
    sent = [send(api, text=str(n)) for n in range(3)]
    held.set()
    assert [arrival(receiver).headers["webhook-id"] for _ in sent] == sent == judged
