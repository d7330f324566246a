"""Moves the lookups' entries from memory into their runs, in order of hash and a piece at a time, and empties runs
whose time is over.

A piece lies close together and touches few pages. Runs inside the writer's transaction.
"""

from whatsync.store.sqlite.lookup import FILTER_BITS, RUN_ENTRIES_MAX, Kind, Run, shards
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

IDENTITIES_MAX = 1 << 15
KEYWORDS_MAX = 1 << 17
"""Entries kept in memory before they are written."""

_SQL = statements("lookup.sql")
_FILL = (_SQL.many("fill_identity"), _SQL.many("fill_keyword"))
_EMPTY = (_SQL["empty_identity"], _SQL["empty_keyword"])

Entries = list[tuple[int, int]]
"""Hash and row."""


class LookupFold:
    """One fold at a time, done in pieces; the mark moves when the last one is on disk."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shards: list[tuple[Kind, int]] = []
        """What the fold under way has to write."""
        self._cut = -1
        self._kept = (0, 0)
        """How far it is on disk: so many shards, and so many entries of the next."""
        self._reached = (0, 0)
        """The same with what the present transaction did."""
        self._sorted: tuple[int, Entries] = (-1, [])
        """The shard that was sorted last, and its entries."""
        self._dead: list[tuple[Kind, int]] = []
        self._emptied = False
        """Whether the present transaction took the last of the first of those."""
        self._wanted = False

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return bool(self._shards or self._dead or self._wanted)

    @property
    def level(self) -> float:
        """How full memory is; from 1 on it is folded, and while it is, 2 means that the next fold is due as well."""
        identities, keywords = self._session.recent.entries
        return max(identities / IDENTITIES_MAX, keywords / KEYWORDS_MAX) + bool(self._shards)

    def want(self) -> None:
        """Write all there is, however little."""
        self._wanted = any(self._session.recent.entries)

    def begin(self) -> None:
        """A transaction begins; whatever another one did that was undone is forgotten."""
        self._reached, self._emptied = self._kept, False

    def _start(self) -> None:
        recent = self._session.recent
        self._wanted = False
        if not any(recent.entries):
            return
        # Readers look into current first: nothing may be missing from both for a moment.
        recent.folding = recent.current
        recent.current = (shards(), shards())
        recent.entries = [0, 0]
        # Rows below it that are committed from now on are written at once.
        self._cut = self._session.looking_up = self._session.staged.top
        self._kept = self._reached = (0, 0)
        self._shards = [(kind, at) for kind in Kind for at, shard in enumerate(recent.folding[kind]) if shard]

    def step(self, rows: int) -> int:
        """Write up to ``rows`` entries, or empty a part of a dead run. Returns how many; 0 where nothing is to do."""
        if not self._shards and (self._wanted or self.level >= 1):
            self._start()
        if self._shards:
            return self._write_some(rows)
        return self._bury(rows) if self._dead else 0

    def _write_some(self, rows: int) -> int:
        """Write entries of this shard and, while there is room, of the next ones."""
        session, (at, done), written = self._session, self._reached, 0
        while written < rows and at < len(self._shards):
            entries = self._entries(at)
            some = entries[done : done + rows - written]
            write_entries(session, self._shards[at][0], some)
            written += len(some)
            done += len(some)
            if done == len(entries):
                at, done = at + 1, 0
        if written and at == len(self._shards):
            session.db.execute(_SQL["set_mark"], ("looked_up", self._cut))
        self._reached = (at, done)
        return written

    def _entries(self, at: int) -> Entries:
        """The entries of one shard, in order."""
        if self._sorted[0] != at:
            kind, shard = self._shards[at]
            entries: Entries = []
            for hash_, rows in self._session.recent.folding[kind][shard].items():
                entries.extend([(hash_, rows)] if isinstance(rows, int) else [(hash_, row) for row in rows])
            entries.sort()
            self._sorted = (at, entries)
        return self._sorted[1]

    def keep(self) -> None:
        """The transaction is on disk."""
        session, before = self._session, self._kept[0]
        self._kept = self._reached
        if self._emptied:
            del self._dead[0]
            self._emptied = False
        for kind, shard in self._shards[before : self._kept[0]]:
            # Whoever begins to read now finds them in the run.
            session.recent.folding[kind][shard] = {}
        if self._shards and self._kept[0] == len(self._shards):
            session.looked_up = self._cut
            self._shards, self._kept, self._reached, self._sorted = [], (0, 0), (0, 0), (-1, [])

    def _bury(self, rows: int) -> int:
        if self._emptied:
            return 0
        kind, number = self._dead[0]
        db = self._session.db
        db.execute(_EMPTY[kind], (number, rows))
        removed = db.changes()
        self._emptied = removed < rows
        return removed

    def expire(self, remembered_row: int) -> None:
        """Let go of the runs that lead only to rows below ``remembered_row`` whose events and keys are gone."""
        session = self._session
        oldest = [row for name in ("oldest_event", "oldest_key") for (row,) in fetch(session.db, _SQL[name])]
        border = min([remembered_row, *oldest])
        for runs in session.runs:
            for run in [run for run in runs.items[:-1] if run.last_row < border]:
                session.db.execute(_SQL["remove_run"], (runs.kind, run.number))
                session.staged.later.append(_Removed(self, runs.kind, run).take_over)

    def removed(self, kind: Kind, run: Run) -> None:
        """A run is not asked any more; its rows are deleted step by step."""
        self._session.runs[kind].items.remove(run)
        self._dead.append((kind, run.number))

    def load_dead(self) -> None:
        """Find runs that a stop left half emptied."""
        session = self._session
        for kind, name in ((Kind.IDENTITY, "dead_identity"), (Kind.KEYWORD, "dead_keyword")):
            for (number,) in fetch(session.db, _SQL[name], (kind,)):
                self._dead.append((kind, number))


class _Removed:
    def __init__(self, fold: LookupFold, kind: Kind, run: Run) -> None:
        self._fold, self._kind, self._run = fold, kind, run

    def take_over(self) -> None:
        self._fold.removed(self._kind, self._run)


def write_entries(session: Session, kind: Kind, entries: Entries) -> None:
    """Write entries, best sorted, into the run that is being filled."""
    if not entries:
        return
    runs = session.runs[kind]
    filtered = kind is Kind.IDENTITY
    run = runs.items[-1] if runs.items else None
    if run is None or run.entries >= RUN_ENTRIES_MAX[kind]:
        if run is not None:
            _put_run(session, kind, run, run.entries, run.last_row, closed=True)
        run = Run(1 if run is None else run.number + 1, bits=bytearray(FILTER_BITS // 8) if filtered else None)
        # A run too many, should the transaction be undone, is only an empty one.
        runs.items.append(run)
    # Bits may be set too early, never too late.
    run.note([hash_ for hash_, _ in entries])
    values: list[int] = []
    number = run.number
    for hash_, row in entries:
        values += (number, hash_, row)
    _FILL[kind].run(session.db, values)
    run.entries += len(entries)
    run.last_row = max(run.last_row, *[row for _, row in entries])
    _put_run(session, kind, run, run.entries, run.last_row, closed=False)


def _put_run(session: Session, kind: Kind, run: Run, entries: int, last_row: int, *, closed: bool) -> None:
    session.db.execute(_SQL["put_run"], (kind, run.number, entries, last_row, run.bits if closed else None))
