"""Worlds with a source: Meta sends signed bodies until they are answered, repeats them and mixes up their order.

The server fails and dies in between as in every world; the laws about sources stand here, all others in ``checker.py``.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from tests.sim import operations
from tests.sim.life import Life, Parts
from tests.sim.operations import ACCOUNT_ID, Submission
from tests.sim.scenario import World
from tests.sim.world import DAY, EPOCH_S, HOUR, MINUTE
from tests.sources.whatsapp.cloud import NUMBER, SECRET, body, card, change, escaped, message, signed, status, value
from whatsync.compose.whatsapp import WhatsApp
from whatsync.engine.intake import Refused
from whatsync.engine.source_directory import NUMBER as NUMBER_KIND
from whatsync.engine.source_directory import SOURCE
from whatsync.model.errors import Unavailable
from whatsync.model.ids import derived_id, message_id
from whatsync.model.source import Number, Source
from whatsync.ports.store import Change, Put, StoreUnavailable

SOURCE_ID = "src_sim"
Named = tuple[str, str]
"""A person and a name."""


def whatsapp_of(life: Life) -> WhatsApp:
    """The rooms of WhatsApp sources over the parts of a life."""
    return WhatsApp(
        directory=life.directory,
        configuration=life.configuration,
        store=life.store,
        history=life.store,
        ingest=life.ingest,
        vault=life.directory.whatsapp._vault,
        clock=life.clock,
        randomness=life.randomness,
        sequence=life.sequence,
        tell=life._tell,
    )


class SourceLife(Life):
    """A life with everything a WhatsApp source needs."""

    async def start(self) -> None:
        await super().start()
        self.whatsapp = whatsapp_of(self)

    async def connect(self) -> None:
        """The source and its number, unless an earlier life made them."""
        row = self.directory.accounts_by_id[ACCOUNT_ID].row
        source = Source(id=SOURCE_ID, name="App", created_ms=0, updated_ms=0, verify_token="t", app_secret=SECRET)
        number = Number(NUMBER, SOURCE_ID, 0, 0, ACCOUNT_ID)
        for put in (
            Put(SOURCE, SOURCE_ID, 0, msgspec.json.encode(source), 0),
            Put(NUMBER_KIND, NUMBER, row, msgspec.json.encode(number), 0),
        ):
            await operations.persist(self, Change(put.account, (put,), routing=False))


@dataclass
class Body:
    """One body of Meta's: when it comes, and which events are in it."""

    raw: bytes
    times_s: list[float]
    """First come, and again although it was answered."""
    events: list[str] = field(default_factory=list)
    named: list[tuple[Named, int]] = field(default_factory=list)
    """Who is called what in it, and when that was said."""
    acknowledged_s: float | None = None


def plan_bodies(source: random.Random, until_s: float) -> list[Body]:
    """Batches of messages and statuses of few people, who now and then take another name. Order and number of times
    in which they come are Meta's own.
    """
    people = [f"49170000000{at}" for at in range(source.randint(1, 3))]
    moments = sorted(source.random() * until_s for _ in range(source.randint(1, 30)))
    bodies: list[Body] = []
    for at in range(0, len(moments), size := source.choice([1, 2, 5])):
        changes, named = [], []
        events: list[str] = []
        for number, moment_s in enumerate(moments[at : at + size], at):
            person, said_s = source.choice(people), int(EPOCH_S + moment_s)
            wamid = f"wamid.{number}"
            if source.random() < 0.7:
                name = f"Name {int(moment_s / until_s * 4)}"
                one = message(wamid, at=said_s, person=person)
                changes.append(change(value(contacts=[card(person, name)], messages=[one])))
                events.append(message_id(NUMBER, wamid))
                named.append((("+" + person, name), said_s))
            else:
                word = source.choice(["sent", "delivered", "read"])
                changes.append(change(value(statuses=[status(wamid, word, said_s)])))
                events.append(derived_id("status_", NUMBER, wamid, word, ""))
        comes_s = moments[at] + source.choice([0, 0, source.random() * HOUR])
        times = [
            comes_s,
            *(comes_s + source.choice([0, 1, MINUTE, DAY, 7 * DAY - HOUR]) for _ in range(_repeats(source))),
        ]
        bodies.append(Body(escaped(body(*changes)), sorted(times), events, named))
    return bodies


