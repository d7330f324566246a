"""What the command line's tests share: one real server a session, an account of its own for each test, and a runner.

Commands run in this process through Typer's runner, or as processes where signals and terminals count.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from whatsync.cli.app import app
from whatsync.cli.child_server import ChildServer
from whatsync.cli.client import Access, Client
from whatsync.cli.receiver import Receiver
from whatsync.net.system import SystemClock

SECONDS = 60


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Shell:
    """Runs commands with an environment of its own."""

    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, code: int | None = 0, given: str | bytes | None = None) -> Ran:
        cleared = {name: None for name in os.environ if name.startswith("WHATSYNC_") or name == "WEBHOOK_SECRET"}
        result = CliRunner().invoke(app, list(words), input=given, env={**cleared, **self.environment})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if code is not None:
            assert result.exit_code == code, result.output
        return Ran(result.exit_code, result.stdout, result.stderr)

    def start(self, *words: str, **settings: Any) -> "subprocess.Popen[str]":
        """Start a command as a process; the caller ends it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WHATSYNC_")}
        return subprocess.Popen(
            [sys.executable, "-m", "whatsync", *words],
            env={**kept, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **settings,
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildServer]:
    """A running server that may deliver to this machine, however many accounts there are."""
    settings = {"ALLOW_ADDRESSES": "127.0.0.0/8", "MIN_FREE_DISK": "1MB", "RETRY_SCHEDULE": "1s,2s"}
    with ChildServer(settings, tmp_path_factory.mktemp("server")) as child:
        yield child


@pytest.fixture
def operator(server: ChildServer) -> Client:
    """The operator of that server."""
    return Client(server.access)


@pytest.fixture
def account(operator: Client, server: ChildServer) -> Access:
    """An account that nothing is in, and an administrator's key of it."""
    made = operator.post("/v1/accounts", {"name": "Test"})["id"]
    key = Client(Access(server.access.url, server.access.key, made)).post(
        "/v1/keys", {"name": "test", "scopes": ["admin"]}
    )
    return Access(server.access.url, key["key"])


@pytest.fixture
def api(account: Access) -> Client:
    """That account's API."""
    return Client(account)


@pytest.fixture
def shell(account: Access, tmp_path: Path) -> Shell:
    """Commands about that account."""
    return Shell(
        {
            "WHATSYNC_URL": account.url,
            "WHATSYNC_API_KEY": account.key,
            "WHATSYNC_DATA_DIR": str(tmp_path / "nothing-here"),
            "XDG_CONFIG_HOME": str(tmp_path / "settings"),
        }
    )


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Commands in an empty folder, with no setting but the data folder."""
    monkeypatch.chdir(tmp_path)
    return Shell({"WHATSYNC_DATA_DIR": str(tmp_path / "data"), "WHATSYNC_PORT": "0"})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that says 200 to what is signed rightly; its secret is to be set."""
    clock = SystemClock()
    made = Receiver(lambda path, event_id, before: 200, lambda: clock.now_ms() // 1000)
    yield made
    made.close()
