"""PgBouncer in transaction mode before a PostgreSQL of the tests. Runs as any user; knows nothing of WhatsSync."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.ports import free_port
from tests.store.postgres.cluster import NOBODY, Cluster, as_whom, end_with_parent

START_SECONDS = 60
SERVERS = 12
"""Connections to PostgreSQL that all clients share, of each database."""


class Pooler:
    """One PgBouncer on a free port."""

    def __init__(self, cluster: Cluster) -> None:
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise RuntimeError("no pgbouncer for the tests: run `make setup-dev`")
        self._program = program
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="whatsync-pgbouncer-"))
        if os.getuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        (self.folder / "users.txt").write_text('"whatsync" ""\n')
        self._settings = self.folder / "pgbouncer.ini"
        self._settings.write_text(
            f"""[databases]
* = host=127.0.0.1 port={cluster.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = trust
auth_file = {self.folder}/users.txt
pool_mode = transaction
default_pool_size = {SERVERS}
server_login_retry = 0.2
"""
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            [self._program, "-q", self._settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call, no lock
            **as_whom(),
        )
        ends = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < ends, "pgbouncer did not start"
            assert self._process.poll() is None, "pgbouncer did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """Cut everybody's connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(START_SECONDS)

    def close(self) -> None:
        """Stop it and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
