"""The reading side over the plain dictionaries: every question answered by looking at all rows in order.

Knows what is committed and nothing of writing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from whatsync.model import limits
from whatsync.model.delivery import WAITING, State
from whatsync.model.ids import first_row_at, ms_of
from whatsync.ports.history import (
    AuditRow,
    Counts,
    DeliveryPage,
    DeliveryQuery,
    DeliveryView,
    EventPage,
    EventQuery,
    Exchange,
    RollupRow,
)
from whatsync.ports.media import MediaRow
from whatsync.ports.store import Document, EventRow, Origin
from whatsync.store.memory.disk import Delivery, Disk
from whatsync.store.memory.steps import ACCOUNT_TOTAL
from whatsync.store.rollup_pieces import WHOLE_MS
from whatsync.store.search import holds_words


class MemoryHistory:
    """Implements ``ports.history.History``."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    # Deliveries

    async def deliveries(self, query: DeliveryQuery) -> DeliveryPage:
        """List deliveries."""
        rows = [row for row, known in self.disk.deliveries.items() if known.row.account == query.account]
        found, following, searched = page(rows, query, lambda row: self._wanted(self.disk.deliveries[row], query))
        return DeliveryPage(tuple(self._view(self.disk.deliveries[row]) for row in found), following, searched)

    def _wanted(self, delivery: Delivery, query: DeliveryQuery) -> bool:
        row = delivery.row
        return (
            (query.endpoint is None or row.endpoint == query.endpoint)
            and (query.type is None or row.type == query.type)
            and (query.number is None or row.number == query.number)
            and (not query.states or delivery.state in query.states)
            and (query.code is None or delivery.code == query.code)
            and (query.test is None or (row.origin is Origin.TEST) == query.test)
            and (query.event is None or row.event == query.event)
            and (query.events is None or row.event in query.events)
            and (query.text is None or holds_words(self.disk.events[row.event].body, query.text))
        )

    def _view(self, delivery: Delivery) -> DeliveryView:
        row = delivery.row
        return DeliveryView(
            id=row.id,
            event=row.event,
            event_id=self.disk.events[row.event].id,
            type=row.type,
            account=row.account,
            endpoint=row.endpoint,
            state=delivery.state,
            attempts=delivery.attempts,
            origin=row.origin,
            created_ms=delivery.made_ms,
            due_ms=delivery.due_ms,
            in_flight=delivery.in_flight,
            finished_ms=delivery.finished_ms,
            status=delivery.status,
            code=delivery.code,
            duration_us=delivery.duration_us,
            number=row.number,
            reason=delivery.reason,
            ordered=row.contact is not None,
        )

    def _delivery(self, account: int, row: int) -> Delivery | None:
        delivery = self.disk.deliveries.get(row)
        return None if delivery is None or delivery.row.account != account else delivery

    async def delivery(self, account: int, delivery: int) -> DeliveryView | None:
        """Read one."""
        found = self._delivery(account, delivery)
        return None if found is None else self._view(found)

    async def attempts(self, account: int, delivery: int) -> tuple[Exchange, ...]:
        """Read the attempts of one delivery, first to last."""
        if self._delivery(account, delivery) is None:
            return ()
        kept = sorted(self.disk.attempts.get(delivery, {}).values(), key=lambda one: (one[0].number, one[0].claim))
        return tuple(Exchange(row, late, self._version(row.run)) for row, late in kept)

    def _version(self, run: int) -> str:
        return self.disk.runs[run - 1] if 0 < run <= len(self.disk.runs) else ""

    async def waiting_for(self, account: int, delivery: int) -> int | None:
        """The nearest earlier open delivery about the same contact, for one that waits for its first attempt."""
        found = self._delivery(account, delivery)
        if found is None or found.row.contact is None or not found.untried:
            return None
        earlier = self.disk.earlier_open(found)
        return None if earlier is None else earlier.row.id

    # Events

    async def events(self, query: EventQuery) -> EventPage:
        """List events."""
        events = self.disk.events

        def wanted(seq: int) -> bool:
            event = events[seq]
            return (
                (query.type is None or event.type == query.type)
                and (query.number is None or event.number == query.number)
                and (query.matched is None or (event.deliveries > 0) == query.matched)
                and (query.seqs is None or seq in query.seqs)
                and (query.text is None or holds_words(event.body, query.text))
            )

        # Along an index, as databases do: what was never to be found does not count as looked at.
        rows = [
            seq
            for seq, event in events.items()
            if event.account == query.account
            and event.type not in query.without
            and (query.matched is not False or not event.deliveries)
        ]
        found, following, searched = page(rows, query, wanted)
        return EventPage(tuple(_cut(events[seq], query.bytes_max) for seq in found), following, searched)

    async def event(self, account: int, event_id: str) -> EventRow | None:
        """Read one event by its public id."""
        return self.disk.events.get(self.disk.event_ids.get((account, event_id), -1))

    async def event_by_seq(self, account: int, seq: int) -> EventRow | None:
        """Read one event by its row."""
        event = self.disk.events.get(seq)
        return None if event is None or event.account != account else event

    async def find(
        self, account: int, keys: Sequence[str], limit: int, before: int | None = None
    ) -> tuple[EventRow, ...]:
        """Find events by any of their words, newest first."""
        wanted = set(keys)
        found = [
            event
            for event in self.disk.events.values()
            if event.account == account and wanted & {f"id:{event.id}", *event.keys} and _below(event, before)
        ]
        return tuple(sorted(found, key=lambda event: -event.seq)[:limit])

    async def feed(
        self, account: int, after: int, types: tuple[str, ...], limit: int
    ) -> tuple[tuple[EventRow, ...], int]:
        """Events after a cursor, in the order of their commits."""
        found: list[EventRow] = []
        examined = 0
        for place in range(max(after, 0), len(self.disk.feed)):
            if len(found) == limit or examined == limits.PAGE_ROWS_EXAMINED_MAX:
                break
            event = self.disk.events.get(self.disk.feed[place])
            if event is None or event.account != account:
                continue
            after, examined = place + 1, examined + 1
            if not event.test and (not types or event.type in types):
                found.append(event)
        return tuple(found), after

    async def feed_bounds(self, account: int) -> tuple[int, int]:
        """The oldest cursor that still skips nothing, and the newest."""
        floor = self.disk.feed_floor.get(account, 0)
        places = [
            place + 1
            for place, seq in enumerate(self.disk.feed)
            if seq in self.disk.events and self.disk.events[seq].account == account
        ]
        return floor, max([floor, *places])

    async def missing(  # noqa: PLR0917 - as the port has it
        self,
        account: int,
        endpoint: int,
        types: tuple[str, ...],
        since_ms: int,
        until_ms: int,
        after: int,
        limit: int,
    ) -> tuple[tuple[EventRow, ...], int | None]:
        """Events without a delivery to this endpoint, oldest first."""
        found: list[EventRow] = []
        last = after
        rows = [
            seq
            for seq, event in self.disk.events.items()
            if event.account == account and event.type in types and since_ms <= ms_of(seq) < until_ms and seq > after
        ]
        for examined, seq in enumerate(sorted(rows)):
            if len(found) == limit or examined == limits.PAGE_ROWS_EXAMINED_MAX:
                return tuple(found), last
            last = seq
            event = self.disk.events[seq]
            if not event.test and all(one.row.endpoint != endpoint for one in self.disk.of_event(seq)):
                found.append(event)
        return tuple(found), None

    # Counts, rollups, configuration

    async def counts(self, endpoint: int, ceiling: int | None = None) -> Counts:
        """Count what waits for an endpoint, up to a ceiling."""
        ceiling = ceiling or limits.COUNT_CEILING
        rows = list(self.disk.open_deliveries(endpoint))
        waiting = [one for one in rows if one.state in WAITING]
        oldest = min((one.due_ms for one in waiting if one.due_ms is not None), default=None)
        held = sum(1 for one in rows if one.state is State.HELD)
        made = min((ms_of(one.row.id) for one in waiting), default=None)
        return Counts(min(len(waiting), ceiling), min(held, ceiling), ceiling, oldest, made)

    async def rollups(
        self, account: int, endpoint: int | None, since_ms: int, until_ms: int, step_ms: int = 1
    ) -> tuple[RollupRow, ...]:
        """Read the rollups of an account or one of its endpoints."""
        wanted = (ACCOUNT_TOTAL if endpoint is None else endpoint,)
        return self._rollups(account, wanted, (since_ms, until_ms), step_ms)

    async def rollup_sums(
        self, account: int, endpoints: Sequence[int], since_ms: int, until_ms: int
    ) -> tuple[RollupRow, ...]:
        """Rollups of several endpoints, each added up over the whole time."""
        return self._rollups(account, endpoints, (since_ms, until_ms), WHOLE_MS)

    def _rollups(
        self, account: int, endpoints: Sequence[int], span_ms: tuple[int, int], step_ms: int
    ) -> tuple[RollupRow, ...]:
        counts: Counter[tuple[int, int, str, int]] = Counter()
        for (owner, start, to, outcome, bucket), count in self.disk.rollups.items():
            if owner == account and span_ms[0] <= start < span_ms[1] and to in endpoints:
                counts[start - start % step_ms, to, outcome, bucket] += count
        return tuple(RollupRow(*key, count) for key, count in sorted(counts.items()))

    async def document_version(self, kind: str, row: int, version: int | None) -> Document | None:
        """Read an old version of a document."""
        found = [
            one
            for one in (*self.disk.old_endpoints.values(), *self.disk.documents.values())
            if (one.kind, one.row) == (kind, row) and version in (None, one.version)
        ]
        return max(found, key=lambda one: one.version, default=None)

    async def media(self, name: str) -> MediaRow | None:
        """Read a media file's row."""
        return self.disk.media.get(name)

    async def audit(self, account: int, before: int | None, limit: int) -> tuple[AuditRow, ...]:
        """Read the audit log, newest first."""
        rows = [
            AuditRow(place, entry.at_ms, entry.actor, entry.action, entry.subject, entry.before, entry.after)
            for place, entry in enumerate(self.disk.audit, start=1)
            if entry is not None and entry.account == account and (before is None or place < before)
        ]
        return tuple(rows[::-1][:limit])


