"""Thousands of seeded schedules must obey every law. A failing seed prints the one line that replays it."""

from pathlib import Path

import pytest

from tests.sim.scenario import run

SCHEDULES = 2_000
CHUNK = 125
KEPT = [int(line) for line in (Path(__file__).parent / "seeds.txt").read_text().split() if line.isdigit()]


def judge(seed: int) -> list[str]:
    faults = run(seed)
    return [f"make sim SEED={seed}", *faults] if faults else []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", list(range(0, SCHEDULES, CHUNK)))
def test_schedules_obey_the_laws(first: int, request: pytest.FixtureRequest) -> None:
    only = request.config.getoption("--sim-seed")
    seeds = range(first, first + CHUNK) if only is None else [only] * (first == 0)
    broken = [judge(seed) for seed in seeds]
    assert [faults for faults in broken if faults] == []


@pytest.mark.parametrize("seed", KEPT)
def test_schedules_that_once_failed(seed: int) -> None:
    assert judge(seed) == []


def test_the_same_seed_gives_the_same_history() -> None:
    from tests.sim.scenario import World

    first, second = World(7), World(7)
    assert first.run() == second.run()
    assert first.network.arrivals == second.network.arrivals
    assert first.disk.attempts == second.disk.attempts
