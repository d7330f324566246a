"""Each verb's effect on the disk as one step that can't stop half way. Every rule is a small method of its own.

Plain on purpose: this is the description that the other adapters are compared with. Knows no commits and no event loop.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from whatsync.model import limits
from whatsync.model.delivery import FINAL, OPEN, WAITING, Happening, State, next_state
from whatsync.model.ids import ms_of
from whatsync.model.retry import replanned_ms, turn_ms
from whatsync.ports.rows import Waiting
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
    Document,
    Duplicates,
    EventRow,
    HealthRow,
    Pruned,
    Put,
    Recorded,
    Replayed,
    Settled,
    Settlement,
    Stale,
)
from whatsync.store.coding import WAITED
from whatsync.store.memory.arrivals import ArrivalSteps
from whatsync.store.memory.disk import Delivery, Disk, KeyUse
from whatsync.store.memory.media import MediaSteps

ENDPOINT = "endpoint"
ACCOUNT = "account"
"""The one kind of document whose old versions stay readable."""
VERSION = ""
"""Stands among the kinds of changes for an account's version that rose."""
ACCOUNT_TOTAL = 0
"""Stands for all endpoints of an account in the rollups."""
MINUTE_MS = 60_000
DAY_MS = 86_400_000
_RELEASES = frozenset({Happening.RELEASED, Happening.RELEASED_TRIED})


