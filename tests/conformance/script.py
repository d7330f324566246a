"""Random work for a store, written down as plain steps, so that two stores can be given exactly the same.
Each step names things by counting what was made before; nothing here knows an adapter."""

from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from tests.conformance.clerk import MINUTE, Clerk, key
from whatsync.model.delivery import Happening, State
from whatsync.model.health import Health
from whatsync.ports.arrivals import BodyRow, ContactRow, SetAsideQuery, SetAsideRow, TakenIn
from whatsync.ports.history import DeliveryQuery, EventQuery
from whatsync.ports.store import (
    Admission,
    AuditEntry,
    Changed,
    Claimed,
    Claims,
    Delete,
    HealthRow,
    Intake,
    Opened,
    Origin,
    Put,
    Recorded,
    Settlement,
)

ACCOUNTS = (1, 2)
ENDPOINTS_EACH = 3
SOURCE = 7
CONTACTS = ("contact_a", "contact_b")
TYPES = ("message.incoming", "message.status")

Step = tuple[str, tuple[int, ...]]
"""A verb and a few numbers that say with what."""

_ENDS = (State.SUCCEEDED, State.RETRYING, State.FAILED, State.HELD)


def endpoint_of(account: int, number: int) -> int:
    """One of an account's endpoints; the last one keeps order. None has the row of a document: with that an endpoint's
    health would go, and which row a document gets is each store's own choice.
    """
    return account * 1_000 + number % ENDPOINTS_EACH


