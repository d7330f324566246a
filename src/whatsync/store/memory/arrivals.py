"""What sources bring, in plain dictionaries: each verb's effect as one step, and the questions about it.

Knows no commits and no event loop.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from whatsync.model.ids import ms_of
from whatsync.ports.arrivals import BodyRow, ContactRow, Count, Outdated, SetAsideQuery, SetAsideRow, TakenIn
from whatsync.ports.store import Admission, EventRow, Intake, IntakeResult
from whatsync.store.memory.disk import Disk


class ArrivalSteps:
    """The transactions over what sources bring."""

    disk: Disk

    def existing(self, account: int, events: Sequence[EventRow]) -> tuple[EventRow | None, ...]:
        """At each position, the event that has this id already."""
        raise NotImplementedError

    def only_new(self, admission: Admission) -> Admission:
        """The admission without events that exist already."""
        raise NotImplementedError

    def write_admission(self, admission: Admission) -> None:
        """Write an admission."""
        raise NotImplementedError

    def apply_take_in(self, intake: Intake) -> IntakeResult:
        """Write an intake whole, or say what it was based on that is no longer so."""
        outdated = self.outdated(intake)
        if outdated is not None:
            return outdated
        passed: list[int] = []
        for admission in intake.admissions:
            new = self.only_new(admission)
            passed += {event.seq for event in admission.events} - {event.seq for event in new.events}
            self.write_admission(new)
        for contact in intake.contacts:
            self.write_contact(contact)
        if intake.body is not None:
            self.disk.bodies[intake.body.seq] = intake.body
        if intake.settled is not None:
            self.forget_set_aside(intake.settled)
        for row in intake.set_aside:
            self.disk.set_aside[row.seq] = row
        return TakenIn(tuple(sorted(passed)))

    def outdated(self, intake: Intake) -> Outdated | None:
        """What has moved on since the intake was made."""
        versions = {
            admission.account: current
            for admission in intake.admissions
            if (current := self.disk.versions.get(admission.account, 0)) != admission.version
        }
        ahead: dict[tuple[int, str], int] = {}
        changed: list[tuple[int, str]] = []
        for contact in intake.contacts:
            key = (contact.account, contact.id)
            stored = self.disk.contacts.get(key)
            version = ahead.get(key, 0 if stored is None else stored.version)
            if contact.version != version + 1:
                changed.append(key)
            ahead[key] = contact.version
        return Outdated(versions, tuple(changed)) if versions or changed else None

    def write_contact(self, contact: ContactRow) -> None:
        """Write one contact; his words lead to him from now on."""
        self.disk.contacts[contact.account, contact.id] = replace(contact, words=())
        for word in contact.words:
            self.disk.contact_words[contact.account, word] = contact.id

    def forget_set_aside(self, body: int) -> None:
        """Forget what was set aside of a body."""
        for seq in [seq for seq, row in self.disk.set_aside.items() if row.body == body]:
            del self.disk.set_aside[seq]

    def apply_count_arrivals(self, counts: Sequence[Count]) -> None:
        """Add to the counts."""
        for one in counts:
            key = (one.source, one.number, one.start_ms, one.what)
            known = self.disk.arrival_counts.get(key)
            if known is not None:
                first, last = min(known.first_ms, one.first_ms), max(known.last_ms, one.last_ms)
                one = replace(one, count=known.count + one.count, first_ms=first, last_ms=last)  # noqa: PLW2901
            self.disk.arrival_counts[key] = one

    def apply_prune_arrivals(self, source: int, before_ms: int, limit: int) -> bool:
        """Remove old bodies; at the end also old counts."""
        old = [seq for seq, row in self.disk.bodies.items() if row.source == source and ms_of(seq) < before_ms]
        for seq in sorted(old)[:limit]:
            del self.disk.bodies[seq]
            self.forget_set_aside(seq)
        if len(old) >= limit:
            return True
        for key in [key for key in self.disk.arrival_counts if key[0] == source and key[2] < before_ms]:
            del self.disk.arrival_counts[key]
        return False

    def apply_erase_body(self, seq: int, body: bytes) -> None:
        """Put other bytes in a raw body's place."""
        if seq in self.disk.bodies:
            self.disk.bodies[seq] = replace(self.disk.bodies[seq], body=body)

    def apply_forget_contacts(self, account: int, contacts: Sequence[str], limit: int) -> int:
        """Remove contacts with their words."""
        mine = sorted(id_ for owner, id_ in self.disk.contacts if owner == account)
        gone = [id_ for id_ in mine if id_ in contacts] if contacts else mine[:limit]
        for id_ in gone:
            del self.disk.contacts[account, id_]
        for key, id_ in list(self.disk.contact_words.items()):
            if key[0] == account and id_ in gone:
                del self.disk.contact_words[key]
        return len(gone)


class MemoryArrivals:
    """The questions about what sources bring."""

    disk: Disk

    async def contacts(self, account: int, words: Sequence[str]) -> tuple[ContactRow, ...]:
        """Find the people that words lead to, each once, by id."""
        known = self.disk.contact_words
        ids = sorted({known[account, word] for word in words if (account, word) in known})
        return tuple(
            replace(
                self.disk.contacts[account, id_],
                words=tuple(sorted(word for (owner, word), to in known.items() if owner == account and to == id_)),
            )
            for id_ in ids
        )

    async def bodies(self, source: int, before: int | None, limit: int) -> tuple[BodyRow, ...]:
        """Raw bodies of a source, newest first, their bytes left out."""
        found = [row for row in self.disk.bodies.values() if row.source == source]
        below = [row for row in found if before is None or row.seq < before]
        newest = sorted(below, key=lambda row: -row.seq)[:limit]
        return tuple(replace(row, body=b"") for row in newest)

    async def body(self, seq: int) -> BodyRow | None:
        """Read one raw body."""
        return self.disk.bodies.get(seq)

    async def set_aside(self, query: SetAsideQuery) -> tuple[SetAsideRow, ...]:
        """What was set aside, newest first."""
        wanted = {
            name: value
            for name in ("source", "account", "number", "reason", "reference")
            if (value := getattr(query, name)) is not None
        }
        found = [
            row
            for row in self.disk.set_aside.values()
            if all(getattr(row, name) == value for name, value in wanted.items())
            and (query.before is None or row.seq < query.before)
        ]
        return tuple(sorted(found, key=lambda row: -row.seq)[: query.limit])

    async def arrivals(self, source: int, number: str | None, since_ms: int, until_ms: int) -> tuple[Count, ...]:
        """Counts of a source, oldest first."""
        found = [
            one
            for one in self.disk.arrival_counts.values()
            if one.source == source and (number is None or one.number == number) and since_ms <= one.start_ms < until_ms
        ]
        return tuple(sorted(found, key=lambda one: (one.start_ms, one.number, one.what)))
