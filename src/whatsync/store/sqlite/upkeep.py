"""What keeps the hot path cheap, done in small pieces beside it: entering the tail into the indexes, writing the
lookups out, adding the counts up.

Each commit does about twice as much of it as the commit itself gives rise to, so that a quiet day's commits hold nobody
up and a burst pays as it goes. Where too much has piled up all the same, it does as much as it takes to get below the
bound.
Runs inside the writer's transaction. Knows no verb.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from whatsync.store.sqlite.disk import DISK_ERRORS
from whatsync.store.sqlite.fold import TailFold
from whatsync.store.sqlite.lookup_fold import LookupFold
from whatsync.store.sqlite.rollup import Adding
from whatsync.store.sqlite.session import Session

PIECE_ROWS_MAX = 512
"""Rows of one piece, about; some milliseconds."""
SPARE_ROWS = 4_096
"""Rows of upkeep in a transaction that does nothing else."""
PIECES_SECONDS_MAX = 0.008
"""Time for the pieces of one transaction, while nothing has piled up."""
PRESSING = 1.5
OVERFULL = 2.0
"""Levels from which on upkeep takes the time it needs, and from which on a transaction does as much as it takes."""
_TAIL_ROW_COST = 3
"""Rows that have to be entered for each row of the tail, about."""

_SAVE = "SAVEPOINT upkeep"
_UNDO = "ROLLBACK TO upkeep"
_RELEASE = "RELEASE upkeep"

logger = logging.getLogger(__name__)


class Task(Protocol):
    """One kind of upkeep, in pieces."""

    @property
    def busy(self) -> bool:
        """Whether it has begun, or is wanted."""

    @property
    def level(self) -> float:
        """How much there is to do; from 1 on it has to begin."""

    def want(self) -> None:
        """Do all there is, however little."""

    def begin(self) -> None:
        """A transaction begins; what another one did that was undone is forgotten."""

    def step(self, rows: int) -> int:
        """Do a piece of up to so many rows, about, and say how many it had; 0 where there was nothing to do."""

    def keep(self) -> None:
        """The transaction is on disk."""


class Upkeep:
    """All of it, for one open database."""

    def __init__(self, session: Session, monotonic: Callable[[], float]) -> None:
        self._session = session
        self._monotonic = monotonic
        self.lookups = LookupFold(session)
        self._tasks: tuple[Task, ...] = (TailFold(session), self.lookups, Adding(session))
        self._before = self._owed()
        self._broken = False

    @property
    def busy(self) -> bool:
        """Whether something is under way that idle moments should go on with."""
        return not self._broken and any(task.busy for task in self._tasks)

    @property
    def untidy(self) -> bool:
        """Whether a quiet moment would find anything to do."""
        return not self._broken and (self._session.tail > 0 or self._session.pending_rollups > 0)

    def want(self, lookups: bool = True) -> None:
        """Do all there is, however little, beginning with the next transaction; the lookups can be left out."""
        for task in self._tasks:
            if lookups or task is not self.lookups:
                task.want()

    def begin(self) -> None:
        """A transaction begins."""
        for task in self._tasks:
            task.begin()
        self._before = self._owed()

    def _owed(self) -> int:
        staged, entries = self._session.staged, self._session.recent.entries
        return staged.tail * _TAIL_ROW_COST + entries[0] + entries[1] + len(staged.rollups)

    def work(self, spare: int = PIECE_ROWS_MAX) -> None:
        """Do what is due: ``spare`` rows of it, and twice as many as the transaction itself gave rise to. A mistake in
        it must not cost an event.
        """
        if self._broken or not self._due(self._tasks):
            return
        staged = self._session.staged
        before = len(staged.later), staged.tail, staged.pending_rollups
        self._session.db.execute(_SAVE)
        try:
            self._do(spare)
        except DISK_ERRORS:
            raise
        except Exception as problem:  # noqa: BLE001 - logged; no event may be lost over it
            self.give_up(problem)
            self._session.db.execute(_UNDO)
            del staged.later[before[0] :]
            _, staged.tail, staged.pending_rollups = before
        self._session.db.execute(_RELEASE)

    def give_up(self, problem: Exception) -> None:
        """There is a mistake in it; all of it is made again at the next start."""
        words = "the database's upkeep has stopped; history will slow down until the next start"
        logger.error(words, exc_info=problem)
        self._broken = True

    def _do(self, spare: int) -> None:
        left = spare + 2 * max(0, self._owed() - self._before)
        until = self._monotonic() + PIECES_SECONDS_MAX
        tasks, late = list(self._tasks), False
        while due := self._due(tasks):
            task = max(due, key=_level)
            level = task.level
            if level < OVERFULL and (left <= 0 or (late and level < PRESSING)):
                break
            done = task.step(PIECE_ROWS_MAX)
            left -= done
            late = self._monotonic() > until
            if not done:
                # Nothing more before the commit.
                tasks.remove(task)
        self._session.staged.later.append(self._keep)

    def _due(self, tasks: Sequence[Task]) -> list[Task]:
        return [task for task in tasks if task.busy or task.level >= 1]

    def _keep(self) -> None:
        for task in self._tasks:
            task.keep()


def _level(task: Task) -> float:
    return task.level
