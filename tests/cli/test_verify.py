"""`whatsync verify` and `whatsync id`: need no server, say what is wrong, need no secret among the arguments."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from whatsync.model.ids import message_id
from whatsync.model.signature import hex_signature, standard_signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"event":"message.incoming","id":"msg_1","timestamp":"2023-06-15T14:22:33Z","data":{"text":"a"}}'


class Capture:
    """A request as somebody has kept it in files."""

    def __init__(self, folder: Path) -> None:
        self.body, self.headers = folder / "body.json", folder / "headers.txt"
        self.pairs = {
            "X-WhatsSync-Signature": hex_signature(SECRET, BODY),
            "webhook-id": "msg_1",
            "webhook-timestamp": "1686838953",
            "webhook-signature": standard_signature(SECRET, "msg_1", 1686838953, BODY),
        }
        self.body.write_bytes(BODY)
        self.headers.write_text("".join(f"{name}: {value}\n" for name, value in self.pairs.items()))
        self.words = ("verify", "--body", str(self.body), "--headers", str(self.headers))


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    return Capture(tmp_path)


def test_right(capture: Capture) -> None:
    shell = Shell({"WEBHOOK_SECRET": SECRET})
    assert shell(*capture.words).out.count("✓") == 2
    assert shell(*capture.words, "--json").json["ok"] is True


def test_the_secret_from_a_file_or_an_option(capture: Capture, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    Shell()(*capture.words, "--secret-file", str(tmp_path / "secret"))
    Shell()(*capture.words, "--secret", SECRET)


def test_no_secret_at_all(capture: Capture) -> None:
    assert "WEBHOOK_SECRET" in Shell()(*capture.words, code=2).err


def test_every_form_of_headers(capture: Capture) -> None:
    shell = Shell({"WEBHOOK_SECRET": SECRET})
    pairs = capture.pairs
    raw = [word for pair in pairs.items() for word in pair]
    forms = [
        json.dumps({name.lower(): value for name, value in pairs.items()}),
        json.dumps({name: [value] for name, value in pairs.items()}),
        json.dumps([list(pair) for pair in pairs.items()]),
        json.dumps(raw),
        "POST /webhook HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in pairs.items()),
        "".join(f"> {name}: {value}\n" for name, value in pairs.items()),
    ]
    for form in forms:
        capture.headers.write_text(form)
        assert shell(*capture.words).out.count("✓") == 2, form


def test_wrong_says_why(capture: Capture) -> None:
    shell = Shell({"WEBHOOK_SECRET": SECRET})
    capture.body.write_bytes(json.dumps(json.loads(BODY), indent=1).encode())
    told = shell(*capture.words, code=1)
    assert "white space" in told.out
    found = json.loads(shell(*capture.words, "--json", code=1).out)
    assert {finding["code"] for finding in found["findings"]} == {"body_rewritten"}


def test_another_secret(capture: Capture) -> None:
    told = Shell({"WEBHOOK_SECRET": "whsec_" + "A" * 32})(*capture.words, code=1)
    assert told.out.count("✗") == 2
    assert "whsec_" not in told.out + told.err


def test_age_only_where_asked_for(capture: Capture) -> None:
    shell = Shell({"WEBHOOK_SECRET": SECRET})
    assert "signed" in shell(*capture.words, "--check-age", code=1).out


def test_files_that_are_not_there(capture: Capture, tmp_path: Path) -> None:
    capture.headers.write_text("\n")
    assert "holds no headers" in Shell({"WEBHOOK_SECRET": SECRET})(*capture.words, code=2).err
    capture.body.unlink()
    capture.headers.write_text("a: b")
    assert "body.json" in Shell({"WEBHOOK_SECRET": SECRET})(*capture.words, code=2).err


def test_the_id_of_a_message() -> None:
    shown = Shell()("id", "106540352242922", "wamid.HBgL")
    assert shown.out == message_id("106540352242922", "wamid.HBgL") + "\n"
    assert Shell()("id", "106540352242922", "wamid.HBgL", "--json").json["messageId"] == shown.out.strip()


def test_the_id_of_something_else() -> None:
    assert "second" in Shell()("id", "wamid.HBgL", "106540352242922", code=2).err
    Shell()("id", "1", " ", code=2)
