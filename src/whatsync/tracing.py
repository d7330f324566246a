"""OpenTelemetry spans, where they are switched on: handed over finished, sent by the SDK from a thread of its own.

Where to send them is told by the standard ``OTEL_*`` variables. Knows no engine.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

Attribute = str | int | float | bool


class TracingUnavailable(Exception):  # noqa: N818 - a state, not a mistake
    """The optional packages are not installed. The text says what to do."""


class Tracing:
    """Makes spans. ``exporter`` is for tests; by default OTLP over HTTP."""

    def __init__(self, version: str, exporter: "SpanExporter | None" = None) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace import SpanKind, StatusCode
        except ImportError:
            raise TracingUnavailable(
                "WHATSYNC_TRACING needs the optional packages: pip install 'whatsync[telemetry]', or switch it off"
            ) from None
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins over these.
        ours = Resource({"service.name": "whatsync", "service.version": version})
        resource = ours.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("whatsync", version)
        self._kinds = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
        self._error = StatusCode.ERROR

    def span(
        self,
        name: str,
        kind: str,
        start_ms: int,
        seconds: float,
        attributes: Mapping[str, Attribute | None],
        failure: str | None = None,
    ) -> None:
        """Make one finished span. ``kind`` is ``server`` or ``client``; attributes without a value are left out."""
        begin_ns = start_ms * 1_000_000
        known = {key: value for key, value in attributes.items() if value is not None}
        span = self._tracer.start_span(name, kind=self._kinds[kind], attributes=known, start_time=begin_ns)
        if failure is not None:
            span.set_status(self._error, failure)
        span.end(begin_ns + round(seconds * 1_000_000_000))

    def close(self) -> None:
        """Send what waits; may take some seconds where nobody listens."""
        self._provider.shutdown()
