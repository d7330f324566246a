"""What the store on SQLite costs: processor time of the writer's thread and of the loop per event, at several sizes of
a commit, on an empty and on a filled database; bytes of each table; and what it costs without an index.

    python benchmarks/store.py [--fill 1000000] [--events 20000] [--keys 2] [--tables] [--without delivery_state,…]

Process time, not wall time, is what counts here: the disk of a benchmark machine is somebody else's.
"""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import apsw

from whatsync.model.delivery import State
from whatsync.model.ids import Sequence
from whatsync.net.garbage import look_briefly
from whatsync.net.system import SystemClock
from whatsync.ports.store import Accepted, Admission, AttemptRow, DeliveryRow, EventRow
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch
from whatsync.store.sqlite.store import SqliteStore

ACCOUNTS = 10
ENDPOINTS = 20
"""Of each account."""
BODY = (
    b'{"event":"message.incoming","id":"%s","timestamp":"2023-06-15T14:22:33Z","data":{"messageId":"%s","from":'
    b'"+15551234567","contactId":"contact_abcdefghijklmnopqrstuvwxyz","body":"Hello, I would like to know more about '
    b'your products","type":"text","timestamp":"2023-06-15T14:22:31Z","media":null}}'
)
HEADERS = (
    b"content-type: application/json\r\ncontent-length: 11\r\ndate: Mon, 23 Nov 2026 20:00:00 GMT\r\nserver: nginx"
)
SIGNATURES = bytes(64)


class Load:
    """Makes the rows a server would make."""

    def __init__(self, store: SqliteStore, keys: int, now_ms: int) -> None:
        self.store = store
        self.keys = keys
        self.now_ms = now_ms
        self.sequence = Sequence()
        self.random = random.Random(7)

    def admission(self) -> Admission:
        """One event for one endpoint."""
        account = self.random.randrange(ACCOUNTS) + 1
        endpoint = account * 100 + self.random.randrange(ENDPOINTS)
        name = f"msg_{self.random.getrandbits(130):026x}"[:30]
        phone = self.random.randrange(20_000)
        keys = (
            f"phone:+1555{phone:07}",
            f"contact:contact_{phone:026}",
            f"wamid:wamid.{self.random.getrandbits(250):x}",
        )
        seq = self.sequence.next(self.now_ms)
        number = f"10627{account:05}{phone % 4}"
        event = EventRow(
            seq, account, name, "message.incoming", BODY % (name.encode(), name.encode()), None, number,
            f"contact_{phone}", keys[: self.keys],
        )  # fmt: skip
        row = DeliveryRow(
            self.sequence.next(self.now_ms), seq, account, endpoint, event.type, True, self.now_ms, number
        )
        return Admission(account, 0, (event,), (row,))

    def attempt(self, row: DeliveryRow, state: State = State.SUCCEEDED) -> AttemptRow:
        """A request that succeeded."""
        now = self.now_ms
        return AttemptRow(
            row.id, 1, 1, row.account, row.endpoint, now, now + 3, state, None, 200, None, None, "203.0.113.7:443",
            True, None, None, None, 1500, 1800, 3, now // 1000, SIGNATURES, 1, HEADERS, b'{"ok":true}',
        )  # fmt: skip

    async def fill(self, events: int) -> None:
        """Write events whose deliveries have succeeded."""
        before: list[Admission] = []
        for at in range(0, events, 2_000):
            self.now_ms += 100
            batch = [self.admission() for _ in range(min(2_000, events - at))]
            calls = [self.store.accept(one) for one in batch]
            if before:
                await self.store.record([self.attempt(one.deliveries[0]) for one in before])
            await asyncio.gather(*calls)
            before = batch
        if before:
            await self.store.record([self.attempt(one.deliveries[0]) for one in before])


def writer_seconds(store: SqliteStore) -> float:
    """Processor time the writer's thread has used."""
    thread = store._writer._thread  # type: ignore[union-attr]
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


async def measure(load: Load, batch: int, events: int) -> dict[str, float]:
    """Accept and record events, ``batch`` at a time: first apart, then an accept and a record to a commit."""
    store, parts = load.store, {}
    batches = [[load.admission() for _ in range(batch)] for _ in range(max(events // batch, 1))]
    count = sum(len(one) for one in batches)
    writer = writer_seconds(store)
    for one in batches:
        results = await asyncio.gather(*[store.accept(admission) for admission in one])
        assert all(type(result) is Accepted for result in results)
    parts["accept"] = writer_seconds(store) - writer
    writer = writer_seconds(store)
    for one in batches:
        assert not (await store.record([load.attempt(admission.deliveries[0]) for admission in one])).stale
    parts["record"] = writer_seconds(store) - writer
    parts["both"] = parts["accept"] + parts["record"]
    batches = [[load.admission() for _ in range(batch)] for _ in range(max(events // batch, 1))]
    attempts = [[load.attempt(admission.deliveries[0]) for admission in one] for one in batches]
    writer, loop, wall = writer_seconds(store), time.thread_time(), time.perf_counter()
    before: list[AttemptRow] = []
    for one, rows in zip(batches, attempts, strict=True):
        calls = [store.accept(admission) for admission in one]
        if before:
            calls.append(store.record(before))  # type: ignore[arg-type]
        await asyncio.gather(*calls)
        before = rows
    await store.record(before)
    parts["joined"] = writer_seconds(store) - writer
    parts["loop"] = time.thread_time() - loop
    parts["wall"] = time.perf_counter() - wall
    return {name: seconds / count * 1e6 for name, seconds in parts.items()}


async def run(given: argparse.Namespace) -> None:
    """Open a fresh database, fill it, measure."""
    clock = SystemClock()
    path: Path = given.folder / "bench" / "whatsync.db"
    shutil.rmtree(path.parent, ignore_errors=True)
    store = SqliteStore(path, clock=clock)
    await store.open(clock.now_ms(), "bench")
    for name in filter(None, given.without.split(",")):
        await store._step(partial(drop, name))
    load = Load(store, given.keys, clock.now_ms())
    started = time.perf_counter()
    await load.fill(given.fill)
    if given.fill:
        seconds = time.perf_counter() - started
        await store.tidy()
        size = os.stat(path).st_size
        print(f"filled {given.fill} events at {given.fill / seconds:.0f}/s, {size / given.fill:.0f} bytes an event")
    load.now_ms = clock.now_ms()
    for batch in (int(size) for size in given.sizes.split(",")):
        figures = await measure(load, batch, min(given.events, batch * 400))
        told = "  ".join(f"{name} {value:6.1f}" for name, value in figures.items())
        print(f"fill {given.fill:>9} keys {given.keys} batch {batch:>5}: {told}   µs/event", flush=True)
    await store.close()
    if given.tables:
        tell_sizes(path)
    shutil.rmtree(path.parent, ignore_errors=True)


def drop(name: str, session: Session) -> None:
    """Take an index away."""
    session.db.execute(f"DROP INDEX {name}")


def tell_sizes(path: Path) -> None:
    """Print the bytes of each table and index."""
    db = apsw.Connection(str(path))
    for name, size in fetch(db, "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 24"):
        print(f"{size / 1e6:9.1f} MB  {name}")
    db.close()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fill", type=int, default=0)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--keys", type=int, default=2, choices=range(4))
    parser.add_argument("--sizes", default="1,10,100,1000")
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--without", default="")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    # What the server sets at its start.
    sys.setswitchinterval(0.0005)
    look_briefly()
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
