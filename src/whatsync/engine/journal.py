"""One wide log line per accepted event, body of a source, refused request and attempt: fixed field names, no personal
data, cheap; spans, if wanted.

Above a rate lines are left out and counted; those about failed attempts never are. Knows no log format.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.outcome import Outcome
from whatsync.engine.receipt import Receipt
from whatsync.model import limits
from whatsync.model.ids import delivery_id
from whatsync.ports.clock import Clock

Write = Callable[[str, str, dict[str, Any]], None]
"""Takes level, event name and fields."""


class Spans(Protocol):
    """Takes finished spans; ``tracing.py`` implements it."""

    def span(
        self,
        name: str,
        kind: str,
        start_ms: int,
        seconds: float,
        attributes: Mapping[str, str | int | float | bool | None],
        *,
        failure: str | None = None,
        trace: str = "",
        first: bool = False,
    ) -> None:
        """Make one span. All spans with the same text as ``trace`` are one trace, of which one is the ``first`` and the
        others follow from it; without a text a span stands alone.
        """


class Journal:
    """Decides which lines are written and what stands in them."""

    def __init__(self, write: Write | None, clock: Clock, spans: Spans | None = None) -> None:
        self._write = write
        self._clock = clock
        self._spans = spans
        self._second = 0
        """When the next second begins, of the monotonic clock's."""
        self._in_second = 0
        self.left_out = 0
        """Lines left out since the last one that told of it."""
        self.left_out_in_all = 0

    def accepted(self, account: RunningAccount, receipts: Sequence[Receipt], size_bytes: int, seconds: float) -> None:
        """A request's events are on disk."""
        if self._spans is not None:
            self._accept_span(self._spans, account, receipts, size_bytes, seconds)
        if self._write is None:
            return
        for receipt in receipts:
            if not self._room():
                continue
            fields: dict[str, Any] = {
                "account": account.account.id,
                "type": receipt.event,
                "deliveries": receipt.deliveries,
                "repeated": receipt.repeated,
                "events": len(receipts),
                "requestBytes": size_bytes,
                "milliseconds": round(seconds * 1000, 2),
            }
            self._line("info", "event accepted", fields)

    def taken_in(self, source: str, counts: tuple[int, int, int], size_bytes: int, seconds: float) -> None:
        """A body of a source is on disk. ``counts``: events made of it, events that were known, elements set aside."""
        if self._write is None or not self._room():
            return
        events, repeated, aside = counts
        fields: dict[str, Any] = {
            "source": source,
            "events": events,
            "repeated": repeated,
            "setAside": aside,
            "requestBytes": size_bytes,
            "milliseconds": round(seconds * 1000, 2),
        }
        self._line("info", "webhook taken in", fields)

    def refused(self, request_id: str, status: int, code: str, source: str | None = None) -> None:
        """A request was answered with a problem. Strangers can make as many of these as they like, so they have no
        more room than successes.
        """
        if self._write is None or not self._room():
            return
        fields: dict[str, Any] = {"request": request_id, "status": status, "code": code, "source": source}
        self._line("warning", "request refused", fields)

    def attempted(self, endpoint: RunningEndpoint, outcome: Outcome) -> None:
        """An attempt has ended."""
        row = outcome.row
        failed = row.code is not None
        if self._spans is not None:
            self._attempt_span(self._spans, endpoint, outcome)
        if self._write is None or not (failed or self._room()):
            return
        fields: dict[str, Any] = {
            "account": endpoint.account.account.id,
            "endpoint": endpoint.endpoint.id,
            "delivery": delivery_id(row.delivery),
            "attempt": row.number,
            "state": row.state.value,
            "status": row.status,
            "code": row.code,
            "host": endpoint.target.host,
            "address": row.address,
            "reused": row.reused,
            "dnsMicroseconds": row.dns_us,
            "connectMicroseconds": row.connect_us,
            "tlsMicroseconds": row.tls_us,
            "firstByteMicroseconds": row.first_byte_us,
            "totalMicroseconds": row.total_us,
            "dueMs": row.due_ms,
            "test": row.test,
        }
        self._line("warning" if failed else "info", "attempt", fields)

    def _accept_span(
        self, spans: Spans, account: RunningAccount, receipts: Sequence[Receipt], size_bytes: int, seconds: float
    ) -> None:
        attributes: dict[str, str | int | None] = {
            "whatsync.account": account.account.id,
            "whatsync.events": len(receipts),
            "http.request.body.size": size_bytes,
        }
        start_ms = self._clock.now_ms() - round(seconds * 1000)
        for receipt in receipts:
            attributes["whatsync.event_type"] = receipt.event
            # What was accepted before began its trace then.
            trace = "" if receipt.repeated else _trace(account, receipt.id)
            spans.span("accept events", "server", start_ms, seconds, attributes, trace=trace, first=True)

    def _attempt_span(self, spans: Spans, endpoint: RunningEndpoint, outcome: Outcome) -> None:
        row = outcome.row
        attributes: dict[str, str | int | None] = {
            "whatsync.account": endpoint.account.account.id,
            "whatsync.endpoint": endpoint.endpoint.id,
            "whatsync.delivery": delivery_id(row.delivery),
            "whatsync.attempt": row.number,
            "whatsync.state": row.state.value,
            "http.request.method": "POST",
            "http.response.status_code": row.status,
            "server.address": endpoint.target.host,
            "error.type": row.code,
        }
        trace = _trace(endpoint.account, outcome.event)
        seconds = row.total_us / 1_000_000
        spans.span("attempt", "client", row.started_ms, seconds, attributes, failure=row.code, trace=trace)

    def _room(self) -> bool:
        now = self._clock.monotonic()
        if now >= self._second:
            self._second, self._in_second = int(now) + 1, 0
        self._in_second += 1
        if self._in_second <= limits.LOG_LINES_PER_SECOND:
            return True
        self.left_out += 1
        self.left_out_in_all += 1
        return False

    def _line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        assert self._write is not None
        if self.left_out:
            fields["leftOut"] = self.left_out
            self.left_out = 0
        self._write(level, event, fields)


def _trace(account: RunningAccount, event_id: str) -> str:
    """One event's trace, on whatever node and after whatever restart."""
    return f"{account.account.id} {event_id}"
