"""What /metrics shows."""

import asyncio

import pytest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families

from flexcore.application.cluster import ClusterView
from flexcore.application.events import Events
from flexcore.application.membership import NodeView
from flexcore.application.ports import PluginCode, PluginRequest, PluginResult, Receipt, ResourceUsage
from flexcore.domain.errors import (
    ExecutionCancelled,
    ExecutionKilled,
    ExecutionTimedOut,
    FlexCoreError,
    PluginFailed,
    Unavailable,
)
from flexcore.domain.events import NewEvent
from flexcore.domain.node import NodeStatus
from flexcore.infrastructure.telemetry.metrics import MeteredPluginRunner, Metrics
from flexcore.presentation.http.routes.meta import METRICS_MEDIA_TYPE
from tests.unit.application.doubles import Log, code

REQUEST = PluginRequest("e-1", code("json-processor"), "process", {}, 30.0, "c-1")


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by name and label values, these in the order of the label names."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (s.name, tuple(value for _, value in sorted(s.labels.items()))): s.value
        for family in families
        for s in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.0", node_id="core1")


def test_the_media_type_is_that_of_the_library() -> None:
    assert METRICS_MEDIA_TYPE == CONTENT_TYPE_PLAIN_0_0_4


def test_requests_are_counted_and_timed(metrics: Metrics) -> None:
    for seconds in (0.002, 0.3):
        metrics.request_finished("/health", "GET", 200, seconds)
    found = samples(metrics)
    assert found[("flexcore_http_requests_total", ("GET", "/health", "200"))] == 2
    assert found[("flexcore_http_request_duration_seconds_count", ("GET", "/health"))] == 2
    assert found[("flexcore_http_request_duration_seconds_bucket", ("0.25", "GET", "/health"))] == 1


def test_the_figures_are_had_without_the_text(metrics: Metrics) -> None:
    metrics.request_finished("/health", "GET", 200, 0.3)
    metrics.watch_dependencies(lambda: {"redis": False})
    found = {(sample.name, tuple(sample.labels.values())): sample for sample in metrics.samples()}
    counted = found[("flexcore_http_requests_total", ("/health", "GET", "200"))]
    assert (counted.type, counted.value) == ("counter", 1)
    assert found[("flexcore_http_request_duration_seconds_sum", ("/health", "GET"))].value == 0.3
    assert found[("flexcore_dependency_up", ("redis",))].value == 0
    assert not [name for name, _ in found if name.endswith(("_bucket", "_created"))]


def test_the_cluster_is_counted_by_status(metrics: Metrics) -> None:
    nodes = tuple(
        NodeView(node_id, None, None, status, None, 0)
        for node_id, status in (("a", NodeStatus.ACTIVE), ("b", NodeStatus.ACTIVE), ("c", NodeStatus.LOST))
    )
    metrics.watch_cluster(lambda: ClusterView("flexcore", "a", nodes), lambda: True)
    found = samples(metrics)
    assert found[("flexcore_leading", ())] == 1
    assert found[("flexcore_cluster_nodes", ("active",))] == 2
    assert found[("flexcore_cluster_nodes", ("lost",))] == 1
    assert found[("flexcore_cluster_nodes", ("drained",))] == 0


def test_dependencies_and_the_build(metrics: Metrics) -> None:
    metrics.watch_dependencies(lambda: {"postgresql": True, "redis": False})
    found = samples(metrics)
    assert found[("flexcore_dependency_up", ("postgresql",))] == 1
    assert found[("flexcore_dependency_up", ("redis",))] == 0
    assert any(name == "flexcore_build_info" and "core1" in labels for name, labels in found)
    assert any(name == "process_resident_memory_bytes" for name, _ in found)


class Runner:
    """Ends as told."""

    def __init__(self, end: PluginResult | FlexCoreError) -> None:
        self.end = end

    def check(self, code: PluginCode) -> None:
        pass

    def usage(self, plugin_id: str) -> ResourceUsage:
        return ResourceUsage(memory_mb=1.0)

    async def warm(self, code: PluginCode) -> None:
        pass

    async def retire(self, code: PluginCode) -> None:
        pass

    async def run(self, request: PluginRequest) -> PluginResult:
        if isinstance(self.end, FlexCoreError):
            raise self.end
        return self.end


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (PluginResult(success=True, data=1), "completed"),
        (PluginResult(success=False, data=1), "unsuccessful"),
        (PluginFailed("x", "e-1"), "failed"),
        (ExecutionTimedOut("x", "e-1"), "timed_out"),
        (ExecutionCancelled("x", "e-1"), "cancelled"),
        (ExecutionKilled("x", "e-1"), "killed"),
        (Unavailable("plugin_runtime", "x"), "failed"),
    ],
)
def test_executions_are_counted_by_how_they_ended(
    metrics: Metrics, end: PluginResult | FlexCoreError, outcome: str
) -> None:
    runner = MeteredPluginRunner(Runner(end), metrics)
    if isinstance(end, FlexCoreError):
        with pytest.raises(type(end)):
            asyncio.run(runner.run(REQUEST))
    else:
        assert asyncio.run(runner.run(REQUEST)) is end
    found = samples(metrics)
    assert found[("flexcore_plugin_executions_total", (outcome, "json-processor"))] == 1
    assert found[("flexcore_plugin_executions_running", ())] == 0
    assert runner.usage("json-processor").memory_mb == 1.0


def test_appended_events_are_counted_only_when_they_are_in_the_log(metrics: Metrics) -> None:
    log = Log()
    events = Events(log, lambda: "id")
    events.listen(metrics.events_appended)
    thing, receipt = NewEvent("ThingHappened", "a", "Thing"), Receipt("test:key", "f")
    asyncio.run(events.append([thing, thing], receipt=receipt))
    asyncio.run(events.append([thing], receipt=receipt))
    log.down = True
    with pytest.raises(Unavailable):
        asyncio.run(events.append([thing]))
    assert samples(metrics)[("flexcore_events_appended_total", ())] == 2


def test_the_lag_of_the_read_models(metrics: Metrics) -> None:
    lag = {"execution_history": 3, "plugin_inventory": 0}
    metrics.watch_projections(lambda: lag)
    found = samples(metrics)
    assert found[("flexcore_projection_lag_events", ("execution_history",))] == 3
    assert found[("flexcore_projection_lag_events", ("plugin_inventory",))] == 0
    lag.clear()
    assert not [name for name, _ in samples(metrics) if name == "flexcore_projection_lag_events"]
