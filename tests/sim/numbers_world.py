"""Worlds of several nodes with numbers of several accounts: unknown ones that are given to somebody midway, ones that
move, and Meta, which repeats bodies and brings them late. The laws about whose everything is stand here.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from tests.sim import operations
from tests.sim.cluster_world import ClusterWorld
from tests.sim.life import Life
from tests.sim.nodes import NodeLife, NodeParts
from tests.sim.operations import SECRET, Submission
from tests.sim.source_world import SOURCE_ID, whatsapp_of
from tests.sim.world import EPOCH_S
from tests.sources.whatsapp.cloud import SECRET as APP_SECRET
from tests.sources.whatsapp.cloud import body, card, change, escaped, message, signed, status, value
from whatsync.compose.whatsapp import WhatsApp
from whatsync.engine.directory import ACCOUNT, ENDPOINT
from whatsync.engine.intake import Taken
from whatsync.engine.source_directory import NUMBER, SOURCE
from whatsync.model.account import Account, SealedSecrets
from whatsync.model.endpoint import Endpoint
from whatsync.model.ids import derived_id, message_id
from whatsync.model.source import Number, NumberForm, Source
from whatsync.ports.store import Change, Put

BLUR_S = 0.1
"""A node's idea of the database's clock is a little off: so near to a move, either is right."""
SECOND_S = 1.0
"""Meta tells whole seconds, cut off."""
_TRIES_S = 1.0


@dataclass
class NumberParts(NodeParts):
    """A planted bug may spoil what a node is made of."""

    spoil: Callable[[WhatsApp], None] = lambda _whatsapp: None


class NumberLife(NodeLife):
    """A node with everything a WhatsApp source needs."""

    parts: NumberParts

    async def start(self) -> None:
        await super().start()
        self.whatsapp = whatsapp_of(self)
        self.parts.spoil(self.whatsapp)
        for loop in (self.whatsapp.numbers.run, self.whatsapp.reprocessing.run):
            self.tasks.append(asyncio.get_running_loop().create_task(loop()))


@dataclass
class Gift:
    """A number is given to an account, or taken from all, at a time; and when that was really done."""

    account: str | None
    at_s: float
    begun_s: float = 0.0
    done_s: float = float("inf")


@dataclass
class Element:
    """A message or status: what it is called, when it happened, and whether its body was answered."""

    id: str
    number: str
    at_s: float
    acknowledged: bool = False


@dataclass
class Body:
    """One body of Meta's."""

    raw: bytes
    times_s: list[float]
    elements: list[Element] = field(default_factory=list)


@dataclass
class NumbersPlan:
    """What will happen about numbers."""

    accounts: list[str]
    gifts: dict[str, list[Gift]]
    known: frozenset[str]
    """Numbers that are made before anything comes; the others appear by themselves."""
    bodies: list[Body]


def plan_numbers(source: random.Random, until_s: float) -> NumbersPlan:
    """Draw it. Order and number of times in which bodies come are Meta's own."""
    accounts = [f"acc_{at}" for at in range(source.choice([2, 3]))]
    gifts: dict[str, list[Gift]] = {}
    known = set()
    for at in range(source.randint(2, 4)):
        number = f"70000000000{at:04}"
        moments = sorted(source.random() * until_s for _ in range(source.choice([0, 1, 1, 2])))
        owners = source.sample(accounts, 2) * 2
        if source.random() < 0.6:
            known.add(number)
            moments = [0.0, *moments]
        gifts[number] = [Gift(owner, moment) for owner, moment in zip(owners, moments or [0.5 * until_s], strict=False)]
        if len(gifts[number]) == 3 and source.random() < 0.4:
            gifts[number][1].account = None
    return NumbersPlan(accounts, gifts, frozenset(known), _bodies(source, until_s, list(gifts)))


def _bodies(source: random.Random, until_s: float, numbers: list[str]) -> list[Body]:
    bodies: list[Body] = []
    moments = sorted(3 + source.random() * until_s for _ in range(source.randint(10, 40)))
    for at in range(0, len(moments), size := source.choice([1, 3, 8])):
        changes, elements = [], []
        for nth, moment_s in enumerate(moments[at : at + size], at):
            number, wamid, said_s = source.choice(numbers), f"wamid.{nth}", int(EPOCH_S + moment_s)
            if source.random() < 0.7:
                person = f"4917000000{source.randint(0, 2)}"
                one = message(wamid, at=said_s, person=person)
                changes.append(change(value(number, contacts=[card(person)], messages=[one])))
                elements.append(Element(message_id(number, wamid), number, moment_s))
            else:
                changes.append(change(value(number, statuses=[status(wamid, "read", said_s)])))
                elements.append(Element(derived_id("status_", number, wamid, "read", ""), number, moment_s))
        comes_s = moments[at : at + size][-1] + source.choice([0, 0, 1, source.random() * 60])
        again = [comes_s + source.choice([0, 1, 30, until_s]) for _ in range(source.choice([0, 1, 1, 3]))]
        bodies.append(Body(escaped(body(*changes)), sorted([comes_s, *again]), elements))
    return bodies


