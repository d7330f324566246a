"""``whatsync migrate``: brings a database to this version's schema, or says whether it needs it; moves an installation
from SQLite to PostgreSQL. Opens databases alone.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import apsw
import typer

from whatsync import __version__
from whatsync.cli.failure import FAILED, Failure, wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.local import read_config
from whatsync.cli.options import example
from whatsync.cli.output import Column, remark, say, show_json, show_table
from whatsync.compose.places import database_address, database_path
from whatsync.config import Config, is_postgres, without_password
from whatsync.net.system import SystemClock
from whatsync.ports.store import StoreRefused
from whatsync.store.moving.move import move
from whatsync.store.postgres import inspecting
from whatsync.store.postgres import schema as postgres_schema
from whatsync.store.postgres.connection import Address
from whatsync.store.sqlite import schema
from whatsync.store.sqlite.connection import open_reader, open_writer, refusal
from whatsync.store.sqlite.folder_lock import FolderLock
from whatsync.store.vault import KEY_FILE

_NEXT = """\
Start every node with WHATSYNC_DATABASE_URL={target} and the same encryption key (WHATSYNC_ENCRYPTION_KEY, or a copy of
{key} in each data folder). Media files stay where they are: several nodes need a bucket or a shared folder
(WHATSYNC_MEDIA_STORE). Do not start a server on the old file again: it would deliver the same once more."""
_SQLITE = "sqlite:///"
_MOVED = (Column("TABLE", "table"), Column("ROWS", "rows", right=True), Column("CHECKSUM", "checksum"))

app = new_app()


@app.command(
    epilog=example(
        "whatsync migrate --check",
        "whatsync migrate",
        "whatsync migrate --from sqlite:///data/whatsync.db --to postgresql://whatsync@db/whatsync",
    )
)
def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Only say how it stands; exits with 1 where it needs migrating.")
    ] = False,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="Move an installation: where it is, sqlite:///….")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Where it shall be: postgresql://…, an empty database.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Bring the database to this version's schema. `whatsync serve` does it by itself when it starts.

    With --from and --to: move an installation from SQLite to PostgreSQL, work in flight included. Stop the server
    first. Interrupted, the same command goes on where it was.
    """
    config = read_config()
    if origin is not None or target is not None:
        _move(config, origin, target, as_json)
        return
    if is_postgres(config.database_url):
        _postgres(config, check, as_json)
        return
    path = database_path(config)
    if not path.exists():
        raise Failure(f"there is no database {path}. `whatsync serve` makes one when it starts")
    try:
        before, newest = _version(path), max(schema.migrations())
        if before > newest or (before != newest and not check):
            _migrate(path)
    except StoreRefused as refused:
        raise Failure(refused.reason) from None
    current = before if check else newest
    if as_json:
        show_json({"database": str(path), "before": before, "now": current, "newest": newest})
    else:
        say(_sentence(path, before, current, newest))
    if current != newest:
        raise typer.Exit(FAILED)


def _move(config: Config, origin: str | None, target: str | None, as_json: bool) -> None:
    if origin is None or not origin.startswith(_SQLITE):
        raise wrong_use("--from names a SQLite file: sqlite:///data/whatsync.db")
    if target is None or not is_postgres(target):
        raise wrong_use("--to names a PostgreSQL database: postgresql://user@host/name")
    path = Path(origin.removeprefix(_SQLITE))
    if not path.is_file():
        raise Failure(f"there is no database {path}")
    address = Address(target, config.database_pooler == "transaction", config.database_unsafe)
    clock = SystemClock()
    told: dict[str, int] = {}

    def tell(table: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if told.get(table) != tenth:
            told[table] = tenth
            remark(f"{table}: {done:,} of {total:,}")

    try:
        moved = asyncio.run(move(path, address, clock, __version__, tell))
    except StoreRefused as refused:
        raise Failure(refused.reason) from None
    if as_json:
        show_json({"tables": [{"table": one.table, "rows": one.rows, "checksum": one.checksum} for one in moved]})
        return
    show_table(_MOVED, [{"table": one.table, "rows": one.rows, "checksum": one.checksum} for one in moved], "")
    say(f"All of {path} is in {without_password(target)}; rows and checksums are the same on both sides.")
    remark(_NEXT.format(target=without_password(target), key=KEY_FILE))


def _postgres(config: Config, check: bool, as_json: bool) -> None:
    address, newest = database_address(config), max(postgres_schema.migrations())
    try:
        before = asyncio.run(inspecting.look(address)).schema
        current = before if check and before <= newest else asyncio.run(inspecting.bring_to_newest(address))
    except StoreRefused as refused:
        raise Failure(refused.reason) from None
    name = without_password(address.url)
    if as_json:
        show_json({"database": name, "before": before, "now": current, "newest": newest})
    else:
        say(_sentence(name, before, current, newest))
    if current != newest:
        raise typer.Exit(FAILED)


def _version(path: Path) -> int:
    try:
        db = open_reader(path)
        try:
            return schema.version(db)
        finally:
            db.close()
    except apsw.Error as problem:
        raise refusal(path, problem) from None


def _migrate(path: Path) -> None:
    lock = FolderLock(path, "whatsync migrate")
    try:
        db = open_writer(path)
        try:
            schema.migrate(db, path)
        finally:
            db.close()
    finally:
        lock.release()


def _sentence(path: Path | str, before: int, current: int, newest: int) -> str:
    if before == current == newest:
        return f"{path} has schema {newest}, the newest this version knows. Nothing to do."
    if current != newest:
        return f"{path} has schema {current}; this version's is {newest}. Stop the server and run `whatsync migrate`."
    return f"{path} is now at schema {newest} (it was {before})."
