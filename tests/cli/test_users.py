"""`whatsync users` against a real server, and `reset-link` over a store that no server holds."""

from pathlib import Path

import httpx

from tests.cli.conftest import Shell
from tests.patience import PATIENCE_SECONDS
from whatsync.cli.child_server import ChildServer
from whatsync.cli.client import Client


def operators(server: ChildServer) -> Shell:
    return Shell({"WHATSYNC_DATA_DIR": str(server.data_dir)})


def test_people_come_get_roles_and_go(server: ChildServer, operator: Client) -> None:
    shell = operators(server)
    account = operator.post("/v1/accounts", {"name": "Users"})["id"]
    added = shell("users", "add", "ana@example.com", "--account", account, "--role", "viewer")
    assert httpx.get(added.out.strip(), timeout=PATIENCE_SECONDS).status_code == 200
    listed = shell("users", "list", "--all", "--json").json["items"]
    user = next(item["id"] for item in listed if item["email"] == "ana@example.com")
    assert f"viewer of {account}" in shell("users", "list", "--all").out
    assert "owner of" in shell("users", "role", user, "--account", account, "--role", "owner").out
    assert "operator" in shell("users", "role", user, "--operator").out
    assert shell("users", "role", user, "--account", account, "--none").out == "ana@example.com: operator\n"
    link = shell("users", "reset-link", "ana@example.com", "--json").json
    assert link["purpose"] == "invite"
    shell("users", "add", "second@example.com", "--operator")
    assert "is removed" in shell("users", "remove", user, "--yes").out
    assert "no user with this mail address" in shell("users", "reset-link", "ana@example.com", code=1).err


def test_wrong_use_is_told(server: ChildServer) -> None:
    shell = operators(server)
    assert "belong together" in shell("users", "add", "b@example.com", "--role", "viewer", code=2).err
    assert "say what the person may do" in shell("users", "add", "b@example.com", code=2).err
    assert "say where" in shell("users", "role", "usr_x", "--role", "viewer", code=2).err
    assert "say which role" in shell("users", "role", "usr_x", "--account", "acc_x", code=2).err


def test_a_link_is_made_while_no_server_runs(bare: Shell, tmp_path: Path) -> None:
    assert "there is no database" in bare("users", "reset-link", code=1).err
    with ChildServer({"MIN_FREE_DISK": "1MB"}, tmp_path):
        pass
    stopped = Shell({"WHATSYNC_DATA_DIR": str(tmp_path / "data"), "WHATSYNC_PORT": "8600"})
    made = stopped("users", "reset-link", "--json").json
    assert made["purpose"] == "first"
    assert "no user with this mail address" in stopped("users", "reset-link", "x@example.com", code=1).err
    with ChildServer({"MIN_FREE_DISK": "1MB"}, tmp_path) as server:
        path = made["url"].removeprefix("http://127.0.0.1:8600")
        assert "You are the first one here" in httpx.get(server.access.url + path, timeout=PATIENCE_SECONDS).text