def page(
    rows: Iterable[int], query: DeliveryQuery | EventQuery, wanted: Callable[[int], bool]
) -> tuple[list[int], int | None, int | None]:
    """One page of row numbers: those wanted, where the next page goes on, how far a search that gave up had looked."""
    since = first_row_at(query.since_ms or 0)
    until = None if query.until_ms is None else first_row_at(query.until_ms)
    inside = [row for row in rows if row >= since and (until is None or row < until)]
    if query.before is not None:
        inside = [row for row in inside if (row > query.before if query.ascending else row < query.before)]
    examined_max = limits.PAGE_ROWS_EXAMINED_MAX if query.text is None else limits.PAGE_BODIES_EXAMINED_MAX
    found: list[int] = []
    last = 0
    for examined, row in enumerate(sorted(inside, reverse=not query.ascending)):
        if examined == examined_max:
            return found, last, ms_of(last)
        if wanted(row):
            if len(found) == query.limit:
                return found, found[-1], None
            found.append(row)
        last = row
    return found, None, None


def _cut(event: EventRow, bytes_max: int | None) -> EventRow:
    if bytes_max is None:
        return event
    details = None if event.details is None else event.details[:bytes_max]
    return msgspec.structs.replace(event, body=event.body[:bytes_max], details=details)


def _below(event: EventRow, before: int | None) -> bool:
    return before is None or event.seq < before