class Actor:
    """Carries steps out on one store. Two actors given the same steps ask exactly the same of their stores."""

    def __init__(self, clerk: Clerk) -> None:
        self.clerk = clerk
        self.events: list[tuple[int, int]] = []
        self.deliveries: list[tuple[int, int, int]] = []
        """Account, endpoint and row."""
        self.claims: list[tuple[Claimed, int]] = []
        self.verbs: dict[str, Callable[..., Awaitable[Any]]] = {
            "accept": self.accept,
            "array": self.array,
            "resend": self.resend,
            "claim": self.claim,
            "end": self.end,
            "give_back": self.give_back,
            "clock_back": self.clock_back,
            "settle": self.settle,
            "settle_endpoint": self.settle_endpoint,
            "change": self.change,
            "pass_time": self.pass_time,
            "prune": self.prune,
            "erase": self.erase,
            "reopen": self.reopen,
            "tidy": self.tidy,
            "take_in": self.take_in,
        }

    async def do(self, step: Step) -> Any:
        """Carry one step out; what the store answered."""
        verb, numbers = step
        return await self.verbs[verb](*numbers)

    # Accepting

    def _event(self, account: int, a: int, b: int) -> Any:
        fields: dict[str, Any] = {
            "type": TYPES[a % 2],
            "number": (None, "111")[b % 2],
            "contact": CONTACTS[a % 2],
            "test": b % 9 == 8,
            "keys": (f"phone:{a % 3}", f"message:{b % 3}")[: b % 3],
            "details": b'{"wamid":"w"}' if a % 2 else None,
        }
        if b % 7 == 6:
            fields["id"] = f"again_{a % 3}"
        return self.clerk.event(account, **fields)

    def _deliveries(self, event: Any, a: int, b: int) -> list[Any]:
        rows = []
        for number in range(ENDPOINTS_EACH):
            if not b >> number & 1:
                continue
            endpoint = endpoint_of(event.account, number)
            if number == ENDPOINTS_EACH - 1:
                row = self.clerk.delivery(event, endpoint, contact=event.contact, contact_wait_ms=MINUTE * (1 + a % 3))
            else:
                origin = Origin.TEST if event.test else Origin.EVENT
                row = self.clerk.delivery(event, endpoint, claimed=(a + number) % 3 == 0, origin=origin)
            rows.append(row)
        return rows

    async def _admit(self, events: list[Any], rows: list[Any], use: int) -> Any:
        answer = await self.clerk.accept(events, rows, key=key(f"key_{use % 3}", b"%d" % use) if use % 5 == 0 else None)
        if type(answer).__name__ == "Accepted":
            self._note(events, rows)
        return answer

    def _note(self, events: list[Any], rows: list[Any]) -> None:
        self.events += [(event.account, event.seq) for event in events]
        for row in rows:
            self.deliveries.append((row.account, row.endpoint, row.id))
            if row.claimed and row.contact is None:
                seq = row.event
                event = next((one for one in events if one.seq == seq), None)
                if event is not None:
                    self.claims.append((Claimed(row.id, 1, 0, State.PENDING, event, None, row.origin), row.endpoint))

    async def accept(self, a: int, b: int, c: int) -> Any:
        event = self._event(ACCOUNTS[c % 2], a, b)
        return await self._admit([event], self._deliveries(event, a, b), a)

    async def array(self, a: int, b: int, c: int) -> Any:
        account = ACCOUNTS[c % 2]
        pairs = []
        for n in range(2 + b % 4):
            event = self._event(account, a + n, b + n)
            pairs.append((event, self._deliveries(event, a, b + n)))
        return await self._admit([event for event, _ in pairs], [row for _, rows in pairs for row in rows], b)

    async def take_in(self, a: int, b: int, c: int) -> Any:
        """A source's body: events of one or two accounts, some known before, people, elements set aside; now and then
        worked out from what is no longer so.
        """
        clerk, pairs = self.clerk, []
        for account in ACCOUNTS[: 1 + c % 2]:
            event = self._event(account, a, b)
            if b % 3:
                event = replace(event, id=f"msg_{b % 4}")
            rows = self._deliveries(event, a, b)
            version = clerk.versions.get(account, 0) + (b % 11 == 10)
            pairs.append((event, rows, Admission(account, version, (event,), tuple(rows))))
        body = BodyRow(clerk.sequence.next(clerk.now), SOURCE, b"%d" % b, len(pairs))
        aside = SetAsideRow(clerk.sequence.next(clerk.now), body.seq, SOURCE, 0, "odd", "entry", "Odd.", f"{a % 2}")
        intake = Intake(
            tuple(admission for _, _, admission in pairs),
            tuple([await self._person(ACCOUNTS[c % 2], a, b)] if a % 2 else []),
            body,
            (aside,) if b % 4 == 0 else (),
        )
        answer = await clerk.store.take_in(intake)
        if isinstance(answer, TakenIn):
            for event, rows, _ in pairs:
                if event.seq not in answer.passed:
                    self._note([event], rows)
        return answer

    async def _person(self, account: int, a: int, b: int) -> ContactRow:
        """Somebody in the version that follows what is stored, or, seldom, in another one."""
        id_ = f"contact_{a % 3}"
        known = await self.clerk.history.contacts(account, [f"id:{id_}"])
        version = (known[0].version if known else 0) + 1 + (b % 7 == 6)
        return ContactRow(account, id_, (f"id:{id_}", f"phone:{b % 3}"), version, b, f"+{b % 3}", None, f"Name {b % 5}")

    async def resend(self, a: int, b: int, c: int) -> Any:
        if not self.events:
            return None
        account, seq = self.events[a % len(self.events)]
        event = await self.clerk.history.event_by_seq(account, seq)
        if event is None:
            return None
        row = self.clerk.delivery(event, endpoint_of(account, b % 2), origin=(Origin.RESEND, Origin.RECOVER)[c % 2])
        answer = await self.clerk.accept([], [row])
        self._note([], [row])
        return answer

    # Delivering

    async def claim(self, a: int, b: int, c: int) -> Any:
        endpoint = endpoint_of(ACCOUNTS[c % 2], a)
        claims = await self.clerk.claim(endpoint, limit=1 + b % 5, early=b % 4 == 3)
        self.claims += [(claimed, endpoint) for claimed in claims.items]
        return claims

    async def end(self, a: int, b: int, c: int) -> Any:
        """Record attempts of up to three claims; claims used before are late ones."""
        rows = []
        for n in range(1 + c % 3):
            if self.claims:
                claimed, endpoint = self.claims.pop((a + n) % len(self.claims))
                state = _ENDS[(b + n) % 4]
                code = None if state is State.SUCCEEDED else ("timeout", "http_500")[a % 2]
                row = self.clerk.attempt(
                    claimed, state, endpoint, code=code, total_us=b * 1000, test=claimed.origin is Origin.TEST
                )
                rows.append(row)
                if a % 4 == 3:
                    self.claims.append(
                        (replace(claimed, attempts=claimed.attempts + 1, claim=claimed.claim + 50), endpoint)
                    )
        health = [HealthRow(row.endpoint, Health(failed_attempts=b)) for row in rows[:1]]
        return await self.clerk.store.record(rows, health)

    async def give_back(self, a: int, b: int, _c: int) -> Any:
        if self.claims:
            claimed, _ = self.claims.pop(a % len(self.claims))
            await self.clerk.store.give_back([(claimed.id, claimed.claim)], self.clerk.now + b)

    async def clock_back(self, a: int, b: int, c: int) -> Any:
        """The clock had run ahead: everything of one endpoint is planned anew, in steps. It stays where it is: a
        script's ids rise.
        """
        cursor: tuple[int, int] | None = (self.clerk.now - b * MINUTE, 0)
        steps = []
        while cursor is not None:
            now_ms = self.clerk.now - b * MINUTE
            cursor = await self.clerk.store.replan(endpoint_of(ACCOUNTS[c % 2], a), now_ms, cursor, 1 + a % 3)
            steps.append(cursor)
        return steps

    async def settle(self, a: int, b: int, c: int) -> Any:
        if not self.deliveries:
            return None
        account, _, row = self.deliveries[a % len(self.deliveries)]
        _, _, other = self.deliveries[b % len(self.deliveries)]
        happening = tuple(Happening)[c % len(Happening)]
        settled = await self.clerk.settle(happening, *{row: 0, other: 0}, account=account, reason=f"why {b % 2}")
        return sorted(settled, key=lambda one: one.id)

    async def settle_endpoint(self, a: int, b: int, c: int) -> Any:
        account = ACCOUNTS[c % 2]
        happenings = (Happening.DISABLED, Happening.RELEASED, Happening.RETRY, Happening.CANCEL, Happening.DROPPED)
        return await self.clerk.settle(
            happenings[b % 5], account=account, endpoint=endpoint_of(account, a), limit=1 + b % 6
        )

    # Configuration and keeping

    async def change(self, a: int, b: int, c: int) -> Any:
        account = ACCOUNTS[c % 2]
        id_ = f"ep_{account}_{a % 2}"
        expected = (None, 0, 1)[b % 3]
        settlements: tuple[Settlement, ...] = ()
        if b % 4 == 0:
            settlements = (
                Settlement(account, Happening.CANCEL, self.clerk.now, endpoint=endpoint_of(account, a), limit=2),
            )
        return await self.clerk.change(
            account,
            Put("endpoint", id_, account, b"%d" % b, expected),
            deletes=(Delete("endpoint", f"ep_{account}_{(a + 1) % 2}"),) if a % 5 == 0 else (),
            audit=(AuditEntry(account, self.clerk.now, "who", "what", id_),),
            settlements=settlements,
            routing=b % 5 != 4,
        )

    async def pass_time(self, a: int, b: int, c: int) -> Any:
        self.clerk.now += (a * 1000, b * MINUTE)[c % 2]

    async def prune(self, a: int, b: int, c: int) -> Any:
        """Prune to the end. Keys and ids live days longer than this script lasts."""
        account = ACCOUNTS[c % 2]
        before_ms = self.clerk.now - (a % 5) * MINUTE
        cursor: int | None = 0
        removed = cancelled = 0
        while cursor is not None:
            step = await self.clerk.store.prune(account, before_ms, cursor, 1 + b % 4, self.clerk.now)
            removed, cancelled, cursor = removed + step.removed, cancelled + step.cancelled, step.cursor
        return removed, cancelled

    async def erase(self, a: int, b: int, _c: int) -> Any:
        if self.events:
            account, seq = self.events[a % len(self.events)]
            await self.clerk.store.erase(account, seq, b'{"erased":1}', [f"message:{b % 3}"])

    async def reopen(self, a: int, _b: int, _c: int) -> Any:
        """What was claimed is taken back: all claims known so far are late."""
        await self.clerk.reopen(crash=a % 2 == 0)
        opened = self.clerk.place.opened
        return replace(opened, floor=0)

    async def tidy(self, _a: int, _b: int, _c: int) -> Any:
        await self.clerk.place.tidy()

    # All that can be read

    async def everything(self) -> dict[str, Any]:
        """The whole history, as the reading side gives it."""
        history = self.clerk.history
        found: dict[str, Any] = {}
        bodies = await history.bodies(SOURCE, None, 1000)
        found["bodies"] = [await history.body(row.seq) for row in bodies]
        found["set aside"] = await history.set_aside(SetAsideQuery(SOURCE, limit=1000))
        for account in ACCOUNTS:
            words = [f"phone:{at}" for at in range(3)] + [f"id:contact_{at}" for at in range(3)]
            people = await history.contacts(account, words)
            found[f"people {account}"] = [replace(one, words=tuple(sorted(one.words))) for one in people]
            views = [view async for view in self._all_deliveries(account)]
            events = (await history.events(EventQuery(account, limit=1000))).items
            found[f"deliveries {account}"] = views
            found[f"events {account}"] = [with_sorted_keys(event) for event in events]
            found[f"attempts {account}"] = [await history.attempts(account, view.id) for view in views]
            found[f"waiting {account}"] = [await history.waiting_for(account, view.id) for view in views]
            found[f"rollups {account}"] = await history.rollups(account, None, 0, 2 * self.clerk.now)
            found[f"audit {account}"] = [replace(row, id=0) for row in await history.audit(account, None, 1000)]
            found[f"by id {account}"] = [await self._id_of(account, event.id) for event in events]
            found[f"fed {account}"] = sorted(await self._fed(account))
            for word in ("phone:0", "phone:1", "message:0", "message:2"):
                found[f"{word} {account}"] = [one.seq for one in await history.find(account, [word], 100)]
            for number in range(ENDPOINTS_EACH):
                endpoint = endpoint_of(account, number)
                found[f"rollups {endpoint}"] = await history.rollups(account, endpoint, 0, 2 * self.clerk.now)
                found[f"counts {endpoint}"] = await history.counts(endpoint)
                gaps, _ = await history.missing(account, endpoint, TYPES, 0, 2 * self.clerk.now, 0, 1000)
                found[f"missing {endpoint}"] = [event.seq for event in gaps]
        return found

    async def _all_deliveries(self, account: int) -> Any:
        query = DeliveryQuery(account, limit=50)
        while True:
            page = await self.clerk.history.deliveries(query)
            for view in page.items:
                yield view
            if page.next is None:
                return
            query = replace(query, before=page.next)

    async def _id_of(self, account: int, id_: str) -> int:
        event = await self.clerk.history.event(account, id_)
        return 0 if event is None else event.seq

    async def _fed(self, account: int) -> list[int]:
        after, seen = 0, []
        while True:
            events, cursor = await self.clerk.history.feed(account, after, (), 20)
            seen += [event.seq for event in events]
            if cursor == after:
                return seen
            after = cursor


