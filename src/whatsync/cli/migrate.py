"""``whatsync migrate``: brings a database to this version's schema, or says whether it needs it. Opens it alone."""

import asyncio
from pathlib import Path
from typing import Annotated

import apsw
import typer

from whatsync.cli.failure import FAILED, Failure, wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.local import read_config
from whatsync.cli.options import example
from whatsync.cli.output import say, show_json
from whatsync.compose.places import database_address, database_path
from whatsync.config import Config, is_postgres, without_password
from whatsync.ports.store import StoreRefused
from whatsync.store.postgres import inspecting
from whatsync.store.postgres import schema as postgres_schema
from whatsync.store.sqlite import schema
from whatsync.store.sqlite.connection import open_reader, open_writer, refusal
from whatsync.store.sqlite.folder_lock import FolderLock

app = new_app()


@app.command(epilog=example("whatsync migrate --check", "whatsync migrate"))
def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Only say how it stands; exits with 1 where it needs migrating.")
    ] = False,
    origin: Annotated[str | None, typer.Option("--from", metavar="URL", hidden=True)] = None,
    target: Annotated[str | None, typer.Option("--to", metavar="URL", hidden=True)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the versions as JSON.")] = False,
) -> None:
    """Bring the database to this version's schema. `whatsync serve` does it by itself when it starts.

    Moving to another kind of database is not possible in this version.
    """
    if origin is not None or target is not None:
        raise wrong_use("--from and --to move to another kind of database; this version can't do that yet")
    config = read_config()
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
