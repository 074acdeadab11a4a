"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from components.server.core import Core

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one server.

    Args:
        core: Whose state is told, too.
    """

    def __init__(self, core: Core) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route", "code")
        self._requests = Counter("rnn_requests", "Requests answered.", labels, registry=self._registry)
        self._seconds = Histogram(
            "rnn_request_seconds",
            "Time to the end of an answer.",
            labels[:2],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_State(core))

    def observe(self, method: str, route: str, code: int | str, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(method, route, str(code)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


class _State:
    """What is there at the moment somebody asks."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def collect(self) -> Iterable[Metric]:
        core = self._core
        yield GaugeMetricFamily("rnn_requests_in_flight", "Requests that are being answered.", core.in_flight)
        yield GaugeMetricFamily("rnn_sessions", "Open sessions.", len(core.sessions))
        active = GaugeMetricFamily("rnn_texts_active", "Texts that are being written.", labels=["version"])
        waiting = GaugeMetricFamily("rnn_texts_waiting", "Texts that wait for their turn.", labels=["version"])
        tokens = CounterMetricFamily("rnn_tokens_written", "Tokens of texts that are done.", labels=["version"])
        for version in core.versions.loaded:
            if version.writing is not None:
                label = [str(version.number)]
                active.add_metric(label, version.writing.active)
                waiting.add_metric(label, version.writing.waiting)
                tokens.add_metric(label, version.writing.tokens)
        yield from (active, waiting, tokens)
