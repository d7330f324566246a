"""One measurement: set the installation up, load it, wait until everything has arrived, and say what was reached."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from whatsync.cli.bench.installation import Receiver, Server

_SETTLE_SECONDS = 60
_STALLED_SECONDS = 20
"""So long without anything new, what was expected is not waited for any more."""


class Case(msgspec.Struct, frozen=True):
    """What to measure."""

    name: str
    clients: int = 64
    seconds: float = 10.0
    rate: float | None = None
    """Requests a second, open loop; ``None``: as many as the clients can."""
    array: int = 1
    endpoints: int = 200
    fan_out: int = 1
    delay_s: float = 0.0
    """How long the receiver takes to answer."""
    processes: int = 1
    tls: bool = False
    """Deliver over HTTPS."""
    dead: int = 0
    """Of the endpoints: how many refuse, never answer or take ten seconds; a third each."""
    events: int | None = None
    """End when so many events were posted, however much time there is; not where there is a rate."""


class Result(msgspec.Struct, frozen=True):
    """What was reached. Times in milliseconds, rates a second."""

    name: str
    accepted: float
    delivered: float
    accept_p50: float
    accept_p99: float
    receipt_p50: float
    receipt_p99: float
    cpu_us: float
    """Processor time of the server per event, in microseconds."""
    database_us: float | None
    """The same of the database's own processes; ``None`` where it has none on this machine."""
    cores: float
    pss_mib: float
    bytes_per_event: float
    lost: int
    refused: int


def measure(case: Case, settings: dict[str, str] | None = None, warm_up_seconds: float = 2.0) -> Result:
    """Start everything, measure, stop everything. Raises RuntimeError where the server can't be started."""
    with installed(case, settings) as (server, receiver, keys):
        if warm_up_seconds:
            load(server, keys, msgspec.structs.replace(case, seconds=warm_up_seconds))
            settle(receiver)
        return run_case(case, server, receiver, keys)


@contextmanager
def installed(
    case: Case, settings: dict[str, str] | None = None, folder: Path | None = None
) -> Iterator[tuple[Server, Receiver, list[str]]]:
    """A server with its endpoints and their receiver, and a key for each account. Everything is removed at the end.

    ``folder`` holds a database that is there already.
    """
    made = folder or Path(tempfile.mkdtemp(prefix="whatsync-bench-"))
    receiver = Receiver(case.endpoints, case.delay_s, made if case.tls else None, case.dead)
    try:
        arguments = ["--processes", str(case.processes)] if case.processes > 1 else []
        trust = {} if receiver.trust is None else {"SSL_CERT_FILE": str(receiver.trust.path)}
        server = Server(made / "data", {**(settings or {}), **trust}, arguments)
        try:
            yield server, receiver, furnish(server.client, receiver, case)
        finally:
            server.stop()
    finally:
        receiver.stop()
        shutil.rmtree(made, ignore_errors=True)


def furnish(client: httpx.Client, receiver: Receiver, case: Case) -> list[str]:
    """Make one account per endpoint (or per ``fan_out`` of them), each with a key; returns the keys."""
    keys = []
    urls = [f"{receiver.scheme}://{host}:{receiver.port}/hook" for host in receiver.hosts]
    for first in range(0, case.endpoints, case.fan_out):
        account = _post(client, "/v1/accounts", {"name": f"bench {first}"})["id"]
        about = {"X-WhatsSync-Account": account}
        key = _post(client, "/v1/keys", {"name": "bench", "scopes": ["events:write"]}, about)
        keys.append(key["key"])
        for url in urls[first : first + case.fan_out]:
            _post(client, "/v1/endpoints", {"url": url, "events": ["message.incoming"]}, about)
    return keys


def _post(client: httpx.Client, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    answer = client.post(path, json=body, headers=headers)
    if answer.status_code >= 300:
        raise RuntimeError(f"POST {path} answered {answer.status_code}: {answer.text}")
    return answer.json()


def load(server: Server, keys: list[str], case: Case) -> dict[str, Any]:
    """Load the server."""
    return post_load(server.port, keys, case)


def post_load(port: int, keys: list[str], case: Case) -> dict[str, Any]:
    """Run the load generator against a port of this machine to its end."""
    orders = {
        "host": "127.0.0.1",
        "port": port,
        "keys": keys,
        "connections": case.clients,
        "seconds": case.seconds,
        "events": case.events,
        "rate": case.rate,
        "array": case.array,
    }
    done = subprocess.run(
        [sys.executable, "-m", "whatsync.cli.bench.generator"],
        input=json.dumps(orders).encode() + b"\n",
        stdout=subprocess.PIPE,
        timeout=case.seconds + 120,
        check=True,
    )
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def settle(receiver: Receiver, expected: int = 0) -> dict[str, Any]:
    """Wait until nothing more arrives, then take the receiver's report and begin a new one.

    Where it is known how many requests are to come, they are waited for as long as any still come.
    """
    began = changed = time.monotonic()
    before = -1
    while expected or time.monotonic() - began < _SETTLE_SECONDS:
        count, now = receiver.report("count")["requests"], time.monotonic()
        if count != before:
            before, changed = count, now
        elif count >= expected or now - changed > _STALLED_SECONDS:
            break
        time.sleep(0.5)
    return receiver.report("reset")


def run_case(case: Case, server: Server, receiver: Receiver, keys: list[str]) -> Result:
    """Load an installation, wait until everything has arrived, and say what was reached."""
    cpu, database_cpu, size = server.cpu_seconds(), server.database_cpu_seconds(), server.stored_bytes()
    made = load(server, keys, case)
    statuses = {int(status): count for status, count in made["statuses"].items()}
    accepted = statuses.get(202, 0) * case.array
    # With dead ones, or an account that has fewer endpoints than the others, nobody knows how many are to come.
    known = not case.dead and case.endpoints % case.fan_out == 0
    got = settle(receiver, accepted * case.fan_out if known else 0)
    pss = server.pss_mib()
    time.sleep(1)
    delivered_seconds = max(0.001, (got["last_ns"] - made["start_ns"]) / 1e9)
    used, database_used = server.cpu_seconds() - cpu, server.database_cpu_seconds()
    return Result(
        name=case.name,
        accepted=accepted / made["seconds"],
        delivered=got["requests"] / delivered_seconds,
        accept_p50=made["p50"],
        accept_p99=made["p99"],
        receipt_p50=got.get("p50", 0.0),
        receipt_p99=got.get("p99", 0.0),
        cpu_us=used / max(1, accepted) * 1e6,
        database_us=None
        if database_cpu is None or database_used is None
        else (database_used - database_cpu) / max(1, accepted) * 1e6,
        cores=used / made["seconds"],
        pss_mib=pss,
        bytes_per_event=(server.stored_bytes() - size) / max(1, accepted),
        lost=0 if case.dead else accepted - got["distinct"],
        refused=sum(count for status, count in statuses.items() if status != 202),
    )
