"""A wall clock that runs a day or ten ahead for a while: once it is right again nothing waits longer than its schedule
says, whatever crashed and failed meanwhile.
"""

import random
from itertools import pairwise

import pytest

from tests.sim.life import Parts
from tests.sim.scenario import World
from tests.sim.world import DAY, HOUR
from whatsync.engine.dispatch import Dispatcher
from whatsync.model.ids import delivery_row
from whatsync.model.retry import DEFAULT_SCHEDULE_SECONDS, JITTER

SCHEDULES = 120
SLACK_S = 2 * HOUR
"""For standing in line, and until the server looks at its clock: less than the clock is ever wrong here."""


class Ahead(World):
    """A world in which the clock runs ahead while receivers are down, and nobody touches anything by hand."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        super().__init__(seed, parts)
        source, plan = random.Random(seed ^ 0xC10C), self.plan
        by = source.choice([DAY, 10 * DAY])
        first, second = sorted(source.random() * plan.faults_until_s for _ in range(2))
        plan.jumps, plan.meddling = [(first, by), (second, -by)], []
        for habits in plan.habits.values():
            habits.down_until_s = plan.faults_until_s

    def late(self) -> list[str]:
        """Every request that came later after the one before than the schedule allows."""
        unstable = self.plan.unstable
        endpoints = {row: one.endpoint.id for row, one in self.lives[-1].directory.endpoints.items()}
        by_delivery: dict[str, list[tuple[int, float]]] = {}
        for one in self.network.arrivals:
            row = delivery_row(one.delivery)
            assert row is not None
            if endpoints.get(self.disk.deliveries[row].row.endpoint) not in unstable:
                by_delivery.setdefault(one.delivery, []).append((one.attempt, one.sent_s))
        faults = []
        for name, sent in by_delivery.items():
            for (first, before_s), (second, after_s) in pairwise(sorted(sent)):
                waits = DEFAULT_SCHEDULE_SECONDS[first - 1 : second - 1]
                if after_s - before_s > sum(waits) * (1 + JITTER) + SLACK_S * max(1, second - first):
                    faults.append(f"{name}: attempt {second} came {(after_s - before_s) / HOUR:.1f} h after {first}")
        return faults


@pytest.mark.slow
def test_nothing_waits_for_a_clock_that_was_wrong(request: pytest.FixtureRequest) -> None:
    only = request.config.getoption("--sim-seed")
    broken = []
    for seed in range(SCHEDULES) if only is None else [only]:
        world = Ahead(seed)
        faults = world.run() + world.late()
        if faults:
            broken.append([f"make sim SEED={seed}", *faults])
    assert broken == []


class Trusting(Dispatcher):
    """Never looks whether the clock went back."""

    async def run(self) -> None:
        self.replanning.due = lambda now_ms: False  # type: ignore[method-assign]
        await super().run()


def test_a_server_that_trusts_its_clock_is_found() -> None:
    for seed in range(SCHEDULES):
        world = Ahead(seed, Parts(dispatcher=Trusting))
        world.run()
        if any("h after" in fault for fault in world.late()):
            return
    pytest.fail(f"not found in {SCHEDULES} schedules")
