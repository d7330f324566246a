"""The laws that must hold after any number of crashes. Reads the receivers' logs, the clients' memories and, at the
end, the history on disk; knows nothing of how they came about."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tests.crash.clients import Follower, Observer, Sender
from tests.crash.receiver import PEACE_REQUESTS, Arrival, Receiver
from whatsync.model.delivery import State
from whatsync.model.ids import delivery_id
from whatsync.ports.history import DeliveryQuery, DeliveryView, Exchange, History

ACCOUNTS = range(1, 10)
"""Rows in which the one account is found; who looks from outside does not know which it is."""
RETRY_MS_MIN = 3_200
"""The tests' schedule is four seconds, less the jitter: longer than a round, so that retries wait across crashes."""
CLOCK_MS = 5
"""What rounding to milliseconds may make of a time."""


@dataclass
class Story:
    """All that one delivery became, as the history has it."""

    view: DeliveryView
    attempts: tuple[Exchange, ...]


async def read_stories(history: History) -> dict[str, Story]:
    """Every delivery; attempts only where there was more than one."""
    stories: dict[str, Story] = {}
    for account in ACCOUNTS:
        query: DeliveryQuery | None = DeliveryQuery(account, limit=200)
        while query is not None:
            page = await history.deliveries(query)
            for view in page.items:
                attempts = await history.attempts(account, view.id) if view.attempts != 1 else ()
                stories[delivery_id(view.id)] = Story(view, attempts)
            query = None if page.next is None else DeliveryQuery(account, limit=200, before=page.next)
    return stories


