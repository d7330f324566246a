"""``whatsync backup``: a consistent copy of the database, taken beside a running server or without one.

Opens the database for reading only; the encryption key is copied only where it is asked for.
"""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import apsw
import typer

from whatsync.cli.failure import Failure, wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.local import read_config
from whatsync.cli.options import example
from whatsync.cli.output import remark, say, show_json
from whatsync.cli.presence import write_private
from whatsync.compose.media import folder_of
from whatsync.compose.places import database_path
from whatsync.config import Config, is_postgres
from whatsync.model.bucket import BucketPlace
from whatsync.net.system import SystemClock
from whatsync.ports.store import StoreRefused
from whatsync.store.postgres.store import NO_BACKUP
from whatsync.store.sqlite.connection import open_reader, refusal
from whatsync.store.sqlite.copying import copy_database
from whatsync.store.vault import KEY_FILE

KEY_SUFFIX = ".key"

app = new_app()


@app.command(
    epilog=example("whatsync backup /backups/whatsync.db", "whatsync backup /backups/ --with-key"),
)
def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="The file to write, or a folder for it.")],
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Write the encryption key beside it, as DEST.key. Better kept elsewhere.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an older file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Copy the database while the server runs, or without one. Exactly one moment is copied, however long it takes.

    Secrets in the copy are sealed: without the encryption key, which is not in it, they can't be read again.
    """
    config = read_config()
    if is_postgres(config.database_url):
        raise wrong_use(NO_BACKUP)
    source = database_path(config)
    if not source.exists():
        raise Failure(f"there is no database {source} to copy. WHATSYNC_DATA_DIR names the data folder")
    target = _target(destination, force)
    size = _copy(source, target, _progress(as_json))
    key = _write_key(config, target) if with_key else None
    if as_json:
        show_json({"file": str(target), "bytes": size, "key": None if key is None else str(key)})
        return
    say(f"{target}: {size / 2**20:,.1f} MiB, the whole database of {source}.")
    _speak_of_key(config, key)
    _speak_of_media(config)


def _target(destination: Path, force: bool) -> Path:
    if destination.is_dir():
        stamp = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).strftime("%Y-%m-%dT%H%M%SZ")
        destination = destination / f"whatsync-{stamp}.db"
    if not destination.parent.is_dir():
        raise wrong_use(f"there is no folder {destination.parent}. Make it first")
    if destination.exists() and not force:
        raise wrong_use(f"{destination} exists already. Choose another name, or say --force")
    return destination.resolve()


def _copy(source: Path, target: Path, tell: Callable[[float], None]) -> int:
    if target == source.resolve():
        raise wrong_use("that is the database itself. Choose another file")
    need, free = source.stat().st_size, shutil.disk_usage(target.parent).free
    if free < need:
        raise Failure(
            f"the copy needs {need / 2**20:,.0f} MiB, and only {free / 2**20:,.0f} are free in {target.parent}"
        )
    try:
        db = open_reader(source)
        try:
            return copy_database(db, target, tell)
        finally:
            db.close()
    except apsw.Error as problem:
        raise Failure(refusal(source, problem).reason) from None
    except StoreRefused as refused:
        raise Failure(refused.reason) from None
    except OSError as problem:
        raise Failure(f"{target} can't be written: {problem.strerror}") from None


def _progress(as_json: bool) -> Callable[[float], None]:
    """Tell of every tenth of a copy that takes long."""
    clock = SystemClock()
    began, told = clock.monotonic(), 0

    def tell(share: float) -> None:
        nonlocal told
        if not as_json and clock.monotonic() - began > 2 and int(share * 10) > told:
            told = int(share * 10)
            remark(f"{share:.0%} …")

    return tell


def _write_key(config: Config, target: Path) -> Path:
    if config.encryption_key is not None:
        raise wrong_use("the encryption key is the setting WHATSYNC_ENCRYPTION_KEY, not a file. Leave --with-key out")
    path = target.with_name(target.name + KEY_SUFFIX)
    try:
        write_private(path, (config.data_dir / KEY_FILE).read_text("ascii"))
    except OSError as problem:
        raise Failure(f"the encryption key can't be copied: {problem}") from None
    return path


def _speak_of_key(config: Config, key: Path | None) -> None:
    if key is not None:
        remark(f"The encryption key is in {key}. Whoever has both can read every secret: move it elsewhere.")
    elif config.encryption_key is not None:
        remark(
            "The encryption key is not in it. It is the setting WHATSYNC_ENCRYPTION_KEY: keep it apart from the copy."
        )
    else:
        path = (config.data_dir / KEY_FILE).resolve()
        remark(f"The encryption key is not in it. It is {path}: keep a copy apart from this one. Without it, secrets")
        remark("and headers of endpoints are lost.")


def _speak_of_media(config: Config) -> None:
    if isinstance(config.media_store, BucketPlace):
        remark(f"Media files are not in it: they lie in {config.media_store.shown}.")
        return
    folder = folder_of(config)
    if folder.is_dir():
        remark(f"Media files are not in it: copy the folder {folder.resolve()} too.")
