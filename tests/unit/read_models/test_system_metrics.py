"""The fold of SystemMetrics."""

from dataclasses import fields

from flexcore.application.read_models.system_metrics import SystemMetricsProjection, SystemRow
from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent, PipelineEvent, PluginEvent
from flexcore.domain.execution import ExecutionRecord, FailureReason
from flexcore.domain.usage import ExecutionUsage
from tests.unit.domain.pipelines import Stream, step
from tests.unit.read_models.histories import at, folded, recorded


def test_every_execution_is_in_one_count_of_how_it_ended() -> None:
    records = [ExecutionRecord(name, "p", "run", {}) for name in "abcdefg"]
    ends = [
        records[0].completed(success=True, execution_time_ms=1),
        records[1].completed(success=False, execution_time_ms=2),
        *(record.failed(reason, "why", 3) for record, reason in zip(records[2:5], FailureReason, strict=False)),
        NewEvent(PluginEvent.EXECUTION_FAILED, "p", PLUGIN_AGGREGATE, {"execution_id": "f", "reason": "node_lost"}),
        records[6].failed(FailureReason.KILLED, "took too much", 3, ExecutionUsage(cpu_ms=0.5)),
    ]
    (row,) = folded(SystemMetricsProjection(), recorded(*(record.started(1) for record in records), *ends)).values()
    assert row == SystemRow(
        executions_started=7, executions_completed=2, executions_unsuccessful=1, executions_failed=1,
        executions_timed_out=1, executions_cancelled=1, executions_killed=1, executions_lost=1, execution_ms=15.0,
        execution_cpu_ms=0.5, last_execution=at(7),
    )  # fmt: skip


def test_pipelines_are_counted() -> None:
    stream = Stream(step("a"))
    for _ in range(2):
        stream.start()
        attempt = stream.next()
        stream.begin(attempt)
        stream.complete(attempt)
    (row,) = folded(SystemMetricsProjection(), stream.events).values()
    assert (row.pipelines_created, row.pipeline_runs_started, row.pipeline_runs_completed) == (1, 2, 2)
    assert row.pipeline_steps_completed == 2


def test_every_event_that_it_reads_counts_something() -> None:
    projection = SystemMetricsProjection()
    for event_type in projection.event_types:
        aggregate = "Pipeline" if event_type in set(PipelineEvent) else PLUGIN_AGGREGATE
        (row,) = folded(projection, recorded(NewEvent(event_type, "p", aggregate))).values()
        assert any(getattr(row, field.name) == 1 for field in fields(row)), event_type


def test_callers_see_the_counters_and_not_the_name_of_the_row() -> None:
    shown = SystemRow(executions_started=2, execution_ms=0.1 + 0.2).counters()
    assert "key" not in shown
    assert (shown["executions_started"], shown["execution_ms"]) == (2, 0.3)
