"""The reading side of the store on SQLite: each question handed to a reading thread.

Knows the newest look-ups of the writer, which are not on disk yet, and otherwise only the database file.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from whatsync.model import limits
from whatsync.model.delivery import WAITING as WAITING_STATES
from whatsync.model.delivery import State
from whatsync.model.ids import first_row_at, ms_of
from whatsync.ports.arrivals import BodyRow, ContactRow, Count, SetAsideQuery, SetAsideRow
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
from whatsync.ports.store import AttemptRow, Document, EventRow
from whatsync.store.coding import ACCOUNT_TOTAL, LATE, ORDERED, REUSED, STATE_NUMBERS, STATES, TEST, TRUNCATED
from whatsync.store.keyed_hash import Hash, keyed_hash
from whatsync.store.rollup_pieces import WHOLE_MS, pieces
from whatsync.store.sqlite import arrivals, delivery_lists, event_lists, feeds
from whatsync.store.sqlite.connection import open_reader
from whatsync.store.sqlite.lookup import Kind, Recent
from whatsync.store.sqlite.media import read_row
from whatsync.store.sqlite.readers import Reader, Readers
from whatsync.store.sqlite.rollup import decode
from whatsync.store.sqlite.walks import ROW_MAX, Bounds

READERS = 2
_ID = "id:"


class SqliteHistory:
    """Implements ``ports.history.History``. ``open`` after the store has been opened, ``close`` before it is closed.

    ``recent`` are the store's look-ups that are not on disk yet.
    """

    def __init__(
        self,
        path: Path,
        recent: Recent,
        *,
        readers: int = READERS,
        vfs: str | None = None,
        make_hash: Callable[[bytes], Hash] = keyed_hash,
    ) -> None:
        self._recent = recent
        self._make_hash = make_hash
        self._hash_of: Hash = keyed_hash(b"")
        self._readers = Readers(lambda: open_reader(path, vfs), readers)

    async def open(self) -> None:
        """Open the reading connections. Raises apsw errors."""
        self._readers.start()
        secret: bytes = await self._readers.ask(lambda reader: bytes(reader.value("secret")))
        self._hash_of = self._make_hash(secret)

    async def close(self) -> None:
        """Close the reading connections."""
        self._readers.close()

    # Deliveries

    async def deliveries(self, query: DeliveryQuery) -> DeliveryPage:
        """List deliveries."""
        return await self._readers.ask(lambda reader: delivery_lists.deliveries(reader, query))

    async def delivery(self, account: int, delivery: int) -> DeliveryView | None:
        """Read one."""
        return await self._readers.ask(lambda reader: delivery_lists.delivery(reader, account, delivery))

    async def attempts(self, account: int, delivery: int) -> tuple[Exchange, ...]:
        """Read the attempts of one delivery, first to last."""
        return await self._readers.ask(lambda reader: _attempts(reader, account, delivery))

    async def waiting_for(self, account: int, delivery: int) -> int | None:
        """The nearest earlier open delivery about the same contact, for one that waits for its first attempt."""
        row: int | None = await self._readers.ask(
            lambda reader: reader.value("waiting_for", id=delivery, account=account)
        )
        return row

    # Events

    async def events(self, query: EventQuery) -> EventPage:
        """List events."""
        return await self._readers.ask(lambda reader: event_lists.events(reader, query))

    async def event(self, account: int, event_id: str) -> EventRow | None:
        """Read one event by its public id."""
        hash_ = self._hash_of(account, _ID + event_id)
        recent = self._recent.rows(Kind.IDENTITY, hash_)
        return await self._readers.ask(lambda reader: event_lists.by_id(reader, account, event_id, hash_, recent))

    async def event_by_seq(self, account: int, seq: int) -> EventRow | None:
        """Read one event by its row."""
        found = await self._readers.ask(lambda reader: event_lists.rows_of(reader, account, [seq]))
        return found[0] if found else None

    async def find(
        self, account: int, keys: Sequence[str], limit: int, before: int | None = None
    ) -> tuple[EventRow, ...]:
        """Find events by any of their words, newest first."""
        found: dict[int, EventRow] = {}
        below = ROW_MAX if before is None else before
        for word in dict.fromkeys(keys):
            for event in await self._find(account, word, limit, below):
                found[event.seq] = event
        return tuple(found[seq] for seq in sorted(found, reverse=True)[:limit])

    async def _find(self, account: int, word: str, limit: int, below: int) -> tuple[EventRow, ...]:
        if word.startswith(_ID):
            event = await self.event(account, word.removeprefix(_ID))
            return () if event is None or event.seq >= below else (event,)
        hash_ = self._hash_of(account, word)
        recent = self._recent.rows(Kind.KEYWORD, hash_)
        return await self._readers.ask(
            lambda reader: event_lists.by_keyword(reader, account, word, hash_, recent, limit, below)
        )

    async def feed(
        self, account: int, after: int, types: tuple[str, ...], limit: int
    ) -> tuple[tuple[EventRow, ...], int]:
        """Events after a cursor, in the order of their commits."""
        return await self._readers.ask(lambda reader: feeds.feed(reader, account, after, types, limit))

    async def feed_bounds(self, account: int) -> tuple[int, int]:
        """The oldest cursor that still skips nothing, and the newest."""
        return await self._readers.ask(lambda reader: feeds.feed_bounds(reader, account))

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
        bounds = Bounds(max(first_row_at(since_ms), after + 1), first_row_at(until_ms) - 1, ascending=True)
        gap = feeds.Gap(account, endpoint, types, bounds, limit)
        return await self._readers.ask(lambda reader: feeds.missing(reader, gap))

    # Counts, rollups, configuration

    async def counts(self, endpoint: int, ceiling: int | None = None) -> Counts:
        """Count what waits for an endpoint, up to a ceiling."""
        return await self._readers.ask(lambda reader: _counts(reader, endpoint, ceiling or limits.COUNT_CEILING))

    async def rollups(
        self, account: int, endpoint: int | None, since_ms: int, until_ms: int, step_ms: int = 1
    ) -> tuple[RollupRow, ...]:
        """Read the rollups of an account or one of its endpoints."""
        wanted = (ACCOUNT_TOTAL if endpoint is None else endpoint,)
        return await self._readers.ask(lambda reader: _rollups(reader, account, wanted, (since_ms, until_ms), step_ms))

    async def rollup_sums(
        self, account: int, endpoints: Sequence[int], since_ms: int, until_ms: int
    ) -> tuple[RollupRow, ...]:
        """Rollups of several endpoints, each added up over the whole time."""
        return await self._readers.ask(
            lambda reader: _rollups(reader, account, endpoints, (since_ms, until_ms), WHOLE_MS)
        )

    async def document_version(self, kind: str, row: int, version: int | None) -> Document | None:
        """Read an old version of a document."""
        rows = await self._readers.ask(
            lambda reader: reader.rows("document_version", kind=kind, row=row, version=version)
        )
        return Document(*rows[0]) if rows else None

    async def contacts(self, account: int, words: Sequence[str]) -> tuple[ContactRow, ...]:
        """Find the people that words lead to, each once, by id."""
        return await self._readers.ask(lambda reader: arrivals.contacts(reader, account, words))

    async def bodies(self, source: int, before: int | None, limit: int) -> tuple[BodyRow, ...]:
        """Raw bodies of a source, newest first, their bytes left out."""
        return await self._readers.ask(lambda reader: arrivals.bodies(reader, source, before, limit))

    async def body(self, seq: int) -> BodyRow | None:
        """Read one raw body."""
        return await self._readers.ask(lambda reader: arrivals.body(reader, seq))

    async def set_aside(self, query: SetAsideQuery) -> tuple[SetAsideRow, ...]:
        """What was set aside, newest first."""
        return await self._readers.ask(lambda reader: arrivals.set_aside(reader, query))

    async def arrivals(self, source: int, number: str | None, since_ms: int, until_ms: int) -> tuple[Count, ...]:
        """Counts of a source, oldest first."""
        return await self._readers.ask(lambda reader: arrivals.counts(reader, source, number, since_ms, until_ms))

    async def media(self, name: str) -> MediaRow | None:
        """Read a media file's row."""
        rows = await self._readers.ask(lambda reader: reader.rows("media", media=name))
        return read_row(rows[0]) if rows else None

    async def audit(self, account: int, before: int | None, limit: int) -> tuple[AuditRow, ...]:
        """Read the audit log, newest first."""
        below = ROW_MAX if before is None else before
        rows = await self._readers.ask(lambda reader: reader.rows("audit", account=account, before=below, limit=limit))
        return tuple([AuditRow(*row) for row in rows])


