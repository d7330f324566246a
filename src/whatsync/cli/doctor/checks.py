"""What ``whatsync doctor`` looks at: each check is a function of the settings and ends in a sentence about what to do.

Reads only; a check that can't be made says so and is no problem by itself.
"""

import asyncio
import json
import os
import resource
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apsw
import msgspec

from whatsync import compiled
from whatsync.cli.doctor.check import Check
from whatsync.cli.doctor.media_check import check_media
from whatsync.cli.doctor.questions import ask, server_url
from whatsync.cli.local import Local, running_here
from whatsync.cli.output import clean
from whatsync.compose.places import database_address, database_path
from whatsync.config import Config, is_postgres, without_password
from whatsync.model import limits
from whatsync.net.system import SystemClock
from whatsync.ports.store import StoreRefused
from whatsync.store.postgres import inspecting
from whatsync.store.postgres import schema as postgres_schema
from whatsync.store.sqlite import schema
from whatsync.store.sqlite.connection import APPLICATION_ID, open_reader, refusal
from whatsync.store.vault import KEY_FILE

_LOOK_SECONDS = 5.0
_LOOK_STEPS = 10_000
"""Of SQLite's own, between two looks at the clock."""
_MIB = 2**20
_OPEN_FILES_MIN = 4_096
_CLOCK_FLOOR_MS = 1_735_689_600_000
"""The first moment of 2025: a clock before it is not set."""
_CLOCK_SLACK_MS = 60_000
_SQLITE_MIN = (3, 51, 0)


def all_checks(config: Config) -> list[Check]:
    """Make all checks, in the order in which one would."""
    local = running_here(config.data_dir)
    checks = [check_folder(config), check_disk(config)]
    if is_postgres(config.database_url):
        checks += check_postgres(config)
    else:
        checks += [check_sqlite(), *check_database(config)]
    checks += [check_key(config), check_media(_as_it_runs(config, local)), check_files(), check_speed()]
    checks += [*check_clock(config), *check_reach(config), *check_server(config, local)]
    return checks


def _as_it_runs(config: Config, local: Local | None) -> Config:
    """The settings with the port of the server that runs here: it may have been given one of its own."""
    port = None if local is None else urlsplit(local.url).port
    return config if port is None else msgspec.structs.replace(config, port=port)


