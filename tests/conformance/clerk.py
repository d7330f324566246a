"""Writes what a server would write, in few words, so that each test shows only what it is about.
Keeps its own time and row numbers; knows the ports and no adapter."""

from collections.abc import Sequence as Series
from typing import Any

import msgspec

from tests.conformance.places import Place
from whatsync.model.delivery import State
from whatsync.model.ids import Sequence
from whatsync.ports.history import DeliveryView, History
from whatsync.ports.store import (
    Accepted,
    AcceptResult,
    Admission,
    AttemptRow,
    Change,
    ChangeConflict,
    Changed,
    Claimed,
    Claims,
    DeliveryRow,
    EventRow,
    Idempotency,
    Put,
    Recorded,
    Settled,
    Settlement,
    Store,
)

START_MS = 1_800_000_000_000
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ACCOUNT = 1
OTHER = 2


class Clerk:
    """One store and somebody who works with it."""

    def __init__(self, place: Place, now_ms: int = START_MS) -> None:
        self.place = place
        self.now = now_ms
        self.sequence = Sequence()
        self.versions: dict[int, int] = {}
        self._ids = 0

    @property
    def store(self) -> Store:
        """The writing side."""
        return self.place.store

    @property
    def history(self) -> History:
        """The reading side."""
        return self.place.history

    async def reopen(self, crash: bool = False) -> None:
        """Close in good order, or crash; then open again."""
        await (self.place.crash() if crash else self.place.close())
        await self.place.open(self.now)

    def ids_from(self, first: int) -> None:
        """Where the events' ids begin, so that two clerks' never meet."""
        self._ids = first

    # Rows

    def event(self, account: int = ACCOUNT, **fields: Any) -> EventRow:
        """A new event of ``account``."""
        self._ids += 1
        values: dict[str, Any] = {
            "id": f"evt_{self._ids}",
            "type": "message.incoming",
            "body": b'{"event":"message.incoming","n":%d}' % self._ids,
        }
        return EventRow(seq=self.sequence.next(self.now), account=account, **(values | fields))

    def delivery(self, event: EventRow, endpoint: int, **fields: Any) -> DeliveryRow:
        """A new delivery of ``event``, left waiting unless it says otherwise."""
        values: dict[str, Any] = {"claimed": False, "due_ms": self.now, "number": event.number}
        return DeliveryRow(
            id=self.sequence.next(self.now),
            event=event.seq,
            account=event.account,
            endpoint=endpoint,
            type=event.type,
            **(values | fields),
        )

    def attempt(self, delivery: Claimed, state: State, endpoint: int = 1, **fields: Any) -> AttemptRow:
        """An attempt of a claimed delivery that led to ``state``."""
        failed = state is not State.SUCCEEDED
        values: dict[str, Any] = {
            "number": delivery.attempts + 1,
            "started_ms": self.now - 30,
            "finished_ms": self.now,
            "due_ms": self.now + MINUTE if state is State.RETRYING else None,
            "status": 500 if failed else 200,
            "code": "http_500" if failed else None,
            "total_us": 30_000,
            "run": self.place.opened.run,
            "ordered": delivery.contact is not None,
        }
        return AttemptRow(
            delivery=delivery.id,
            claim=delivery.claim,
            account=delivery.event.account,
            endpoint=endpoint,
            state=state,
            **(values | fields),
        )

    # Verbs

    async def accept(
        self,
        events: Series[EventRow],
        deliveries: Series[DeliveryRow] = (),
        *,
        key: Idempotency | None = None,
        version: int | None = None,
    ) -> AcceptResult:
        """Hand an admission in, routed with the current version unless told otherwise."""
        account = (events or deliveries)[0].account
        current = self.versions.get(account, 0) if version is None else version
        return await self.store.accept(Admission(account, current, tuple(events), tuple(deliveries), key))

    async def accepted(self, *to: int, claimed: bool = False, contact: str | None = None, **fields: Any) -> list[int]:
        """Accept one event with a delivery to each endpoint; the deliveries' rows."""
        event = self.event(contact=contact, **fields)
        rows = [self.delivery(event, endpoint, claimed=claimed) for endpoint in to]
        assert await self.accept([event], rows) == Accepted()
        return [row.id for row in rows]

    async def ordered(self, endpoint: int, contact: str, wait: int = 10 * MINUTE) -> int:
        """Accept one event about a contact for an endpoint that keeps order; the delivery's row."""
        event = self.event(contact=contact)
        row = self.delivery(event, endpoint, contact=contact, contact_wait_ms=wait)
        assert await self.accept([event], [row]) == Accepted()
        return row.id

    async def claim(self, endpoint: int = 1, limit: int = 100, early: bool = False) -> Claims:
        """Claim at the present moment."""
        return await self.store.claim(endpoint, self.now, limit, early=early)

    async def claim_one(self, endpoint: int = 1) -> Claimed:
        """Claim the one delivery that is due."""
        (claimed,) = (await self.claim(endpoint)).items
        return claimed

    async def claim_one_row(self, row: int, endpoint: int = 1) -> Claimed:
        """Claim one certain delivery among those due; the others go back as they were."""
        claims = await self.claim(endpoint)
        await self.store.give_back([(one.id, one.claim) for one in claims.items if one.id != row], self.now)
        return next(one for one in claims.items if one.id == row)

    async def end(self, delivery: Claimed, state: State, endpoint: int = 1, **fields: Any) -> Recorded:
        """Record an attempt of a claimed delivery."""
        return await self.store.record([self.attempt(delivery, state, endpoint, **fields)])

    async def settle(self, happening: Any, *deliveries: int, account: int = ACCOUNT, **fields: Any) -> list[Settled]:
        """Settle named deliveries, or an endpoint's."""
        due_ms = fields.pop("due_ms", self.now)
        return list(await self.store.settle(Settlement(account, happening, due_ms, deliveries=deliveries, **fields)))

    async def change(self, account: int = ACCOUNT, *puts: Put, **fields: Any) -> Changed | ChangeConflict:
        """Change configuration and remember the version."""
        answer = await self.store.change(Change(account, puts, **fields))
        if isinstance(answer, Changed):
            self.versions[account] = answer.version
        return answer

    # What is there

    async def view(self, delivery: int, account: int = ACCOUNT) -> DeliveryView:
        """One delivery as the history shows it."""
        found = await self.history.delivery(account, delivery)
        assert found is not None
        return found

    async def state(self, delivery: int) -> State:
        """Where a delivery stands."""
        return (await self.view(delivery)).state

    async def in_state(self, state: State, endpoint: int = 1) -> Claimed:
        """A delivery of its own in ``state``, as it was when last claimed; the clock moves on by a second."""
        self.now += SECOND
        (row,) = await self.accepted(endpoint, claimed=True)
        event = await self.history.event_by_seq(ACCOUNT, (await self.view(row)).event)
        assert event is not None
        claimed = Claimed(row, 1, 0, State.PENDING, event)
        if state is State.PENDING:
            await self.store.give_back([(row, 1)], self.now)
        elif state is State.RETRYING:
            await self.end(claimed, state, endpoint, due_ms=self.now)
        else:
            await self.end(claimed, state, endpoint)
        return claimed


def key(name: str, fingerprint: bytes = b"same") -> Idempotency:
    """An ``Idempotency-Key``."""
    return Idempotency(name, fingerprint)


def fields_of(row: msgspec.Struct) -> dict[str, Any]:
    """A row as a dictionary, for comparing all but a few fields."""
    return msgspec.structs.asdict(row)