class NumbersWorld(ClusterWorld):
    """A world of nodes whose events come through a source."""

    life = NumberLife

    def __init__(self, seed: int, parts: NumberParts | None = None) -> None:
        super().__init__(seed, parts or NumberParts())
        plan = self.plan
        plan.submissions, plan.switches, plan.meddling = [], [], []
        plan.endpoints = [(0.0, endpoint) for _, endpoint in plan.endpoints]
        self.numbers = plan_numbers(random.Random(seed ^ 0x50CE), plan.faults_until_s)
        self.submissions = {}
        self.ready = asyncio.Event()
        self.answered: list[Body] = []

    def owner_of(self, endpoint_id: str) -> str:
        """The account that an endpoint is made in."""
        accounts = self.numbers.accounts
        return accounts[int(endpoint_id.removeprefix("ep_")) % len(accounts)]

    # What people and Meta do

    async def _main(self) -> None:
        await super()._main()
        for number, gifts in self.numbers.gifts.items():
            self._at(0.0, self._give(number, gifts))
        for one in self.numbers.bodies:
            for at in one.times_s:
                self._at(at, self._bring(one))

    async def _prepare(self) -> None:
        for account_id in self.numbers.accounts:
            account = Account(account_id, account_id, SealedSecrets(SECRET), 0)
            await self._put(Put(ACCOUNT, account_id, 0, msgspec.json.encode(account), 0))
        source = Source(id=SOURCE_ID, name="App", created_ms=0, updated_ms=0, verify_token="t", app_secret=APP_SECRET)
        await self._put(Put(SOURCE, SOURCE_ID, 0, msgspec.json.encode(source), 0))
        for number in self.numbers.known:
            await self._put(Put(NUMBER, number, 0, msgspec.json.encode(Number(number, SOURCE_ID, 0, 0)), 0))
        self.ready.set()

    async def _put(self, put: Put, account_id: str | None = None) -> None:
        async def write(life: Life) -> bool:
            row = 0 if account_id is None else life.directory.accounts_by_id[account_id].row
            await operations.persist(life, Change(row, (msgspec.structs.replace(put, account=row),)))
            return True

        await self._ask(write)

    async def _make(self, endpoint: Endpoint) -> None:
        await self.ready.wait()
        put = Put(ENDPOINT, endpoint.id, 0, msgspec.json.encode(endpoint), 0)
        await self._put(put, self.owner_of(endpoint.id))
        self.made[endpoint.id] = self.time.now

    async def _give(self, number: str, gifts: list[Gift]) -> None:
        """One after the other, each until it is done."""
        await self.ready.wait()
        for gift in gifts:
            await asyncio.sleep(max(0.0, gift.at_s - self.time.now))

            async def give(life: Life, gift: Gift = gift) -> bool:
                assert isinstance(life, NumberLife)
                await life.whatsapp.numbers.patch(number, NumberForm(account=gift.account), "somebody")
                return True

            gift.begun_s = self.time.now
            await self._ask(give)
            gift.done_s = self.time.now

    async def _bring(self, one: Body) -> None:
        """As Meta does: until it is answered with 200."""
        await self.ready.wait()
        while len(self.made) < len(self.plan.endpoints):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(_TRIES_S)

        async def receive(life: Life) -> bool:
            assert isinstance(life, NumberLife)
            taken = await life.whatsapp.inbound.receive(SOURCE_ID, signed(one.raw), one.raw)
            assert isinstance(taken, Taken)
            return True

        if await self._ask(receive):
            for element in one.elements:
                element.acknowledged = True

    # The laws

    def _judge(self) -> list[str]:
        accounts = {document.row: document.id for document in self.disk.documents.values() if document.kind == ACCOUNT}
        owners = {event.id: accounts[event.account] for event in self.disk.events.values()}
        for one in self._elements():
            ends = frozenset(
                endpoint.id
                for _, endpoint in self.plan.endpoints
                if one.id.startswith("msg_") and self.owner_of(endpoint.id) == owners.get(one.id)
            )
            self.submissions[one.id] = Submission(one.id, "", b"", 0, 1.0 if one.acknowledged else None, ends)
        faults = [*self._whose(owners), *self._left()]
        for event in self.disk.events.values():
            if event.type == "contact.update":
                self.submissions[event.id] = Submission(event.id, "", b"", 0, acknowledged_s=0.0)
        return [*faults, *super()._judge()]

    def _elements(self) -> Iterable[Element]:
        for one in self.numbers.bodies:
            yield from one.elements

    def _whose(self, owners: dict[str, str]) -> Iterable[str]:
        """An element is the account's whose its number was when it happened; what nobody had yet is the next one's."""
        for one in self._elements():
            right, owner = self._right(one), owners.get(one.id)
            if owner is not None and owner not in right:
                yield f"{one.id} of {one.at_s:.1f} s is in the wrong account {owner}, not {right}"

    def _right(self, one: Element) -> set[str]:
        gifts = self.numbers.gifts[one.number]
        found: set[str] = set()
        for at, gift in enumerate(gifts):
            begins = float("-inf") if at == 0 else gift.begun_s
            ends = gifts[at + 1].done_s if at + 1 < len(gifts) else float("inf")
            if begins - BLUR_S <= one.at_s <= ends + BLUR_S + SECOND_S:
                # What nobody has is for who comes next.
                found |= {next(later.account for later in gifts[at:] if later.account is not None)}
        return found

    def _left(self) -> Iterable[str]:
        """Once every number is somebody's, nothing waits for that."""
        for row in self.disk.set_aside.values():
            yield f"{row.path} for {row.number} is still set aside: {row.reason}"


def run(seed: int, parts: NumberParts | None = None) -> list[str]:
    """Run one schedule and return every broken law; the same seed always gives the same answer."""
    return NumbersWorld(seed, parts).run()
