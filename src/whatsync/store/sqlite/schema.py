"""Brings a database file to the newest schema: numbered files, each one transaction with its own version number.

Knows no table beyond what the files say.
"""

from importlib.resources import files
from pathlib import Path

import apsw

from whatsync.ports.store import StoreRefused
from whatsync.store.sqlite.connection import APPLICATION_ID, refusal
from whatsync.store.sqlite.statements import fetch

_HOW = "PRAGMA user_version"


def migrations() -> dict[int, str]:
    """The text of each migration by number."""
    folder = files(__package__).joinpath("schema")
    found = {int(file.name[:4]): file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".sql")}
    return dict(sorted(found.items()))


def version(db: apsw.Connection) -> int:
    """The number of the last migration the file has been through; 0 for an empty one."""
    return int(fetch(db, _HOW)[0][0])


def migrate(db: apsw.Connection, path: Path, known: dict[int, str] | None = None) -> int:
    """Run what is missing and return the version reached. Raises StoreRefused where the file is not for this version
    of WhatsSync.
    """
    known = migrations() if known is None else known
    try:
        current = version(db)
        _check_owner(db, path, current)
        newest = max(known)
        if current > newest:
            raise StoreRefused(
                f"the database {path} was written by a newer version of WhatsSync (schema {current}, this one knows "
                f"{newest}); install that version again, or restore a backup made before the upgrade"
            )
        for number, text in known.items():
            if number > current:
                with db:
                    db.execute(text)
                    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    db.execute(f"{_HOW} = {number}")
    except apsw.Error as problem:
        raise refusal(path, problem) from None
    return newest


def _check_owner(db: apsw.Connection, path: Path, current: int) -> None:
    owner = fetch(db, "PRAGMA application_id")[0][0]
    empty = current == 0 and owner == 0 and fetch(db, "PRAGMA page_count")[0][0] <= 1
    if owner == APPLICATION_ID or empty:
        return
    raise StoreRefused(f"{path} is the database of another program; move it away, or name the right file")
