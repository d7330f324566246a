"""What a server does on a bad day: cases with a backlog, more than it can do, dead endpoints, a large database, readers
of everything, and thousands of HTTPS hosts, each beside the same load without it.

    python benchmarks/hard_days.py backlog  [--size 200000] [--rate 500] [--seconds 10]
    python benchmarks/hard_days.py overload [--size 50]       endpoints that take --rate in all, and twice as much
    python benchmarks/hard_days.py dead     [--size 1000]     endpoints in all, a fifth of them dead
    python benchmarks/hard_days.py large    [--size 500000]   events in the database
    python benchmarks/hard_days.py reader   [--size 50000]    deliveries in the database that somebody pages through
    python benchmarks/hard_days.py export   [--size 200000]   deliveries of a download beside arrays, --rate events/s
    python benchmarks/hard_days.py hosts    [--size 500]      HTTPS hosts hit at random

Prints both sides of each comparison and their ratio: on a shared machine only figures of one run can be compared.
"""

import argparse
import asyncio
import math
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import httpx
from msgspec.structs import replace

from whatsync.cli.bench.installation import Receiver, Server, free_port
from whatsync.cli.bench.measurement import Case, Result, furnish, installed, load, post_load, run_case, settle
from whatsync.model import limits
from whatsync.net.system import SystemClock
from whatsync.store.sqlite.store import SqliteStore

# So that it runs as a file too.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.store import Load

_ARRAY = 1_000
_POSTING_SECONDS_MAX = 900.0
_HANDSHAKES = (
    "handshakes",
    "handshakes_resumed",
    "handshake_longest_us",
    "handshake_turn_longest_us",
    "handshake_turn_longest_cpu_us",
)
_LAG = "whatsync_loop_lag_seconds"
_OLDEST = "whatsync_oldest_due_seconds"
_FALLING_SECONDS_MAX = 600.0
_STALL_SECONDS = 0.005
"""Handshakes may never hold the loop for longer."""


def told(name: str, result: Result) -> None:
    """One line about one side."""
    print(
        f"{name:<34}{result.accepted:8,.0f}/s  receipt p50 {result.receipt_p50:8.1f} p99 {result.receipt_p99:8.1f} ms  "
        f"{result.cpu_us:6.0f} µs  {result.pss_mib:4.0f} MiB  lost {result.lost}",
        flush=True,
    )


def compared(plain: Result, hard: Result) -> None:
    """Both in proportion."""
    p50, p99 = hard.receipt_p50 / max(plain.receipt_p50, 0.01), hard.receipt_p99 / max(plain.receipt_p99, 0.01)
    rate, cpu = hard.accepted / plain.accepted, hard.cpu_us / plain.cpu_us
    print(f"{'in proportion':<34}{rate:8.2f}    receipt p50 {p50:8.2f} p99 {p99:8.2f}     {cpu:6.2f}")


