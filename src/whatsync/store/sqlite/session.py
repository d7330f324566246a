"""What the writer knows beside its connection: marks, versions, words, lookups. Changes made in a transaction are
staged and taken over when it is on disk, so that memory never runs ahead of the disk.

Lives in the writer's thread. Knows no verb.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import apsw

from whatsync.store.keyed_hash import Hash
from whatsync.store.sqlite.lookup import Kind, Recent, Runs
from whatsync.store.sqlite.statements import fetch, statements
from whatsync.store.sqlite.words import Words

_SQL = statements("session.sql")

RollupKey = tuple[int, int, int, str, int]
"""Account, endpoint, start of the minute, outcome, bucket."""


@dataclass(slots=True)
class Staged:
    """What the present transaction changes in memory once it is on disk."""

    top: int
    place: int
    tail: int
    pending_rollups: int
    entered: list[int] = field(default_factory=list)
    """Rows whose words were entered among the recent ones."""
    versions: dict[int, int] = field(default_factory=dict)
    rollups: dict[RollupKey, int] = field(default_factory=dict)
    later: list[Callable[[], None]] = field(default_factory=list)
    """Called, in order, when it is on disk."""


class Session:
    """One open database as its writer sees it."""

    def __init__(self, db: apsw.Connection, recent: Recent, make_hash: Callable[[bytes], Hash]) -> None:
        self.db = db
        self.words = Words(db)
        self.recent = recent
        self.runs = (Runs(Kind.IDENTITY), Runs(Kind.KEYWORD))
        self.hash_of = make_hash(self._secret())
        self.run = 0
        """Number of this run of the server."""
        self.versions: dict[int, int] = {}
        self.folded = self.looked_up = -1
        """The marks of the same names."""
        self.folding = self.looking_up = -1
        """Where the marks will be when what is under way is done. Rows that are committed below them only now have to
        be entered at once."""
        self.top = 0
        """Highest row number in use."""
        self.place = 0
        """Highest place in the feed."""
        self.tail = 0
        """Rows above the mark, about."""
        self.pending_rollups = 0
        """Rows of counts that wait to be added to the rollups."""
        self.staged = Staged(0, 0, 0, 0)

    def _secret(self) -> bytes:
        self.db.execute(_SQL["make_secret"])
        return bytes(fetch(self.db, _SQL["secret"])[0][0])

    def load(self) -> None:
        """Read what the session keeps in memory. Raises apsw errors."""
        db = self.db
        marks: dict[str, int] = dict(fetch(db, _SQL["marks"]))
        self.folded, self.looked_up = self.folding, self.looking_up = marks["folded"], marks["looked_up"]
        self.versions = dict(fetch(db, _SQL["versions"]))
        self.top, self.place = fetch(db, _SQL["top"])[0]
        self.tail = fetch(db, _SQL["tail"], (self.folded, self.folded))[0][0]
        self.pending_rollups = fetch(db, _SQL["count_pending_rollups"])[0][0]
        self.recent.load(db, self.hash_of)
        for runs in self.runs:
            runs.load(db)

    # Transactions

    def begin(self) -> None:
        """Begin a transaction that writes."""
        self.db.execute(_BEGIN)
        self.staged = Staged(self.top, self.place, self.tail, self.pending_rollups)

    def committed(self) -> None:
        """The transaction is on disk: take over what it staged."""
        staged = self.staged
        self.words.committed()
        self.top, self.place, self.tail = staged.top, staged.place, staged.tail
        self.pending_rollups = staged.pending_rollups
        self.versions.update(staged.versions)
        for take_over in staged.later:
            take_over()

    def roll_back(self) -> bool:
        """Undo the transaction, on disk and in memory; false where SQLite could not and has to be opened anew."""
        self.words.rolled_back()
        if self.staged.entered:
            self.recent.remove(set(self.staged.entered))
        self.staged = Staged(self.top, self.place, self.tail, self.pending_rollups)
        # After some errors SQLite has rolled back by itself.
        if not self.db.get_autocommit():
            with suppress(apsw.Error):
                self.db.execute(_ROLLBACK)
        return self.db.get_autocommit()

    # What the verbs ask

    def version(self, account: int) -> int:
        """Version of an account's configuration, as of the present transaction."""
        version = self.staged.versions.get(account)
        return self.versions.get(account, 0) if version is None else version

    def forget_version(self, account: int) -> None:
        """The account is gone."""
        self.versions.pop(account, None)

    def rows_of(self, kind: Kind, hash_: int) -> list[int]:
        """All rows that a hash leads to, as of the present transaction."""
        return [*self.recent.rows(kind, hash_), *self.runs[kind].rows(self.db, hash_)]

    def count(self, account: int, endpoint: int, at_ms: int, outcome: str, bucket: int, more: int = 1) -> None:
        """Add to a rollup."""
        key = (account, endpoint, at_ms - at_ms % 60_000, outcome, bucket)
        rollups = self.staged.rollups
        rollups[key] = rollups.get(key, 0) + more


_BEGIN = "BEGIN IMMEDIATE"
_ROLLBACK = "ROLLBACK"
