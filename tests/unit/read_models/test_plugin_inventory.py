"""The fold of PluginInventory agrees with the aggregate Plugin, and adds the executions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexcore.application.ports import ExecutionStatistics
from flexcore.application.read_models.plugin_inventory import (
    PluginInventoryProjection,
    PluginRow,
    statistics_of,
)
from flexcore.domain.events import PLUGIN_LIFECYCLE, NewEvent, PluginEvent
from flexcore.domain.execution import ExecutionRecord, FailureReason
from flexcore.domain.plugin import Plugin
from flexcore.domain.usage import ExecutionUsage
from tests.unit.read_models.histories import at, folded, recorded

DATA = {
    "name": "P", "type": "processor", "description": "d", "entry_point": "m:C",
    "capabilities": ["json"], "dependencies": ["q"],
}  # fmt: skip


def registered(version: str = "1.0") -> tuple[str, dict[str, Any]]:
    return ("PluginRegistered", {**DATA, "version": version})


def inventory(*events: NewEvent | tuple[str, dict[str, Any]]) -> PluginRow:
    (row,) = folded(PluginInventoryProjection(), recorded(*events)).values()
    return row


@given(st.lists(st.tuples(st.sampled_from(PLUGIN_LIFECYCLE), st.sampled_from(["1.0", "1.1", "2.0"])), min_size=1))
def test_any_life_reads_as_the_aggregate_reads_it(life: list[tuple[PluginEvent, str]]) -> None:
    events = recorded(*((event_type.value, {**DATA, "version": version}) for event_type, version in life))
    plugin = Plugin.replay("p", events)
    (row,) = folded(PluginInventoryProjection(), events).values()
    for name in (
        "name", "version", "type", "description", "entry_point", "capabilities", "dependencies", "enabled", "removed",
        "created_at", "updated_at",
    ):  # fmt: skip
        assert getattr(row, name) == getattr(plugin, name), name
    assert set(row.versions) == plugin.registered


def test_executions_are_counted_by_how_they_ended() -> None:
    good, bad, broken, running = (ExecutionRecord(name, "p", "run", {}) for name in ("a", "b", "c", "d"))
    row = inventory(
        registered(),
        good.started(1),
        good.completed(success=True, execution_time_ms=10),
        bad.started(1),
        bad.completed(success=False, execution_time_ms=20),
        broken.started(1),
        broken.failed(FailureReason.PLUGIN_FAILED, "broke", 30),
        running.started(1),
    )
    assert statistics_of(row) == ExecutionStatistics(
        total=4, successful=1, failed=2, average_duration_ms=20.0, last_execution=at(8), last_failed=True
    )
    assert row.updated_at == at(1), "executions are no change of the plugin"


def test_what_executions_used_is_known_of_those_that_were_measured() -> None:
    record = ExecutionRecord("e", "p", "run", {})
    row = inventory(
        record.completed(success=True, execution_time_ms=10, usage=ExecutionUsage(4.0, 1000)),
        record.completed(success=True, execution_time_ms=10, usage=ExecutionUsage(8.0, 3000)),
        record.failed(FailureReason.KILLED, "broke", 30, ExecutionUsage(cpu_ms=0.0)),
        record.completed(success=True, execution_time_ms=10),
    )
    found = statistics_of(row)
    assert (found.average_cpu_ms, found.peak_memory_bytes) == (4.0, 3000)


def test_a_second_attempt_is_no_second_execution() -> None:
    row = inventory(
        ("PluginExecutionStarted", {"attempt": 1}),
        ("PluginExecutionStarted", {"attempt": 2}),
        ("PluginExecutionCompleted", {"success": True, "attempt": 2}),
    )
    assert (row.total_executions, row.successful_executions, row.last_execution) == (1, 1, at(2))


def test_an_execution_that_never_started_says_nothing_about_the_plugin() -> None:
    row = inventory(registered(), ("PluginExecutionFailed", {"reason": "cancelled", "attempt": 0}))
    assert statistics_of(row) == ExecutionStatistics()


def test_a_plugin_without_executions_has_no_average() -> None:
    assert statistics_of(inventory(registered())) == ExecutionStatistics()


@pytest.mark.parametrize("odd", [None, True, -1, "long", [1], {}, 10**400, float("nan")])
def test_odd_data_does_not_stop_the_fold(odd: Any) -> None:
    everything = dict.fromkeys(
        (
            *DATA, "version", "success", "execution_time_ms", "attempt", "reason", "error", "execution_id",
            "cpu_ms", "peak_memory_bytes",
        ),
        odd,
    )  # fmt: skip
    row = inventory(*((event_type.value, everything) for event_type in PluginEvent))
    assert row.total_executions == 1
