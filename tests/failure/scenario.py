"""A fixed little story through the real engine: events, arrays and repetitions, an endpoint that flaps, one that is
switched off and recovered, one that is deleted, orders by hand. Whoever acts in it tries again as the documents advise.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tests.engine.counter import Counter
from tests.engine.desk import ACTOR
from tests.failure.receivers import Receivers
from tests.sim.loop import Time
from tests.sim.world import Clock, Sleeper
from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.recover import KIND
from whatsync.engine.rotation import RotationForm
from whatsync.model.account import JobState
from whatsync.model.account_form import AccountForm
from whatsync.model.delivery import FINAL
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Conflict, NotFound, Unavailable
from whatsync.model.ids import delivery_id
from whatsync.ports.history import DeliveryQuery, DeliveryView

WAITS = [5, 30, 60, 120, 300, 600, 1_200, 2_400, 2_400, 2_400]
"""Longer in all than anything stays broken."""
MADE = "2026-05-28T20:26:40Z"


class Story(Counter):
    """The engine of the tests' counter over any store, in virtual time."""

    def __init__(self, store: Any, receivers: Receivers, time: Time) -> None:
        super().__init__()
        self.store = store
        self.receivers = receivers  # type: ignore[assignment]  # receivers with moods of their own
        self.clock = Clock(time, Sleeper())  # type: ignore[assignment]  # a clock that goes by itself
        self.source = random.Random(11)
        self.acknowledged: dict[str, bytes] = {}
        """Bodies by id, in the order of their acknowledgement."""
        self.wanted: dict[str, set[str]] = {}
        """Hosts that must get each of them."""
        self.ended = False

    async def patiently(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """Try until the store can."""
        while True:
            try:
                return await act()
            except Unavailable:
                await self.clock.sleep(1)

    async def hand_in(self, hosts: str, *texts: str, contact: str = "+49151") -> None:
        """Submit events, named by their texts, that must reach the hosts."""
        events = [
            {
                "event": "message.incoming",
                "id": f"msg_{text}",
                "timestamp": MADE,
                "data": {"from": contact, "to": "+1", "text": text, "media": None, "timestamp": MADE},
            }
            for text in texts
        ]
        raw = msgspec.json.encode(events if len(events) > 1 else events[0])
        receipts = await self.patiently(lambda: self.ingest.accept(self.who, raw))
        for event, receipt in zip(events, receipts, strict=True):
            assert receipt.id == event["id"]
            self.acknowledged[receipt.id] = msgspec.json.encode(event)
            self.wanted.setdefault(receipt.id, {f"{host}.example" for host in hosts.split()})

    async def put_up(self, name: str, **fields: Any) -> RunningEndpoint:
        """An endpoint of its own host."""
        wanted = {"url": f"http://{name}.example/", "events": ["message.incoming"], "retrySchedule": WAITS, **fields}
        form = msgspec.convert(wanted, EndpointForm)
        made = await self.patiently(lambda: self.endpoints.create(self.who, form, ACTOR))
        return made.running  # type: ignore[no-any-return]

    async def tell(self) -> None:
        """The story."""
        self.who: RunningAccount = (
            await self.patiently(lambda: self.accounts.create(AccountForm(name="Shop"), ACTOR))
        ).running
        await self.put_up("fine")
        await self.put_up("ordered", ordering="contact", orderingMaxWaitSeconds=86_400)
        flappy = await self.put_up("flappy", maxInFlight=1)
        gone = await self.put_up("gone", retrySchedule=[60] * 40)
        all_three = "fine ordered flappy"
        await self.hand_in(all_three, "a1", contact="+491")
        await self.hand_in(all_three, "a2", contact="+491")
        await self.hand_in(all_three, "b1", "b2", "a3", contact="+492")
        await self.hand_in(all_three, "a1", contact="+491")
        await self.switch(flappy, enabled=False)
        await self.hand_in("fine ordered flappy", "while-off", contact="+491")
        await self.switch(flappy, enabled=True, held="send")
        await self.remove(gone)
        await self.recover_missing(flappy)
        await self.hand_in(all_three, "late", contact="+492")
        await self.by_hand()
        await self.patiently(lambda: self.accounts.rotate_secret(self.who, RotationForm(), ACTOR))
        await self.patiently(lambda: self.test_sends.send(self.who, flappy.endpoint.id, "contact.update"))
        await self.leave()
        await self.come_to_rest()
        self.ended = True

    # Pieces of it

    async def switch(self, endpoint: RunningEndpoint, **fields: Any) -> None:
        """Switch an endpoint on or off and wait until its deliveries have followed."""
        form = msgspec.convert(fields, EndpointForm)
        name = endpoint.endpoint.id
        await self.patiently(lambda: self.endpoints.patch(self.who, name, form, ACTOR))
        await self.sweep.settled()

    async def remove(self, endpoint: RunningEndpoint) -> None:
        """Delete an endpoint that has deliveries waiting."""
        try:
            await self.patiently(lambda: self.endpoints.delete(self.who, endpoint.endpoint.id, ACTOR))
        except NotFound:
            return

    async def recover_missing(self, endpoint: RunningEndpoint) -> None:
        """Have an endpoint sent what it missed, and wait for the end of the job."""
        since_ms = self.clock.now_ms() - 3_600_000
        asked = self.recover.parameters(self.who, endpoint.endpoint.id, since_ms, None, ("missing",))
        job = await self.patiently(lambda: self.jobs.start(self.who, KIND, asked, ACTOR))
        await self.jobs.ended()
        assert self.jobs.read(self.who, job.id).state is JobState.DONE

    async def by_hand(self) -> None:
        """A person resends one event, retries a delivery and cancels another; whatever is final refuses."""
        resent = await self.patiently(lambda: self.deliveries.resend(self.who, "msg_a2"))
        first, second = (delivery_id(row) for row, _ in resent.deliveries[:2])
        for act in (lambda: self.deliveries.retry(self.who, first), lambda: self.deliveries.cancel(self.who, second)):
            try:
                await self.patiently(act)
            except Conflict:
                continue

    async def leave(self) -> None:
        """A second account comes, gets an event that can't be delivered, and is deleted with all it has."""
        other = (await self.patiently(lambda: self.accounts.create(AccountForm(name="Guest"), ACTOR))).running
        form = EndpointForm(url="http://leaving.example/", events=["*"])
        await self.patiently(lambda: self.endpoints.create(other, form, ACTOR))
        raw = msgspec.json.encode({"event": "message.status", "data": {"messageId": "m", "status": "read"}})
        await self.patiently(lambda: self.ingest.accept(other, raw))
        await self.patiently(lambda: self.accounts.delete(other.account.id, other.account.id, ACTOR))
        while other.row in self.directory.accounts:
            await self.clock.sleep(1)

    async def come_to_rest(self) -> None:
        """Wait until every delivery is final and nothing is left in memory."""
        while True:
            views = await self.views(self.who)
            if all(view.state in FINAL for view in views) and self.dispatcher.budget.deliveries_held == 0:
                return
            await self.clock.sleep(10)

    async def views(self, account: RunningAccount) -> list[DeliveryView]:
        """All deliveries of an account, oldest first."""
        query = DeliveryQuery(account.row, ascending=True, limit=1000)
        return list((await self.store.deliveries(query)).items)