def _attempts(reader: Reader, account: int, delivery: int) -> tuple[Exchange, ...]:
    rows = reader.rows("attempts", id=delivery, account=account)
    return tuple([_exchange(reader, delivery, account, row) for row in rows])


def _exchange(reader: Reader, delivery: int, account: int, columns: tuple[object, ...]) -> Exchange:
    row = msgspec.convert(columns, _Attempt)
    flags = row.flags
    attempt = AttemptRow(
        delivery=delivery,
        claim=row.claim,
        number=row.number,
        account=account,
        endpoint=row.endpoint,
        started_ms=row.started_ms,
        finished_ms=row.started_ms + row.took_ms,
        state=STATES[row.state],
        due_ms=row.due_ms,
        status=row.status,
        code=reader.text(row.code),
        detail=row.detail,
        address=row.address,
        reused=bool(flags & REUSED),
        dns_us=row.dns_us,
        connect_us=row.connect_us,
        tls_us=row.tls_us,
        first_byte_us=row.first_byte_us,
        total_us=row.total_us,
        endpoint_version=row.endpoint_version,
        signed_s=row.signed_s,
        signatures=row.signatures,
        run=row.run,
        answer_headers=row.answer_headers,
        answer_body=row.answer_body,
        truncated=bool(flags & TRUNCATED),
        test=bool(flags & TEST),
        ordered=bool(flags & ORDERED),
    )
    return Exchange(attempt, bool(flags & LATE), row.version or "")


