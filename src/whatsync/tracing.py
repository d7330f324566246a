"""OpenTelemetry spans, where they are switched on: handed over finished, sent by the SDK from a thread of its own.

Where to send them is told by the standard ``OTEL_*`` variables. Knows no engine.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator

Attribute = str | int | float | bool


class TracingUnavailable(Exception):  # noqa: N818 - a state, not a mistake
    """The optional packages are not installed. The text says what to do."""


class _Ids:
    """Random ids, but for the one span that begins a trace whose ids follow from its text."""

    def __init__(self, random: "IdGenerator") -> None:
        self._random = random
        self.next: tuple[int, int] | None = None

    def generate_trace_id(self) -> int:
        """The trace of the next span."""
        return self._random.generate_trace_id() if self.next is None else self.next[0]

    def generate_span_id(self) -> int:
        """The next span."""
        return self._random.generate_span_id() if self.next is None else self.next[1]

    def is_trace_id_random(self) -> bool:
        """A hash is as even as chance."""
        return True


class Tracing:
    """Makes spans. ``exporter`` is for tests; by default OTLP over HTTP."""

    def __init__(self, version: str, exporter: "SpanExporter | None" = None) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
            from opentelemetry.trace import SpanKind, StatusCode
        except ImportError:
            raise TracingUnavailable(
                "WHATSYNC_TRACING needs the optional packages: pip install 'whatsync[telemetry]', or switch it off"
            ) from None
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins over these.
        ours = Resource({"service.name": "whatsync", "service.version": version})
        resource = ours.merge(OTELResourceDetector().detect())
        self._ids = _Ids(RandomIdGenerator())
        self._provider = TracerProvider(
            resource=resource, shutdown_on_exit=False, id_generator=cast("IdGenerator", self._ids)
        )
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
        *,
        failure: str | None = None,
        trace: str = "",
        first: bool = False,
    ) -> None:
        """Make one finished span. ``kind`` is ``server`` or ``client``; attributes without a value are left out.

        Spans with the same text as ``trace`` are one trace: the ``first`` and those that follow from it, whichever
        process makes them and when.
        """
        begin_ns = start_ms * 1_000_000
        known = {key: value for key, value in attributes.items() if value is not None}
        above = None
        if trace:
            ids = _hashed(trace)
            if first:
                self._ids.next = ids
            else:
                above = self._above(name, ids)
        span = self._tracer.start_span(name, above, self._kinds[kind], known, start_time=begin_ns)
        self._ids.next = None
        if failure is not None:
            span.set_status(self._error, failure)
        span.end(begin_ns + round(seconds * 1_000_000_000))

    def close(self) -> None:
        """Send what waits; may take some seconds where nobody listens."""
        self._provider.shutdown()

    def _above(self, name: str, ids: tuple[int, int]) -> "Context":
        """The first span of a trace, made here or elsewhere, as what another follows from; sampled as it was."""
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        decision = self._provider.sampler.should_sample(None, ids[0], name).decision
        flags = TraceFlags(TraceFlags.SAMPLED if decision is Decision.RECORD_AND_SAMPLE else TraceFlags.DEFAULT)
        return set_span_in_context(NonRecordingSpan(SpanContext(*ids, is_remote=True, trace_flags=flags)))


def _hashed(text: str) -> tuple[int, int]:
    """Ids of a trace and of its first span."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
