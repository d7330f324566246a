"""What ``whatsync bench`` sees of the database it measures on: its size, and the processor time of its server."""

from pathlib import Path

import pytest

from tests.store.postgres.cluster import Cluster
from whatsync.cli.bench.database import Database

FILL = "CREATE TABLE filled AS SELECT n, repeat('x', 500) AS text FROM generate_series(1, 20000) n"
WORK = "SELECT sum(sqrt(n)) FROM generate_series(1, 3000000) n"


def test_size_and_processor_time_of_a_database_on_this_machine() -> None:
    cluster = Cluster()
    try:
        database = Database(cluster.url())
        size, used = database.size_bytes(), database.cpu_seconds()
        assert used is not None
        cluster.sql(FILL)
        assert database.size_bytes() - size > 20_000 * 500
        before = database.cpu_seconds()
        assert before is not None
        # Each statement has a process of its own, which is gone when the time is read.
        cluster.sql(WORK)
        after = database.cpu_seconds()
        assert after is not None
        assert after - before > 0.1
        assert after < 60, "only this server's processes count"
    finally:
        cluster.close()


def test_of_a_server_that_runs_elsewhere_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The number of its process means nothing here, or another process.
    (tmp_path / "1").mkdir()
    monkeypatch.setattr("whatsync.cli.bench.database._PROC", tmp_path)
    cluster = Cluster()
    try:
        assert Database(cluster.url()).cpu_seconds() is None
    finally:
        cluster.close()
