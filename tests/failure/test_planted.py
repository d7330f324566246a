"""Every planted bug is found by this rung."""

from pathlib import Path

import apsw
import pytest

from tests.failure import test_nth_call, test_nth_sqlite
from tests.failure.faults import Fault
from tests.failure.planted import IN_MEMORY, ON_DISK


@pytest.mark.slow
@pytest.mark.parametrize("bug", IN_MEMORY)
def test_the_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, failure = IN_MEMORY[bug]
    plant(monkeypatch)
    for number in range(1, 200):
        fault = Fault(number)
        if failure == "raise":
            faults = test_nth_call.tell(Fault(0), "before", fault, failure)
        else:
            faults = test_nth_call.tell(fault, failure, Fault(0), "fail")
        if faults:
            return
        if fault.struck == 0:
            break
    pytest.fail(f"{bug}: not found")


@pytest.mark.slow
@pytest.mark.parametrize("bug", ON_DISK)
def test_the_bug_under_the_database_is_found(bug: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ON_DISK[bug](monkeypatch)
    for number in range(1, 2_000, 5):
        fault = Fault(number)
        faults = test_nth_sqlite.tell(tmp_path, fault, Fault(0), apsw.FullError)
        if faults:
            return
        if fault.struck == 0:
            break
    pytest.fail(f"{bug}: not found")