class _Attempt(msgspec.Struct, array_like=True, frozen=True):
    """An attempt as the statement gives it."""

    claim: int
    number: int
    endpoint: int
    state: int
    flags: int
    started_ms: int
    took_ms: int
    due_ms: int | None
    status: int | None
    code: int | None
    dns_us: int | None
    connect_us: int | None
    tls_us: int | None
    first_byte_us: int | None
    total_us: int
    endpoint_version: int
    signed_s: int
    run: int
    detail: str | None
    address: str | None
    signatures: bytes
    answer_headers: bytes
    answer_body: bytes
    version: str | None


def _counts(reader: Reader, endpoint: int, ceiling: int) -> Counts:
    ((waiting, oldest),) = reader.rows("count_unqueued", endpoint=endpoint, fold=reader.fold())
    made = [] if oldest is None else [oldest]
    for state in WAITING_STATES:
        number = STATE_NUMBERS[state]
        waiting += reader.value("count_open", endpoint=endpoint, state=number, ceiling=ceiling)
        made += [row for (row,) in reader.rows("oldest_open", endpoint=endpoint, state=number)]
    held = reader.value("count_open", endpoint=endpoint, state=STATE_NUMBERS[State.HELD], ceiling=ceiling)
    return Counts(
        min(waiting, ceiling),
        held,
        ceiling,
        reader.value("oldest_due", endpoint=endpoint),
        ms_of(min(made)) if made else None,
    )


def _rollups(
    reader: Reader, account: int, endpoints: Sequence[int], span_ms: tuple[int, int], step_ms: int
) -> tuple[RollupRow, ...]:
    parted = msgspec.structs.asdict(pieces(*span_ms, step_ms))
    counts: dict[tuple[int, int, str, int], int] = {}
    for wanted in dict.fromkeys(endpoints):
        packed = reader.packed("rollups", account=account, endpoint=wanted, step=step_ms, **parted)
        counts |= {
            (start, to, reader.words.text(outcome), bucket): count for start, to, outcome, bucket, count in packed
        }
    since_ms, until_ms = span_ms
    asked = frozenset(endpoints)
    for (body,) in reader.rows("rollups_pending"):
        for owner, to, start, outcome, bucket, count in decode(body):
            if owner == account and since_ms <= start < until_ms and to in asked:
                key = (start - start % step_ms, to, outcome, bucket)
                counts[key] = counts.get(key, 0) + count
    return tuple([RollupRow(*key, count) for key, count in sorted(counts.items())])
