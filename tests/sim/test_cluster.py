"""Hundreds of seeded schedules of several nodes over one disk must obey every law, and planted bugs must be found."""

import pytest

from tests.sim.cluster_planted import BUGS
from tests.sim.cluster_world import ClusterPlan, ClusterWorld, NodePlan, run
from tests.sim.operations import submission
from tests.sim.world import HOUR, Habits
from whatsync.model.endpoint import Endpoint

SCHEDULES = 600
CHUNK = 100
PLANTED_SCHEDULES = 60
KEPT: tuple[int, ...] = (39, 52, 109, 703, 782, 1493)
"""Schedules that once found a mistake."""
SIGNS = {
    "lease ignored": ("without a lease",),
    "nobody looks": ("is still",),
    "ownership ignored": ("not its endpoint's owner", "are allowed"),
    "own clock": ("is still", "due after", "overtook"),
    "claim guard removed": ("went from final",),
    "two owners": ("not its endpoint's owner", "are allowed"),
    "stale configuration": ("has no delivery to",),
    "claims not taken back": ("is still",),
    "a dead epoch writes": ("is still", "not on disk", "without a lease"),
}


def judge(seed: int) -> list[str]:
    faults = run(seed)
    return [f"make sim SEED={seed}", *faults] if faults else []


@pytest.mark.slow
@pytest.mark.parametrize("first", list(range(0, SCHEDULES, CHUNK)))
def test_schedules_of_several_nodes_obey_the_laws(first: int, request: pytest.FixtureRequest) -> None:
    only = request.config.getoption("--sim-seed")
    seeds = range(first, first + CHUNK) if only is None else [only] * (first == 0)
    broken = [judge(seed) for seed in seeds]
    assert [faults for faults in broken if faults] == []


@pytest.mark.parametrize("seed", KEPT)
def test_schedules_that_once_failed(seed: int) -> None:
    assert judge(seed) == []


def test_the_same_seed_gives_the_same_history() -> None:
    first, second = ClusterWorld(7), ClusterWorld(7)
    assert first.run() == second.run()
    assert first.network.arrivals == second.network.arrivals
    assert first.disk.attempts == second.disk.attempts


def test_a_slow_endpoint_behind_three_nodes_that_come_and_go_gets_each_request_once() -> None:
    endpoint = Endpoint("ep_0", "http://r0.example/", ("message.incoming",), 0, 0, max_in_flight=1)
    plan = ClusterPlan(
        nodes=[
            NodePlan("north", ends=[(400.0, "stop", 30.0)]),
            NodePlan("south", begins_s=50.0, skew_s=HOUR, ends=[(600.0, "stop", 1.0)]),
            NodePlan("west", begins_s=200.0, skew_s=-HOUR),
        ],
        endpoints=[(0.0, endpoint)],
        habits={"r0.example": Habits(latency_s=8.0)},
        submissions=[submission(f"ev-{at}", "+1", "text", 5.0 + at) for at in range(100)],
        faults_until_s=1_200.0,
    )
    world = ClusterWorld(1, plan=plan)
    assert world.run() == []
    assert sorted(one.event_id for one in world.network.arrivals) == sorted(world.submissions)
    assert len({one.life for one in world.network.arrivals}) > 1
    assert world.network.most_in_flight["r0.example"] == 1


def test_a_rate_limit_holds_over_three_nodes_each_of_which_is_killed() -> None:
    endpoint = Endpoint("ep_0", "http://r0.example/", ("message.incoming",), 0, 0, rate_limit_per_second=5)
    plan = ClusterPlan(
        nodes=[
            NodePlan(name, ends=[(at, "kill", seconds)])
            for name, at, seconds in (("north", 20.0, 5.0), ("south", 40.0, 100.0), ("west", 120.0, 1.0))
        ],
        endpoints=[(0.0, endpoint)],
        habits={"r0.example": Habits(latency_s=0.05)},
        submissions=[submission(f"ev-{at}", "+1", "text", 2.0 + at / 20) for at in range(600)],
        faults_until_s=400.0,
    )
    world = ClusterWorld(1, plan=plan)
    assert world.run() == []
    assert len({one.life for one in world.network.arrivals}) > 2
    busiest = max(
        sum(first.at_s <= one.at_s < first.at_s + 10 for one in world.network.arrivals)
        for first in world.network.arrivals
    )
    assert 45 <= busiest <= 55


@pytest.mark.slow
@pytest.mark.parametrize("bug", list(BUGS))
def test_the_bug_is_found(bug: str) -> None:
    for seed in range(PLANTED_SCHEDULES):
        faults = run(seed, BUGS[bug]())
        if any(sign in fault for fault in faults for sign in SIGNS[bug]):
            return
    pytest.fail(f"{bug}: not found in {PLANTED_SCHEDULES} schedules")
