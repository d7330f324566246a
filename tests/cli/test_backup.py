"""Backup beside a running server, restore, migrate: nothing is lost, sent by itself, or written over."""

import json
import os
import shutil
import stat
import threading
from pathlib import Path

import apsw
import pytest

from tests.cli.conftest import Shell
from tests.patience import PATIENCE_SECONDS
from whatsync.cli.child_server import ChildServer
from whatsync.cli.client import Client
from whatsync.cli.patience import ask_until
from whatsync.cli.receiver import Receiver

SETTINGS = {"MIN_FREE_DISK": "1MB", "RETRY_SCHEDULE": "1h,1h"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A copy taken while events were being accepted, with two deliveries open; and the ids accepted before."""
    folder = tmp_path_factory.mktemp("copied")
    copy = folder / "copy.db"
    with ChildServer(SETTINGS, folder) as server:
        api = Client(server.access)
        api.post("/v1/endpoints", {"url": "http://127.0.0.1:9/hook", "events": ["message.status"]})
        before = [_send(api) for _ in range(2)]
        ask_until(
            lambda: api.get("/v1/deliveries")["items"],
            lambda items: all(item["attempts"] for item in items),
            PATIENCE_SECONDS,
        )
        stop = threading.Event()
        writing = threading.Thread(target=_write, args=(Client(server.access), stop))
        writing.start()
        Shell({"WHATSYNC_DATA_DIR": str(server.data_dir)})("backup", str(copy), "--with-key")
        stop.set()
        writing.join()
    return copy, before


def _send(api: Client, event: str = "message.status") -> str:
    data = {"messageId": "msg_1", "status": "read"} if event == "message.status" else {"contactId": "contact_1"}
    if event == "contact.update":
        data |= {"phone": "+1", "name": "Jane"}
    return str(api.post("/v1/events", {"event": event, "data": data})["id"])


def _write(api: Client, stop: threading.Event) -> None:
    while not stop.is_set():
        _send(api, "contact.update")


@pytest.fixture
def place(tmp_path: Path) -> Shell:
    return Shell({"WHATSYNC_DATA_DIR": str(tmp_path / "data")})


def data_of(shell: Shell) -> Path:
    return Path(shell.environment["WHATSYNC_DATA_DIR"])


def test_a_copy_is_whole_and_for_its_owner_only(copied: tuple[Path, list[str]]) -> None:
    copy, _ = copied
    for path in (copy, copy.with_name("copy.db.key")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    db = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)
    assert [row[0] for row in db.execute("PRAGMA integrity_check")] == ["ok"]
    db.close()
    assert not list(copy.parent.glob("*.part"))


def test_what_was_open_comes_back_held_and_is_released(
    copied: tuple[Path, list[str]], tmp_path: Path, receiver: Receiver
) -> None:
    copy, ids = copied
    shell = Shell({"WHATSYNC_DATA_DIR": str(tmp_path / "data")})
    told = shell("restore", str(copy), "--json").json
    assert told["held"] == 2
    endpoint = told["endpoints"][0]["endpoint"]
    with ChildServer(SETTINGS, tmp_path) as server:
        api = Client(server.access)
        held = api.get("/v1/deliveries", {"state": "held"})["items"]
        assert sorted(item["eventId"] for item in held) == sorted(ids)
        assert {item["reason"] for item in held} == {"restored from a backup"}
        receiver.secret = api.get("/v1/account/secret")["secret"]
        api.patch(f"/v1/endpoints/{endpoint}", {"url": receiver.url})
        # What comes from now on is delivered as always; what is held waits for somebody's word.
        new = _send(api)
        assert receiver.arrivals.get(timeout=PATIENCE_SECONDS).headers["webhook-id"] == new
        shell("endpoints", "enable", endpoint, "--held", "send")
        assert {receiver.arrivals.get(timeout=PATIENCE_SECONDS).headers["webhook-id"] for _ in ids} == set(ids)


def test_it_says_how_to_go_on(copied: tuple[Path, list[str]], place: Shell) -> None:
    told = place("restore", str(copied[0]))
    assert "2 deliveries are held" in told.out
    assert "--held send" in told.err


def test_data_is_not_overwritten(copied: tuple[Path, list[str]], place: Shell) -> None:
    copy, _ = copied
    place("restore", str(copy))
    database = data_of(place) / "whatsync.db"
    before = database.read_bytes()
    assert "--force" in place("restore", str(copy), code=1).err
    assert database.read_bytes() == before
    aside = place("restore", str(copy), "--force", "--json").json["movedAside"]
    assert Path(aside).read_bytes() == before


def test_a_running_server_is_left_alone(copied: tuple[Path, list[str]], server: ChildServer) -> None:
    shell = Shell({"WHATSYNC_DATA_DIR": str(server.data_dir)})
    told = shell("restore", str(copied[0]), "--force", code=1).err
    assert server.access.url in told
    assert "stop it first" in told


def test_without_the_key_nothing_changes(copied: tuple[Path, list[str]], place: Shell, tmp_path: Path) -> None:
    alone = tmp_path / "alone.db"
    shutil.copy(copied[0], alone)
    assert "encryption key is missing" in place("restore", str(alone), code=1).err
    wrong = tmp_path / "wrong.key"
    wrong.write_text("QUJD" * 10 + "QUE=\n")
    told = place("restore", str(alone), "--key", str(wrong), code=1).err
    assert "another encryption key" in told
    assert [path.name for path in data_of(place).iterdir()] == ["whatsync.db.lock"]
    place("restore", str(alone), "--key", str(copied[0]) + ".key")


def test_another_key_in_the_folder_is_not_overwritten(copied: tuple[Path, list[str]], place: Shell) -> None:
    data_of(place).mkdir()
    kept = data_of(place) / "encryption.key"
    kept.write_text("QUJD" * 10 + "QUE=\n")
    assert "moves it aside" in place("restore", str(copied[0]), code=1).err
    place("restore", str(copied[0]), "--force")
    assert kept.read_text() == copied[0].with_name("copy.db.key").read_text()
    assert len(list(data_of(place).glob("encryption.key.before-*"))) == 1


def test_what_is_no_backup(place: Shell, tmp_path: Path, copied: tuple[Path, list[str]]) -> None:
    assert "no file" in place("restore", str(tmp_path / "none"), code=2).err
    other = tmp_path / "other.db"
    other.with_name("other.db.key").write_bytes(copied[0].with_name("copy.db.key").read_bytes())
    other.write_text("no database at all, just some words\n" * 200)
    assert "no SQLite database" in place("restore", str(other), code=1).err
    other.unlink()
    db = apsw.Connection(str(other))
    db.execute("CREATE" + " TABLE t (x)")
    db.close()
    assert "another program" in place("restore", str(other), code=1).err
    raw = bytearray(copied[0].read_bytes())
    raw[8_192 : len(raw) // 2] = os.urandom(len(raw) // 2 - 8_192)
    other.write_bytes(raw)
    assert place("restore", str(other), code=1).err
    assert not (data_of(place) / "whatsync.db").exists()


def test_backup_refuses_what_would_do_harm(server: ChildServer, tmp_path: Path, bare: Shell) -> None:
    shell = Shell({"WHATSYNC_DATA_DIR": str(server.data_dir)})
    written = shell("backup", str(tmp_path))
    assert "encryption.key" in written.err
    path = Path(next(iter(tmp_path.glob("whatsync-*.db"))))
    assert "--force" in shell("backup", str(path), code=2).err
    assert shell("backup", str(path), "--force", "--json").json["bytes"] == path.stat().st_size
    assert "no folder" in shell("backup", str(tmp_path / "none" / "x.db"), code=2).err
    assert "itself" in shell("backup", str(server.data_dir / "whatsync.db"), "--force", code=2).err
    assert "no database" in bare("backup", "copy.db", code=1).err
    keyed = Shell({**shell.environment, "WHATSYNC_ENCRYPTION_KEY": "some secret, long enough"})
    assert "WHATSYNC_ENCRYPTION_KEY" in keyed("backup", str(tmp_path / "y.db"), "--with-key", code=2).err


def test_migrate(copied: tuple[Path, list[str]], place: Shell) -> None:
    assert "no database" in place("migrate", code=1).err
    place("restore", str(copied[0]))
    assert "Nothing to do" in place("migrate").out
    assert place("migrate", "--check", "--json").json["now"] >= 1
    assert "--from names a SQLite file" in place("migrate", "--to", "postgresql://x", code=2).err
    assert "--to names a PostgreSQL" in place("migrate", "--from", "sqlite:///x", "--to", "mysql://x", code=2).err
    missing = place("migrate", "--from", "sqlite:///nowhere.db", "--to", "postgresql://x", code=1)
    assert "no database nowhere.db" in missing.err
    db = apsw.Connection(str(data_of(place) / "whatsync.db"))
    db.execute("PRAGMA user_version = 9999")
    db.close()
    assert "newer version" in place("migrate", code=1).err
    assert "newer version" in place("migrate", "--check", code=1).err


def test_migrate_makes_an_old_database_new(place: Shell) -> None:
    data_of(place).mkdir()
    database = data_of(place) / "whatsync.db"
    apsw.Connection(str(database)).close()
    behind = json.loads(place("migrate", "--check", "--json", code=1).out)
    assert behind["now"] == 0
    assert "is now at schema" in place("migrate").out
    assert place("migrate", "--check", "--json").json["now"] == behind["newest"]
