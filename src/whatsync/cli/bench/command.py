"""``whatsync bench``: what this machine reaches, with the same parts a production server runs."""

from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from whatsync import compiled
from whatsync.cli.bench.measurement import Case, Result, measure
from whatsync.cli.group import new_app
from whatsync.cli.options import example
from whatsync.cli.output import Column, say, show_json, show_table

_FIGURES: list[tuple[str, Callable[[Result], str]]] = [
    ("accepted/s", lambda one: f"{one.accepted:,.0f}"),
    ("delivered/s", lambda one: f"{one.delivered:,.0f}"),
    ("202 p50 ms", lambda one: f"{one.accept_p50:g}"),
    ("202 p99 ms", lambda one: f"{one.accept_p99:g}"),
    ("receipt p50 ms", lambda one: f"{one.receipt_p50:g}"),
    ("receipt p99 ms", lambda one: f"{one.receipt_p99:g}"),
    ("CPU µs/event", lambda one: f"{one.cpu_us:.0f}"),
    ("database's CPU", lambda one: "-" if one.database_us is None else f"{one.database_us:.0f}"),
    ("cores", lambda one: f"{one.cores:.2f}"),
    ("PSS MiB", lambda one: f"{one.pss_mib:.0f}"),
    ("bytes/event", lambda one: f"{one.bytes_per_event:,.0f}"),
    ("lost", lambda one: f"{one.lost:,}"),
]

app = new_app()

SUITE = (
    Case("256 clients", clients=256),
    Case("64 clients", clients=64),
    Case("3,300 events/s", clients=64, rate=3300),
    Case("fan-out 3", clients=256, fan_out=3, endpoints=201),
    Case("arrays of 100", clients=16, array=100),
    Case("HTTPS", clients=256, tls=True),
)
"""What is measured where nothing else is asked for."""


@app.command("bench", epilog=example("whatsync bench", "whatsync bench --clients 256 --seconds 60"))
def bench(
    *,
    clients: Annotated[int | None, typer.Option(min=1, max=2000, help="One case with so many connections.")] = None,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long each case takes.")] = 10.0,
    rate: Annotated[float | None, typer.Option(min=1, help="Requests a second; default: as many as go.")] = None,
    fan_out: Annotated[int, typer.Option(min=1, max=50, help="Endpoints that get each event.")] = 1,
    array: Annotated[int, typer.Option(min=1, max=1000, help="Events in one request.")] = 1,
    endpoints: Annotated[int, typer.Option(min=1, max=20_000, help="Endpoints in all.")] = 200,
    delay: Annotated[float, typer.Option(min=0, max=20, help="Seconds the receiver takes to answer.")] = 0.0,
    processes: Annotated[int, typer.Option(min=1, max=8, help="Server processes.")] = 1,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="An empty PostgreSQL database; default: SQLite.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Deliver over HTTPS.")] = False,
    dead: Annotated[int, typer.Option(min=0, help="Endpoints that refuse, never answer or take 10 s.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure a real server, receiver and load generator on this machine, over a data folder of their own.

    All three share the machine's cores, so compare figures of one run with each other, not with other machines.
    """
    if clients is None:
        cases = [msgspec.structs.replace(case, seconds=seconds, processes=processes) for case in SUITE]
    else:
        name = f"{clients} clients"
        cases = [Case(name, clients, seconds, rate, array, endpoints, fan_out, delay, processes, tls, dead)]
    results = []
    if not as_json:
        reason = compiled.unusable()
        say("the hot path is compiled" if reason is None else f"the hot path runs from source: {reason}")
    for case in cases:
        if not as_json:
            say(f"measuring {case.name} for {case.seconds:g} s …")
        results.append(measure(case, {} if database is None else {"WHATSYNC_DATABASE_URL": database}))
    if as_json:
        show_json([msgspec.to_builtins(result) for result in results])
    else:
        _show(results)


def _show(results: list[Result]) -> None:
    """A figure a line and a case a column, so that it fits a narrow terminal."""
    columns = [Column("", "figure"), *(Column(one.name, str(at), right=True) for at, one in enumerate(results))]
    rows = [{"figure": title, **{str(at): figure(one) for at, one in enumerate(results)}} for title, figure in _FIGURES]
    show_table(columns, rows, "")
