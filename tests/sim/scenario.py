"""One schedule: a seed decides receivers, traffic, faults and crashes; the engine lives; the checker judges."""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from tests.sim import operations
from tests.sim.checker import History, WatchedDisk
from tests.sim.life import Life, Parts
from tests.sim.loop import Stuck, Time, VirtualLoop
from tests.sim.operations import Submission, submission
from tests.sim.world import DAY, HOUR, MINUTE, Clock, Habits, Network, Randomness, Sleeper
from whatsync.model import limits
from whatsync.model.endpoint import DisabledBy, Endpoint, Ordering
from whatsync.ports.store import StoreUnavailable

QUIET_S = 180 * HOUR
"""After the faults: longer than two whole schedules with jitter, since the end of a delivery is an event of its own."""


@dataclass
class Plan:
    """What will happen, decided before anything does."""

    endpoints: list[Endpoint] = field(default_factory=list)
    habits: dict[str, Habits] = field(default_factory=dict)
    unstable: set[str] = field(default_factory=set)
    submissions: list[Submission] = field(default_factory=list)
    repeats: list[tuple[float, str]] = field(default_factory=list)
    crashes: list[float] = field(default_factory=list)
    crash_commits: dict[int, str] = field(default_factory=dict)
    """Number of the commit over all lives at which the power fails, before or after its effect."""
    switches: list[tuple[float, str, bool]] = field(default_factory=list)
    meddling: list[float] = field(default_factory=list)
    jumps: list[tuple[float, float]] = field(default_factory=list)
    faults_until_s: float = 20 * MINUTE
    commit_fails: float = 0.0
    answer_lost: float = 0.0


def make_plan(seed: int) -> Plan:
    """Draw a plan. Small worlds with many kinds of trouble find more than large ones with few."""
    source = random.Random(seed)
    plan = Plan(faults_until_s=source.choice([2 * MINUTE, 20 * MINUTE, 3 * HOUR]))
    for number in range(source.randint(1, 4)):
        _add_endpoint(plan, source, number)
    until = plan.faults_until_s
    contacts = [f"+4915{number:08d}" for number in range(source.randint(1, 4))]
    for number in range(source.randint(1, 40)):
        at = source.random() ** source.choice([1, 3]) * until
        plan.submissions.append(submission(f"ev-{seed}-{number}", source.choice(contacts), f"text {number}", at))
        if source.random() < 0.2:
            plan.repeats.append((at + source.choice([1, MINUTE, DAY, 7 * DAY - HOUR]), f"ev-{seed}-{number}"))
    plan.crashes = sorted(source.random() * until for _ in range(source.choice([0, 0, 1, 2, 4])))
    for _ in range(source.choice([0, 0, 1, 3])):
        plan.crash_commits[source.randint(1, 150)] = source.choice(["before", "after"])
    plan.commit_fails = source.choice([0, 0, 0.05, 0.3])
    plan.answer_lost = source.choice([0, 0, 0.1])
    plan.meddling = [source.random() * until for _ in range(source.choice([0, 0, 2, 10]))]
    if source.random() < 0.15:
        plan.jumps = [(source.random() * until, source.choice([-HOUR, HOUR, DAY, -MINUTE])) for _ in range(2)]
    return plan


def _add_endpoint(plan: Plan, source: random.Random, number: int) -> None:
    host = f"r{number}.example"
    endpoint = Endpoint(
        id=f"ep_{number}",
        url=f"http://{host}/",
        events=("*", "endpoint.failing", "delivery.exhausted") if source.random() < 0.3 else ("message.incoming",),
        created_ms=0,
        updated_ms=0,
        max_in_flight=source.choice([None, 1, 2]),
        ordering=source.choice([Ordering.NONE, Ordering.NONE, Ordering.CONTACT]),
        rate_limit_per_second=source.choice([None, None, None, 0.5, 5]),
    )
    habits = Habits(latency_s=source.choice([0.01, 0.2, 5, 14]))
    habits.fails = source.choice([0, 0, 0.3, 0.8])
    habits.loses = source.choice([0, 0, 0.2])
    habits.down_until_s = source.choice([0, 0, plan.faults_until_s * 0.7, plan.faults_until_s])
    habits.dead = source.random() < 0.1
    if source.random() < 0.1:
        habits.gone_at_s = source.random() * plan.faults_until_s
        plan.unstable.add(endpoint.id)
    if source.random() < 0.3:
        at = source.random() * plan.faults_until_s
        plan.unstable.add(endpoint.id)
        plan.switches += [(at, endpoint.id, False), (at + source.random() * HOUR, endpoint.id, True)]
    plan.endpoints.append(endpoint)
    plan.habits[host] = habits


