"""Every planted bug is found, and found for its own reason."""

import pytest

from tests.sim.planted import BUGS
from tests.sim.scenario import run

SCHEDULES = 60
SIGNS = {
    "202 before the commit": ("not on disk", "no delivery"),
    "synchronous off": ("not on disk",),
    "outcome before the send": ("without a successful request",),
    "claim guard removed": ("went from final",),
    "success ignored": ("after attempt",),
    "retry early": ("due after",),
    "lease ignored": ("is still",),
    "key expired early": ("times",),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", list(BUGS))
def test_the_bug_is_found(bug: str) -> None:
    for seed in range(SCHEDULES):
        faults = run(seed, BUGS[bug]())
        if any(sign in fault for fault in faults for sign in SIGNS[bug]):
            return
    pytest.fail(f"{bug}: not found in {SCHEDULES} schedules")
