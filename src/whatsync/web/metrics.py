"""``/metrics`` for Prometheus: what each number means, and reading it from the engine's plain counters when asked.

No labels per account or endpoint: their number has no bound.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry

from whatsync.engine.services import Services
from whatsync.engine.tally import Histogram
from whatsync.engine.troubles import oldest_due_seconds
from whatsync.model import limits
from whatsync.web.api.call import Answer, Call, Route

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number and what it means. ``label`` is its only label, where it has one."""

    name: str
    kind: str
    help: str
    label: str | None = None


METRICS = (
    Metric("whatsync_events_accepted_total", "counter", "Events accepted: on disk with all their deliveries."),
    Metric("whatsync_requests_refused_total", "counter", "Requests to accept events that were refused.", "status"),
    Metric("whatsync_deliveries_succeeded_total", "counter", "Deliveries that a receiver answered 2xx; no tests."),
    Metric("whatsync_deliveries_failed_total", "counter", "Deliveries given up after their last attempt; no tests."),
    Metric(
        "whatsync_attempts_total", "counter", "Attempts by outcome, success or the failure's code; no tests.", "outcome"
    ),
    Metric(
        "whatsync_test_attempts_total", "counter", "Test sends by outcome: success or the failure's code.", "outcome"
    ),
    Metric("whatsync_accept_seconds", "histogram", "From a request's last byte to its durable commit."),
    Metric("whatsync_first_attempt_seconds", "histogram", "From accepting an event to its first attempt's start."),
    Metric("whatsync_attempt_seconds", "histogram", "Duration of attempts; no tests."),
    Metric("whatsync_loop_lag_seconds", "histogram", "How late the server's loop was, looked at 20 times a second."),
    Metric("whatsync_oldest_due_seconds", "gauge", "Age of the oldest due delivery of a healthy endpoint."),
    Metric("whatsync_deliveries_in_flight", "gauge", "Attempts under way."),
    Metric("whatsync_deliveries_in_memory", "gauge", "Deliveries that lanes hold in memory."),
    Metric("whatsync_memory_body_bytes", "gauge", "Bodies that lanes hold in memory."),
    Metric("whatsync_lanes", "gauge", "Lanes: direct ones, and draining ones with a backlog on disk.", "state"),
    Metric("whatsync_lane_depth_max", "gauge", "Deliveries in memory of the fullest lane."),
    Metric("whatsync_endpoints_failing", "gauge", "Endpoints whose last attempts all failed."),
    Metric("whatsync_outcomes_unrecorded", "gauge", "Finished attempts waiting for their commit."),
    Metric("whatsync_accepting_bytes", "gauge", "Bodies of requests whose commit is under way."),
    Metric("whatsync_arriving_bytes", "gauge", "Bodies of requests that have arrived in part only."),
    Metric("whatsync_commits_total", "counter", "Commits of the store."),
    Metric("whatsync_commit_operations_total", "counter", "Operations in those commits; their ratio is a batch."),
    Metric("whatsync_commit_queue", "gauge", "Operations waiting for the next commit."),
    Metric("whatsync_commit_seconds", "gauge", "Duration of the last commit."),
    Metric("whatsync_wal_bytes", "gauge", "Size of the database's write-ahead log."),
    Metric("whatsync_free_disk_bytes", "gauge", "Free disk where the database lies."),
    Metric("whatsync_store_writable", "gauge", "1 while the store takes writes."),
    Metric("whatsync_media_files_total", "counter", "Media files by what became of them.", "outcome"),
    Metric("whatsync_media_bytes_total", "counter", "Bytes of media files that were fetched or uploaded."),
    Metric("whatsync_media_fetching", "gauge", "Media files being fetched now."),
    Metric("whatsync_media_waiting_requests", "gauge", "Requests that wait for a media file's bytes."),
    Metric("whatsync_sender", "gauge", "The sender's own counters since the start, by name.", "counter"),
    Metric("whatsync_loop_restarts_total", "counter", "Loops of the server that died of a bug and were restarted."),
    Metric("whatsync_log_lines_left_out_total", "counter", "Log lines left out because there were too many."),
)
_BY_NAME = {metric.name: metric for metric in METRICS}