def _repeats(source: random.Random) -> int:
    return source.choice([0, 0, 1, 3])


class SourceWorld(World):
    """A world whose events come through a source."""

    life = SourceLife

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        super().__init__(seed, parts)
        plan = self.plan
        plan.submissions, plan.repeats = [], []
        stable = [one for one in plan.endpoints if one.id not in plan.unstable]
        everywhere = frozenset(one.id for one in stable)
        everything = frozenset(one.id for one in stable if "*" in one.events)
        self.bodies = plan_bodies(random.Random(seed ^ 0x50CE), plan.faults_until_s)
        self.submissions = {
            id_: Submission(id_, "", b"", 0, endpoints=everywhere if id_.startswith("msg_") else everything)
            for one in self.bodies
            for id_ in one.events
        }
        self.counted: list[int] = []

    async def _main(self, life: Life) -> None:
        await super()._main(life)
        assert isinstance(life, SourceLife)
        await life.connect()
        for one in self.bodies:
            for nth, at in enumerate(one.times_s):
                if nth or one.acknowledged_s is None:
                    self._at(at, life, self._send(life, one, again=nth > 0))

    async def _send(self, life: SourceLife, one: Body, again: bool) -> None:
        """As Meta does: until it is answered with 200."""
        pause = 0.5
        while again or one.acknowledged_s is None:
            try:
                taken = await life.whatsapp.inbound.receive(SOURCE_ID, signed(one.raw), one.raw)
                assert not isinstance(taken, Refused)
            except (Unavailable, StoreUnavailable):
                await asyncio.sleep(pause)
                pause = min(pause * 2, 60)
                continue
            if one.acknowledged_s is None:
                one.acknowledged_s = self.time.now
                for id_ in one.events:
                    self.submissions[id_].acknowledged_s = self.time.now
            return

    def _judge(self) -> list[str]:
        told = {event.id: event for event in self.disk.events.values() if event.type == "contact.update"}
        faults = list(self._people())
        for id_ in told:
            self.submissions[id_] = Submission(id_, "", b"", 0, acknowledged_s=0.0)
        return [*faults, *self._bodies(), *super()._judge()]

    def _bodies(self) -> Iterable[str]:
        """Every body is kept, and nothing in these was set aside."""
        if len(self.disk.bodies) < len(self.bodies):
            yield f"{len(self.bodies) - len(self.disk.bodies)} bodies were acknowledged and are not on disk"
        yield from (f"{row.path} was set aside: {row.reason}" for row in self.disk.set_aside.values())

    def _people(self) -> Iterable[str]:
        """One contact a person; an event for each real change of a name, and none for what is older or the same."""
        said: dict[str, dict[str, int]] = defaultdict(dict)
        for one in self.bodies:
            for (person, name), at in one.named:
                said[person][name] = max(at, said[person].get(name, 0))
        told: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for event in sorted(self.disk.events.values(), key=lambda event: event.seq):
            if event.type == "contact.update":
                data = msgspec.json.decode(event.body)["data"]
                told[data["phone"]].append((data["contactId"], data["name"]))
        contacts = [contact for contact in self.disk.contacts.values() if contact.phone is not None]
        if len(contacts) != len(said):
            yield f"{len(said)} people are {len(contacts)} contacts"
        for person, names in said.items():
            if len({id_ for id_, _ in told[person]}) != 1:
                yield f"{person} was told of under {len({id_ for id_, _ in told[person]})} ids"
            order = [names[name] for _, name in told[person]]
            if order != sorted(set(order)):
                yield f"{person}: a name was told of twice or turned back: {told[person]}"
            newest = max(names, key=lambda name: names[name])
            if told[person] and told[person][-1][1] != newest:
                yield f"{person}: the last name told is {told[person][-1][1]}, the newest is {newest}"


def run(seed: int, parts: Parts | None = None) -> list[str]:
    """Run one schedule and return every broken law; the same seed always gives the same answer."""
    return SourceWorld(seed, parts).run()