def check_folder(config: Config) -> Check:
    """The data folder."""
    folder = config.data_dir
    if not folder.exists():
        above = next(parent for parent in folder.resolve().parents if parent.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            return Check("Data folder", "problem", f"{folder} is not there and can't be made: {above} is not writable.")
        return Check("Data folder", "ok", f"{folder.resolve()} will be made by the first `whatsync serve`.")
    if not folder.is_dir():
        return Check("Data folder", "problem", f"{folder} is not a folder. Set WHATSYNC_DATA_DIR to one.")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Check("Data folder", "problem", f"this user may not write to {folder}. Run as its owner, or chown it.")
    if folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        sentence = f"{folder.resolve()} is open to other users of this machine. chmod 700 {folder}"
        return Check("Data folder", "warning", sentence)
    return Check("Data folder", "ok", f"{folder.resolve()}, for its owner only.")


def check_disk(config: Config) -> Check:
    """Room on the data folder's disk."""
    folder = config.data_dir.resolve()
    there = folder if folder.exists() else next(parent for parent in folder.parents if parent.exists())
    free, least = shutil.disk_usage(there).free, config.min_free_disk
    room = f"{free / _MIB:,.0f} MiB free; events are refused below {least / _MIB:,.0f} (WHATSYNC_MIN_FREE_DISK)"
    if free < least:
        return Check("Disk", "problem", f"{room}. Free some, or move the data folder to a larger disk.")
    if free < 2 * least:
        return Check("Disk", "warning", f"{room}. It will not last.")
    return Check("Disk", "ok", f"{room}.")


def check_sqlite() -> Check:
    """The SQLite in use."""
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < _SQLITE_MIN:
        return Check("SQLite", "warning", f"{version} is old: install the locked packages (`make setup`).")
    return Check("SQLite", "ok", f"{version}, brought along by apsw {apsw.apsw_version()}.")


def check_database(config: Config) -> Iterator[Check]:
    """The database file."""
    path = database_path(config)
    if not path.exists():
        yield Check("Database", "ok", f"{path.resolve()} will be made by the first `whatsync serve`.")
        return
    try:
        db = open_reader(path)
        try:
            owner = db.execute("PRAGMA application_id").fetchall()[0][0]
            current, newest = schema.version(db), max(schema.migrations())
            damage = _damage(db)
        finally:
            db.close()
    except apsw.Error as problem:
        yield Check("Database", "problem", f"{refusal(path, problem).reason}.")
        return
    if owner != APPLICATION_ID:
        yield Check("Database", "problem", f"{path} is no database of WhatsSync. Move it away, or name the right file.")
    elif damage is not None:
        yield Check("Database", "problem", f"{path} is damaged ({damage}). Restore it from a backup.")
    elif current > newest:
        yield Check(
            "Database", "problem", f"{path} was written by a newer version. Install that one, or restore a backup."
        )
    elif current < newest:
        yield Check(
            "Database", "ok", f"{path} has schema {current}; the next start brings it to {newest}. Back it up first."
        )
    else:
        yield Check("Database", "ok", f"{path}, {_size(path) / _MIB:,.1f} MiB, schema {current}.")


def _damage(db: apsw.Connection) -> str | None:
    """The first thing that is wrong inside the file, as far as some seconds of looking find one."""
    clock = SystemClock()
    end = clock.monotonic() + _LOOK_SECONDS
    db.set_progress_handler(lambda: clock.monotonic() > end, _LOOK_STEPS)
    try:
        found = str(db.execute("PRAGMA quick_check(1)").fetchall()[0][0])
    except apsw.InterruptError:
        return None
    finally:
        db.set_progress_handler(None)
    return None if found == "ok" else " ".join(found.split())


def check_postgres(config: Config) -> Iterator[Check]:
    """The database on a PostgreSQL server, and the settings of it that durability stands on."""
    address, newest = database_address(config), max(postgres_schema.migrations())
    try:
        found = asyncio.run(inspecting.look(address))
    except StoreRefused as refused:
        yield Check("Database", "problem", f"{refused.reason}.")
        return
    where = f"{without_password(address.url)}, PostgreSQL {found.server}, {found.bytes / _MIB:,.1f} MiB"
    if found.schema > newest:
        yield Check("Database", "problem", f"{where}: written by a newer version. Install that one.")
    elif found.schema < newest:
        had = "is empty" if not found.schema else f"has schema {found.schema}"
        yield Check("Database", "ok", f"{where}: it {had}; the next start brings it to {newest}.")
    else:
        yield Check("Database", "ok", f"{where}, schema {newest}.")
    if address.unsafe_allowed:
        yield Check(
            "Durability", "warning", "WHATSYNC_DATABASE_UNSAFE is true: a crash of the database may lose events."
        )


def _size(path: Path) -> int:
    return sum(side.stat().st_size for side in (path, Path(f"{path}-wal")) if side.exists())


def check_key(config: Config) -> Check:
    """The key that seals secrets at rest."""
    if config.encryption_key is not None:
        if len(set(config.encryption_key)) < limits.ENCRYPTION_KEY_DIFFERENT_CHARS:
            sentence = "WHATSYNC_ENCRYPTION_KEY has few different characters and could be guessed. Start new ones well:"
            return Check("Encryption key", "warning", f"{sentence} `openssl rand -base64 32` makes a good key.")
        return Check("Encryption key", "ok", "set by WHATSYNC_ENCRYPTION_KEY. Keep a copy apart from the backups.")
    path = config.data_dir / KEY_FILE
    if not path.exists():
        if not is_postgres(config.database_url) and database_path(config).exists():
            sentence = (
                f"{path} is gone, and without it no secret can be read. Put it back, or set WHATSYNC_ENCRYPTION_KEY."
            )
            return Check("Encryption key", "problem", sentence)
        return Check("Encryption key", "ok", "will be made by the first `whatsync serve` and kept in the data folder.")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Check("Encryption key", "problem", f"{path} is open to other users. chmod 600 {path}")
    return Check("Encryption key", "ok", f"{path.resolve()}. Keep a copy apart from the backups.")


def check_files() -> Check:
    """How many sockets a server could have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _OPEN_FILES_MIN:
        sentence = f"at most {hard}, so at most that many connections. Raise it (LimitNOFILE=65536, ulimit -Hn 65536)."
        return Check("Open files", "warning", sentence)
    return Check("Open files", "ok", "no limit." if hard == resource.RLIM_INFINITY else f"up to {hard:,}.")


def check_speed() -> Check:
    """Whether the hot path is machine code. Both forms do the same."""
    reason = compiled.unusable()
    if reason is None:
        return Check("Speed", "ok", "the hot path is compiled.")
    return Check(
        "Speed", "ok", f"the hot path runs from source ({reason}). `make compile` makes it a tenth to a fifth quicker."
    )


def check_clock(config: Config) -> Iterator[Check]:
    """The machine's clock: signatures carry its time, and receivers refuse what is five minutes off."""
    now_ms = SystemClock().now_ms()
    path = None if is_postgres(config.database_url) else database_path(config)
    written_ms = int(path.stat().st_mtime * 1000) if path is not None and path.exists() else 0
    if now_ms < _CLOCK_FLOOR_MS:
        yield Check("Clock", "problem", "this machine's clock is not set. Switch on time synchronisation (NTP).")
    elif written_ms > now_ms + _CLOCK_SLACK_MS:
        ahead = (written_ms - now_ms) // 1000
        sentence = f"the database was written {ahead:,} s in the future: the clock went back. Switch on NTP."
        yield Check("Clock", "problem", sentence)
    else:
        yield Check("Clock", "ok", "plausible. Receivers refuse signatures over 5 minutes off: keep NTP on.")


def check_reach(config: Config) -> Iterator[Check]:
    """Whether the settings fit how the server is reached."""
    if config.loopback_only and config.public_url is None:
        yield Check("Reach", "ok", "this machine only. To be reached from outside: a proxy, and WHATSYNC_PUBLIC_URL.")
    elif config.public_url is None:
        sentence = "it listens to others, but WHATSYNC_PUBLIC_URL is unset: links it writes lead nowhere. Set it."
        yield Check("Reach", "warning", sentence)
    elif not config.public_url.startswith("https://"):
        yield Check("Reach", "warning", f"{config.public_url} is not https: keys and messages can be read on the way.")
    else:
        yield Check("Reach", "ok", f"{config.public_url}.")


def check_server(config: Config, local: Local | None) -> Iterator[Check]:
    """The server: whether it runs and is ready, or whether its port is free."""
    if config.url is None and local is None:
        yield _check_port(config)
        return
    url = server_url(config)
    status, _ = ask(url, "/healthz")
    if status != 200:
        what = "no answer" if status is None else f"it answers {status}"
        yield Check(
            "Server", "problem", f"{url} is not alive ({what}). Look at its log; start it with `whatsync serve`."
        )
        return
    status, body = ask(url, "/readyz")
    told = _document(body)
    if status == 200 and told.get("warnings"):
        yield Check("Server", "warning", f"{url} is ready, but {'; '.join(map(clean, told['warnings']))}.")
    elif status == 200:
        yield Check("Server", "ok", f"{url} is alive and ready.")
    else:
        reason = clean(told.get("detail") or "it does not say why; look at its log")
        yield Check("Server", "problem", f"{url} is alive but not ready: {reason}.")


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _check_port(config: Config) -> Check:
    if config.port == 0:
        return Check("Port", "ok", "none runs on this data folder; a free port would be taken.")
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as problem:
            sentence = f"{config.host}:{config.port} can't be used ({problem.strerror}). Choose another WHATSYNC_PORT."
            return Check("Port", "problem", sentence)
    return Check("Port", "ok", f"{config.port} is free; no server runs on this data folder (`whatsync serve`).")