class Checker:
    """Judges a finished run."""

    def __init__(
        self,
        receivers: Iterable[Receiver],
        ordered: Receiver,
        senders: Iterable[Sender],
        stories: Mapping[str, Story],
        clock_ms: int = CLOCK_MS,
    ) -> None:
        self.clock_ms = clock_ms
        self.receivers = tuple(receivers)
        self.ordered = ordered
        self.senders = tuple(senders)
        self.stories = stories
        self.acknowledged = {key: body for sender in self.senders for key, body in sender.acknowledged.items()}

    def faults(self, follower: Follower, observer: Observer) -> list[str]:
        """Every broken law, in words."""
        return [
            *(f"a client was told {what}" for sender in self.senders for what in sender.strange),
            *self.lost(),
            *self.foreign(),
            *self.unfinished(),
            *self.without_request(),
            *self.sent_again(observer),
            *self.repeated_in_one_life(),
            *self.too_early(),
            *self.out_of_order(),
            *self.skipped(follower),
        ]

    def lost(self) -> Iterable[str]:
        """Every acknowledged event was taken by each receiver."""
        for receiver in self.receivers:
            taken = {arrival.event_id for arrival in receiver.arrivals if arrival.taken}
            yield from (f"{receiver.name} never got {key}" for key in self.acknowledged.keys() - taken)

    def foreign(self) -> Iterable[str]:
        """Bytes and signatures are right, and nothing arrives that nobody submitted."""
        for receiver in self.receivers:
            yield from (f"{receiver.name} got {key} with a wrong signature" for key in receiver.forged)
            for arrival in receiver.arrivals:
                if self.acknowledged.get(arrival.event_id) != arrival.body:
                    yield f"{receiver.name} got {arrival.event_id} with other bytes than were submitted"

    def unfinished(self) -> Iterable[str]:
        """Each acknowledged event has one delivery to each endpoint, and all of them ended well."""
        made: dict[str, list[int]] = defaultdict(list)
        for name, story in self.stories.items():
            made[story.view.event_id].append(story.view.endpoint)
            if story.view.state is not State.SUCCEEDED:
                yield f"{name} is {story.view.state}"
        for key in self.acknowledged.keys() | made.keys():
            if len(made[key]) != len(self.receivers) or len(set(made[key])) != len(self.receivers):
                yield f"{key} has deliveries to {made[key]}"

    def without_request(self) -> Iterable[str]:
        """What is recorded as succeeded was answered with success."""
        taken = {one.delivery for receiver in self.receivers for one in receiver.arrivals if one.taken}
        for name, story in self.stories.items():
            if story.view.state is State.SUCCEEDED and name not in taken:
                yield f"{name} succeeded without a successful request"

    def sent_again(self, observer: Observer) -> Iterable[str]:
        """Nothing is sent for what was seen recorded as succeeded, by a client or in the history at the end."""
        for receiver in self.receivers:
            for arrival in receiver.arrivals:
                seen_ms = observer.seen.get(arrival.delivery)
                if seen_ms is not None and arrival.at_ms > seen_ms:
                    yield f"{arrival.delivery} was sent {arrival.at_ms - seen_ms} ms after its success was recorded"
        for name, story in self.stories.items():
            for before, after in pairwise(one.row for one in story.attempts):
                if before.state is State.SUCCEEDED:
                    yield f"{name} made attempt {after.number} after its success was recorded"

    def repeated_in_one_life(self) -> Iterable[str]:
        """Only a crash, or a connection that ended without an answer, makes the same attempt be sent twice."""
        for name, arrivals in self._by_delivery():
            for before, after in pairwise(arrivals):
                if after.attempt < before.attempt:
                    yield f"{name} sent attempt {after.attempt} behind attempt {before.attempt}"
                elif after.life == before.life and after.attempt == before.attempt and before.answered is not None:
                    yield f"{name} sent attempt {after.attempt} twice in one life"
                elif after.life == before.life and before.taken:
                    yield f"{name} was sent again though it had been taken"

    def _by_delivery(self) -> Iterable[tuple[str, list[Arrival]]]:
        found: dict[str, list[Arrival]] = defaultdict(list)
        for receiver in self.receivers:
            for arrival in receiver.arrivals:
                found[arrival.delivery].append(arrival)
        return found.items()

    # The schedule

    def too_early(self) -> Iterable[str]:
        """No retry comes before the time that was recorded for it, and that time keeps the schedule."""
        ends = self._ends()
        for name, arrivals in self._by_delivery():
            story = self.stories.get(name)
            if story is None:
                yield f"{name} was sent and is not in the history"
                continue
            due = {one.row.number: one.row for one in story.attempts if one.row.due_ms is not None}
            for arrival in arrivals:
                before = due.get(arrival.attempt - 1)
                if before is None or before.due_ms is None:
                    continue
                if before.due_ms - before.finished_ms < RETRY_MS_MIN:
                    yield f"{name} was to be tried again {before.due_ms - before.finished_ms} ms after a failure"
                if arrival.at_ms < before.due_ms - self.clock_ms and not came_forward(
                    ends[before.endpoint], before.finished_ms, arrival.at_ms
                ):
                    yield f"{name} made attempt {arrival.attempt} {before.due_ms - arrival.at_ms} ms early"

    def _ends(self) -> dict[int, list[tuple[int, bool]]]:
        """When the recorded attempts of each endpoint ended, in order, and whether well."""
        ends: dict[int, list[tuple[int, bool]]] = defaultdict(list)
        for story in self.stories.values():
            if not story.attempts and story.view.finished_ms is not None:
                ends[story.view.endpoint].append((story.view.finished_ms, True))
            for one in story.attempts:
                ends[story.view.endpoint].append((one.row.finished_ms, one.row.state is State.SUCCEEDED))
        for times in ends.values():
            times.sort()
        return ends

    # Order and feed

    def out_of_order(self) -> Iterable[str]:
        """To the ordered endpoint, what is about one contact comes in accepted order, each after the one before."""
        first: dict[str, int] = {}
        taken: dict[str, int] = {}
        for place, arrival in enumerate(self.ordered.arrivals):
            first.setdefault(arrival.event_id, place)
            if arrival.taken:
                taken.setdefault(arrival.event_id, place)
        for sender in self.senders:
            for ids in sender.contacts.values():
                for before, after in pairwise(ids):
                    if before in taken and after in first and first[after] < taken[before]:
                        yield f"{after} overtook {before} about the same contact"

    def skipped(self, follower: Follower) -> Iterable[str]:
        """Who follows the feed sees each event once, and each sender's in its order."""
        places = {key: place for place, key in enumerate(follower.seen)}
        if len(places) != len(follower.seen):
            yield "the feed showed an event twice"
        yield from (f"the feed skipped {key}" for key in self.acknowledged.keys() - places.keys())
        yield from (f"the feed shows {key}, which nobody submitted" for key in places.keys() - self.acknowledged.keys())
        for sender in self.senders:
            ids = [key for key in sender.acknowledged if key in places]
            for before, after in pairwise(ids):
                if places[before] > places[after]:
                    yield f"the feed shows {after} before {before}"


def came_forward(ends: list[tuple[int, bool]], since_ms: int, until_ms: int) -> bool:
    """Whether the endpoint counted as down and then succeeded in between, so that what waited came forward at once."""
    at = bisect_left(ends, (since_ms - 100, False))
    while at < len(ends) and ends[at][0] <= until_ms + 100:
        recent = ends[max(0, at - PEACE_REQUESTS) : at]
        if ends[at][1] and sum(not well for _, well in recent) >= 3:
            return True
        at += 1
    return False
