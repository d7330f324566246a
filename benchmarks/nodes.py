"""What one, two and four nodes over one PostgreSQL reach: load spread over them, the database looked at apart.

Run as ``python -m benchmarks.nodes``. PostgreSQL is started with the settings that durability needs, or given by
``--url`` (a user who may make databases; its processor time is known only if it runs on this machine as ours). Prints a
line per number of nodes: events a second, lost ones, processor time of nodes and database, and what an event leaves in
tables, indexes and the write-ahead log. All share this machine: compare lines of one run.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from tests.store.postgres.cluster import Cluster
from whatsync.cli.bench.installation import Receiver, Server
from whatsync.cli.bench.measurement import Case, furnish, post_load, settle

WARM_UP_SECONDS = 3.0
_FACTS = """
    SELECT (pg_current_wal_lsn() - '0/0')::bigint AS wal,
        (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits,
        sum(pg_relation_size(oid)) FILTER (WHERE relkind = 'i')::bigint AS indexes,
        sum(pg_relation_size(oid)) FILTER (WHERE relkind IN ('r', 't'))::bigint AS tables
    FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'pg_toast'::regnamespace)
"""


class Look(msgspec.Struct, frozen=True):
    """The database at one moment. Bytes, but for ``commits`` and the seconds of processor time."""

    wal: int
    commits: int
    indexes: int
    tables: int
    cpu: float


class Line(msgspec.Struct, frozen=True):
    """What so many nodes reached."""

    nodes: int
    accepted: float
    lost: int
    p50: float
    node_us: float
    database_us: float
    tables: float
    indexes: float
    wal: float
    commits: float


async def ask(url: str, text: str) -> list[Any]:
    """Ask the database once."""
    connection = await asyncpg.connect(url)
    try:
        rows: list[Any] = await connection.fetch(text)
    finally:
        await connection.close()
    return rows


def look(url: str, cluster: Cluster | None) -> Look:
    """Look at the database now, all of it on disk."""
    asyncio.run(ask(url, "CHECKPOINT"))
    (row,) = asyncio.run(ask(url, _FACTS))
    return Look(**dict(row), cpu=0.0 if cluster is None else cluster.cpu_seconds())


def measure(url: str, cluster: Cluster | None, count: int, case: Case) -> Line:
    """Start so many nodes, load them and stop them."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="whatsync-nodes-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        receiver = Receiver(case.endpoints)
        stack.callback(receiver.stop)
        settings = {"WHATSYNC_DATABASE_URL": url, "WHATSYNC_ENCRYPTION_KEY": "the key of these nodes"}
        servers = [Server(folder / f"node{number}", settings, []) for number in range(count)]
        for server in servers:
            stack.callback(server.stop)
        keys = furnish(servers[0].client, receiver, case)
        _load(servers, keys, msgspec.structs.replace(case, seconds=WARM_UP_SECONDS))
        settle(receiver)
        before, used = look(url, cluster), sum(server.cpu_seconds() for server in servers)
        made = _load(servers, keys, case)
        got = settle(receiver)
        after, used = look(url, cluster), sum(server.cpu_seconds() for server in servers) - used
    accepted = sum(one["statuses"].get("202", 0) for one in made) * case.array
    return Line(
        nodes=count,
        accepted=accepted / max(one["seconds"] for one in made),
        lost=accepted - got["distinct"],
        p50=max(one["p50"] for one in made),
        node_us=used / accepted * 1e6,
        database_us=(after.cpu - before.cpu) / accepted * 1e6,
        tables=(after.tables - before.tables) / accepted,
        indexes=(after.indexes - before.indexes) / accepted,
        wal=(after.wal - before.wal) / accepted,
        commits=(after.commits - before.commits) / accepted,
    )


def _load(servers: list[Server], keys: list[str], case: Case) -> list[dict[str, Any]]:
    """One generator for each node, with its share of the clients, all at once."""
    share = msgspec.structs.replace(case, clients=max(1, case.clients // len(servers)))
    with ThreadPoolExecutor(len(servers)) as threads:
        return list(threads.map(lambda server: post_load(server.port, keys, share), servers))


def run(url: str, cluster: Cluster | None, counts: list[int], case: Case) -> None:
    """Measure each number of nodes over an empty database of its own."""
    server, _, _ = url.rpartition("/")
    print(
        "nodes events/s  lost  202 p50 ms  µs/event: nodes  database  bytes/event: tables  indexes  wal  commits/event"
    )
    for count in counts:
        name = f"whatsync_bench_{count}_{time.time_ns()}"
        asyncio.run(ask(url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
        try:
            one = measure(f"{server}/{name}", cluster, count, case)
        finally:
            asyncio.run(ask(url, f"DROP DATABASE {name} WITH (FORCE)"))
        work = f"{one.node_us:16.0f} {one.database_us:9.0f}"
        left = f"{one.tables:20,.0f} {one.indexes:8,.0f} {one.wal:5,.0f} {one.commits:12.3f}"
        print(f"{one.nodes:5} {one.accepted:8,.0f} {one.lost:5} {one.p50:11.1f} {work} {left}", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nodes", default="1,2,4", help="numbers of nodes, in this order")
    parser.add_argument("--clients", type=int, default=256, help="connections in all")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--array", type=int, default=1, help="events in one request")
    parser.add_argument("--endpoints", type=int, default=200)
    parser.add_argument("--url", help="a PostgreSQL database of a user who may make others; default: one is started")
    given = parser.parse_args()
    case = Case("nodes", given.clients, given.seconds, array=given.array, endpoints=given.endpoints)
    counts = [int(count) for count in given.nodes.split(",")]
    if given.url:
        run(given.url, None, counts, case)
        return
    cluster = Cluster(durable=True, shared_buffers="512MB", max_wal_size="4GB", autovacuum_naptime="60s")
    with closing(cluster):
        run(cluster.url(), cluster, counts, case)


if __name__ == "__main__":
    main()
