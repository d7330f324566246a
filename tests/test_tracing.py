"""Spans of accepted events and attempts, as OpenTelemetry's own SDK hands them to an exporter."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.engine.test_journal import PERSONAL, Book, send_something
from tests.web.running import running
from whatsync.tracing import Tracing, TracingUnavailable


async def test_accepts_and_attempts_are_spans(tmp_path: Path) -> None:
    exporter, book = InMemorySpanExporter(), Book()
    tracing = Tracing("1.2.3", exporter)
    async with running(tmp_path, book.write, spans=tracing) as web:
        event_id = await send_something(web, 9)
        await book.until("attempt", 1)
    tracing.close()
    spans: dict[str, ReadableSpan] = {span.name: span for span in exporter.get_finished_spans()}
    accept, attempt = spans["accept events"], spans["attempt"]
    assert (accept.kind, attempt.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert attempt.status.status_code is StatusCode.ERROR
    assert attempt.attributes is not None
    assert attempt.attributes["error.type"] == "connection_refused"
    assert "http.response.status_code" not in attempt.attributes
    assert accept.resource.attributes["service.name"] == "whatsync"
    assert accept.start_time is not None
    assert accept.end_time is not None
    assert accept.start_time <= accept.end_time
    for word in (*PERSONAL, event_id):
        assert word not in str([dict(span.attributes or {}) for span in spans.values()])


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingUnavailable, match=r"pip install 'whatsync\[telemetry\]'"):
        Tracing("1")