class World:
    """One run of a plan."""

    life: type[Life] = Life
    """What a life of the server is made of."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        self.seed = seed
        self.parts = parts or Parts()
        self.plan = make_plan(seed)
        self.source = random.Random(seed ^ 0x5EED)
        self.time = Time()
        self.disk = WatchedDisk()
        self.network = Network(self.time, random.Random(seed ^ 0xABCD), self.plan.habits, self.plan.faults_until_s)
        self.offset_s = 0.0
        self.commits = 0
        self.lives: list[Life] = []
        self.loops: list[VirtualLoop] = []
        self.end_s = self.plan.faults_until_s + QUIET_S
        self.submissions = {wanted.id: wanted for wanted in self.plan.submissions}
        stable = frozenset(one.id for one in self.plan.endpoints if one.id not in self.plan.unstable)
        for wanted in self.plan.submissions:
            wanted.endpoints = stable

    def run(self) -> list[str]:
        """Live through the plan and return every broken law."""
        crashes = [*self.plan.crashes, self.end_s]
        try:
            for at in crashes:
                while self.time.now < at and not self._live(at):
                    pass
            return self._judge()
        except Stuck as problem:
            return [str(problem)]
        finally:
            for loop in self.loops:
                loop.bury()

    def _live(self, until_s: float) -> bool:
        """Live until the given time; false if the power failed earlier."""
        loop = VirtualLoop(self.time)
        self.loops.append(loop)
        self.network.in_flight.clear()
        life = self._new_life(loop)
        task = loop.create_task(self._main(life))
        loop.run_until_time(until_s)
        if task.done():
            task.result()
        life.up = False
        for callback in self.parts.on_crash:
            callback()
        return self.time.now >= until_s

    def _new_life(self, loop: VirtualLoop) -> Life:
        number = len(self.lives) + 1

        async def commit(stage: str) -> None:
            await self._commit(loop, life, stage)

        store = self.parts.store(self.disk, commit)
        clock = Clock(self.time, Sleeper())
        clock.offset_s = self.offset_s
        randomness = Randomness(random.Random(self.seed * 1000 + number))
        life = self.life(number, store, self.network, clock, randomness, self.parts)
        self.lives.append(life)
        return life

    async def _commit(self, loop: VirtualLoop, life: Life, stage: str) -> None:
        """The disk's moods. Some commits take long, some fail, some are the last thing before the power goes."""
        when = stage.split(maxsplit=1)[0]
        self.disk.now_s = self.time.now
        self.commits += when == "before"
        if self.plan.crash_commits.get(self.commits) == when and self.time.now < self.plan.faults_until_s:
            del self.plan.crash_commits[self.commits]
            loop.stop()
            await loop.create_future()
        faulty = self.time.now < self.plan.faults_until_s and life.up
        if when == "before":
            await asyncio.sleep(self.source.choice([0.0002, 0.001, 0.02]) if faulty else 0.0005)
            if faulty and self.source.random() < self.plan.commit_fails:
                raise StoreUnavailable("the simulated disk is full")
        elif faulty and self.source.random() < self.plan.answer_lost:
            raise StoreUnavailable("the simulated disk does not answer")
        self.disk.now_s = self.time.now

    async def _main(self, life: Life) -> None:
        await life.start()
        await operations.make_account(life)
        for endpoint in self.plan.endpoints:
            await operations.make_endpoint(life, endpoint)
        for wanted in self.plan.submissions:
            if wanted.acknowledged_s is None:
                self._at(wanted.first_try_s, life, operations.submit(life, wanted))
        self._plan_people(life)

    def _plan_people(self, life: Life) -> None:
        """What is still to come of what people do."""
        now, plan = self.time.now, self.plan
        work: list[tuple[float, Coroutine[Any, Any, None]]] = []
        work += [(at, self._repeat(life, event_id)) for at, event_id in plan.repeats if at > now]
        work += [(at, operations.enable(life, one)) for at, one, on in plan.switches if on]
        work += [
            (at, operations.disable(life, one, DisabledBy.USER)) for at, one, on in plan.switches if not on and at > now
        ]
        work += [(at, operations.meddle(life, self.source)) for at in plan.meddling if at > now]
        work += [(at, self._jump(life, seconds)) for at, seconds in plan.jumps if at > now]
        for at, one_piece in work:
            self._at(at, life, one_piece)

    def _at(self, when_s: float, life: Life, work: Coroutine[Any, Any, None]) -> None:
        async def later() -> None:
            await asyncio.sleep(max(0.0, when_s - self.time.now))
            await work

        life.tasks.append(asyncio.get_running_loop().create_task(later()))

    async def _repeat(self, life: Life, event_id: str) -> None:
        """A client that did not get its answer asks again with the same id."""
        wanted = self.submissions[event_id]
        if wanted.acknowledged_s is not None:
            account = life.directory.accounts_by_id[operations.ACCOUNT_ID]
            again = operations.submission(wanted.id, wanted.contact, "", 0)
            again.raw = wanted.raw
            await operations.submit(life, again)
            assert account.row

    async def _jump(self, life: Life, seconds: float) -> None:
        self.offset_s += seconds
        life.clock.offset_s = self.offset_s

    def _judge(self) -> list[str]:
        directory = self.lives[-1].directory
        endpoints = {row: running.endpoint for row, running in directory.endpoints.items()}
        history = History(self.disk, self.network.arrivals, self.submissions, endpoints)
        history.final_s = self.disk.final_s
        history.end_s = self.end_s
        unstable = {row for row, endpoint in endpoints.items() if endpoint.id in self.plan.unstable}
        if self.plan.meddling or self.plan.jumps:
            history.asked = frozenset(self.disk.deliveries)
        else:
            history.asked = frozenset(row for row, one in self.disk.deliveries.items() if one.row.endpoint in unstable)
        faults = [*self.disk.broken, *history.faults(), *self._limits()]
        for loop in self.loops:
            faults += [f"unhandled: {failure.get('message')} {failure.get('exception')!r}" for failure in loop.failures]
        for life in self.lives:
            faults += [
                f"task died: {task.exception()!r}"
                for task in life.tasks
                if task.done() and not task.cancelled() and task.exception()
            ]
        return faults

    def _limits(self) -> list[str]:
        faults = []
        for endpoint in self.plan.endpoints:
            most = self.network.most_in_flight[endpoint.url.split("//")[1].rstrip("/")]
            allowed = endpoint.max_in_flight or limits.IN_FLIGHT_DEFAULT
            if most > allowed:
                faults.append(f"{endpoint.id} had {most} requests under way, {allowed} are allowed")
        return faults


def run(seed: int, parts: Parts | None = None) -> list[str]:
    """Run one schedule and return every broken law; the same seed always gives the same answer."""
    return World(seed, parts).run()
