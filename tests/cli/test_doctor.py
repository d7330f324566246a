"""`whatsync doctor`: says what is wrong and what to do, shows settings but no secrets, asks a server if it lives."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.conftest import Shell
from whatsync.cli.child_server import ChildServer
from whatsync.config import COMMAND_SETTINGS, SETTINGS
from whatsync.store.sqlite import schema


def found(shell: Shell, **settings: str) -> dict[str, dict[str, Any]]:
    """What each check says."""
    looked = Shell({**shell.environment, **{f"WHATSYNC_{name}": value for name, value in settings.items()}})
    document = json.loads(looked("doctor", "--json", code=None).out)
    checks = {check["name"]: check for check in document["checks"]}
    assert document["ok"] == all(check["state"] != "problem" for check in checks.values())
    return checks


def test_a_running_server_is_well(server: ChildServer) -> None:
    shell = Shell({"WHATSYNC_DATA_DIR": str(server.data_dir)})
    shown = shell("doctor")
    assert "alive and ready" in shown.out
    assert "✗" not in shown.out
    checks = found(shell)
    assert {check["state"] for check in checks.values()} <= {"ok", "warning"}
    assert server.access.url in checks["Server"]["sentence"]


def test_before_the_first_start_all_is_well(bare: Shell) -> None:
    checks = found(bare)
    assert {check["state"] for check in checks.values()} == {"ok"}
    assert not Path(bare.environment["WHATSYNC_DATA_DIR"]).exists()


def test_every_setting_is_shown_and_no_secret(bare: Shell) -> None:
    shell = Shell(
        {**bare.environment, "WHATSYNC_ENCRYPTION_KEY": "very secret and long", "WHATSYNC_API_KEY": "wsk_secret"}
    )
    shown = shell("doctor", "--json").json
    rows = {row["name"]: row for row in shown["settings"]}
    assert list(rows) == [setting.name for setting in (*SETTINGS, *COMMAND_SETTINGS)]
    assert rows["ENCRYPTION_KEY"] == {"name": "ENCRYPTION_KEY", "value": "set", "source": "environment"}
    assert rows["API_KEY"]["value"] == "set"
    assert rows["SMTP_URL"]["value"] == "unset"
    assert "very secret" not in shell("doctor").out


def test_what_is_wrong_is_seen_first_and_every_setting_after_it(bare: Shell) -> None:
    shell = Shell({**bare.environment, "WHATSYNC_MIN_FREE_DISK": "900TB", "WHATSYNC_HOST": "0.0.0.0"})
    lines = shell("doctor", code=1).out.splitlines()
    assert lines[0].startswith("✗ Disk: ")
    marks = [line[0] for line in lines if line[:1] in "✗!✓" and line]
    assert marks == sorted(marks, key="✗!✓".index)
    assert {"✗", "!", "✓"} <= set(marks)
    told = "\n".join(lines[len(marks) :])
    assert not [setting.name for setting in (*SETTINGS, *COMMAND_SETTINGS) if setting.name not in told]
    rows = [line.split()[0] for line in lines[len(marks) :] if line.endswith("environment")]
    assert {"MIN_FREE_DISK", "HOST"} <= set(rows)
    assert "RETENTION_DAYS=30" in next(line for line in lines if line.startswith("At their default: "))
    assert "SMTP_URL" in lines[-1]
    assert len(lines) < len(marks) + 10


def test_a_key_that_could_be_guessed(bare: Shell) -> None:
    assert found(bare, ENCRYPTION_KEY="abababababababab")["Encryption key"]["state"] == "warning"
    assert found(bare, ENCRYPTION_KEY="very secret and long")["Encryption key"]["state"] == "ok"


def test_wrong_settings_are_named(bare: Shell) -> None:
    shell = Shell({**bare.environment, "WHATSYNC_RETENTION_DAYS": "many"})
    assert "WHATSYNC_RETENTION_DAYS" in shell("doctor", code=2).err


def test_a_taken_port(bare: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        check = found(bare, PORT=str(taken.getsockname()[1]))["Port"]
    assert check["state"] == "problem"
    assert "WHATSYNC_PORT" in check["sentence"]


def test_a_dead_server(bare: Shell) -> None:
    assert found(bare, URL="http://127.0.0.1:9")["Server"]["state"] == "problem"


def test_little_room(bare: Shell) -> None:
    assert found(bare, MIN_FREE_DISK="900TB")["Disk"]["state"] == "problem"


def test_reach(bare: Shell) -> None:
    assert "WHATSYNC_PUBLIC_URL" in found(bare, HOST="0.0.0.0")["Reach"]["sentence"]
    assert found(bare, HOST="0.0.0.0")["Reach"]["state"] == "warning"
    assert "not https" in found(bare, HOST="0.0.0.0", PUBLIC_URL="http://x.test")["Reach"]["sentence"]
    assert found(bare, HOST="0.0.0.0", PUBLIC_URL="https://x.test")["Reach"]["state"] == "ok"


@pytest.fixture
def data(bare: Shell) -> Path:
    folder = Path(bare.environment["WHATSYNC_DATA_DIR"])
    folder.mkdir(mode=0o700)
    return folder


def test_what_is_open_to_others(bare: Shell, data: Path) -> None:
    data.chmod(0o755)
    (data / "encryption.key").write_text("x")
    (data / "encryption.key").chmod(0o644)
    checks = found(bare)
    assert "chmod 700" in checks["Data folder"]["sentence"]
    assert "chmod 600" in checks["Encryption key"]["sentence"]


def test_a_database_that_can_not_be_used(bare: Shell, data: Path) -> None:
    database = data / "whatsync.db"
    database.write_text("no database at all, just some words\n" * 200)
    checks = found(bare)
    assert "no SQLite database" in checks["Database"]["sentence"]
    assert "is gone" in checks["Encryption key"]["sentence"]
    database.unlink()
    db = apsw.Connection(str(database))
    db.execute("CREATE" + " TABLE t (x)")
    db.close()
    assert "no database of WhatsSync" in found(bare)["Database"]["sentence"]


def test_a_damaged_database_is_found(bare: Shell, data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True)
    db = apsw.Connection(str(data / "whatsync.db"))
    schema.migrate(db, data / "whatsync.db")
    db.close()
    assert found(bare)["Database"]["state"] == "ok"
    with (data / "whatsync.db").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"x" * 20_000)
    check = found(bare)["Database"]
    assert check["state"] == "problem"
    assert "is damaged" in check["sentence"]
    assert "backup" in check["sentence"]


def test_a_clock_that_went_back(bare: Shell, data: Path) -> None:
    database = data / "whatsync.db"
    database.touch()
    ahead = database.stat().st_mtime + 7_200
    os.utime(database, (ahead, ahead))
    assert found(bare)["Clock"]["state"] == "problem"


def test_live_for_container_health_checks(server: ChildServer, bare: Shell) -> None:
    shell = Shell({"WHATSYNC_DATA_DIR": str(server.data_dir)})
    assert shell("doctor", "--live", "--json").json["alive"] is True
    told = Shell({**bare.environment, "WHATSYNC_PORT": "9"})("doctor", "--live", code=1).err
    assert "http://127.0.0.1:9" in told


def test_media_in_a_folder(bare: Shell, tmp_path: Path) -> None:
    assert "URLs begin with http://127.0.0.1:0/media" in found(bare)["Media"]["sentence"]
    (tmp_path / "file").write_text("")
    assert found(bare, MEDIA_STORE=str(tmp_path / "file"))["Media"]["state"] == "problem"
    open_to_others = found(bare, HOST="0.0.0.0")["Media"]
    assert (open_to_others["state"], "WHATSYNC_PUBLIC_URL" in open_to_others["sentence"]) == ("warning", True)
    told = found(bare, HOST="0.0.0.0", MEDIA_PUBLIC_URL="https://m.example")["Media"]
    assert (told["state"], "https://m.example" in told["sentence"]) == ("ok", True)


def test_media_urls_are_those_of_the_server_that_runs_here(server: ChildServer) -> None:
    shell = Shell({"WHATSYNC_DATA_DIR": str(server.data_dir)})
    assert f"URLs begin with {server.access.url}/media" in found(shell)["Media"]["sentence"]
    told = found(shell, PUBLIC_URL="https://hooks.example")["Media"]["sentence"]
    assert "URLs begin with https://hooks.example/media" in told


def test_media_in_a_bucket_that_is_not_there(bare: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    check = found(bare, MEDIA_STORE="s3://media?endpoint=http://127.0.0.1:9&region=us-east-1")["Media"]
    assert check["state"] == "problem"
    assert "the bucket media can't be used" in check["sentence"]
    assert "very secret" not in check["sentence"]
    assert not Path(bare.environment["WHATSYNC_DATA_DIR"]).exists()
