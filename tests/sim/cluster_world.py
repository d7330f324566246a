"""One schedule of several nodes: a seed decides receivers, traffic, skewed clocks, lost signals, kills and pauses; the
nodes live over one disk; the checker judges what the disk and the receivers saw."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.sim import operations
from tests.sim.checker import History, WatchedDisk
from tests.sim.life import Life
from tests.sim.loop import Stuck, Time
from tests.sim.nodes import SCHEDULE_SECONDS, NodeLife, NodeParts
from tests.sim.operations import ACCOUNT_ID, Submission, submission
from tests.sim.switchboard import Switchboard
from tests.sim.world import EPOCH_S, HOUR, Clock, Habits, Network, Randomness, Sleeper
from whatsync.engine.directory import ENDPOINT, decode
from whatsync.model import limits
from whatsync.model.endpoint import DisabledBy, Endpoint, Ordering
from whatsync.model.errors import Problem
from whatsync.model.ids import delivery_id
from whatsync.ports.cluster import Role, Signal
from whatsync.ports.store import Change, Put, StoreUnavailable
from whatsync.store.memory import Meeting

QUIET_S = 500.0
"""After the faults: longer than a lease and a whole schedule."""
PATIENCE_S = 10.0
"""How long a client waits for an answer before it asks another node."""


class WatchedMeeting(WatchedDisk, Meeting):
    """A shared disk that notes moves out of final states, and whose signals can get lost."""

    def __init__(self, time: Time) -> None:
        self.time = time
        super().__init__()
        self.clock = lambda: EPOCH_S + time.now


@dataclass
class NodePlan:
    """What will happen to one node."""

    name: str
    role: Role = Role.ALL
    skew_s: float = 0.0
    begins_s: float = 0.0
    ends: list[tuple[float, str, float]] = field(default_factory=list)
    """When, how (kill, stop, pause), and for how long."""
    jumps: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class ClusterPlan:
    """What will happen."""

    nodes: list[NodePlan] = field(default_factory=list)
    endpoints: list[tuple[float, Endpoint]] = field(default_factory=list)
    habits: dict[str, Habits] = field(default_factory=dict)
    submissions: list[Submission] = field(default_factory=list)
    switches: list[tuple[float, str, bool]] = field(default_factory=list)
    meddling: list[float] = field(default_factory=list)
    faults_until_s: float = 120.0
    commit_fails: float = 0.0
    answer_lost: float = 0.0
    signals_lost: float = 0.0


def make_plan(seed: int) -> ClusterPlan:
    """Draw a plan."""
    source = random.Random(seed)
    plan = ClusterPlan(faults_until_s=source.choice([60.0, 200.0]))
    until = plan.faults_until_s
    for number in range(source.choice([2, 3, 3])):
        plan.nodes.append(_node(source, number, until))
    if len(plan.nodes) == 3 and source.random() < 0.2:
        plan.nodes[0].role, plan.nodes[1].role = Role.API, Role.DELIVER
    for number in range(source.randint(1, 4)):
        _add_endpoint(plan, source, number)
    contacts = [f"+4915{number:08d}" for number in range(source.randint(1, 3))]
    for number in range(source.randint(5, 40)):
        at = source.random() * until
        plan.submissions.append(submission(f"ev-{seed}-{number}", source.choice(contacts), f"text {number}", at))
    plan.commit_fails = source.choice([0, 0, 0.1])
    plan.answer_lost = source.choice([0, 0, 0.1])
    plan.signals_lost = source.choice([0, 0.3, 1])
    if source.random() < 0.3:
        plan.meddling = [source.random() * until for _ in range(4)]
    if source.random() < 0.3:
        at = source.random() * until
        endpoint = plan.endpoints[0][1].id
        plan.switches = [(at, endpoint, False), (at + source.random() * 60, endpoint, True)]
    return plan


def _node(source: random.Random, number: int, until: float) -> NodePlan:
    node = NodePlan(f"node-{number}", skew_s=source.choice([0, 0, -HOUR, HOUR, 7]))
    node.begins_s = source.choice([0, 0, 5, 40]) if number else 0
    for _ in range(source.choice([0, 1, 1, 2])):
        how = source.choice(["kill", "kill", "stop", "pause"])
        node.ends.append((source.random() * until, how, source.choice([0.1, 5, 30, 50, 100])))
    node.ends.sort()
    if source.random() < 0.2:
        node.jumps = [(source.random() * until, source.choice([HOUR, -HOUR, 60]))]
    return node


def _add_endpoint(plan: ClusterPlan, source: random.Random, number: int) -> None:
    host = f"r{number}.example"
    endpoint = Endpoint(
        id=f"ep_{number}",
        url=f"http://{host}/",
        events=("message.incoming",),
        created_ms=0,
        updated_ms=0,
        max_in_flight=source.choice([None, 1, 2]),
        ordering=source.choice([Ordering.NONE, Ordering.CONTACT]),
        rate_limit_per_second=source.choice([None, None, 1, 5]),
    )
    habits = Habits(latency_s=source.choice([0.01, 0.5, 10]))
    habits.fails = source.choice([0, 0, 0.3])
    habits.loses = source.choice([0, 0, 0.2])
    plan.habits[host] = habits
    made_s = source.choice([0, 0, 0.5 * plan.faults_until_s]) if number else 0
    plan.endpoints.append((made_s, endpoint))


class ClusterWorld:
    """One run of a plan."""

    life: type[NodeLife] = NodeLife
    """What a node is made of."""

    def __init__(self, seed: int, parts: NodeParts | None = None, plan: ClusterPlan | None = None) -> None:
        self.seed = seed
        self.parts = parts or NodeParts()
        self.plan = plan or make_plan(seed)
        self.source = random.Random(seed ^ 0x5EED)
        self.time = Time()
        self.disk = WatchedMeeting(self.time)
        self.network = Network(self.time, random.Random(seed ^ 0xABCD), self.plan.habits, self.plan.faults_until_s)
        self.lives: list[NodeLife] = []
        self.loop = Switchboard(self.time)
        self.end_s = self.plan.faults_until_s + QUIET_S
        self.submissions = {wanted.id: wanted for wanted in self.plan.submissions}
        self.made: dict[str, float] = {}
        """When each endpoint was acknowledged."""
        self.tasks: list[asyncio.Task[Any]] = []

    def run(self) -> list[str]:
        """Live through the plan and return every broken law."""
        try:
            self.loop.create_task(self._main())
            self.loop.run_until_time(self.end_s)
            return self._judge()
        except Stuck as problem:
            return [str(problem)]
        finally:
            self.loop.bury()

    # What happens

    async def _main(self) -> None:
        for node in self.plan.nodes:
            self._at(node.begins_s, self._keep(node))
        self._at(0.0, self._prepare())
        for made_s, endpoint in self.plan.endpoints:
            self._at(made_s, self._make(endpoint))
        for wanted in self.plan.submissions:
            self._at(wanted.first_try_s, self._submit(wanted))
        for at, endpoint_id, on in self.plan.switches:
            self._at(at, self._switch(endpoint_id, on))
        for at in self.plan.meddling:
            self._at(at, self._ask(lambda life: operations.meddle(life, self.source)))

    def _at(self, when_s: float, work: Coroutine[Any, Any, Any]) -> None:
        async def later() -> None:
            await asyncio.sleep(max(0.0, when_s - self.time.now))
            await work

        self.tasks.append(self.loop.create_task(later()))

    async def _keep(self, plan: NodePlan) -> None:
        """Start a node, and let happen to it what the plan says."""
        life = self._start(plan)
        for seconds, by in plan.jumps:
            self._at(seconds, self._jump(plan, by))
        for at, how, seconds in plan.ends:
            await asyncio.sleep(max(0.0, at - self.time.now))
            if how == "pause":
                life.switch.frozen = True
                await asyncio.sleep(seconds)
                life.switch.thaw()
                continue
            if how == "stop" and life.up:
                await asyncio.wait([life.switch.spawn(life.stop())], timeout=60)
            life.die()
            await asyncio.sleep(seconds)
            life = self._start(plan)

    def _start(self, plan: NodePlan) -> NodeLife:
        number = len(self.lives) + 1

        async def commit(stage: str) -> None:
            await self._commit(life, stage)

        store = self.parts.store(self.disk, commit, plan.name)
        clock = Clock(self.time, Sleeper())
        clock.offset_s = plan.skew_s
        randomness = Randomness(random.Random(self.seed * 1000 + number))
        life = self.life(number, store, self.network, clock, randomness, self.parts)
        life.name, life.role = plan.name, plan.role
        self.lives.append(life)
        self.tasks.append(life.switch.spawn(life.start()))
        return life

    async def _jump(self, plan: NodePlan, by: float) -> None:
        plan.skew_s += by
        for life in self.lives:
            if life.name == plan.name:
                life.own_clock.offset_s = plan.skew_s

    async def _commit(self, life: Life, stage: str) -> None:
        """The disk's moods."""
        when, _, verbs = stage.partition(" ")
        faulty = self.time.now < self.plan.faults_until_s and life.up
        if when == "before":
            await asyncio.sleep(self.source.choice([0.0002, 0.001, 0.02]) if faulty else 0.0005)
            if faulty and self.source.random() < self.plan.commit_fails:
                raise StoreUnavailable("the simulated disk is full")
        elif faulty and self.source.random() < self.plan.answer_lost:
            raise StoreUnavailable("the simulated disk does not answer")
        if "tell" in verbs and faulty and self.source.random() < self.plan.signals_lost:
            for ear in self.disk.ears:
                ear.heard = Signal()
        self.disk.now_s = self.time.now

    # What people and programs do

    async def _ask(self, what: Any) -> Any:
        """Ask some node to do something, and another one if it does not answer; ``None`` after many tries."""
        for _ in range(1_000):
            up = [life for life in self.lives if life.up and life.role is not Role.DELIVER]
            if up:
                life = self.source.choice(up)
                task = life.switch.spawn(what(life))
                task.add_done_callback(_seen)
                done, _ = await asyncio.wait([task], timeout=PATIENCE_S)
                if done and not task.cancelled():
                    problem = task.exception()
                    if problem is None:
                        return task.result()
                    if not isinstance(problem, (Problem, KeyError, StoreUnavailable)):
                        raise problem
            await asyncio.sleep(0.5)
        return None

    async def _prepare(self) -> None:
        await self._ask(operations.make_account)

    async def _make(self, endpoint: Endpoint) -> None:
        async def make(life: Life) -> bool:
            account = life.directory.accounts_by_id[ACCOUNT_ID].row
            put = Put(ENDPOINT, endpoint.id, account, msgspec.json.encode(endpoint), expected_version=0)
            await operations.persist(life, Change(account, (put,)))
            return True

        await self._ask(make)
        self.made[endpoint.id] = self.time.now

    async def _submit(self, wanted: Submission) -> None:
        async def accept(life: Life) -> str:
            account = life.directory.accounts_by_id[ACCOUNT_ID]
            return (await life.ingest.accept(account, wanted.raw))[0].id

        wanted.endpoints = frozenset(self.made) - {one for _, one, _ in self.plan.switches}
        if await self._ask(accept) == wanted.id:
            wanted.acknowledged_s = self.time.now

    async def _switch(self, endpoint_id: str, on: bool) -> None:
        if on:
            await self._ask(lambda life: operations.enable(life, endpoint_id))
        else:
            await self._ask(lambda life: operations.disable(life, endpoint_id, DisabledBy.USER))

    # The verdict

    def _judge(self) -> list[str]:
        endpoints = {
            document.row: decode(document, Endpoint)
            for document in self.disk.documents.values()
            if document.kind == ENDPOINT
        }
        history = History(self.disk, self.network.arrivals, self.submissions, endpoints)
        history.final_s = self.disk.final_s
        history.end_s = self.end_s
        history.schedule_seconds = SCHEDULE_SECONDS
        restless = {one for _, one, _ in self.plan.switches}
        if self.plan.meddling:
            history.asked = frozenset(self.disk.deliveries)
        else:
            rows = {row for row, endpoint in endpoints.items() if endpoint.id in restless}
            history.asked = frozenset(row for row, one in self.disk.deliveries.items() if one.row.endpoint in rows)
        faults = [*self.disk.broken, *history.faults(), *self._limits()]
        if not self.plan.meddling and not restless:
            faults += self._after_final()
        for life in self.lives:
            faults += life.broken
            faults += [
                f"task of {life.name} died: {task.exception()!r}"
                for task in life.tasks
                if task.done() and not task.cancelled() and task.exception()
            ]
        faults += [
            f"unhandled: {one.get('message')} {one.get('exception')!r}"
            for one in self.loop.failures
            if "destroyed" not in str(one.get("message"))  # the tasks of a killed node are
        ]
        ended = (task.exception() for task in self.tasks if task.done() and not task.cancelled())
        return faults + [f"a task of the world died: {problem!r}" for problem in ended if problem is not None]

    def _after_final(self) -> list[str]:
        """Nothing is sent, by anybody, for a delivery whose end is recorded; a late success ends one that another node
        may just be about to send.
        """
        late = {
            row for row, attempts in self.disk.attempts.items() if any(was_late for _, was_late in attempts.values())
        }
        final: dict[str, float] = {delivery_id(row): at for row, at in self.disk.final_s.items() if row not in late}
        return [
            f"{one.delivery} was sent {one.sent_s - final[one.delivery]:.3f} s after its end was recorded"
            for one in self.network.arrivals
            if one.sent_s > final.get(one.delivery, float("inf"))
        ]

    def _limits(self) -> list[str]:
        """Limits hold over all nodes together."""
        faults = []
        sent: dict[str, list[float]] = defaultdict(list)
        for arrival in self.network.arrivals:
            sent[arrival.host].append(arrival.sent_s)
        for _, endpoint in self.plan.endpoints:
            host = endpoint.url.split("//")[1].rstrip("/")
            most = self.network.most_in_flight[host]
            allowed = endpoint.max_in_flight or limits.IN_FLIGHT_DEFAULT * len(self.plan.nodes)
            if most > allowed:
                faults.append(f"{endpoint.id} had {most} requests under way, {allowed} are allowed")
            rate = endpoint.rate_limit_per_second
            times = sorted(sent[host])
            for at, first in enumerate(times):
                if rate is None:
                    break
                within = sum(first <= one < first + 10 for one in times[at : at + 200])
                if within > rate * 10 * 1.1 + 1:
                    faults.append(f"{endpoint.id} got {within} requests in 10 s, at {rate} a second")
                    break
        return faults


def _seen(task: "asyncio.Task[Any]") -> None:
    """The answer of a node that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def run(seed: int, parts: NodeParts | None = None) -> list[str]:
    """Run one schedule and return every broken law; the same seed always gives the same answer."""
    return ClusterWorld(seed, parts).run()
