"""Downloads of what the history shows: CSV for spreadsheets, NDJSON for programs. Page by page, whatever the length.

Cells that a spreadsheet would run as a formula are made plain text.
"""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import msgspec

from whatsync.engine.inspection import DeliveryFilter, DeliveryStory
from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid
from whatsync.web.api.deliveries import DeliveriesQuery
from whatsync.web.api.delivery_views import DeliveryItem, delivery_item
from whatsync.web.pages import history_filters as filters
from whatsync.web.pages.page import Download, Entry, Given, Need, Page, Visit

COLUMNS = (
    *("createdAt", "delivery", "event", "eventId", "number", "endpoint", "url", "state", "attempts", "status"),
    *("code", "durationMs", "finishedAt", "origin", "reason", "explanation"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def export(visit: Visit) -> Given:
    """All that the address's filters find, newest first."""
    form = visit.asked("format") or "csv"
    if form not in ("csv", "ndjson"):
        raise Invalid([FieldError("format", "must be csv or ndjson")])
    query = filters.read_query(DeliveriesQuery, visit.query, ("format", "cursor", "limit"))
    wanted = filters.delivery_filter(query, visit.services.clock.now_ms())
    await visit.services.inspection.delivery_query(visit.account, wanted)  # Refused now, not in mid-file.
    if form == "csv":
        return Download("deliveries.csv", "text/csv; charset=utf-8", _csv(visit, wanted))
    return Download("deliveries.ndjson", "application/x-ndjson", _ndjson(visit, wanted))


async def _pages(visit: Visit, wanted: DeliveryFilter) -> AsyncIterator[Sequence[DeliveryStory]]:
    before: int | None = None
    while True:
        page = await visit.services.inspection.deliveries(visit.account, wanted, before, limits.EXPORT_PAGE_ITEMS)
        yield page.items
        if page.next is None:
            return
        before = page.next


async def _csv(visit: Visit, wanted: DeliveryFilter) -> AsyncGenerator[bytes]:
    # The mark lets spreadsheets read the text as UTF-8.
    yield b"\xef\xbb\xbf" + _lines([COLUMNS])
    async for stories in _pages(visit, wanted):
        yield _lines([_cells(delivery_item(story)) for story in stories])


async def _ndjson(visit: Visit, wanted: DeliveryFilter) -> AsyncGenerator[bytes]:
    encode = msgspec.json.Encoder().encode_lines
    async for stories in _pages(visit, wanted):
        yield encode([delivery_item(story) for story in stories])


def _cells(item: DeliveryItem) -> list[object]:
    explanation = None if item.explanation is None else item.explanation.sentence
    place = item.endpoint
    return [
        *(item.created_at, item.id, item.event, item.event_id, item.number, place.id, place.url, item.state.value),
        *(item.attempts, item.status, item.code, item.duration_ms, item.finished_at, item.origin, item.reason),
        explanation,
    ]


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([safe_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def safe_cell(value: object) -> object:
    """The same value, or text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


PAGES = (Page("GET", "/a/{account}/history/export", Need.VIEWER, export, embedded=True),)
ENTRIES: tuple[Entry, ...] = ()
