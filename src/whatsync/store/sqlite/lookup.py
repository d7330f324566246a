"""Finding rows by words (an event's id, an ``Idempotency-Key``, a phone number): keyed hashes, the newest in memory,
the older ones in runs of limited size on disk.

Inserting hashes one by one into one large tree would cost a page of writing each; so they are gathered and written in
order of hash, a slice at a time (``lookup_fold.py``). Knows nothing of what the rows are.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import apsw

from whatsync.store.keyed_hash import Hash
from whatsync.store.sqlite.statements import fetch, statements

RUN_ENTRIES_MAX = (1 << 19, 1 << 18)
"""By kind. Small runs are cheap to fill, and many are dear to ask; identities are asked all the time."""
FILTER_BITS = RUN_ENTRIES_MAX[0] * 16
"""Sixteen bits for each hash, two of them set: one of seventy absent hashes looks present in a full run."""
_MASK = FILTER_BITS - 1
_SHIFT = FILTER_BITS.bit_length() - 1

SHARD_SHIFT = 63 - 7
"""A hash shifted by so much is the number of its shard."""

Rows = dict[int, "int | list[int]"]
"""Rows by hash; a list where there are several."""
Shards = list[Rows]
"""Rows by hash, apart by the upper bits of the hash: what is done with one of them never takes long."""

_SQL = statements("lookup.sql")


class Kind(IntEnum):
    """The two lookups."""

    IDENTITY = 0
    """``id:…`` and ``key:…``, asked for each event that comes in."""
    KEYWORD = 1


class Recent:
    """What was committed since the last fold and is not in the runs yet. Written by the writer, read by any thread.

    A reader asks here first and begins its read transaction afterwards; then it misses nothing.
    """

    def __init__(self) -> None:
        self.current: tuple[Shards, Shards] = (shards(), shards())
        """By kind."""
        self.folding: tuple[Shards, Shards] = (shards(), shards())
        """Those that are being written to the runs."""
        self.entries = [0, 0]
        """How many there are in ``current``, by kind."""

    def rows(self, kind: Kind, hash_: int) -> tuple[int, ...]:
        """Rows of a hash, in no order."""
        found: tuple[int, ...] = ()
        # This order: what moves from current to folding meanwhile may be seen twice, never not at all.
        for known in (self.current[kind], self.folding[kind]):
            rows = known[hash_ >> SHARD_SHIFT].get(hash_)
            if rows is not None:
                found += (rows,) if isinstance(rows, int) else tuple(rows)
        return found

    def remove(self, gone: set[int]) -> None:
        """Take back the entries of rows that were not written after all."""
        for known in (*self.current[0], *self.current[1]):
            for hash_, rows in list(known.items()):
                if isinstance(rows, int):
                    if rows in gone:
                        del known[hash_]
                elif not gone.isdisjoint(rows):
                    known[hash_] = [row for row in rows if row not in gone]

    def load(self, db: apsw.Connection, hash_of: Hash) -> None:
        """Make the entries again from the events above the mark, after a crash."""
        identities, keywords = shards(), shards()
        events: Iterable[Any] = db.execute(_SQL["events_above_mark"])
        for account, seq, event_id, keys in events:
            add(identities, hash_of(account, "id:" + event_id), seq)
            for word in keys.split("\n") if keys else ():
                add(keywords, hash_of(account, word), seq)
        for account, seq, event_id in fetch(db, _SQL["remembered_above_mark"]):
            add(identities, hash_of(account, "id:" + event_id), seq)
        for account, used, key in fetch(db, _SQL["keys_above_mark"]):
            add(identities, hash_of(account, "key:" + key), used)
        # At once, for readers that are asking already.
        self.current = (identities, keywords)
        self.folding = (shards(), shards())
        self.entries = [count(identities), count(keywords)]


def shards() -> Shards:
    """Empty ones."""
    return [{} for _ in range(1 << 63 - SHARD_SHIFT)]


def count(known: Shards) -> int:
    """How many entries there are."""
    return sum(1 if isinstance(rows, int) else len(rows) for shard in known for rows in shard.values())


def add(known: Shards, hash_: int, row: int) -> None:
    """Put one entry where it belongs."""
    rows = known[hash_ >> SHARD_SHIFT]
    known_rows = rows.get(hash_)
    if known_rows is None:
        rows[hash_] = row
    elif isinstance(known_rows, int):
        rows[hash_] = [known_rows, row]
    else:
        known_rows.append(row)


class Run:
    """One run and, for identities, the filter that spares asking it."""

    __slots__ = ("bits", "entries", "last_row", "number")

    def __init__(self, number: int, entries: int = 0, last_row: int = 0, bits: bytearray | None = None) -> None:
        self.number = number
        self.entries = entries
        self.last_row = last_row
        self.bits = bits

    def note(self, hashes: Iterable[int]) -> None:
        """Set the bits of hashes that are about to be written."""
        bits = self.bits
        if bits is None:
            return
        for hash_ in hashes:
            other = hash_ >> _SHIFT
            bits[(hash_ & _MASK) >> 3] |= 1 << (hash_ & 7)
            bits[(other & _MASK) >> 3] |= 1 << (other & 7)

    def may_hold(self, hash_: int) -> bool:
        """False only where the hash is surely not in this run."""
        bits = self.bits
        if bits is None:
            return True
        if not bits[(hash_ & _MASK) >> 3] >> (hash_ & 7) & 1:
            return False
        hash_ >>= _SHIFT
        return bool(bits[(hash_ & _MASK) >> 3] >> (hash_ & 7) & 1)


class Runs:
    """The runs of one kind as the writer knows them, oldest first. The last one is still being filled."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.items: list[Run] = []

    def load(self, db: apsw.Connection) -> None:
        """Read what there is; the filter of the run that is being filled is made anew."""
        filtered = self.kind is Kind.IDENTITY
        self.items = [
            Run(number, entries, last_row, bytearray(bits) if bits is not None else None)
            for number, entries, last_row, bits in fetch(db, _SQL["runs"], (self.kind,))
        ]
        for run in self.items if filtered else ():
            if run.bits is None:
                run.bits = bytearray(FILTER_BITS // 8)
                hashes: Iterable[Any] = db.execute(_SQL["identity_hashes"], (run.number,))
                run.note(hash_ for (hash_,) in hashes)

    def rows(self, db: apsw.Connection, hash_: int) -> list[int]:
        """Rows of a hash in all runs."""
        found: list[int] = []
        for run in self.items:
            if run.may_hold(hash_):
                found.extend([row for (row,) in fetch(db, _ROWS[self.kind], (run.number, hash_))])
        return found


_ROWS = (_SQL["identity_rows"], _SQL["keyword_rows"])
