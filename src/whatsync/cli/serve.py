"""``whatsync serve``: everything in one process, from settings to a clean stop.

The wiring is in ``compose``; here are the signals, the first start's keys and what is said on the terminal.
"""

import asyncio
import errno
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop

from whatsync import __version__
from whatsync.cli import presence
from whatsync.cli.failure import FAILED, wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.options import example
from whatsync.compose.opening import open_server
from whatsync.compose.places import Outside
from whatsync.compose.server import Server
from whatsync.config import Config, ConfigError, is_postgres, load, without_password
from whatsync.engine.bootstrap import Chosen, FirstKeys, bootstrap, way_in
from whatsync.engine.links import MadeLink
from whatsync.logs import Lines, Screen, set_up
from whatsync.model import limits
from whatsync.model.errors import Invalid
from whatsync.net.system import SystemClock, SystemRandomness
from whatsync.ports.cluster import Role
from whatsync.ports.store import StoreRefused
from whatsync.tracing import Tracing, TracingUnavailable
from whatsync.web.listener import Listener, bind

FIRST_KEYS_FILE = "first-keys.txt"
LINK_FILE = "sign-in-link.txt"

app = new_app()


@app.command(epilog=example("whatsync serve", "whatsync serve --host 0.0.0.0 --port 80 --data-dir /var/lib/whatsync"))
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[str | None, typer.Option(metavar="NUMBER", help="Port to listen on [8600].")] = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="sqlite:///path or postgresql://… [in the data folder].")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(metavar="FOLDER", help="Data folder [whatsync-data].")] = None,
    role: Annotated[str | None, typer.Option(metavar="all|api|deliver", help="Which half of the work to do.")] = None,
    processes: Annotated[str | None, typer.Option(metavar="NUMBER", help="Processes to share the work.")] = None,
) -> None:
    """Run the server: API and delivery. Every option is a setting, too; `whatsync doctor` shows them all."""
    flags = {
        "HOST": host,
        "PORT": port,
        "DATABASE_URL": database,
        "DATA_DIR": data_dir,
        "ROLE": role,
        "PROCESSES": processes,
    }
    try:
        config = load(os.environ, Path.cwd(), flags)
    except ConfigError as problem:
        raise wrong_use("the settings are wrong.\n  " + "\n  ".join(problem.problems)) from None
    _raise_file_limit()
    clock = SystemClock()
    lines = set_up(_write_stderr, clock.now_ms, config.log_format, config.log_level, _screen())
    tracing = None
    try:
        tracing = Tracing(__version__) if config.tracing else None
        uvloop.run(_run(config, clock, lines, tracing))
    except StoreRefused as refused:
        raise wrong_use(refused.reason) from None
    except TracingUnavailable as problem:
        raise wrong_use(str(problem)) from None
    finally:
        if tracing is not None:
            tracing.close()
        lines.flush()


async def _run(config: Config, clock: SystemClock, lines: Lines, tracing: Tracing | None) -> None:
    randomness = SystemRandomness()
    token = presence.make_token(randomness)
    _make_folder(config.data_dir)
    bound = None
    if config.port == 0:
        # Any free port will do: take one now, so that deliveries can't be sent to ourselves.
        bound = _bind(config.host, 0, "PORT")
        config = msgspec.structs.replace(config, port=bound.getsockname()[1])
    server = await open_server(config, Outside(clock, randomness, lines.line, tracing, token))
    stopped = False
    try:
        bound = bound or _bind(config.host, config.port, "PORT")
        url = _url(config, bound)
        try:
            await _serve(server, bound, url, token)
        finally:
            presence.withdraw(config.data_dir)
        stopped = True
    finally:
        await server.stop()
        if stopped:
            _tell("Stopped.")


async def _serve(server: Server, bound: socket.socket, url: str, token: str) -> None:
    config, services = server.config, server.services
    first, link = await _set_up(server)
    proxies = [str(network) for network in config.trusted_proxies]
    # Who only delivers serves nobody, but can be asked how it is.
    serves = config.role != Role.DELIVER
    listener = Listener(server.application, server.door, proxies) if serves else server.metrics_listener()
    metrics = None
    if config.metrics_address is not None:
        metrics = server.metrics_listener()
        await metrics.start([_bind(*config.metrics_address, "METRICS_ADDRESS")])
    stopping = _signals()
    server.start()
    await listener.start([bound])
    # Whoever finds the address can speak to it from here on.
    presence.publish(config.data_dir, url, token)
    _greet(config, url, first, link)
    await stopping.wait()
    _tell(
        f"\nStopping: finishing what is under way, for up to {limits.DRAIN_SECONDS:g} s. Ctrl+C again ends it at once."
    )
    services.runner.ready = False
    services.feed.stop()
    await listener.stop()
    if metrics is not None:
        await metrics.stop()


