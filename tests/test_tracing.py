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


async def test_an_event_and_its_attempts_are_one_trace(tmp_path: Path) -> None:
    exporter, book = InMemorySpanExporter(), Book()
    tracing = Tracing("1.2.3", exporter)
    async with running(tmp_path, book.write, spans=tracing) as web:
        form = {"url": "http://127.0.0.1:9/hook", "events": ["*"]}
        for _ in range(2):
            await web.call("POST", "/v1/endpoints", json=form)
        data = {"contactId": "contact_1", "phone": "+1234567890", "name": None, "profileImage": None}
        await web.call("POST", "/v1/events", json=[{"event": "contact.update", "data": data}] * 3)
        await book.until("attempt", 6)
    tracing.close()
    spans = exporter.get_finished_spans()
    first = {span.context.span_id: span.context.trace_id for span in spans if span.name == "accept events"}
    assert len(set(first.values())) == len(first) == 3
    followers = [span for span in spans if span.name == "attempt"]
    assert len(followers) == 6
    for span in followers:
        assert span.parent is not None
        assert first[span.parent.span_id] == span.context.trace_id


def test_a_trace_is_kept_or_left_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    exporter = InMemorySpanExporter()
    tracing = Tracing("1.2.3", exporter)
    for at in range(60):
        tracing.span("accept events", "server", 1, 0.1, {}, trace=f"event {at}", first=True)
        tracing.span("attempt", "client", 2, 0.1, {}, trace=f"event {at}")
    tracing.close()
    kept: dict[int, int] = {}
    for span in exporter.get_finished_spans():
        kept[span.context.trace_id] = kept.get(span.context.trace_id, 0) + 1
    assert 10 < len(kept) < 50
    assert set(kept.values()) == {2}


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingUnavailable, match=r"pip install 'whatsync\[telemetry\]'"):
        Tracing("1")
