"""Moves the lookups' entries from memory into their runs, a slice of the hashes at a time, and empties runs whose time
is over.

Entries are sorted, and a slice touches few pages. Runs inside the writer's transaction.
"""

from collections.abc import Iterable

from whatsync.store.sqlite.lookup import FILTER_BITS, RUN_ENTRIES_MAX, Kind, Run
from whatsync.store.sqlite.session import Session
from whatsync.store.sqlite.statements import fetch, statements

IDENTITIES_MAX = 1 << 15
KEYWORDS_MAX = 1 << 17
"""Distinct hashes kept in memory before they are written."""
_SLICE_BITS = 5
_EMPTY_ROWS = 4_000

_SQL = statements("lookup.sql")
_FILL = (_SQL.many("fill_identity"), _SQL.many("fill_keyword"))
_EMPTY = (_SQL["empty_identity"], _SQL["empty_keyword"])

Entries = list[tuple[int, int]]
"""Hash and row."""


class LookupFold:
    """One fold at a time, done in slices; the mark moves when the last slice is on disk."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._slices: list[tuple[Kind, Entries]] = []
        self._at = 0
        self._cut = -1
        self._dead: list[tuple[Kind, int]] = []

    @property
    def busy(self) -> bool:
        """Whether there is a step to do."""
        return bool(self._slices or self._dead)

    @property
    def full(self) -> bool:
        """Whether memory holds enough for a fold."""
        identities, keywords = self._session.recent.current
        return len(identities) >= IDENTITIES_MAX or len(keywords) >= KEYWORDS_MAX

    def start_if_full(self, whatever: bool = False) -> None:
        """Begin a fold when memory holds enough, or anything at all with ``whatever``."""
        recent = self._session.recent
        if self._slices or not (self.full or (whatever and any(recent.current))):
            return
        # Readers look into current first: nothing may be missing from both for a moment.
        recent.folding = recent.current
        recent.current = ({}, {})
        self._cut = self._session.top
        self._at = 0
        self._slices = [(kind, entries) for kind in Kind for entries in _slices(recent.folding[kind].items())]

    def step(self) -> None:
        """Write one slice, or empty a part of a dead run."""
        session = self._session
        if self._slices:
            kind, entries = self._slices[self._at]
            entries.sort()
            write_entries(session, kind, entries)
            last = self._at == len(self._slices) - 1
            if last:
                session.db.execute(_SQL["set_mark"], ("looked_up", self._cut))
            session.staged.later.append(self._finished if last else self._next)
        elif self._dead:
            kind, number = self._dead[0]
            session.db.execute(_EMPTY[kind], (number, _EMPTY_ROWS))
            if session.db.changes() < _EMPTY_ROWS:
                session.staged.later.append(self._buried)

    def _next(self) -> None:
        self._at += 1

    def _finished(self) -> None:
        session = self._session
        session.looked_up = self._cut
        session.recent.folding = ({}, {})
        self._slices = []

    def _buried(self) -> None:
        del self._dead[0]

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


def _slices(items: Iterable[tuple[int, "int | list[int]"]]) -> list[Entries]:
    """Entries by the upper bits of their hash. Not one sort of everything: that would stop all other threads."""
    slices: list[Entries] = [[] for _ in range(1 << _SLICE_BITS)]
    shift = 63 - _SLICE_BITS
    for hash_, rows in items:
        part = slices[hash_ >> shift]
        if isinstance(rows, int):
            part.append((hash_, rows))
        else:
            part.extend([(hash_, row) for row in rows])
    return [part for part in slices if part] or [[]]