def metric(server: Server, name: str) -> float:
    """One of the server's metrics."""
    lines = server.client.get("/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


def backlog(case: Case, size: int) -> None:
    """Healthy endpoints before and after one endpoint has piled up ``size`` deliveries; and the start with them."""
    with installed(case) as (server, receiver, keys):
        load(server, keys, replace(case, seconds=2.0))
        settle(receiver)
        plain = run_case(case, server, receiver, keys)
        told("no backlog", plain)
        refused = Receiver(1)
        port, refused.port = refused.port, free_port()
        stuck = furnish(server.client, refused, replace(case, endpoints=1))
        refused.port = port
        began = time.monotonic()
        piled = _posted(server.port, stuck, replace(case, clients=4, rate=None, array=_ARRAY), size)
        refused.stop()
        print(f"piled up {piled:,} deliveries at {piled / (time.monotonic() - began):,.0f}/s", flush=True)
        hard = run_case(case, server, receiver, keys)
        told(f"beside a backlog of {piled:,}", hard)
        compared(plain, hard)
        print(f"{hard.pss_mib - plain.pss_mib:+.0f} MiB of memory")
        server.stop()
        began = time.monotonic()
        again = Server(server.folder, {}, [])
        print(f"started over it in {time.monotonic() - began:.1f} s", flush=True)
        again.stop()


def _posted(port: int, keys: list[str], case: Case, events: int) -> int:
    """Post so many events and say how many were accepted; fewer only where the server is very slow."""
    made = post_load(port, keys, replace(case, seconds=_POSTING_SECONDS_MAX, events=events))
    return int(made["statuses"].get("202", 0)) * case.array


def overload(case: Case, size: int) -> None:
    """Receivers so slow that all requests to them at once are half of what comes, in arrays; then they are quick again.
    Whether each endpoint's first attempts were made in accepted order, and whether the oldest due age only fell once
    no more came.

    Quick again, since with nothing but the same slow ones it rises till the end, however deliveries are chosen: each
    second a second passes, and what is sent in it was accepted within half a one.
    """
    takes = case.rate or 500.0
    slow = size * limits.IN_FLIGHT_DEFAULT / takes
    one = replace(case, endpoints=size, array=_array_for(takes), clients=256)
    with installed(one) as (server, receiver, keys):
        load(server, keys, replace(one, seconds=2.0, rate=100.0 / one.array))
        settle(receiver)
        receiver.report(f"delay {slow}")
        print(f"{size} receivers answer after {slow * 1000:.0f} ms, so {takes:,.0f} deliveries a second", flush=True)
        with beside(lambda: metric(server, _OLDEST)) as ages:
            made = load(server, keys, replace(one, rate=2 * takes / one.array))
        accepted = int(made["statuses"].get("202", 0)) * one.array
        waiting = accepted - receiver.report("count")["requests"]
        rate = accepted / made["seconds"]
        print(f"accepted {rate:,.0f}/s for {one.seconds:g} s; door p50 {made['p50']} p99 {made['p99']} ms; ", end="")
        print(f"{made['unsent']} requests were not even sent")
        print(f"{waiting:,} deliveries wait, the oldest due for {ages[-1]:.1f} s", flush=True)
        receiver.report("delay 0")
        _fallen(server, receiver, slow, accepted)
        got = settle(receiver, accepted)
        print(f"  {accepted - got['distinct']} lost; p50 {got.get('p50')} p99 {got.get('p99')} ms to the receiver")
        server.stop()
        print("first attempts: {:,} made, {} of them before an earlier one".format(*_out_of_order(server.folder)))


def _array_for(rate: float) -> int:
    """Events in one request: accepting them is a small part of the work, and all endpoints get about as many."""
    return max(1, min(20, round(rate / 40)))


def _fallen(server: Server, receiver: Receiver, slow: float, accepted: int) -> None:
    """Look at the oldest age until everything has arrived, and say how it went. A look at a moment in which all that
    waits is just being claimed sees nothing, and says nothing.
    """
    began = time.monotonic()
    time.sleep(slow)  # What was under way is answered only now.
    ages = [metric(server, _OLDEST)]
    while receiver.report("count")["requests"] < accepted and time.monotonic() - began < _FALLING_SECONDS_MAX:
        time.sleep(0.25)
        ages.append(metric(server, _OLDEST))
    seen = [age for age in ages[:-1] if age] + ages[-1:]
    rises = [after - before for before, after in pairwise(seen) if after > before]
    print(
        f"everything was there {time.monotonic() - began:.1f} s later; ages: {' '.join(f'{age:.1f}' for age in seen)}"
    )
    print(f"  the age rose {len(rises)} times in {len(seen)} looks, by {max(rises, default=0):.2f} s at most")


def _out_of_order(folder: Path) -> tuple[int, int]:
    """How many first attempts there were, and how many began before one of an earlier delivery to the same endpoint."""
    path = next(folder.glob("*.db"))
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = db.execute(
        "SELECT d.endpoint, a.started_ms FROM attempt a JOIN delivery d ON d.id = a.delivery WHERE a.number = 1 "
        "ORDER BY d.endpoint, d.id"
    )
    made = wrong = 0
    latest: tuple[Any, Any] = (None, 0)
    for endpoint, started_ms in rows:
        made += 1
        if endpoint != latest[0]:
            latest = (endpoint, started_ms)
        wrong += started_ms < latest[1]
        latest = (endpoint, max(started_ms, latest[1]))
    db.close()
    return made, wrong


def dead(case: Case, size: int) -> None:
    """Healthy endpoints among healthy ones, and with a fifth of all endpoints dead, in equal parts of three kinds."""
    results = []
    for count in (0, size // 5):
        one = replace(case, endpoints=size, dead=count)
        with installed(one) as (server, receiver, keys):
            # The first attempts show who is dead; from then on each of them gets little.
            load(server, keys, replace(one, seconds=20.0 if count else 3.0))
            settle(receiver)
            results.append(run_case(one, server, receiver, keys))
        told(f"{size} endpoints, {count} dead", results[-1])
    compared(*results)


def large(case: Case, size: int) -> None:
    """Accepting on an empty and on a filled database."""
    results = []
    for events in (0, size):
        folder = Path(tempfile.mkdtemp(prefix="whatsync-bench-"))
        if events:
            began = time.monotonic()
            asyncio.run(_fill(folder / "data" / "whatsync.db", events))
            print(f"filled {events:,} events in {time.monotonic() - began:.0f} s", flush=True)
        with installed(case, folder=folder) as (server, receiver, keys):
            load(server, keys, replace(case, seconds=2.0))
            settle(receiver)
            results.append(run_case(case, server, receiver, keys))
        told(f"{events:,} events in the database", results[-1])
    compared(*results)


async def _fill(path: Path, events: int) -> None:
    clock = SystemClock()
    path.parent.mkdir(mode=0o700, parents=True)
    store = SqliteStore(path, clock=clock)
    await store.open(clock.now_ms(), "bench")
    await Load(store, 2, clock.now_ms() - 86_400_000).fill(events)
    await store.close()


def reader(case: Case, size: int) -> None:
    """The same load without and with somebody who pages through all deliveries as fast as he can."""
    with installed(replace(case, endpoints=20)) as (server, receiver, keys):
        settle(receiver, _posted(server.port, keys, replace(case, rate=None, clients=16, array=100), size))
        plain = run_case(case, server, receiver, keys)
        told("nobody reads", plain)
        with beside(lambda: _read_all(server, keys[0])) as read:
            log_bytes = [0.0]
            with beside(lambda: log_bytes.append(metric(server, "whatsync_wal_bytes"))):
                hard = run_case(case, server, receiver, keys)
        told("somebody reads everything", hard)
        compared(plain, hard)
        print(f"he read {sum(read):,} deliveries; the log had at most {max(log_bytes) / 2**20:.0f} MiB")


def _read_all(server: Server, key: str) -> int:
    found: dict[str, Any] = {"nextCursor": ""}
    count = 0
    accounts = server.client.get("/v1/accounts").json()["items"]
    about = {"X-WhatsSync-Account": accounts[0]["id"]}
    for _ in range(50):
        cursor = {"cursor": found["nextCursor"]} if found["nextCursor"] else {}
        found = server.client.get("/v1/deliveries", params={"limit": "200", **cursor}, headers=about).json()
        count += len(found["items"])
        if not found["nextCursor"]:
            break
    return count


def export(case: Case, size: int) -> None:
    """A download of a whole history beside arrays of events, and the most its log took meanwhile."""
    rate, sizes = case.rate or 500.0, list[float]()
    arrays = replace(case, endpoints=20, array=100, rate=rate / 100)
    with installed(arrays) as (server, receiver, keys):
        began = time.monotonic()
        piled = _posted(server.port, keys[:1], replace(arrays, rate=None, clients=16), size)
        missing = piled - settle(receiver, piled)["distinct"]
        print(f"{piled:,} deliveries made in {time.monotonic() - began:.0f} s, {missing} missing", flush=True)
        plain = run_case(arrays, server, receiver, keys)
        told("nobody reads", plain)
        browser, home = _visitor(server)
        with (
            beside(lambda: _download(browser, f"{home}/history/export?format=ndjson")) as read,
            beside(lambda: sizes.append(metric(server, "whatsync_wal_bytes"))),
        ):
            hard = run_case(arrays, server, receiver, keys)
        told("beside the download", hard)
        compared(plain, hard)
        print(f"{len(read)} downloads with {sum(read):,} rows; the log had at most {max(sizes) / 2**20:.0f} MiB")


def _visitor(server: Server) -> tuple[httpx.Client, str]:
    """A browser signed in to the first account, and where that is."""
    accounts = server.client.get("/v1/accounts", params={"limit": "200"}).json()["items"]
    first = next(one["id"] for one in accounts if one["name"] == "bench 0")
    link = server.client.post(f"/v1/accounts/{first}/sign-in-link", json={"role": "viewer"}).json()["url"]
    headers = {"accept": "text/html", "sec-fetch-site": "same-origin"}
    browser = httpx.Client(base_url=server.url, headers=headers, timeout=60)
    token = re.findall(r"X-CSRF-Token&#34;:&#34;([^&]+)&#34;", browser.get(link).text)[0]
    entered = browser.post(link, data={"csrf": token})
    return browser, entered.headers["location"]


def _download(client: httpx.Client, path: str) -> int:
    rows = 0
    with client.stream("GET", path) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            rows += part.count(b"\n")
    return rows


def hosts(case: Case, size: int) -> None:
    """HTTPS to many hosts beside HTTP to as many: how late the server's loop was by its own account, and how long its
    handshakes held it at a stretch.
    """
    results = []
    for tls in (False, True):
        one = replace(case, endpoints=size, tls=tls)
        with installed(one) as (server, receiver, keys):
            load(server, keys, replace(one, seconds=1.0))
            settle(receiver)
            before = histogram(server, _LAG)
            results.append(run_case(one, server, receiver, keys))
            told(f"{size} hosts over {receiver.scheme}", results[-1])
            looks = {bound: count - before[bound] for bound, count in histogram(server, _LAG).items()}
            count = looks[math.inf]
            late, most = count - looks[_STALL_SECONDS], next(bound for bound, n in looks.items() if n == count)
            print(
                f"  of {count} looks at its loop {late} ({late / count:.1%}) found it more than "
                f"{_STALL_SECONDS * 1000:g} ms late, none more than {most * 1000:g} ms"
            )
            if tls:
                made, resumed, step, turn, cpu = (
                    metric(server, f'whatsync_sender{{counter="{name}"}}') for name in _HANDSHAKES
                )
                print(
                    f"  {made:.0f} handshakes, {resumed:.0f} resumed; the longest step took {step / 1000:.1f} ms, "
                    f"and handshakes held the loop for {turn / 1000:.1f} ms at a stretch, "
                    f"{cpu / 1000:.1f} ms of it at work",
                    flush=True,
                )
    compared(*results)


def histogram(server: Server, name: str) -> dict[float, int]:
    """One of the server's histograms: how many observations were at most so many seconds, by that bound."""
    lines = server.client.get("/metrics").text.splitlines()
    found = [re.match(rf'{name}_bucket{{le="([^"]+)"}} (.+)', line) for line in lines]
    return {float(match[1]): int(float(match[2])) for match in found if match}


@contextmanager
def beside(work: Callable[[], Any], pause_seconds: float = 0.1) -> Iterator[list[Any]]:
    """Do something again and again in a thread; what it gave back is in the list at the end."""
    results: list[Any] = []
    ended = threading.Event()

    def again() -> None:
        while not ended.wait(pause_seconds):
            results.append(work())

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield results
    finally:
        ended.set()
        thread.join()


CASES: dict[str, tuple[Callable[[Case, int], None], int]] = {
    "backlog": (backlog, 200_000),
    "overload": (overload, 50),
    "dead": (dead, 1_000),
    "large": (large, 500_000),
    "reader": (reader, 50_000),
    "export": (export, 200_000),
    "hosts": (hosts, 500),
}


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--size", type=int)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    run, size = CASES[chosen.case]
    run(Case(chosen.case, clients=64, seconds=chosen.seconds, rate=chosen.rate), chosen.size or size)


if __name__ == "__main__":
    main()
