"""What must hold at the end of the story, whatever failed on the way. Reads the history, the receivers' memory and the
dispatcher's books."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise

from tests.failure.receivers import Arrival
from tests.failure.scenario import Story
from whatsync.model.delivery import State
from whatsync.model.ids import delivery_id
from whatsync.ports.history import DeliveryView, Exchange
from whatsync.ports.store import Origin

GONE = "gone.example"
LEAVING = "leaving.example"


class Laws:
    """Judges one telling of the story."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.views: list[DeliveryView] = []
        self.attempts: dict[str, tuple[Exchange, ...]] = {}
        self.hosts: dict[int, str] = {}
        self.by_delivery: dict[str, list[Arrival]] = defaultdict(list)

    async def faults(self) -> list[str]:
        """Every broken law, in words."""
        story = self.story
        self.views = await story.views(story.who)
        for view in self.views:
            self.attempts[delivery_id(view.id)] = await story.store.attempts(story.who.row, view.id)
        for running in story.directory.endpoints.values():
            self.hosts[running.row] = running.endpoint.url.split("/")[2]
        for arrival in story.receivers.arrivals:  # type: ignore[attr-defined]
            self.by_delivery[arrival.delivery].append(arrival)
        return [
            *[fault async for fault in self._events()],
            *self._ends(),
            *self._reached(),
            *self._attempts(),
            *self._order(),
            *self._books(),
        ]

    async def _events(self) -> AsyncIterator[str]:
        """Each acknowledged event is there once, with the bytes it was submitted with, and in the feed."""
        story = self.story
        fed: list[str] = []
        after = 0
        while True:
            page, cursor = await story.store.feed(story.who.row, after, (), 100)
            fed += [event.id for event in page if event.id in story.acknowledged]
            if cursor == after:
                break
            after = cursor
        if sorted(fed) != sorted(story.acknowledged):
            yield f"the feed shows {fed}, acknowledged were {list(story.acknowledged)}"
        for key, body in story.acknowledged.items():
            event = await story.store.event(story.who.row, key)
            if event is None or event.body != body:
                yield f"{key} is stored as {event}"

    def _ends(self) -> Iterable[str]:
        """Everything ended well, but for what was cancelled with its endpoint or by hand; one delivery for each event
        and endpoint, and one more for what was resent."""
        made: dict[tuple[str, str], int] = defaultdict(int)
        for view in self.views:
            host = self.hosts.get(view.endpoint, GONE)
            if view.origin in (Origin.EVENT, Origin.RECOVER):
                made[view.event_id, host] += 1
            allowed: set[State] = set()
            if host == GONE or view.origin is Origin.RESEND:
                allowed = {State.CANCELLED}
            elif view.origin is Origin.TEST:
                allowed = {State.FAILED}
            if view.state is not State.SUCCEEDED and view.state not in allowed:
                yield f"{delivery_id(view.id)} of {view.event_id} to {host} is {view.state}"
        for key, hosts in self.story.wanted.items():
            for host in hosts:
                if made[key, host] != 1:
                    yield f"{key} has {made[key, host]} deliveries to {host}"

    def _reached(self) -> Iterable[str]:
        """Each event was taken by each receiver it had to reach, with the right bytes."""
        taken = {(one.event_id, one.host) for one in self._arrivals() if one.answered == 200}
        for key, hosts in self.story.wanted.items():
            yield from (f"{key} never reached {host}" for host in hosts if (key, host) not in taken)
        for arrival in self._arrivals():
            known = self.story.acknowledged.get(arrival.event_id)
            if known != arrival.body and not arrival.test and arrival.host != LEAVING:
                yield f"{arrival.event_id} arrived with other bytes"

    def _arrivals(self) -> list[Arrival]:
        return [arrival for arrivals in self.by_delivery.values() for arrival in arrivals]

    def _attempts(self) -> Iterable[str]:
        """Every request that was made is recorded, once; none after a success; each in its own time. One whose claim
        was taken away meanwhile is late, and may share its number with the one that came after."""
        made = self.story.receivers.made  # type: ignore[attr-defined]
        for view in self.views:
            name = delivery_id(view.id)
            rows = [one.row for one in self.attempts[name] if not one.late]
            numbers = [row.number for row in rows]
            if len(self.attempts[name]) != made[name]:
                yield f"{name} made {made[name]} requests, recorded are {len(self.attempts[name])}"
            if any(after <= before for before, after in pairwise(numbers)) or view.attempts < max(numbers, default=0):
                yield f"{name} says {view.attempts} attempts, their numbers are {numbers}"
            if any(row.status == 200 for row in rows[:-1]):
                yield f"{name} was sent again after its success: {[row.status for row in rows]}"
            if view.state is State.SUCCEEDED and not any(one.answered == 200 for one in self.by_delivery[name]):
                yield f"{name} succeeded without a successful request"
            for before, after in pairwise(rows):
                if before.due_ms is not None and after.started_ms < before.due_ms and not self._let_loose(view):
                    yield f"{name} made attempt {after.number} {before.due_ms - after.started_ms} ms early"

    def _let_loose(self, view: DeliveryView) -> bool:
        """What was held and released, retried by hand, or waited for an endpoint that was down may come at once."""
        if view.origin is Origin.RESEND or self.hosts.get(view.endpoint) == "flappy.example":
            return True
        rows = [one.row for attempts in self.attempts.values() for one in attempts if one.row.endpoint == view.endpoint]
        return sum(row.status != 200 for row in rows) >= 3

    def _order(self) -> Iterable[str]:
        """To the ordered endpoint, each event about a contact comes after the one before was taken."""
        arrivals = [one for one in self.story.receivers.arrivals if one.host == "ordered.example"]  # type: ignore[attr-defined]
        first: dict[str, int] = {}
        taken: dict[str, int] = {}
        for place, arrival in enumerate(arrivals):
            first.setdefault(arrival.event_id, place)
            if arrival.answered == 200:
                taken.setdefault(arrival.event_id, place)
        contacts: dict[bytes, list[str]] = defaultdict(list)
        for key, body in self.story.acknowledged.items():
            contacts[body.split(b'"from":"')[1].split(b'"')[0]].append(key)
        for keys in contacts.values():
            for before, after in pairwise(keys):
                if first.get(after, 0) < taken.get(before, 0):
                    yield f"{after} overtook {before} about the same contact"

    def _books(self) -> Iterable[str]:
        """Nothing is left in memory, counted as under way or waiting to be written."""
        dispatcher = self.story.dispatcher
        if len(self.story.directory.accounts) != 1:
            yield "the account that was deleted is still there"
        if dispatcher.in_flight or dispatcher.recorder.unrecorded or not dispatcher.recorder.gate_open:
            yield f"{dispatcher.in_flight} in flight, {dispatcher.recorder.unrecorded} unrecorded"
        if dispatcher.budget.deliveries_held or dispatcher.budget.bytes_held:
            yield f"{dispatcher.budget.deliveries_held} deliveries, {dispatcher.budget.bytes_held} bytes held in memory"
        for lane in dispatcher.lanes.values():
            if lane.owned or lane.writing or lane.queue or lane.in_flight:
                yield f"lane {lane.endpoint.row}: owned {lane.owned}, writing {lane.writing}, queued {len(lane.queue)}"