async def _set_up(server: Server) -> tuple[FirstKeys | None, MadeLink | None]:
    """Make what an empty installation needs: keys, and a way to sign in."""
    config, services = server.config, server.services
    chosen = Chosen(config.bootstrap_api_key, config.bootstrap_email, config.bootstrap_password)

    async def make() -> tuple[FirstKeys | None, MadeLink | None]:
        first = await bootstrap(services.directory, services.accounts, services.keys, chosen)
        return first, await way_in(services.directory, services.users, services.links, chosen)

    try:
        return await services.standing.alone("first keys", make)
    except Invalid as problem:
        raise wrong_use(
            f"a value chosen for the first start is wrong (WHATSYNC_BOOTSTRAP_…): {problem.detail}"
        ) from None


def _signals() -> asyncio.Event:
    """An event that is set by SIGTERM or SIGINT; the second signal ends the process at once."""
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            # Safe at any moment: what is not on disk was never acknowledged, what is under way is repeated.
            os._exit(FAILED)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return stopping


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise wrong_use(f"can't make the data folder {folder}: {reason}. Choose another WHATSYNC_DATA_DIR") from None


def _bind(host: str, port: int, setting: str) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise wrong_use(f"can't listen on {host}:{port}: {reason}. {_bind_advice(problem, host, setting)}") from None


def _bind_advice(problem: OSError, host: str, setting: str) -> str:
    if problem.errno == errno.EADDRINUSE:
        return f"Stop what uses it, or choose another WHATSYNC_{setting}"
    if problem.errno == errno.EACCES:
        return f"Ports below 1024 need leave of the system; choose another WHATSYNC_{setting}"
    return f"Is {host} an address of this machine? Correct it, or listen on 127.0.0.1"


def _url(config: Config, bound: socket.socket) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104 - for reading only
    port = bound.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _greet(config: Config, url: str, first: FirstKeys | None, link: MadeLink | None) -> None:
    public = config.public_url
    rows = [
        f"WhatsSync {__version__} listens on {url}" + (f", reached as {public}" if public not in (None, url) else ""),
        f"  Dashboard    {config.base_url}/",
        f"  API          {url}/docs",
        f"  Data folder  {config.data_dir.resolve()}",
    ]
    if config.database_url is not None and is_postgres(config.database_url):
        rows.append(f"  Database     {without_password(config.database_url)}")
    made = [] if first is None else _keys(config, first)
    if link is not None:
        made.append(f"  Sign in      {link.url}")
    if made:
        rows += _shown_once(config, first is not None, made)
    rows.append("Stop with Ctrl+C.")
    sys.stdout.write("\n".join(rows) + "\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    """Say something to whoever watches the terminal; a log or a service's journal does not get it."""
    if sys.stdout.isatty():
        with suppress(OSError):  # the terminal was closed
            sys.stdout.write(text + "\n")
            sys.stdout.flush()


def _screen() -> Screen | None:
    """The terminal that log lines go to, if one does."""
    if not os.isatty(2):
        return None
    return Screen(colour=not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


def _keys(config: Config, first: FirstKeys) -> list[str]:
    made = [
        f"  Account      {first.account.account.id}",
        f"  Operator key {first.operator_key.secret}",
    ]
    if config.bootstrap_api_key is None:
        made.insert(1, f"  API key      {first.account_key.secret}")
    return made


def _shown_once(config: Config, is_first: bool, made: list[str]) -> list[str]:
    """Keys and the link to sign in: on a terminal once, else into a file that only the owner can read."""
    why = "First start." if is_first else "Nobody has signed in yet."
    if sys.stdout.isatty():
        return [f"{why} What follows is shown once; the link works once, within 24 hours:", *made]
    path = config.data_dir / (FIRST_KEYS_FILE if is_first else LINK_FILE)
    presence.write_private(path, "\n".join(row.strip() for row in made) + "\n")
    what = "The keys and a link to sign in" if is_first else "A link to sign in"
    return [f"{why} {what}: {path.resolve()}. Read the file and remove it."]


def _raise_file_limit() -> None:
    """Sockets are files: take all that the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return


def _write_stderr(data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(2, view) :]
        except OSError:
            # Nobody reads the log, or its disk is full: serving goes on.
            return
