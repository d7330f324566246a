"""The laws every history must obey. Reads the disk and the receivers' logs; knows nothing of how they came about."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from tests.sim.operations import SECRET, Submission
from tests.sim.world import EPOCH_S, HOUR, Arrival
from whatsync.model.catalogue import is_operational
from whatsync.model.delivery import FINAL, State
from whatsync.model.endpoint import Endpoint
from whatsync.model.ids import delivery_id, ms_of
from whatsync.model.retry import DEFAULT_SCHEDULE_SECONDS
from whatsync.store.memory.disk import Delivery, Disk


class WatchedDisk(Disk):
    """Notes every move out of a final state, and when each delivery became final."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: list[str] = []
        self.final_s: dict[int, float] = {}
        self.now_s = 0.0

    def move(self, delivery: Delivery, state: State) -> None:
        if delivery.state in FINAL and state is not delivery.state:
            self.broken.append(f"{delivery_id(delivery.row.id)} went from final {delivery.state} to {state}")
        if state in FINAL:
            self.final_s[delivery.row.id] = self.now_s
        super().move(delivery, state)


class History:
    """One finished run, ready to be judged."""

    def __init__(
        self,
        disk: Disk,
        arrivals: list[Arrival],
        submissions: Mapping[str, Submission],
        endpoints: Mapping[int, Endpoint],
    ) -> None:
        self.disk = disk
        self.arrivals = arrivals
        self.submissions = submissions
        self.endpoints = endpoints
        self.by_delivery: dict[str, list[Arrival]] = defaultdict(list)
        for arrival in arrivals:
            self.by_delivery[arrival.delivery].append(arrival)

    def faults(self) -> Iterable[str]:
        """Every broken law, in words."""
        yield from self.lost()
        yield from self.unfinished()
        yield from self.foreign()
        yield from self.without_request()
        yield from self.after_success()
        yield from self.too_early()
        yield from self.out_of_order()
        yield from self.doubled()

    def lost(self) -> Iterable[str]:
        """An acknowledged event is on disk, with a delivery for each endpoint it had to go to."""
        rows = {event.id: event for event in self.disk.events.values()}
        for wanted in self.submissions.values():
            if wanted.acknowledged_s is None:
                yield f"{wanted.id} was never acknowledged"
                continue
            event = rows.get(wanted.id)
            if event is None:
                yield f"{wanted.id} was acknowledged and is not on disk"
                continue
            reached = {
                self.endpoints[one.row.endpoint].id
                for one in self.disk.of_event(event.seq)
                if one.row.endpoint in self.endpoints
            }
            for endpoint in wanted.endpoints - reached:
                yield f"{wanted.id} has no delivery to {endpoint}"

    def unfinished(self) -> Iterable[str]:
        """When faults have stopped, everything becomes final, unless its endpoint is off."""
        for delivery in self.disk.deliveries.values():
            endpoint = self.endpoints.get(delivery.row.endpoint)
            off = endpoint is not None and not endpoint.enabled
            # What WhatsSync tells about a dead endpoint to another dead one begins its own schedule, late.
            fresh = is_operational(delivery.row.type) and delivery.made_ms / 1000 - EPOCH_S > self.end_s - 90 * HOUR
            if delivery.state not in FINAL and not fresh and not (delivery.state is State.HELD and off):
                yield f"{delivery_id(delivery.row.id)} is still {delivery.state}"

    def foreign(self) -> Iterable[str]:
        """Nothing arrives that was not submitted; bytes and signature are right."""
        bodies = {event.id: event.body for event in self.disk.events.values()}
        for arrival in self.arrivals:
            signature = hmac.new(SECRET.encode(), arrival.body, hashlib.sha256).hexdigest()
            if signature != arrival.signature:
                yield f"{arrival.event_id} arrived with a wrong signature"
            if arrival.event_id not in self.submissions and not arrival.event_id.startswith("evt_"):
                yield f"{arrival.event_id} arrived and was never submitted"
            elif bodies.get(arrival.event_id) != arrival.body:
                yield f"{arrival.event_id} arrived with other bytes than are stored"
            if msgspec.json.decode(arrival.body)["id"] != arrival.event_id:
                yield f"{arrival.event_id} arrived with another id in its body"

    def without_request(self) -> Iterable[str]:
        """What is recorded as succeeded was answered with success."""
        for delivery in self.disk.deliveries.values():
            if delivery.state is State.SUCCEEDED:
                answers = [one.answered for one in self.by_delivery[delivery_id(delivery.row.id)]]
                if not any(answer is not None and 200 <= answer < 300 for answer in answers):
                    yield f"{delivery_id(delivery.row.id)} succeeded without a successful request"

    def after_success(self) -> Iterable[str]:
        """After an answered success nothing is sent again, except across a crash that lost the answer."""
        for name, arrivals in self.by_delivery.items():
            good = [one for one in arrivals if one.answered is not None and 200 <= one.answered < 300]
            for one in arrivals:
                for before in good:
                    # The answer takes at most half the largest latency to come back and a moment to be written.
                    if one.life == before.life and one.sent_s > before.at_s + 400:
                        yield f"{name} was sent again {one.sent_s - before.at_s:.0f} s after its success"
                    if one.life == before.life and one.attempt > before.attempt:
                        yield f"{name} made attempt {one.attempt} after attempt {before.attempt} succeeded"

    def too_early(self) -> Iterable[str]:
        """No retry before its time, unless the endpoint had just succeeded or somebody asked for it."""
        successes: dict[str, list[float]] = defaultdict(list)
        for arrival in self.arrivals:
            if arrival.answered == 200:
                successes[arrival.host].append(arrival.at_s)
        for row, attempts in self.disk.attempts.items():
            ordered = sorted(attempts.values(), key=lambda pair: pair[0].number)
            for (first, _), (second, _) in pairwise(ordered):
                if second.number != first.number + 1 or first.state is not State.RETRYING:
                    continue
                waited = (second.started_ms - first.finished_ms) / 1000
                least = self.schedule_seconds[first.number - 1] * 0.8 - 0.01
                if (
                    waited < least
                    and row not in self.asked
                    and not self._recovered(successes, row, first.started_ms, second.started_ms)
                ):
                    yield f"{delivery_id(row)}: attempt {second.number} came at {waited:.1f} s, due after {least:.1f} s"

    end_s = 0.0
    schedule_seconds: Sequence[float] = DEFAULT_SCHEDULE_SECONDS
    asked: frozenset[int] = frozenset()
    """Deliveries that were retried, released or handed on by hand, and all in a world whose clock jumps."""

    def _recovered(self, successes: Mapping[str, list[float]], row: int, after_ms: int, until_ms: int) -> bool:
        endpoint = self.endpoints.get(self.disk.deliveries[row].row.endpoint)
        if endpoint is None:
            return True
        host = endpoint.url.split("//")[1].rstrip("/")
        since, until = after_ms / 1000 - EPOCH_S - 1, until_ms / 1000 - EPOCH_S + 1
        return any(since <= at <= until for at in successes[host])

    def out_of_order(self) -> Iterable[str]:
        """To an ordered endpoint, the next about a contact goes when the one before is final or has waited its time."""
        chains: dict[tuple[int, str], list[Delivery]] = defaultdict(list)
        for delivery in self.disk.deliveries.values():
            if delivery.row.contact is not None:
                chains[delivery.row.endpoint, delivery.row.contact].append(delivery)
        for chain in chains.values():
            chain.sort(key=self.disk.order)
            for before, after in pairwise(chain):
                yield from self._check_pair(before, after)

    final_s: Mapping[int, float] = {}

    def _check_pair(self, before: Delivery, after: Delivery) -> Iterable[str]:
        arrivals = self.by_delivery[delivery_id(after.row.id)]
        if not arrivals or after.row.id in self.asked or before.row.id in self.asked:
            return
        first = min(one.sent_s for one in arrivals)
        way_out = ms_of(before.row.id) / 1000 - EPOCH_S + before.row.contact_wait_ms / 1000
        if first < self.final_s.get(before.row.id, float("inf")) and first < way_out - 1:
            yield f"{delivery_id(after.row.id)} overtook {delivery_id(before.row.id)} about the same contact"

    def doubled(self) -> Iterable[str]:
        """The same id is one event, and one delivery to each endpoint."""
        seen: dict[str, int] = defaultdict(int)
        for event in self.disk.events.values():
            seen[event.id] += 1
        yield from (f"{event_id} is on disk {times} times" for event_id, times in seen.items() if times > 1)
        for event in self.disk.events.values():
            rows = [one.row.endpoint for one in self.disk.of_event(event.seq)]
            if len(rows) != len(set(rows)):
                yield f"{event.id} has two deliveries to one endpoint"
