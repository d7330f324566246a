"""The reading side of the store on PostgreSQL. Each question is one short statement or a few on one connection."""

from collections.abc import Sequence
from typing import Any

import msgspec

from whatsync.model import limits
from whatsync.model.ids import first_row_at, ms_of
from whatsync.ports.arrivals import BodyRow, ContactRow, Count, SetAsideQuery, SetAsideRow
from whatsync.ports.clock import Clock
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
from whatsync.store.coding import ACCOUNT_TOTAL, LATE, ORDERED, REUSED, STATES, TEST, TRUNCATED
from whatsync.store.postgres import arrivals, feeds, lists, media
from whatsync.store.postgres.accept import events_of
from whatsync.store.postgres.coding import ROW_MAX, day_of, raw, text_of, text_or_none
from whatsync.store.postgres.connection import fetch, fetch_row, fetch_value
from whatsync.store.postgres.database import Database
from whatsync.store.postgres.documents import read
from whatsync.store.postgres.node import Node
from whatsync.store.postgres.statements import statements
from whatsync.store.postgres.words import Words
from whatsync.store.rollup_pieces import WHOLE_MS, pieces

_SQL = statements("history.sql")
_ID = "id:"
_DAY_MAX = (1 << 31) - 1


class PostgresHistory:
    """Implements ``ports.history.History``."""

    def __init__(self, database: Database, node: Node, clock: Clock) -> None:
        self._database = database
        self._node = node
        self._words = database.words
        self._clock = clock

    # Deliveries

    async def deliveries(self, query: DeliveryQuery) -> DeliveryPage:
        """List deliveries."""
        return await self._database.ask(lambda connection: lists.deliveries(connection, self._words, query))

    async def delivery(self, account: int, delivery: int) -> DeliveryView | None:
        """Read one."""
        return await self._database.ask(lambda connection: lists.delivery(connection, self._words, account, delivery))

    async def attempts(self, account: int, delivery: int) -> tuple[Exchange, ...]:
        """Read the attempts of one delivery, first to last."""
        return await self._database.ask(lambda connection: _attempts(connection, self._words, account, delivery))

    async def waiting_for(self, account: int, delivery: int) -> int | None:
        """The nearest earlier open delivery about the same contact, for one that waits for its first attempt."""
        row: int | None = await self._database.ask(
            lambda connection: fetch_value(connection, _SQL["waiting_for"], id=delivery, account=account)
        )
        return row

    # Events

    async def events(self, query: EventQuery) -> EventPage:
        """List events."""
        return await self._database.ask(lambda connection: lists.events(connection, self._words, query))

    async def event(self, account: int, event_id: str) -> EventRow | None:
        """Read one event by its public id."""

        async def question(connection: Any) -> EventRow | None:
            seq = await fetch_value(connection, _SQL["seq_of_id"], account=account, id=raw(event_id))
            found = [] if seq is None else await events_of(self._database, connection, account, [seq])
            return found[0] if found else None

        return await self._database.ask(question)

    async def event_by_seq(self, account: int, seq: int) -> EventRow | None:
        """Read one event by its row."""
        found = await self._database.ask(lambda connection: events_of(self._database, connection, account, [seq]))
        return found[0] if found else None

    async def find(
        self, account: int, keys: Sequence[str], limit: int, before: int | None = None
    ) -> tuple[EventRow, ...]:
        """Find events by any of their words, newest first."""
        found: dict[int, EventRow] = {}
        below = ROW_MAX if before is None else before
        for word in dict.fromkeys(keys):
            if word.startswith(_ID):
                event = await self.event(account, word.removeprefix(_ID))
                events = [] if event is None or event.seq >= below else [event]
            else:
                events = await self._find(account, word, limit, below)
            found |= {event.seq: event for event in events}
        return tuple([found[seq] for seq in sorted(found, reverse=True)[:limit]])

    async def _find(self, account: int, word: str, limit: int, before: int) -> list[EventRow]:
        hash_ = self._node.hash_of(account, word)

        async def question(connection: Any) -> list[EventRow]:
            found: list[EventRow] = []
            below, examined = before, 0
            while len(found) < limit and examined < limits.PAGE_ROWS_EXAMINED_MAX:
                values = {"hash": hash_, "below": below, "limit": limit}
                seqs = [seq for (seq,) in await fetch(connection, _SQL["seqs_of_hash"], **values)]
                if seqs:
                    events = await events_of(self._database, connection, account, seqs)
                    found += sorted([one for one in events if word in one.keys], key=lambda one: -one.seq)
                    below, examined = seqs[-1], examined + len(seqs)
                if len(seqs) < limit:
                    break
            return found[:limit]

        return await self._database.ask(question)

    async def feed(
        self, account: int, after: int, types: tuple[str, ...], limit: int
    ) -> tuple[tuple[EventRow, ...], int]:
        """Events after a cursor, in the order of their transactions."""
        wanted = feeds.Wanted(account, after, types, limit, self._node.place_base)
        waited = 0.0
        while True:
            page = await self._database.ask(lambda connection: feeds.feed(connection, self._words, wanted))
            if page.items or page.cursor != after or not page.hidden or waited >= feeds.HIDDEN_SECONDS:
                return page.items, page.cursor
            # Committed, but behind a transaction that is still under way: it will be over in a moment.
            await self._clock.sleep(feeds.HIDDEN_PAUSE_SECONDS)
            waited += feeds.HIDDEN_PAUSE_SECONDS

    async def feed_bounds(self, account: int) -> tuple[int, int]:
        """The oldest cursor that still skips nothing, and the newest."""
        base = self._node.place_base
        row = await self._database.ask(
            lambda connection: fetch_row(connection, _SQL["feed_bounds"], account=account, base=base)
        )
        return row[0], max(row[0], row[1])

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
        low, high = max(first_row_at(since_ms), after + 1), first_row_at(until_ms) - 1
        gap = feeds.Gap(account, endpoint, types, low, high, limit)
        return await self._database.ask(lambda connection: feeds.missing(connection, self._words, gap))

    # Counts, rollups, configuration

    async def counts(self, endpoint: int, ceiling: int | None = None) -> Counts:
        """Count what waits for an endpoint, up to a ceiling."""
        most = ceiling or limits.COUNT_CEILING
        waiting, held, oldest, made = await self._database.ask(
            lambda connection: fetch_row(connection, _SQL["counts"], endpoint=endpoint, ceiling=most)
        )
        return Counts(waiting, held, most, oldest, None if made is None else ms_of(made))

    # Sources and media

    async def media(self, name: str) -> MediaRow | None:
        """Read a media file's row by its public name."""
        return await self._database.ask(lambda connection: media.read_one(connection, name))

    async def contacts(self, account: int, words: Sequence[str]) -> tuple[ContactRow, ...]:
        """Find the people that words lead to."""
        return await self._database.ask(lambda connection: arrivals.contacts(connection, account, words))

    async def bodies(self, source: int, before: int | None, limit: int) -> tuple[BodyRow, ...]:
        """Raw bodies of a source, newest first, their bytes left out."""
        return await self._database.ask(lambda connection: arrivals.bodies(connection, source, before, limit))

    async def body(self, seq: int) -> BodyRow | None:
        """Read one raw body."""
        return await self._database.ask(lambda connection: arrivals.body(connection, seq))

    async def set_aside(self, query: SetAsideQuery) -> tuple[SetAsideRow, ...]:
        """What was set aside, newest first."""
        return await self._database.ask(lambda connection: arrivals.set_aside(connection, query))

    async def arrivals(self, source: int, number: str | None, since_ms: int, until_ms: int) -> tuple[Count, ...]:
        """Counts of a source that began within a time, oldest first."""
        return await self._database.ask(
            lambda connection: arrivals.arrivals(connection, source, number, since_ms, until_ms)
        )

    async def rollups(
        self, account: int, endpoint: int | None, since_ms: int, until_ms: int, step_ms: int = 1
    ) -> tuple[RollupRow, ...]:
        """Read the rollups of an account or one of its endpoints."""
        wanted = (ACCOUNT_TOTAL if endpoint is None else endpoint,)
        return await self._rollups(account, wanted, (since_ms, until_ms), step_ms)

    async def rollup_sums(
        self, account: int, endpoints: Sequence[int], since_ms: int, until_ms: int
    ) -> tuple[RollupRow, ...]:
        """Rollups of several endpoints, each added up over the whole time."""
        return await self._rollups(account, endpoints, (since_ms, until_ms), WHOLE_MS)

    async def _rollups(
        self, account: int, endpoints: Sequence[int], span_ms: tuple[int, int], step_ms: int
    ) -> tuple[RollupRow, ...]:
        parted = msgspec.structs.asdict(pieces(*span_ms, step_ms))

        async def question(connection: Any) -> tuple[RollupRow, ...]:
            values = {"account": account, "endpoints": list(endpoints), "step": step_ms, **parted}
            rows = await fetch(connection, _SQL["rollups"], **values)
            await self._words.read(connection, [row[2] for row in rows])
            found = [(start, to, self._words.text(outcome) or "", at, count) for start, to, outcome, at, count in rows]
            return tuple([RollupRow(*row) for row in sorted(found)])

        return await self._database.ask(question)

    async def document_version(self, kind: str, row: int, version: int | None) -> Document | None:
        """Read an old version of a document, or the newest that is kept."""
        values = {"kind": kind, "row": row, "version": version}
        rows = await self._database.ask(lambda connection: fetch(connection, _SQL["document_version"], **values))
        return read(rows[0]) if rows else None

    async def audit(self, account: int, before: int | None, limit: int) -> tuple[AuditRow, ...]:
        """Read the audit log, newest first."""
        values = {"account": account, "before": ROW_MAX if before is None else before, "limit": limit}
        rows = await self._database.ask(lambda connection: fetch(connection, _SQL["audit"], **values))
        return tuple([
            AuditRow(id_, at_ms, text_of(actor), text_of(action), text_of(subject), old, new)
            for id_, at_ms, actor, action, subject, old, new in rows
        ])  # fmt: skip


