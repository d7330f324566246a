"""What ``whatsync bench`` sees of the database it measures on: its size, and the processor time of its server."""

import os
from pathlib import Path

import pytest

from tests.store.postgres.cluster import Cluster
from whatsync.cli.bench.database import Database, family_seconds

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
        # Each statement has a process of its own, which ends about when the time is read.
        cluster.sql(WORK)
        after = database.cpu_seconds()
        assert after is not None
        assert after - before > 0.1
        assert after < 60, "only this server's processes count"
    finally:
        cluster.close()


def test_a_process_that_ends_while_the_time_is_read_counts_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read = Path.read_text

    def ends_when_asked(path: Path) -> str:
        text = read(path)
        if path.name == "children" and text:
            _be(tmp_path, 10, own=3, ended=50)
        return text

    monkeypatch.setattr(Path, "read_text", ends_when_asked)
    monkeypatch.setattr("whatsync.cli.bench.database._PROC", tmp_path)
    ticks = os.sysconf("SC_CLK_TCK")
    _be(tmp_path, 10, own=3, ended=0, children="11")
    _be(tmp_path, 11, own=50, ended=0)  # a zombie: its time can still be read
    assert family_seconds(10) == 53 / ticks
    _be(tmp_path, 10, own=3, ended=0, children="12")  # gone: nothing of it can be read
    assert family_seconds(10) == 53 / ticks


def _be(proc: Path, pid: int, *, own: int, ended: int, children: str = "") -> None:
    """What the system tells of a process."""
    tasks = proc / str(pid) / "task" / str(pid)
    tasks.mkdir(parents=True, exist_ok=True)
    (tasks / "children").write_text(children)
    (proc / str(pid) / "stat").write_text(f"{pid} (postgres) S 1 {'0 ' * 9}{own} 0 {ended} 0 20 0")


def test_of_a_server_that_runs_elsewhere_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The number of its process means nothing here, or another process.
    (tmp_path / "1").mkdir()
    monkeypatch.setattr("whatsync.cli.bench.database._PROC", tmp_path)
    cluster = Cluster()
    try:
        assert Database(cluster.url()).cpu_seconds() is None
    finally:
        cluster.close()
