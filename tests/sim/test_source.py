"""Schedules of worlds with a source obey every law, and each bug planted there is found for its own reason."""

import pytest

from tests.sim.source_planted import BUGS
from tests.sim.source_world import run

SCHEDULES = 300
CHUNK = 50
PLANTED_SCHEDULES = 60
SIGNS = {
    "200 before the commit": ("not on disk",),
    "repeats written again": ("times",),
    "names turned back": ("turned back", "the last name told"),
    "people not written": ("people are",),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", list(range(0, SCHEDULES, CHUNK)))
def test_schedules_with_a_source_obey_the_laws(first: int) -> None:
    broken = {seed: faults for seed in range(first, first + CHUNK) if (faults := run(seed))}
    assert broken == {}


@pytest.mark.slow
@pytest.mark.parametrize("bug", list(BUGS))
def test_the_bug_is_found(bug: str) -> None:
    for seed in range(PLANTED_SCHEDULES):
        faults = run(seed, BUGS[bug]())
        if any(sign in fault for fault in faults for sign in SIGNS[bug]):
            return
    pytest.fail(f"{bug}: not found in {PLANTED_SCHEDULES} schedules")
