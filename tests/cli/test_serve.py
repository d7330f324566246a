"""`whatsync serve` as a process: first start, stop, second server, taken port, wrong key, wrong settings."""

import asyncio
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Shell
from tests.cli.terminal import Terminal
from whatsync.cli import presence

SECONDS = 60.0


@dataclass
class Served:
    """A running `whatsync serve`."""

    process: asyncio.subprocess.Process
    url: str
    banner: str
    folder: Path

    def secret(self, name: str) -> str:
        found = re.search(rf"^{name} +(\S+)$", (self.folder / "first-keys.txt").read_text(), re.MULTILINE)
        assert found
        return found[1]

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; exit status and what was logged."""
        self.process.send_signal(number)
        assert self.process.stderr is not None
        logged = await asyncio.wait_for(self.process.stderr.read(), SECONDS)
        return await asyncio.wait_for(self.process.wait(), SECONDS), logged.decode()


def environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WHATSYNC_")}
    mine = {"WHATSYNC_DATA_DIR": str(folder), "WHATSYNC_PORT": "0", "WHATSYNC_MIN_FREE_DISK": "1MB"}
    return {**kept, **mine, **{f"WHATSYNC_{name}": value for name, value in settings.items()}}


async def begin(folder: Path, *arguments: str, **settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "whatsync", "serve", *arguments,
        env=environment(folder, **settings), cwd=folder.parent,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@asynccontextmanager
async def served(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[Served]:
    process = await begin(folder, *arguments, **settings)
    assert process.stdout is not None
    assert process.stderr is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(SECONDS):
            while not lines or not lines[-1].startswith("Stop with"):
                line = (await process.stdout.readline()).decode()
                assert line, (await process.stderr.read()).decode()
                lines.append(line)
        banner = "".join(lines)
        url = re.search(r"API +(http://\S+)/docs", banner)
        assert url
        yield Served(process, url[1], banner, folder)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def refused(folder: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit status and message of a server that does not start."""
    process = await begin(folder, *arguments, **settings)
    _, said = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_first_start_makes_keys_once_and_stops_cleanly(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with served(folder) as first, httpx.AsyncClient(base_url=first.url, timeout=SECONDS) as client:
        keys = folder / "first-keys.txt"
        assert str(keys) in first.banner
        assert stat.S_IMODE(keys.stat().st_mode) == stat.S_IMODE((folder / "cli-token").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        key = first.secret("API key")
        assert key not in first.banner
        headers = {"authorization": f"Bearer {key}"}
        event = {"event": "message.status", "id": "kept", "data": {"messageId": "m", "status": "read"}}
        assert (await client.post("/v1/events", json=event, headers=headers)).status_code == 202
        assert (await client.get("/readyz")).status_code == 200
        found = presence.find(folder)
        assert found is not None
        assert found[0] == first.url
        local = {"authorization": f"Bearer {found[1]}"}
        assert (await client.get("/v1/accounts", headers=local)).status_code == 200
        status, logged = await first.stop()
        assert status == 0, logged
    assert presence.find(folder) is None
    async with served(folder) as second, httpx.AsyncClient(base_url=second.url, timeout=SECONDS) as client:
        assert "First start" not in second.banner
        assert (await client.get("/v1/events/kept", headers=headers)).status_code == 200
        assert (await client.get("/v1/accounts", headers=local)).status_code == 401
        assert (await second.stop(signal.SIGINT))[0] == 0


def test_who_watches_the_terminal_is_told_in_sentences_and_of_the_stop(tmp_path: Path) -> None:
    settings = {"WHATSYNC_DATA_DIR": str(tmp_path / "data"), "WHATSYNC_PORT": "0", "WHATSYNC_MIN_FREE_DISK": "1MB"}
    terminal = Terminal(Shell(settings), "serve")
    try:
        terminal.until("Stop with Ctrl+C.")
        found = presence.find(tmp_path / "data")
        assert found is not None
        event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
        httpx.post(found[0] + "/v1/events", json=event, headers={"authorization": f"Bearer {api_key(terminal.seen)}"})
        terminal.until("message.status accepted, which no endpoint wants")
        assert "requestBytes" not in terminal.seen
        terminal.process.send_signal(signal.SIGINT)
        terminal.until("Stopped.")
        assert terminal.process.wait(SECONDS) == 0
        said = terminal.seen[terminal.seen.index("Stopping: finishing what is under way") :]
        assert said.split("\r\n")[1:] == ["Stopped.", ""]
    finally:
        terminal.close()


def api_key(shown: str) -> str:
    found = re.search(r"API key +(wsk_\S+)", shown)
    assert found
    return found[1]


async def test_machines_are_not_told_of_the_stop(tmp_path: Path) -> None:
    async with served(tmp_path / "data") as server:
        server.process.send_signal(signal.SIGINT)
        said, logged = await asyncio.wait_for(server.process.communicate(), SECONDS)
    assert (said, logged) == (b"", b"")


async def test_a_chosen_key_is_used_on_an_empty_database(tmp_path: Path) -> None:
    key = "wsk_" + "k" * 42 + "A"
    async with served(tmp_path / "data", BOOTSTRAP_API_KEY=key) as server, httpx.AsyncClient(timeout=SECONDS) as client:
        answer = await client.get(server.url + "/v1/account", headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        assert "API key" not in (tmp_path / "data" / "first-keys.txt").read_text()


async def test_a_second_server_on_the_same_folder_names_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with served(folder) as first, httpx.AsyncClient(timeout=SECONDS) as client:
        status, said = await refused(folder)
        assert status == 2
        assert f"process {first.process.pid}" in said
        assert first.url in said
        assert (await client.get(first.url + "/readyz")).status_code == 200
        assert presence.find(folder) is not None


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said = await refused(tmp_path / "data", "--port", port)
    assert status == 2
    assert f"can't listen on 127.0.0.1:{port}: Address already in use" in said
    assert "WHATSYNC_PORT" in said


async def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    status, said = await refused(tmp_path / "data", "--host", "203.0.113.7", "--port", "0")
    assert status == 2
    assert "Is 203.0.113.7 an address of this machine?" in said


async def test_another_encryption_key_is_told_and_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with served(folder, ENCRYPTION_KEY="one key, long enough") as first:
        assert (await first.stop())[0] == 0
    for settings in ({"ENCRYPTION_KEY": "another key, long enough"}, {}):
        status, said = await refused(folder, **settings)
        assert status == 2
        assert "another encryption key" in said
    async with served(folder, ENCRYPTION_KEY="one key, long enough"):
        pass


async def test_a_damaged_database_or_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "whatsync.db").write_bytes(b"this is no database at all" * 100)
    status, said = await refused(tmp_path / "data")
    assert (status, "no SQLite database" in said) == (2, True), said
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "encryption.key").write_text("c2hvcnQ=")
    status, said = await refused(tmp_path / "other")
    assert (status, "encryption key" in said) == (2, True), said


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("--port", "x"), {}, "WHATSYNC_PORT (command line): 'x' is not a whole number"),
        ((), {"PROT": "1"}, "Did you mean WHATSYNC_PORT?"),
        (("--database", "postgresql://x"), {}, "names no database"),
        (("--nonsense",), {}, "No such option"),
        ((), {"DATA_DIR": "/proc/nowhere"}, "can't make the data folder"),
    ],
)
async def test_wrong_use_exits_with_two(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], words: str
) -> None:
    status, said = await refused(tmp_path / "data", *arguments, **settings)
    assert status == 2
    assert words in said


