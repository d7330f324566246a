"""Admissions turned into the columns of one statement: events, their words, deliveries, counts. Knows no connection."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from whatsync.model.ids import ms_of
from whatsync.ports.store import Admission, DeliveryRow, EventRow, Origin
from whatsync.store.coding import contact_word
from whatsync.store.keyed_hash import Hash
from whatsync.store.postgres.coding import day_of, raw, raw_or_none
from whatsync.store.postgres.words import Words

ACCEPTED_EVENTS = "accepted"
"""Outcome that counts accepted events in the rollups."""
_MINUTE_MS = 60_000
_EVENT_COLUMNS = (
    "seqs", "firsts", "lasts", "days", "accounts", "types", "numbers", "made", "tests", "ids", "contacts", "words",
    "details", "bodies",
)  # fmt: skip
_DELIVERY_COLUMNS = (
    "d_ids", "d_events", "d_days", "d_accounts", "d_endpoints", "d_types", "d_numbers", "d_origins", "d_contacts",
    "d_waits", "d_dues", "d_holders", "d_claims",
)  # fmt: skip
_WORD_COLUMNS = ("hashes", "hash_seqs", "hash_days")
_COUNT_COLUMNS = ("c_accounts", "c_starts", "c_counts")


def columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Rows as a list for each column."""
    if not rows:
        return {name: [] for name in names}
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def words_in(admissions: Sequence[Admission]) -> list[str | None]:
    """All words that rows of these admissions hold."""
    found: list[str | None] = [ACCEPTED_EVENTS]
    for admission in admissions:
        for event in admission.events:
            found += (event.type, event.number)
        for row in admission.deliveries:
            found += (row.type, row.number)
    return found


def types_in(admissions: Sequence[Admission]) -> list[tuple[int, str]]:
    """Which accounts get rows of which types."""
    found = [(event.account, event.type) for admission in admissions for event in admission.events]
    return found + [(row.account, row.type) for admission in admissions for row in admission.deliveries]


def contact_hash(row: DeliveryRow, hash_of: Hash) -> int:
    """The number that an ordered delivery's contact is kept by."""
    assert row.contact is not None
    return hash_of(row.endpoint, contact_word(row.contact))


class Rows:
    """What one statement writes."""

    def __init__(self, words: Words, hash_of: Hash, run: int) -> None:
        self._words = words
        self._hash_of = hash_of
        self._run = run
        self.events: list[tuple[Any, ...]] = []
        self.deliveries: list[tuple[Any, ...]] = []
        self._keys: list[tuple[int, int, int]] = []
        self._counts: Counter[tuple[int, int]] = Counter()
        self.days: set[int] = set()

    def add(self, admission: Admission, dues: Mapping[int, int]) -> None:
        """Take in an admission; ``dues`` has when ordered deliveries are due."""
        by_event: dict[int, list[DeliveryRow]] = {}
        for row in admission.deliveries:
            by_event.setdefault(row.event, []).append(row)
            self._add_delivery(row, dues)
        for event in admission.events:
            self._add_event(event, by_event.get(event.seq, []))

    def values(self, passed: int) -> dict[str, Any]:
        """The values of the statement; ``passed`` events were written in this transaction already."""
        counts = [(account, minute * _MINUTE_MS, count) for (account, minute), count in self._counts.items()]
        return {
            **columns(_EVENT_COLUMNS, self.events),
            **columns(_DELIVERY_COLUMNS, self.deliveries),
            **columns(_WORD_COLUMNS, self._keys),
            **columns(_COUNT_COLUMNS, counts),
            "passed": passed - 1,
            "accepted": self._words.number(ACCEPTED_EVENTS),
        }

    def _add_event(self, event: EventRow, made: Sequence[DeliveryRow]) -> None:
        number, day = self._words.number, day_of(event.seq)
        own = [row.id for row in made if row.origin is Origin.EVENT]
        first, last = (min(own), max(own)) if own else (None, None)
        keys = raw("\n".join(event.keys)) if event.keys else None
        self.events.append((
            event.seq, first, last, day, event.account, number(event.type), number(event.number), len(made),
            event.test, raw(event.id), raw_or_none(event.contact), keys, event.details, event.body,
        ))  # fmt: skip
        self._keys += [(self._hash_of(event.account, word), event.seq, day) for word in dict.fromkeys(event.keys)]
        self.days.add(day)
        if not event.test:
            self._counts[event.account, ms_of(event.seq) // _MINUTE_MS] += 1

    def _add_delivery(self, row: DeliveryRow, dues: Mapping[int, int]) -> None:
        number, day = self._words.number, day_of(row.id)
        ordered = row.contact is not None
        claimed = row.claimed and not ordered
        self.deliveries.append((
            row.id, row.event, day, row.account, row.endpoint, number(row.type), number(row.number),
            int(row.origin), contact_hash(row, self._hash_of) if ordered else None,
            row.contact_wait_ms if ordered else None,
            None if claimed else dues.get(row.id, row.due_ms), self._run if claimed else None, int(claimed),
        ))  # fmt: skip
        self.days.add(day)
