"""``whatsync restore``: puts a copy of the database back. What was open when it was copied comes back held.

The copy is checked, brought to this version's schema and held in a file of its own, which then takes the place at once.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import apsw
import msgspec
import typer

from whatsync import __version__
from whatsync.cli.backup import KEY_SUFFIX
from whatsync.cli.failure import Failure, wrong_use
from whatsync.cli.group import new_app
from whatsync.cli.local import read_config
from whatsync.cli.options import example
from whatsync.cli.output import Column, remark, say, show_json, show_table
from whatsync.cli.presence import write_private
from whatsync.compose.places import database_path, vault_of
from whatsync.config import Config, is_postgres
from whatsync.engine.directory import ENDPOINT
from whatsync.model.delivery import Happening
from whatsync.model.endpoint import Endpoint
from whatsync.net.system import SystemClock, SystemRandomness
from whatsync.ports.store import Change, Document, Opened, Put, Settlement, StoreRefused
from whatsync.store.sqlite.connection import open_reader, refusal
from whatsync.store.sqlite.copying import copy_database
from whatsync.store.sqlite.folder_lock import FolderLock
from whatsync.store.sqlite.store import SqliteStore
from whatsync.store.vault import KEY_FILE, check_key

NO_RESTORE = (
    "PostgreSQL is restored by its own tools, into an empty database: pg_restore --dbname=URL whatsync.dump. "
    "Deliveries that were open when it was dumped are then delivered again"
)
REASON = "restored from a backup"
_SIDES = ("", "-wal", "-shm")
_HELD = (
    Column("ENDPOINT", "endpoint"),
    Column("HELD", "held", right=True),
    Column("URL", "url"),
)

app = new_app()


@app.command(
    epilog=example(
        "whatsync restore /backups/whatsync.db", "whatsync restore whatsync.db --key whatsync.db.key --force"
    )
)
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `whatsync backup` wrote.")],
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The encryption key; FILE.key is found by itself.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also where there is data already: it is moved aside, not removed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Put a copy of the database into the data folder. Stop the server first.

    Deliveries that were open when the copy was made come back held, as nobody knows which of them arrived since.
    """
    config = read_config()
    if is_postgres(config.database_url):
        raise wrong_use(NO_RESTORE)
    if not file.is_file():
        raise wrong_use(f"there is no file {file}")
    target = database_path(config)
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with _alone(target):
            if target.exists() and not force:
                raise Failure(
                    f"there is a database {target} already. --force moves it aside and puts the copy in its place"
                )
            done = _restore(config, file, target, _key_text(config, file, key, force))
    except StoreRefused as refused:
        raise Failure(refused.reason) from None
    if as_json:
        show_json(done)
    else:
        _tell(done, target)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep servers away meanwhile. Raises StoreRefused where one runs."""
    lock = FolderLock(target, "whatsync restore")
    try:
        yield
    finally:
        lock.release()


def _key_text(config: Config, file: Path, key: Path | None, force: bool) -> str | None:
    """The key to put into the data folder, None where the right one is there, or set, already."""
    if config.encryption_key is not None:
        if key is not None:
            raise wrong_use("WHATSYNC_ENCRYPTION_KEY is set and counts: leave --key out, or unset it")
        return None
    beside = file.with_name(file.name + KEY_SUFFIX)
    found = key or (beside if beside.exists() else None)
    kept = config.data_dir / KEY_FILE
    if found is None:
        if not kept.exists():
            raise Failure(
                f"the encryption key is missing: neither {beside} nor {kept} is there. "
                f"Name it with --key FILE, or set WHATSYNC_ENCRYPTION_KEY"
            )
        return None
    try:
        text = found.read_text("ascii")
    except (OSError, UnicodeDecodeError) as problem:
        raise Failure(f"the key {found} can't be read: {problem}") from None
    if kept.exists() and kept.read_bytes().strip() != text.strip().encode() and not force:
        raise Failure(f"{kept} holds another encryption key. --force moves it aside")
    return text


def _restore(config: Config, file: Path, target: Path, key_text: str | None) -> dict[str, Any]:
    fresh = target.with_name(target.name + ".restoring")
    stamp = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    key_before = _swap_key(config, key_text, stamp)
    try:
        _remove(fresh)
        _take(file, fresh)
        held = asyncio.run(_settle(config, fresh))
    except BaseException:
        _remove(fresh)
        if key_text is not None:
            (config.data_dir / KEY_FILE).unlink(missing_ok=True)
        if key_before is not None:
            key_before.rename(config.data_dir / KEY_FILE)
        raise
    aside = _move_aside(target, stamp)
    os.replace(fresh, target)
    _remove(fresh)
    return {
        "database": str(target),
        "movedAside": None if aside is None else str(aside),
        "held": sum(row["held"] for row in held),
        "endpoints": held,
    }


def _swap_key(config: Config, text: str | None, stamp: str) -> Path | None:
    """Put the key in its place; returns where the one before is now."""
    if text is None:
        return None
    kept = config.data_dir / KEY_FILE
    aside = None
    if kept.exists():
        aside = kept.with_name(f"{KEY_FILE}.before-{stamp}")
        kept.rename(aside)
    write_private(kept, text)
    return aside


def _take(file: Path, fresh: Path) -> None:
    """Copy the file, what stands in a log beside it included, and see that it is whole."""
    try:
        source = open_reader(file)
        try:
            damage = [row[0] for row in source.execute("PRAGMA quick_check(1)")]
            if damage != ["ok"]:
                raise StoreRefused(f"{file} is damaged: {damage[0]}. Take another backup")
            copy_database(source, fresh, lambda share: None)
        finally:
            source.close()
    except apsw.Error as problem:
        raise refusal(file, problem) from None
    except OSError as problem:
        raise Failure(f"{file} can't be copied to {fresh}: {problem.strerror}") from None


async def _settle(config: Config, fresh: Path) -> list[dict[str, Any]]:
    """Open the copy as a server would, and hold what is open in it. Raises StoreRefused."""
    clock, randomness = SystemClock(), SystemRandomness()
    store = SqliteStore(fresh, clock=clock, owner="whatsync restore")
    opened = await store.open(clock.now_ms(), __version__)
    try:
        await check_key(vault_of(config, randomness), store, opened.documents)
        endpoints = {document.row: document for document in opened.documents if document.kind == ENDPOINT}
        for document in endpoints.values():
            await _stop_release(store, document)
        return await _hold(store, opened, endpoints, clock.now_ms())
    finally:
        await store.close()


async def _stop_release(store: SqliteStore, document: Document) -> None:
    """A release that was under way when the copy was made must not go on by itself."""
    endpoint = msgspec.json.decode(document.body, type=Endpoint)
    if endpoint.release is not None:
        body = msgspec.json.encode(msgspec.structs.replace(endpoint, release=None, release_until=None))
        await store.change(Change(document.account, (Put(ENDPOINT, document.id, document.account, body),)))


async def _hold(
    store: SqliteStore, opened: Opened, endpoints: dict[int, Document], now_ms: int
) -> list[dict[str, Any]]:
    held = []
    for waiting in opened.backlog:
        count = waiting.held
        settlement = Settlement(waiting.account, Happening.DISABLED, now_ms, endpoint=waiting.endpoint, reason=REASON)
        while True:
            settled = await store.settle(settlement)
            count += len(settled)
            if len(settled) < settlement.limit:
                break
        document = endpoints.get(waiting.endpoint)
        if document is not None:
            url = msgspec.json.decode(document.body, type=Endpoint).url
            held.append({"endpoint": document.id, "url": url, "held": count})
    return held


def _move_aside(target: Path, stamp: str) -> Path | None:
    if not target.exists():
        return None
    aside = target.with_name(f"{target.name}.before-{stamp}")
    for side in reversed(_SIDES):
        with suppress(FileNotFoundError):
            os.replace(f"{target}{side}", f"{aside}{side}")
    return aside


def _remove(fresh: Path) -> None:
    for side in (*_SIDES, ".lock", ".part"):
        Path(f"{fresh}{side}").unlink(missing_ok=True)


def _tell(done: dict[str, Any], target: Path) -> None:
    say(f"The copy is in place: {target}.")
    if done["movedAside"]:
        remark(f"What was there before is in {done['movedAside']}.")
    if not done["held"]:
        remark("Nothing was open in it. Start the server: whatsync serve")
        return
    show_table(_HELD, done["endpoints"], "")
    many = "1 delivery is" if done["held"] == 1 else f"{done['held']:,} deliveries are"
    say(f"{many} held, as nobody knows what arrived after the copy was made.")
    remark("Start the server (whatsync serve), look at them (whatsync deliveries list --state held), and then for each")
    remark("endpoint: whatsync endpoints enable ep_… --held send    (or --held drop)")
