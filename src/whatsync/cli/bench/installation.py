"""The server and the receiver under measurement: processes, set up over the API, watched through ``/proc``."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from whatsync.cli.bench.certificates import Authority
from whatsync.cli.bench.database import Database

_START_SECONDS = 30
_LAST_LINES = 20
_SLOW_SECONDS = 10.0
_HOSTS_OF_A_CERTIFICATE = 50
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Receiver:
    """The receiving process, on many addresses of this machine.

    The last ``dead`` of them are no good: one in three refuses, one never answers, one takes ten seconds.
    """

    def __init__(self, hosts: int, delay_s: float = 0.0, certificates: Path | None = None, dead: int = 0) -> None:
        self.hosts = [f"127.{number // 62_500}.{1 + number // 250 % 250}.{1 + number % 250}" for number in range(hosts)]
        self.port = free_port()
        self.scheme = "http" if certificates is None else "https"
        self.trust = None if certificates is None else Authority(certificates)
        good, bad = self.hosts[: hosts - dead], self.hosts[hosts - dead :]
        groups = [
            *self._groups(good, delay_s, counts=True),
            *self._groups(bad[1::3], None, counts=False),
            *self._groups(bad[2::3], _SLOW_SECONDS, counts=False),
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "whatsync.cli.bench.receiver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._tell({"port": self.port, "groups": groups})
        self._hear()

    def _groups(self, hosts: list[str], delay_s: float | None, counts: bool) -> list[dict[str, Any]]:
        groups = []
        for first in range(0, len(hosts), _HOSTS_OF_A_CERTIFICATE):
            some = hosts[first : first + _HOSTS_OF_A_CERTIFICATE]
            certificate = None if self.trust is None else str(self.trust.certificate(some))
            groups.append({"hosts": some, "delay_s": delay_s, "certificate": certificate, "counts": counts})
        return groups

    def report(self, command: str = "report") -> dict[str, Any]:
        """What has arrived since the last reset; or another command of ``bench/receiver.py``."""
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self._hear()

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)

    def _tell(self, orders: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(orders).encode() + b"\n")
        self.process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        heard: dict[str, Any] = json.loads(self.process.stdout.readline())
        return heard


class Server:
    """The server process over a data folder of its own."""

    def __init__(self, folder: Path, settings: dict[str, str], arguments: list[str]) -> None:
        self.folder = folder
        url = settings.get("WHATSYNC_DATABASE_URL")
        self.database = None if url is None else Database(url)
        """Where PostgreSQL holds what otherwise is in the folder."""
        self.port = free_port()
        self.key = "wso_" + "b" * 43
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WHATSYNC_")}
        environment |= {
            "WHATSYNC_DATA_DIR": str(folder),
            "WHATSYNC_PORT": str(self.port),
            "WHATSYNC_BOOTSTRAP_API_KEY": "wsk_" + "a" * 43,
            "WHATSYNC_ALLOW_ADDRESSES": "127.0.0.0/8",
            "WHATSYNC_LOG_FORMAT": "json",
            **settings,
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder.parent / f"{folder.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "whatsync", "serve", *arguments], env=environment, stdout=log, stderr=log
            )
        self.url = f"http://127.0.0.1:{self.port}"
        self._wait()
        token = next(iter(folder.glob("*token*")), None)
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token.read_text().strip()}"} if token else {},
            timeout=60,
        )

    def _wait(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with status {self.process.returncode}: {self._last_words()}")
            try:
                if httpx.get(self.url + "/readyz", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        raise RuntimeError(f"the server was not ready within {_START_SECONDS} s: {self._last_words()}")

    def _last_words(self) -> str:
        """The end of its log, which is removed with its folder."""
        lines = self.log.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:]
        return "\n".join(["its log ends", *lines]) if lines else "its log is empty"

    def cpu_seconds(self) -> float:
        """Processor time of the server and its children so far."""
        total = 0.0
        for pid in self._family():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / _TICKS
        return total

    def stored_bytes(self) -> int:
        """Size of its database."""
        if self.database is not None:
            return self.database.size_bytes()
        return sum(path.stat().st_size for path in self.folder.rglob("*.db") if path.is_file())

    def database_cpu_seconds(self) -> float | None:
        """Processor time of the database's server so far, where it is one of this machine's processes."""
        return None if self.database is None else self.database.cpu_seconds()

    def pss_mib(self) -> float:
        """Proportional memory of the server and its children."""
        total = 0
        for pid in self._family():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024

    def stop(self) -> float:
        """Stop it as an operator would; returns the seconds it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - begin

    def _family(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]