async def test_requests_under_way_are_answered_before_the_server_stops(tmp_path: Path) -> None:
    async with served(tmp_path / "data") as server, asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        headers = f"Host: x\r\nAuthorization: Bearer {server.secret('API key')}\r\n\r\n"
        # Both come in one piece: when the first is answered, the second is under way.
        asked = "".join(f"GET {path} HTTP/1.1\r\n{headers}" for path in ("/readyz", "/v1/events/feed?wait=20"))
        writer.write(asked.encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        stopping = asyncio.create_task(server.stop())
        rest = await reader.read()
        assert b"HTTP/1.1 200 " in rest
        assert b'"items":[]' in rest
        assert (await stopping)[0] == 0
        writer.close()


def children_of(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


async def test_sending_in_a_process_of_its_own(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    receiver = await asyncio.start_server(receive, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/hook"
    async with (
        receiver,
        served(tmp_path / "data", "--processes", "2") as server,
        httpx.AsyncClient(base_url=server.url, timeout=SECONDS) as client,
    ):
        headers = {"authorization": f"Bearer {server.secret('API key')}"}
        form = {"url": url, "events": ["*"]}
        assert (await client.post("/v1/endpoints", json=form, headers=headers)).status_code == 201
        event = {"event": "message.status", "data": {"messageId": "m", "status": "read"}}
        assert (await client.post("/v1/events", json=event, headers=headers)).json()["deliveries"] == 1
        await asyncio.wait_for(arrived.wait(), SECONDS)
        (child,) = children_of(server.process.pid)
        status, logged = await server.stop()
        assert (status, "ended with status" in logged) == (0, False), logged
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
