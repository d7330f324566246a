"""Sources and numbers from the command line, tried with samples as Meta would send them."""

from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from whatsync.cli.client import Client

KINDS = ("text", "image", "voice", "location", "button", "reaction", "sent", "delivered", "read", "failed")


@pytest.fixture
def everyone(shell: Shell, operator: Client) -> Shell:
    """The operator's commands."""
    return Shell({**shell.environment, "WHATSYNC_API_KEY": operator.access.key})


def made(everyone: Shell, folder: Path, account: str | None) -> str:
    """A source whose numbers go to an account."""
    secret = folder / "secret.txt"
    secret.write_text("0123456789abcdef0123456789abcdef\n")
    words = ["create", "Our app", "--app-secret-file", str(secret), "--json"]
    words += [] if account is None else ["--account", account]
    return str(everyone("sources", *words).json["id"])


def own_id(shell: Shell) -> str:
    return str(shell("accounts", "get", "--json").json["id"])


def test_a_source_from_making_to_deleting(shell: Shell, everyone: Shell, tmp_path: Path) -> None:
    number, account = "299900000000001", own_id(shell)
    source = made(everyone, tmp_path, account)
    assert source in everyone("sources", "list").out
    assert "verifyToken" in everyone("sources", "get", source).out
    assert everyone("sources", "update", source, "--name", "Renamed", "--json").json["name"] == "Renamed"
    assert "say what to change" in everyone("sources", "update", source, code=2).err
    everyone("numbers", "add", number, "--source", source, "--owner", account, "--name", "Support")
    assert "Support" in shell("numbers", "list").out
    assert shell("numbers", "get", number, "--json").json["account"] == account
    assert "numbers come through" in everyone("sources", "delete", source, "--yes", code=1).err
    assert everyone("numbers", "assign", number, "none", "--json").json["account"] is None
    assert number in everyone("numbers", "list", "--unassigned").out
    assert number not in shell("numbers", "list").out
    assert "forgotten" in everyone("numbers", "delete", number, "--yes").out
    assert "deleted" in everyone("sources", "delete", source, "--yes").out
    assert "operator" in shell("sources", "list", code=1).err


def test_samples_become_events(shell: Shell, everyone: Shell, tmp_path: Path) -> None:
    number, account = "299900000000002", own_id(shell)
    source = made(everyone, tmp_path, account)
    everyone("numbers", "add", number, "--source", source, "--owner", account)
    for kind in KINDS:
        words = ("sample", source, "--number", number, "--kind", kind, "--yes", "--json")
        answer = everyone("sources", *words).json
        assert answer["events"] >= 1, kind
        assert answer["setAside"] == 0, kind
    batch = everyone("sources", "sample", source, "--number", number, "--count", "50", "--yes", "--json").json
    assert (batch["events"], len(batch["wamids"])) == (50, 50)
    story = shell("messages", "get", batch["wamids"][7], "--json").json
    assert (story["direction"], story["text"]) == ("incoming", "Hello! This is a sample.")
    assert len(shell("events", "list", "--event", "whatsapp.reaction", "--json").json["items"]) == 1


def test_a_sample_for_a_new_number_says_what_follows(shell: Shell, everyone: Shell, tmp_path: Path) -> None:
    account = own_id(shell)
    source = made(everyone, tmp_path, account)
    told = everyone("sources", "sample", source, "--number", "299900000000071", "--yes")
    assert f"becomes {account}'s" in told.err
    nobodys = made(everyone, tmp_path, None)
    told = everyone("sources", "sample", nobodys, "--number", "299900000000072", "--yes")
    assert "whatsync numbers assign 299900000000072" in told.err


def test_trigger_goes_through_a_source_as_metas_own_bodies_do(shell: Shell, everyone: Shell, tmp_path: Path) -> None:
    number, account = "299900000000004", own_id(shell)
    source = made(everyone, tmp_path, account)
    everyone("numbers", "add", number, "--source", source, "--owner", account)
    words = ("--source", source, "--number", number, "--yes")
    sent = everyone("trigger", "message.incoming", "text=Through Meta", "from=+15550190000", *words, "--json").json
    story = shell("messages", "get", sent["eventIds"][0], "--json").json
    assert (story["text"], story["contact"]) == ("Through Meta", "+15550190000")
    assert "came through" in everyone("trigger", "message.status", "status=failed", *words).out
    assert "kind" in everyone("trigger", "contact.update", *words, code=2).err
    assert "--number" in everyone("trigger", "message.incoming", "--source", source, "--yes", code=2).err


def test_what_is_set_aside_is_listed_and_processed(shell: Shell, everyone: Shell, tmp_path: Path) -> None:
    number = "299900000000003"
    source = made(everyone, tmp_path, None)
    everyone("sources", "sample", source, "--number", number, "--yes")
    assert "unassigned" in everyone("sources", "set-aside", source).out
    everyone("numbers", "assign", number, own_id(shell))
    assert everyone("sources", "set-aside", source, "--process", "--json").json["setAside"] == 0
    assert shell("events", "list", "--event", "message.incoming", "--json").json["items"]


def test_a_time_is_processed_again_as_a_job(shell: Shell, everyone: Shell, tmp_path: Path) -> None:
    number, account = "299900000000005", own_id(shell)
    source = made(everyone, tmp_path, account)
    everyone("sources", "sample", source, "--number", number, "--yes")
    job = everyone("sources", "process", source, "--since", "1h", "--wait", "--json").json
    assert (job["kind"], job["state"], job["examined"], job["done"]) == ("reprocess", "done", 1, 0)
    assert job["parameters"]["source"] == source
    assert job["id"] in shell("jobs", "list", "--json").out
    assert "--since" in everyone("sources", "process", source, code=2).err
    other = made(everyone, tmp_path, None)
    assert "account" in everyone("sources", "process", other, "--since", "1h", code=2).err


def test_a_secret_file_that_is_not_there(everyone: Shell, tmp_path: Path) -> None:
    words = ("create", "x", "--app-secret-file", str(tmp_path / "no"))
    assert "can't be read" in everyone("sources", *words, code=2).err
