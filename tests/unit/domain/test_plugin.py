"""The aggregate Plugin."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flexcore.domain.errors import Conflict
from flexcore.domain.events import PLUGIN_AGGREGATE, PluginEvent, RecordedEvent
from flexcore.domain.execution import ExecutionRecord, FailureReason
from flexcore.domain.manifest import PluginCommand, PluginManifest
from flexcore.domain.plugin import Plugin
from flexcore.domain.usage import ExecutionUsage

START = datetime(2025, 8, 1, tzinfo=UTC)
MANIFEST = PluginManifest(
    id="p",
    name="The plugin",
    version="1.0",
    type="processor",
    description="Does things",
    entry_point="p:P",
    commands=(PluginCommand("run", ""),),
    capabilities=("things",),
    dependencies={"q": ">=1"},
)


def registered(version: str = "1.0") -> tuple[str, dict[str, Any]]:
    data = {
        "name": "The plugin",
        "version": version,
        "type": "processor",
        "description": "Does things",
        "entry_point": "p:P",
        "capabilities": ["things"],
        "dependencies": ["q"],
    }
    return PluginEvent.REGISTERED, data


def history(*facts: tuple[str, dict[str, Any]] | str) -> list[RecordedEvent]:
    pairs = [fact if isinstance(fact, tuple) else (fact, {}) for fact in facts]
    return [
        RecordedEvent(f"id{n}", n, name, "p", PLUGIN_AGGREGATE, n, data, {}, START + timedelta(minutes=n), "0" * 64)
        for n, (name, data) in enumerate(pairs, start=1)
    ]


def test_what_is_registered_is_what_the_manifest_says() -> None:
    event = Plugin.replay("p", []).register(MANIFEST, {"node_id": "n"}, stream_version=4)
    assert event is not None
    assert (event.type, event.data) == registered()
    assert (event.aggregate_id, event.aggregate_type, event.expected_version) == ("p", "Plugin", 4)
    assert event.metadata == {"node_id": "n"}


def test_a_version_is_registered_once_for_ever() -> None:
    for facts in ([registered()], [registered(), registered("2.0")], [registered(), PluginEvent.REMOVED]):
        assert Plugin.replay("p", history(*facts)).register(MANIFEST, {}, 9) is None


def test_another_version_is_registered() -> None:
    plugin = Plugin.replay("p", history(registered("0.9")))
    event = plugin.register(MANIFEST, {}, 1)
    assert event is not None
    assert event.data["version"] == "1.0"


def test_replay() -> None:
    plugin = Plugin.replay("p", history(registered("1.0"), registered("2.0")))
    assert (plugin.name, plugin.version, plugin.capabilities, plugin.dependencies) == (
        "The plugin", "2.0", ("things",), ("q",),
    )  # fmt: skip
    assert plugin.exists
    assert plugin.created_at == START + timedelta(minutes=1)
    assert plugin.updated_at == START + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("facts", "exists", "enabled"),
    [
        ([], False, False),
        ([registered()], True, True),
        ([registered(), PluginEvent.DISABLED], True, False),
        ([registered(), PluginEvent.DISABLED, registered("2.0")], True, False),
        ([registered(), PluginEvent.DISABLED, PluginEvent.ENABLED], True, True),
        ([registered(), PluginEvent.REMOVED], False, False),
        ([registered(), PluginEvent.REMOVED, registered("2.0")], True, True),
        ([registered(), "SomethingOfAFutureVersion"], True, True),
    ],
)
def test_lifecycle(facts: list[Any], exists: bool, enabled: bool) -> None:
    plugin = Plugin.replay("p", history(*facts))
    assert (plugin.exists, plugin.enabled) == (exists, enabled)
    if not enabled:
        with pytest.raises(Conflict, match="plugin 'p' is inactive"):
            plugin.check_executable()


def test_an_event_of_a_future_version_changes_nothing() -> None:
    assert Plugin.replay("p", history(registered(), "Unheard")) == Plugin.replay("p", history(registered()))


def test_the_events_of_an_execution_say_what_ran_and_how_it_ended() -> None:
    record = ExecutionRecord("e", "p", "run", {"correlation_id": "c"})
    started = record.started(30)
    assert (started.type, started.aggregate_id, started.aggregate_type) == ("PluginExecutionStarted", "p", "Plugin")
    assert started.data == {"execution_id": "e", "operation": "run", "attempt": 1, "timeout_seconds": 30}
    assert started.metadata == {"correlation_id": "c"}
    assert record.completed(success=False, execution_time_ms=1.5).data == {
        "execution_id": "e", "operation": "run", "attempt": 1, "success": False, "execution_time_ms": 1.5,
    }  # fmt: skip
    assert record.failed(FailureReason.TIMED_OUT, "too\0slow", 9.0).data == {
        "execution_id": "e", "operation": "run", "attempt": 1, "reason": "timed_out",
        "error": "too\N{REPLACEMENT CHARACTER}slow", "execution_time_ms": 9.0,
    }  # fmt: skip
    used = record.completed(success=True, execution_time_ms=1.5, usage=ExecutionUsage(cpu_ms=1.0, peak_memory_bytes=7))
    assert {"cpu_ms": 1.0, "peak_memory_bytes": 7}.items() <= used.data.items()