def with_sorted_keys(event: Any) -> Any:
    """An event whose further words are in order: which one comes first is nobody's promise."""
    return replace(event, keys=tuple(sorted(event.keys)))


def steps() -> st.SearchStrategy[list[Step]]:
    """Scripts: mostly events and attempts, now and then everything else."""
    often = (
        ["accept"] * 4
        + ["take_in"] * 2
        + ["array"]
        + ["claim"] * 3
        + ["end"] * 4
        + ["pass_time", "settle", "settle", "settle_endpoint"]
    )
    seldom = ["resend", "give_back", "clock_back", "change", "prune", "erase", "reopen", "tidy"]
    number = st.integers(0, 100)
    numbers = st.tuples(number, number, number)
    step = st.tuples(st.sampled_from(often + seldom), numbers)
    return st.integers(0, 6).flatmap(lambda n: st.lists(step, min_size=15 * n, max_size=15 * n + 15))


def comparable(answer: Any) -> Any:
    """An answer of a store, the parts that adapters may order as they like brought into order."""
    if isinstance(answer, Recorded):
        return sorted(answer.stale), sorted(set(answer.forwarded))
    if isinstance(answer, Changed | Opened):
        # Which row a document gets is the store's own choice.
        answer = replace(answer, documents=tuple(replace(one, row=0) for one in answer.documents))
        # What only nodes of many go by.
        return replace(answer, now_ms=0, cursor=0) if isinstance(answer, Opened) else answer
    if isinstance(answer, Claims):
        # Of an erased event's contact, only that there is one matters.
        words = [one.contact and (one.event.contact or "erased") for one in answer.items]
        items = [replace(one, contact=word) for one, word in zip(answer.items, words, strict=True)]
        return items, answer.next_due_ms
    return answer