async def _attempts(connection: Any, words: Words, account: int, delivery: int) -> tuple[Exchange, ...]:
    day = min(day_of(delivery), _DAY_MAX)
    rows = await fetch(connection, _SQL["attempts"], id=delivery, day=day, account=account)
    await words.read(connection, [row["code"] for row in rows])
    return tuple([_exchange(words, delivery, account, row) for row in rows])


def _exchange(words: Words, delivery: int, account: int, row: Any) -> Exchange:
    flags = row["flags"]
    attempt = AttemptRow(
        delivery=delivery,
        claim=row["claim"],
        number=row["number"],
        account=account,
        endpoint=row["endpoint"],
        started_ms=row["started_ms"],
        finished_ms=row["started_ms"] + row["took_ms"],
        state=STATES[row["state"]],
        due_ms=row["due_ms"],
        status=row["status"],
        code=words.text(row["code"]),
        detail=text_or_none(row["detail"]),
        address=text_or_none(row["address"]),
        reused=bool(flags & REUSED),
        dns_us=row["dns_us"],
        connect_us=row["connect_us"],
        tls_us=row["tls_us"],
        first_byte_us=row["first_byte_us"],
        total_us=row["total_us"],
        endpoint_version=row["endpoint_version"],
        signed_s=row["signed_s"],
        signatures=row["signatures"],
        run=row["run"],
        answer_headers=row["answer_headers"],
        answer_body=row["answer_body"],
        truncated=bool(flags & TRUNCATED),
        test=bool(flags & TEST),
        ordered=bool(flags & ORDERED),
    )
    return Exchange(attempt, bool(flags & LATE), row["version"] or "")
