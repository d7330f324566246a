"""Bugs planted on purpose, each the kind of mistake that only shows when something fails at the wrong moment. Must be
found, or the rung proves nothing."""

from collections.abc import Callable
from typing import Any

import apsw
import pytest

from tests.sim.planted import AcknowledgesFirst
from whatsync.engine.attempt import Attempt, Attempter
from whatsync.engine.ingest import Ingest
from whatsync.engine.recorder import Recorder
from whatsync.engine.sweep import Sweep
from whatsync.ports.store import Recorded, StoreUnavailable
from whatsync.store.memory import MemoryStore
from whatsync.store.sqlite.calls import Call
from whatsync.store.sqlite.words import Words
from whatsync.store.sqlite.writer import Writer

Plant = Callable[[pytest.MonkeyPatch], None]


def acknowledged_first(patch: pytest.MonkeyPatch) -> None:
    """202 whatever becomes of the commit."""
    patch.setattr(MemoryStore, "accept", AcknowledgesFirst.accept)


def outcome_given_up(patch: pytest.MonkeyPatch) -> None:
    """What the store could not write is not written again."""

    async def once(self: Recorder, rows: Any, health: Any) -> Recorded:
        try:
            return await self._store.record(rows, health)
        except StoreUnavailable:
            return Recorded()

    patch.setattr(Recorder, "_persist", once)


def place_kept(patch: pytest.MonkeyPatch) -> None:
    """A delivery that was not written keeps its place in memory."""
    patch.setattr(Ingest, "_undo", lambda self, plan: None)


def sweep_gives_up(patch: pytest.MonkeyPatch) -> None:
    """An endpoint's deliveries are settled in one try."""
    step = Sweep._step

    async def once(self: Sweep, endpoint: int) -> bool:
        try:
            return await step(self, endpoint)
        except StoreUnavailable:
            return True

    patch.setattr(Sweep, "_step", once)


def bug_escapes(patch: pytest.MonkeyPatch) -> None:
    """A sender that raises is no failed attempt: nothing is recorded of it."""

    def begin(self: Attempter, attempt: Attempt, signer: Any = None) -> None:
        started_ms = attempt.started_ms = self._clock.now_ms()
        request, attempt.signatures = self._request(attempt.claimed, attempt.endpoint, started_ms, signer)
        attempt.under_way = self._sender.begin(request, attempt.answered)

    patch.setattr(Attempter, "begin", begin)


def memory_runs_ahead(patch: pytest.MonkeyPatch) -> None:
    """Words that were new in a transaction are remembered although it was undone."""
    patch.setattr(Words, "rolled_back", Words.committed)


def failure_unsaid(patch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a group that could not be written is answered as if it was."""

    def fail(self: Writer, calls: list[Call], problem: apsw.Error) -> None:
        self._disk.failed(problem)
        self._roll_back()

    patch.setattr(Writer, "_fail", fail)


IN_MEMORY: dict[str, tuple[Plant, str]] = {
    "202 before the commit": (acknowledged_first, "before"),
    "an outcome given up": (outcome_given_up, "before"),
    "a place kept in memory": (place_kept, "before"),
    "settling given up": (sweep_gives_up, "before"),
    "a bug in sending escapes": (bug_escapes, "raise"),
}
"""Each bug, and the failure under which it shows."""

ON_DISK: dict[str, Plant] = {
    "memory runs ahead of the disk": memory_runs_ahead,
    "a failed commit unsaid": failure_unsaid,
}
