"""Prometheus metrics of the process."""

import math
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping
from platform import python_version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flexcore.application.cluster import ClusterView
from flexcore.application.ports import Appended, PluginCode, PluginRequest, PluginResult, PluginRunner, ResourceUsage
from flexcore.application.runtime import Sample
from flexcore.domain.errors import ExecutionCancelled, ExecutionFailure, ExecutionKilled, ExecutionTimedOut
from flexcore.domain.node import NodeStatus

_REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_EXECUTION_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

_OUTCOMES: Final[Mapping[type[ExecutionFailure], str]] = {
    ExecutionTimedOut: "timed_out",
    ExecutionCancelled: "cancelled",
    ExecutionKilled: "killed",
}


class Metrics:
    """The registry and everything that is counted in it."""

    def __init__(self, *, version: str, node_id: str) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "flexcore_http_requests_total",
            "HTTP requests by route template",
            ("route", "method", "status"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "flexcore_http_request_duration_seconds",
            "Time to serve an HTTP request",
            ("route", "method"),
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._executions = Counter(
            "flexcore_plugin_executions_total",
            "Plugin executions by how they ended",
            ("plugin", "outcome"),
            registry=registry,
        )
        self._execution_seconds = Histogram(
            "flexcore_plugin_execution_duration_seconds",
            "Time a plugin execution took",
            ("plugin",),
            buckets=_EXECUTION_SECONDS,
            registry=registry,
        )
        self._running = Gauge("flexcore_plugin_executions_running", "Plugin executions running now", registry=registry)
        self._events = Counter(
            "flexcore_events_appended_total", "Events this node appended to the event log", registry=registry
        )
        build = Gauge(
            "flexcore_build_info", "What runs here; always 1", ("version", "node_id", "python"), registry=registry
        )
        build.labels(version, node_id, python_version()).set(1)
        self._by_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request_finished(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request; every argument but the duration is from a small fixed set."""
        key = (route, method, status)
        found = self._by_request.get(key)
        if found is None:
            # labels() costs more than counting does, so its result is kept.
            found = self._requests.labels(route, method, str(status)), self._request_seconds.labels(route, method)
            self._by_request[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def execution_started(self) -> None:
        """Count one more running execution."""
        self._running.inc()

    def execution_finished(self, plugin: str, outcome: str, seconds: float) -> None:
        """Count one execution that ended."""
        self._running.dec()
        self._executions.labels(plugin, outcome).inc()
        self._execution_seconds.labels(plugin).observe(seconds)

    def events_appended(self, appended: Appended) -> None:
        """Count events that are in the log now."""
        self._events.inc(len(appended.events))

    def watch_dependencies(self, up: Callable[[], Mapping[str, bool]]) -> None:
        """Show what `up` says about each dependency whenever the metrics are read."""
        self._registry.register(_Dependencies(up))

    def watch_projections(self, lag: Callable[[], Mapping[str, int]]) -> None:
        """Show how far each read model is behind the log, as `lag` says, whenever the metrics are read."""
        self._registry.register(_ProjectionLag(lag))

    def watch_cluster(self, view: Callable[[], ClusterView], leading: Callable[[], bool]) -> None:
        """Show the cluster as this node sees it, and whether it leads, whenever the metrics are read."""
        self._registry.register(_Cluster(view, leading))

    def samples(self) -> list[Sample]:
        """Return the figures themselves; of histograms their count and sum."""
        return [
            Sample(sample.name, family.type, sample.labels, sample.value)
            for family in self._registry.collect()
            for sample in family.samples
            if not sample.name.endswith(("_bucket", "_created")) and math.isfinite(sample.value)
        ]

    def render(self) -> bytes:
        """Return Prometheus' text format."""
        return generate_latest(self._registry)


class _Dependencies(Collector):
    def __init__(self, up: Callable[[], Mapping[str, bool]]) -> None:
        self._up = up

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "flexcore_dependency_up", "1 while the component passes its health check", labels=("dependency",)
        )
        for name, works in self._up().items():
            family.add_metric((name,), float(works))
        yield family


class _Cluster(Collector):
    def __init__(self, view: Callable[[], ClusterView], leading: Callable[[], bool]) -> None:
        self._view = view
        self._leading = leading

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("flexcore_leading", "1 while this node leads the cluster", value=float(self._leading()))
        family = GaugeMetricFamily("flexcore_cluster_nodes", "Nodes as this one sees them", labels=("status",))
        count = Counts(node.status for node in self._view().nodes)
        for status in NodeStatus:
            family.add_metric((status.value,), float(count[status]))
        yield family


class _ProjectionLag(Collector):
    def __init__(self, lag: Callable[[], Mapping[str, int]]) -> None:
        self._lag = lag

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "flexcore_projection_lag_events",
            "Events that a read model is behind the log; absent while PostgreSQL does not answer",
            labels=("projection",),
        )
        for name, events in self._lag().items():
            family.add_metric((name,), float(events))
        yield family


class MeteredPluginRunner:
    """A plugin runner that counts and times what it runs."""

    def __init__(self, runner: PluginRunner, metrics: Metrics) -> None:
        self._runner = runner
        self._metrics = metrics

    def check(self, code: PluginCode) -> None:
        """Raise what the runner raises."""
        self._runner.check(code)

    def usage(self, plugin_id: str) -> ResourceUsage:
        """Tell what the runner tells."""
        return self._runner.usage(plugin_id)

    async def warm(self, code: PluginCode) -> None:
        """Do what the runner does."""
        await self._runner.warm(code)

    async def retire(self, code: PluginCode) -> None:
        """Do what the runner does."""
        await self._runner.retire(code)

    async def run(self, request: PluginRequest) -> PluginResult:
        """Run, count and time."""
        started = time.perf_counter()
        outcome = "failed"
        self._metrics.execution_started()
        try:
            result = await self._runner.run(request)
        except ExecutionFailure as error:
            outcome = _OUTCOMES.get(type(error), outcome)
            raise
        else:
            outcome = "completed" if result.success else "unsuccessful"
            return result
        finally:
            self._metrics.execution_finished(request.plugin_id, outcome, time.perf_counter() - started)
