"""The n-th operation on SQLite's disk, or the n-th call of its verbs, fails, for every n until the story ends
untouched."""

import itertools
from pathlib import Path

import apsw
import pytest

from tests.failure.faults import Fault
from tests.failure.loop import ThreadedLoop
from tests.failure.receivers import Receivers
from tests.failure.sqlite_disk import BothSides, FailingDisk
from tests.failure.telling import every_call, tell_on
from tests.sim.loop import Time
from whatsync.store.sqlite import connection, writer

REPAIRED_S = 20.0
STRUCK_MAX = 40
STEPS = {True: 13, False: 43}
"""A failure that happens once, or until it is repaired, is told at every so manieth operation, unless all are asked for
(``--every-call``)."""
_names = itertools.count()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quiet moments and checkpoints come often."""
    monkeypatch.setattr(writer, "QUIET_SECONDS", 0.005)
    monkeypatch.setattr(connection, "CHECKPOINT_PAGES", 50)


def tell(
    folder: Path, disk: Fault, verbs: Fault, error: type[apsw.Error] = apsw.IOError, late: bool = False
) -> list[str]:
    """One telling on SQLite in a folder of its own."""
    time = Time()
    number = next(_names)
    (folder / str(number)).mkdir()
    vfs = FailingDisk(f"failing-{number}", disk, error, late)
    loop = ThreadedLoop(time)
    both = BothSides(loop, folder / str(number), vfs.name, verbs)
    try:
        return tell_on(loop, time, both, Receivers(), disk, verbs)
    finally:
        disk.armed = verbs.armed = False
        closing = loop.create_task(both.store.abandon())
        loop.expect(closing)
        loop.run_until_complete(closing)
        loop.bury()
        vfs.unregister()


def test_the_story_breaks_no_law_by_itself(tmp_path: Path) -> None:
    disk, verbs = Fault(0), Fault(0)
    assert tell(tmp_path, disk, verbs) == []
    assert disk.calls > 100
    assert verbs.calls > 50


@pytest.mark.slow
@pytest.mark.parametrize("once", [True, False], ids=["once", "until repaired"])
def test_any_verb_may_be_refused(tmp_path: Path, once: bool) -> None:
    def one(number: int) -> tuple[int, list[str]]:
        fault = Fault(number, once, REPAIRED_S)
        faults = tell(tmp_path, Fault(0), fault)
        return fault.struck, faults

    assert every_call(one) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("late", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError])
@pytest.mark.parametrize("once", [True, False], ids=["once", "until repaired"])
def test_any_operation_of_the_disk_may_fail(
    tmp_path: Path, error: type[apsw.Error], late: bool, once: bool, every: bool
) -> None:
    def one(number: int) -> tuple[int, list[str]]:
        fault = Fault(number, once, REPAIRED_S, STRUCK_MAX)
        faults = tell(tmp_path, fault, Fault(0), error, late)
        return fault.struck, faults

    first = 1 + 3 * late + 7 * (error is apsw.FullError)
    assert every_call(one, 1 if every else STEPS[once], first) == []