class Steps(ArrivalSteps, MediaSteps):
    """The transactions. Made to be overridden one rule at a time by whoever plants a bug."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.epoch = 0

    # Accepting

    def apply_accept(self, admission: Admission) -> AcceptResult:
        """Write an admission whole, or say why nothing was written."""
        replayed = self.used_before(admission)
        if replayed is not None:
            return replayed
        version = self.disk.versions.get(admission.account, 0)
        if admission.version != version:
            return Stale(version)
        existing = self.existing(admission.account, admission.events)
        if any(row is not None for row in existing):
            return Duplicates(existing)
        self.write_admission(admission)
        return Accepted()

    def used_before(self, admission: Admission) -> Replayed | None:
        """What the admission's ``Idempotency-Key`` was used for, if it was."""
        if admission.idempotency is None:
            return None
        use = self.disk.key_uses.get((admission.account, admission.idempotency.key))
        if use is None:
            return None
        return Replayed(use.fingerprint, tuple(self.event_or_stub(admission.account, seq) for seq in use.events))

    def existing(self, account: int, events: Sequence[EventRow]) -> tuple[EventRow | None, ...]:
        """At each position, the event that has this id already: a stored one, or one further ahead in the same row."""
        found: list[EventRow | None] = []
        ahead: dict[str, EventRow] = {}
        for event in events:
            seq = self.disk.event_ids.get((account, event.id))
            found.append(ahead.get(event.id) if seq is None else self.event_or_stub(account, seq))
            ahead.setdefault(event.id, event)
        return tuple(found)

    def event_or_stub(self, account: int, seq: int) -> EventRow:
        """The event, or an empty one in its place where retention removed it."""
        event = self.disk.events.get(seq)
        if event is not None:
            return event
        ids = (key[1] for key, known in self.disk.event_ids.items() if known == seq)
        return EventRow(seq, account, next(ids, ""), "", b"")

    def write_admission(self, admission: Admission) -> None:
        """Write events, deliveries and the use of the key."""
        for event in admission.events:
            made = sum(1 for row in admission.deliveries if row.event == event.seq)
            self.write_event(replace(event, deliveries=made))
        for row in sorted(admission.deliveries, key=lambda row: row.id):
            if row.event in self.disk.events:
                self.write_delivery(row)
        self.write_media(admission)
        if admission.idempotency is not None:
            rows = [event.seq for event in admission.events] + [row.id for row in admission.deliveries]
            used_ms = ms_of(max(rows, default=admission.used))
            events = tuple(event.seq for event in admission.events)
            use = KeyUse(admission.idempotency.fingerprint, events, used_ms)
            self.disk.key_uses[admission.account, admission.idempotency.key] = use

    def write_event(self, event: EventRow) -> None:
        """Write one event and count it."""
        self.disk.events[event.seq] = event
        self.disk.event_ids[event.account, event.id] = event.seq
        self.disk.feed.append(event.seq)
        if not event.test:
            self.count(event.account, ms_of(event.seq), ACCOUNT_TOTAL, "accepted", 0)

    def write_delivery(self, row: DeliveryRow) -> None:
        """Write one delivery: in flight already, due as asked, or parked behind an earlier one about its contact."""
        delivery = Delivery(row, row.due_ms)
        if row.contact is not None:
            earlier = self.disk.earlier_open(delivery)
            if earlier is not None:
                delivery.due_ms = turn_ms(row.due_ms, earlier.made_ms, row.contact_wait_ms)
        elif row.claimed:
            delivery.claim, delivery.in_flight, delivery.due_ms = 1, True, None
            delivery.holder = self.epoch
        self.disk.add(delivery)

    # Attempts

    def apply_claim(self, endpoint: int, now_ms: int, limit: int, early: bool) -> Claims:
        """Take what is due."""
        waiting = list(self.claimable(endpoint))
        if early:
            due = [delivery for delivery in waiting if delivery.state is State.RETRYING]
        else:
            due = [delivery for delivery in waiting if _due(delivery) <= now_ms]
            due.sort(key=lambda delivery: (_due(delivery), delivery.row.id))
        taken = due[:limit]
        for delivery in taken:
            delivery.claim += 1
            delivery.in_flight = True
            delivery.holder = self.epoch
            delivery.due_ms = None
        return Claims(
            tuple(self.claimed(delivery) for delivery in taken),
            min((_due(delivery) for delivery in self.claimable(endpoint)), default=None),
        )

    def claimable(self, endpoint: int) -> Iterator[Delivery]:
        """What waits in the store for this endpoint, oldest row first."""
        for delivery in self.disk.open_deliveries(endpoint):
            if delivery.state in WAITING and not delivery.in_flight:
                yield delivery

    def claimed(self, delivery: Delivery) -> Claimed:
        """A delivery as its claimer gets it."""
        row = delivery.row
        event = self.disk.events[row.event]
        # Erased meanwhile: any word keeps the order.
        contact = None if row.contact is None else event.contact or "erased"
        return Claimed(row.id, delivery.claim, delivery.attempts, delivery.state, event, contact, row.origin)

    def apply_give_back(self, claims: Sequence[tuple[int, int]], due_ms: int) -> None:
        """Let go of what was claimed and not attempted."""
        for row, claim in claims:
            delivery = self.disk.deliveries.get(row)
            if delivery is not None and self.claim_holds(delivery, claim):
                delivery.in_flight = False
                delivery.due_ms = due_ms

    def apply_replan(self, endpoint: int, now_ms: int, after: tuple[int, int], limit: int) -> tuple[int, int] | None:
        """Bring forward what a later clock had planned."""
        later = sorted((_due(one), one.row.id) for one in self.claimable(endpoint) if (_due(one), one.row.id) > after)
        for due_ms, row in later[:limit]:
            delivery = self.disk.deliveries[row]
            attempts = self.disk.attempts.get(row)
            behind = delivery.row.contact is not None and self.disk.earlier_open(delivery) is not None
            last = attempts[max(attempts)][0] if attempts else None
            delivery.due_ms = replanned_ms(
                now_ms,
                due_ms,
                delivery.row.contact_wait_ms if behind else None,
                None if last is None else last.finished_ms,
                None if last is None else last.due_ms,
            )
        return later[limit - 1] if len(later) >= limit else None

    def claim_holds(self, delivery: Delivery, claim: int) -> bool:
        """Whether an outcome under this claim may change the delivery."""
        return delivery.in_flight and delivery.claim == claim

    def apply_record(self, attempts: Sequence[AttemptRow], health: Sequence[HealthRow]) -> Recorded:
        """Write attempts and what they lead to."""
        stale: list[int] = []
        forwarded: dict[int, None] = {}
        for row in attempts:
            delivery = self.disk.deliveries.get(row.delivery)
            if delivery is None:
                stale.append(row.delivery)
                continue
            was_open = delivery.state in OPEN
            if self.keep_attempt(delivery, row):
                stale.append(row.delivery)
            if was_open and delivery.state in FINAL and self.forward(delivery, row.finished_ms):
                forwarded[row.endpoint] = None
        for known in health:
            self.disk.health[known.endpoint] = known.health
        return Recorded(tuple(stale), tuple(forwarded))

    def keep_attempt(self, delivery: Delivery, row: AttemptRow) -> bool:
        """Write one attempt; true where it came late."""
        late = not self.claim_holds(delivery, row.claim)
        self.disk.attempts.setdefault(row.delivery, {})[row.claim] = (row, late)
        delivery.attempts = max(delivery.attempts, row.number)
        if not row.test:
            for endpoint in (row.endpoint, ACCOUNT_TOTAL):
                self.count(row.account, row.finished_ms, endpoint, row.code or "succeeded", bucket(row.total_us))
        if not late or (row.state is State.SUCCEEDED and self.late_success_closes(delivery)):
            self.take_outcome(delivery, row)
        return late

    def late_success_closes(self, delivery: Delivery) -> bool:
        """Whether a success whose claim was taken away ends the delivery."""
        return next_state(delivery.state, Happening.LATE_SUCCESS) is not None

    def take_outcome(self, delivery: Delivery, row: AttemptRow) -> None:
        """Let an attempt decide the delivery's state."""
        self.disk.move(delivery, row.state)
        delivery.in_flight = False
        delivery.due_ms = row.due_ms if row.state in WAITING else None
        delivery.finished_ms = row.finished_ms if row.state in FINAL else None
        delivery.status, delivery.code, delivery.duration_us = row.status, row.code, row.total_us
        delivery.reason = None

    # Order within a contact

    def forward(self, ended: Delivery, now_ms: int) -> bool:
        """Bring the next delivery about the same contact forward; true where that moved it."""
        if ended.row.contact is None:
            return False
        following = self.disk.next_open(ended)
        if following is None or not following.untried:
            return False
        earlier = self.disk.earlier_open(following)
        wait_ms = following.row.contact_wait_ms
        due_ms = now_ms if earlier is None else turn_ms(now_ms, earlier.made_ms, wait_ms)
        if _due(following) <= due_ms:
            return False
        following.due_ms = due_ms
        return True

    # Changes of state without an attempt

    def apply_settle(self, settlement: Settlement) -> tuple[Settled, ...]:
        """Change states without an attempt."""
        if settlement.endpoint is not None and settlement.version is not None:
            rows = {document.row: document.version for document in self.disk.documents.values()}
            if rows.get(settlement.endpoint, 0) != settlement.version:
                return ()
        return tuple([self.settle_one(delivery, settlement) for delivery in self.to_settle(settlement)])

    def to_settle(self, settlement: Settlement) -> list[Delivery]:
        """The deliveries a settlement looks at."""
        account = settlement.account
        if settlement.endpoint is None:
            named = (self.disk.deliveries.get(row) for row in settlement.deliveries)
            return [delivery for delivery in named if delivery is not None and delivery.row.account == account]
        reached = [
            delivery
            for delivery in self.disk.open_deliveries(settlement.endpoint)
            if delivery.row.account == account
            and (settlement.until is None or delivery.row.id <= settlement.until)
            and self.would_change(delivery, settlement)
        ]
        return reached[: settlement.limit]

    def would_change(self, delivery: Delivery, settlement: Settlement) -> bool:
        """Whether a settlement over an endpoint has business with this delivery."""
        after = self.settled_state(delivery, settlement.happening)
        if after is None:
            return False
        return after is not delivery.state or _due(delivery) > settlement.due_ms

    def settled_state(self, delivery: Delivery, happening: Happening) -> State | None:
        """Where the happening leads to from here; ``None`` where it is refused."""
        if happening is Happening.RETRY and delivery.in_flight:
            return None
        if happening in _RELEASES:
            happening = Happening.RELEASED_TRIED if delivery.attempts else Happening.RELEASED
        return next_state(delivery.state, happening)

    def settle_one(self, delivery: Delivery, settlement: Settlement) -> Settled:
        """Change one delivery, if the rules let it."""
        before, in_flight = delivery.state, delivery.in_flight
        after = self.settled_state(delivery, settlement.happening)
        if after is not None:
            self.disk.move(delivery, after)
            delivery.in_flight = False
            delivery.due_ms = self.settled_due_ms(delivery, before, settlement)
            delivery.finished_ms = settlement.due_ms if after in FINAL else None
            delivery.reason = None if after in WAITING else settlement.reason
            if after in FINAL:
                self.forward(delivery, settlement.due_ms)
        return Settled(delivery.row.id, delivery.row.endpoint, before, after or before, in_flight)

    def settled_due_ms(self, delivery: Delivery, before: State, settlement: Settlement) -> int | None:
        """When a settled delivery is due; a released one keeps its place behind an earlier one."""
        if delivery.state not in WAITING:
            return None
        behind = before is State.HELD and delivery.row.contact is not None and self.disk.earlier_open(delivery)
        return settlement.due_ms + (delivery.row.contact_wait_ms if behind else 0)

    # Configuration

    def apply_change(self, change: Change) -> Changed | ChangeConflict:
        """Carry a change out whole, or name the document that stands against it."""
        for put in change.puts:
            if not self.as_expected(put):
                return ChangeConflict(put.kind, put.id)
        documents = tuple([self.put(put) for put in change.puts])
        for gone in change.deletes:
            document = self.disk.documents.pop((gone.kind, gone.id), None)
            if document is not None:
                self.disk.changes.append((document.account, gone.kind, gone.id, document.row))
            if document is not None and gone.kind == ENDPOINT:
                self.end_versions(document.row)
                self.disk.health.pop(document.row, None)
        self.disk.audit.extend(change.audit)
        for admission in change.admissions:
            self.write_admission(self.only_new(admission))
        settled = [one for settlement in change.settlements for one in self.apply_settle(settlement)]
        if change.routing:
            self.disk.versions[change.account] = self.disk.versions.get(change.account, 0) + 1
            self.disk.changes.append((change.account, VERSION, "", 0))
        return Changed(self.disk.versions.get(change.account, 0), documents, tuple(settled))

    def as_expected(self, put: Put) -> bool:
        """Whether the document is in the version the writer saw."""
        if put.expected_version is None:
            return True
        document = self.disk.documents.get((put.kind, put.id))
        return put.expected_version == (0 if document is None else document.version)

    def put(self, put: Put) -> Document:
        """Write one document."""
        old = self.disk.documents.get((put.kind, put.id))
        if old is None:
            self.disk.last_row += 1
            document = Document(put.kind, put.id, self.disk.last_row, put.account, 1, put.body)
        else:
            document = replace(old, account=put.account, version=old.version + 1, body=put.body)
        self.disk.documents[put.kind, put.id] = document
        self.disk.changes.append((put.account, put.kind, put.id, document.row))
        if put.kind == ENDPOINT:
            self.end_versions(document.row)
            self.disk.old_endpoints[put.kind, document.row, document.version] = document
        return document

    def end_versions(self, row: int) -> None:
        """From here on no new delivery uses the endpoint's version that was the present one."""
        for version in self.disk.old_endpoints:
            if version[1] == row:
                self.disk.until_row.setdefault(version, self.disk.top)

    def only_new(self, admission: Admission) -> Admission:
        """The admission without events that exist already, and without those events' deliveries."""
        existing = self.existing(admission.account, admission.events)
        new = tuple(event for event, known in zip(admission.events, existing, strict=True) if known is None)
        passed = {event.seq for event in admission.events} - {event.seq for event in new}
        deliveries = tuple(row for row in admission.deliveries if row.event not in passed)
        return replace(admission, events=new, deliveries=deliveries, idempotency=None)

    # Keeping

    def apply_prune(self, account: int, before_ms: int, after_seq: int, limit: int, now_ms: int) -> Pruned:
        """Remove old events; at the end also old keys, rollups and audit."""
        old = sorted(
            seq
            for seq, event in self.disk.events.items()
            if event.account == account and seq > after_seq and ms_of(seq) < before_ms
        )[:limit]
        removed = cancelled = 0
        for seq in old:
            deliveries = self.disk.of_event(seq)
            if not self.removable(deliveries):
                continue
            cancelled += sum(1 for delivery in deliveries if delivery.state is State.HELD)
            self.remove_event(seq, deliveries, now_ms)
            removed += 1
        if len(old) == limit:
            return Pruned(removed, cancelled, old[-1])
        self.expire(account, before_ms, now_ms)
        return Pruned(removed, cancelled, None)

    def removable(self, deliveries: Sequence[Delivery]) -> bool:
        """Whether nothing of the event is still on its way."""
        return not any(delivery.state in WAITING for delivery in deliveries)

    def remove_event(self, seq: int, deliveries: Sequence[Delivery], now_ms: int) -> None:
        """Remove an event with everything that hangs on it; its id stays known."""
        for delivery in deliveries:
            if delivery.state in OPEN:
                self.disk.move(delivery, State.CANCELLED)
                self.forward(delivery, now_ms)
            self.disk.remove(delivery)
        event = self.disk.events.pop(seq)
        self.expire_media(seq, now_ms)
        self.disk.deliveries_of_event.pop(seq, None)
        place = self.disk.feed.index(seq)
        self.disk.feed[place] = 0
        self.disk.feed_floor[event.account] = max(self.disk.feed_floor.get(event.account, 0), place + 1)

    def expire(self, account: int, before_ms: int, now_ms: int) -> None:
        """Forget keys, ids, rollups and audit entries that nothing promises any more."""
        remembered_ms = now_ms - limits.IDEMPOTENCY_DAYS * DAY_MS
        disk = self.disk
        for key, use in list(disk.key_uses.items()):
            if key[0] == account and use.used_ms < remembered_ms:
                del disk.key_uses[key]
        for id_, seq in list(disk.event_ids.items()):
            if id_[0] == account and seq not in disk.events and ms_of(seq) < min(before_ms, remembered_ms):
                del disk.event_ids[id_]
        for rollup in [key for key in disk.rollups if key[0] == account and key[1] + MINUTE_MS <= before_ms]:
            del disk.rollups[rollup]
        self.expire_versions(account, before_ms)
        self.forget_media(now_ms)
        for place, entry in enumerate(disk.audit):
            if entry is not None and entry.account == account and entry.at_ms < before_ms:
                disk.audit[place] = None

    def expire_versions(self, account: int, before_ms: int) -> None:
        """Forget old versions of endpoints that nothing kept has used, and what is left of what is gone."""
        disk = self.disk
        accounts = {document.row for document in disk.documents.values() if document.kind == ACCOUNT}
        endpoints = {document.row for document in disk.documents.values() if document.kind == ENDPOINT}
        for version, until_row in list(disk.until_row.items()):
            owner = disk.old_endpoints[version].account
            kept = (row for row, delivery in disk.deliveries.items() if delivery.row.endpoint == version[1])
            over = owner == account and ms_of(until_row) < before_ms and until_row < min(kept, default=until_row + 1)
            if over or (account == 0 and owner not in accounts):
                del disk.old_endpoints[version], disk.until_row[version]
        if account == 0:
            disk.health = {row: health for row, health in disk.health.items() if row in endpoints}
            disk.versions = {row: version for row, version in disk.versions.items() if row in {0, *accounts}}

    def apply_erase(self, account: int, seq: int, body: bytes, keys_kept: Sequence[str]) -> None:
        """Take one event's personal content away; that it happened stays."""
        event = self.disk.events.get(seq)
        if event is None or event.account != account:
            return
        keys = tuple(key for key in event.keys if key in keys_kept)
        self.disk.events[seq] = replace(event, body=body, details=None, contact=None, keys=keys)
        for delivery in self.disk.of_event(seq):
            kept = self.disk.attempts.get(delivery.row.id, {})
            for claim, (row, late) in kept.items():
                kept[claim] = (replace(row, answer_headers=b"", answer_body=b""), late)

    def apply_count_waiting(self, samples: Sequence[Waiting]) -> None:
        """Count how long the oldest delivery of each endpoint had waited."""
        for sample in samples:
            for endpoint in (sample.endpoint, ACCOUNT_TOTAL):
                self.count(sample.account, sample.at_ms, endpoint, WAITED, sample.age_ms.bit_length())

    def count(self, account: int, at_ms: int, endpoint: int, outcome: str, latency: int) -> None:
        """Add one to a rollup."""
        key = (account, at_ms - at_ms % MINUTE_MS, endpoint, outcome, latency)
        self.disk.rollups[key] = self.disk.rollups.get(key, 0) + 1


def bucket(total_us: int) -> int:
    """The latency bucket of an attempt: bucket ``b`` ends below ``2**b`` milliseconds."""
    return (total_us // 1000).bit_length()


def _due(delivery: Delivery) -> int:
    """Due time of a delivery that waits in the store; 0 where there is none."""
    return delivery.due_ms or 0