class ServerCollector(Collector):
    """Reads every metric anew when Prometheus asks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Family]:
        """All metrics."""
        values = {**self._doing(), **self._lanes(), **self._store(), **self._media()}
        for metric in METRICS:
            value = values[metric.name]
            if isinstance(value, Histogram):
                yield _histogram(metric, value)
            elif metric.kind == "counter":
                yield _filled(CounterMetricFamily(metric.name, metric.help, labels=_labels(metric)), value)
            else:
                yield _filled(GaugeMetricFamily(metric.name, metric.help, labels=_labels(metric)), value)

    def _doing(self) -> "dict[str, Value]":
        services, tally = self._services, self._services.tally
        counts = services.sender_statistics()
        return {
            "whatsync_events_accepted_total": services.ingest.accepted,
            "whatsync_requests_refused_total": {str(status): count for status, count in tally.refused.items()},
            "whatsync_deliveries_succeeded_total": tally.delivered,
            "whatsync_deliveries_failed_total": tally.unfinished,
            "whatsync_attempts_total": tally.attempts,
            "whatsync_test_attempts_total": tally.test_attempts,
            "whatsync_accept_seconds": tally.accept,
            "whatsync_first_attempt_seconds": tally.first_attempt,
            "whatsync_attempt_seconds": tally.attempt,
            "whatsync_loop_lag_seconds": tally.loop_lag,
            "whatsync_accepting_bytes": tally.accepting_bytes,
            "whatsync_arriving_bytes": tally.arriving_bytes,
            "whatsync_sender": {name: count for name, count in counts.items() if isinstance(count, int)},
            "whatsync_loop_restarts_total": services.runner.restarts,
            "whatsync_log_lines_left_out_total": services.journal.left_out_in_all,
        }

    def _lanes(self) -> "dict[str, Value]":
        dispatcher = self._services.dispatcher
        lanes = dispatcher.lanes.values()
        direct = sum(lane.direct for lane in lanes)
        failing = sum(lane.health.failures_in_a_row >= limits.FAILURES_IN_A_ROW_TO_SLOW for lane in lanes)
        return {
            "whatsync_oldest_due_seconds": oldest_due_seconds(self._services.dispatcher, self._services.clock.now_ms()),
            "whatsync_deliveries_in_flight": dispatcher.in_flight,
            "whatsync_deliveries_in_memory": dispatcher.budget.deliveries_held,
            "whatsync_memory_body_bytes": dispatcher.budget.bytes_held,
            "whatsync_lanes": {"direct": direct, "draining": len(lanes) - direct},
            "whatsync_lane_depth_max": max((lane.owned for lane in lanes), default=0),
            "whatsync_endpoints_failing": failing,
            "whatsync_outcomes_unrecorded": dispatcher.recorder.unrecorded,
        }

    def _store(self) -> "dict[str, Value]":
        state = self._services.store.state()
        return {
            "whatsync_commits_total": state.commits,
            "whatsync_commit_operations_total": state.operations,
            "whatsync_commit_queue": state.queued,
            "whatsync_commit_seconds": state.last_commit_seconds,
            "whatsync_wal_bytes": state.wal_bytes,
            "whatsync_free_disk_bytes": state.free_bytes,
            "whatsync_store_writable": int(state.writable),
        }

    def _media(self) -> "dict[str, Value]":
        tally = self._services.media.tally
        outcomes = ("stored", "retried", "failed", "removed", "orphans")
        return {
            "whatsync_media_files_total": {outcome: getattr(tally, outcome) for outcome in outcomes},
            "whatsync_media_bytes_total": tally.stored_bytes,
            "whatsync_media_fetching": tally.fetching,
            "whatsync_media_waiting_requests": tally.waiting,
        }


Value = int | float | dict[str, int] | Histogram


def _labels(metric: Metric) -> list[str] | None:
    return None if metric.label is None else [metric.label]


def _filled(family: Family, value: Value) -> Family:
    assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
    if isinstance(value, dict):
        for label, count in sorted(value.items()):
            family.add_metric([label], count)
    else:
        assert isinstance(value, int | float)
        family.add_metric([], value)
    return family


def _histogram(metric: Metric, histogram: Histogram) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help)
    family.add_metric([], list(_cumulated(histogram)), histogram.sum)
    return family


def _cumulated(histogram: Histogram) -> Iterator[tuple[str, float]]:
    total = 0
    bounds: Iterable[str] = [*(repr(bound) for bound in histogram.bounds), "+Inf"]
    for bound, count in zip(bounds, histogram.counts, strict=True):
        total += count
        yield bound, float(total)


def exposition(services: Services) -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServerCollector(services))
    return generate_latest(registry)


async def metrics(call: Call) -> Answer:
    """Prometheus metrics in text format, without any account's or customer's name."""
    return Answer(200, exposition(call.services), content_type=CONTENT_TYPE)


ROUTES = (
    Route("GET", "/metrics", None, metrics, "Metrics for Prometheus", gives={200: bytes}, content_type=CONTENT_TYPE),
)
