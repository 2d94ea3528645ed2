"""Running plugins: the events around each run, slots, drain, and what happens when something is away."""

import asyncio
import logging
from datetime import timedelta

import pytest

from flexcore.application import executions as executions_module
from flexcore.application.plugin_views import ExecutePlugin
from flexcore.application.plugins import Plugins
from flexcore.application.ports import PluginAnswer, PluginResult
from flexcore.domain.errors import (
    Conflict,
    ExecutionFailure,
    ExecutionKilled,
    ExecutionTimedOut,
    FlexCoreError,
    PluginFailed,
    TooBusy,
    Unavailable,
)
from flexcore.domain.usage import ExecutionUsage
from tests.unit.application.doubles import START, Log, Runner, manifest, node

pytestmark = pytest.mark.anyio

COMMAND = ExecutePlugin("a", "run", {"size": 3}, correlation_id="c-1", user_id="ann", timeout_seconds=9)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def runner() -> Runner:
    return Runner(manifest("a"))


@pytest.fixture
async def plugins(log: Log, runner: Runner) -> Plugins:
    plugins = node(log, runner)
    await plugins.register_builtins()
    return plugins


async def running(runner: Runner, number: int) -> None:
    """Return once `number` more executions have reached the runner."""
    async with asyncio.timeout(5):
        for _ in range(number):
            await runner.reached.acquire()


async def test_an_execution_is_recorded_before_and_after(plugins: Plugins, log: Log, runner: Runner) -> None:
    execution = await plugins.execute(COMMAND)
    assert log.types()[1:] == ["PluginExecutionStarted", "PluginExecutionCompleted"]
    started, completed = log.events[1:]
    assert started.data == {
        "execution_id": execution.execution_id,
        "operation": "run",
        "attempt": 1,
        "timeout_seconds": 9,
    }
    assert started.metadata == {"correlation_id": "c-1", "user_id": "ann", "node_id": "node1"}
    assert completed.data["success"] is True
    assert completed.data["execution_time_ms"] == execution.execution_time_ms

    assert (execution.plugin_id, execution.status, execution.result) == (
        "a",
        "completed",
        PluginAnswer(True, {"done": 1}),
    )
    assert execution.metadata == {"correlation_id": "c-1", "user_id": "ann"}
    assert execution.started_at == START
    assert execution.completed_at - START == timedelta(milliseconds=execution.execution_time_ms)
    (request,) = runner.requests
    assert (request.data, request.timeout_seconds, request.correlation_id) == ({"size": 3}, 9, "c-1")


async def test_an_answer_without_success_completes(plugins: Plugins, log: Log, runner: Runner) -> None:
    runner.answer = PluginResult(False, {"error": "no"}, ExecutionUsage(cpu_ms=2.0, peak_memory_bytes=9))
    assert (await plugins.execute(COMMAND)).result == runner.answer.answer
    assert (log.types()[-1], log.events[-1].data["success"]) == ("PluginExecutionCompleted", False)
    assert {"cpu_ms": 2.0, "peak_memory_bytes": 9}.items() <= log.events[-1].data.items()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PluginFailed("it broke", "e"), "plugin_failed"),
        (ExecutionTimedOut("it was slow", "e"), "timed_out"),
        (ExecutionKilled("it took too much", "e", ExecutionUsage(cpu_ms=3.0)), "killed"),
    ],
)
async def test_a_failure_is_recorded_and_told(
    plugins: Plugins, log: Log, runner: Runner, error: ExecutionFailure, reason: str
) -> None:
    runner.answer = error
    with pytest.raises(type(error), match=str(error)):
        await plugins.execute(COMMAND)
    assert log.types()[-1] == "PluginExecutionFailed"
    assert (log.events[-1].data["reason"], log.events[-1].data["error"]) == (reason, str(error))
    assert log.events[-1].data.get("cpu_ms") == error.usage.cpu_ms
    assert plugins.active_executions == 0


@pytest.mark.parametrize("problem", [Conflict("a secret is missing"), Unavailable("plugin_runtime", "no sandbox")])
async def test_what_can_not_be_begun_leaves_nothing(
    plugins: Plugins, log: Log, runner: Runner, problem: FlexCoreError
) -> None:
    runner.problem = problem
    before = len(log.events)
    with pytest.raises(type(problem), match=str(problem)):
        await plugins.execute(COMMAND)
    assert (len(log.events), runner.requests, plugins.active_executions) == (before, [], 0)


@pytest.mark.parametrize("problem", [Conflict("a secret is missing"), Unavailable("plugin_runtime", "no sandbox")])
async def test_what_can_not_be_begun_after_all_is_recorded_as_refused(
    plugins: Plugins, log: Log, runner: Runner, problem: FlexCoreError
) -> None:
    runner.answer = problem
    with pytest.raises(type(problem), match=str(problem)):
        await plugins.execute(COMMAND)
    assert (log.types()[-1], log.events[-1].data["reason"]) == ("PluginExecutionFailed", "refused")


async def test_nothing_runs_that_can_not_be_recorded(plugins: Plugins, log: Log, runner: Runner) -> None:
    log.down = True
    with pytest.raises(Unavailable):
        await plugins.execute(COMMAND)
    assert runner.requests == []


async def test_an_end_that_can_not_be_recorded_is_no_success(plugins: Plugins, log: Log, runner: Runner) -> None:
    runner.gate.clear()
    task = asyncio.create_task(plugins.execute(COMMAND))
    await running(runner, 1)
    log.down = True
    runner.gate.set()
    with pytest.raises(Unavailable, match=r"plugin 'a' ran to its end, but the end of execution .* not be recorded"):
        await task
    assert plugins.active_executions == 0


async def test_a_failure_that_can_not_be_recorded_still_says_what_failed(
    plugins: Plugins, log: Log, runner: Runner
) -> None:
    runner.gate.clear()
    runner.answer = PluginFailed("it broke", "e")
    task = asyncio.create_task(plugins.execute(COMMAND))
    await running(runner, 1)
    log.down = True
    runner.gate.set()
    with pytest.raises(Unavailable, match=r"it broke, but the end of execution .* PostgreSQL refuses connections"):
        await task


async def test_a_caller_who_leaves_is_recorded(plugins: Plugins, log: Log, runner: Runner) -> None:
    runner.gate.clear()
    task = asyncio.create_task(plugins.execute(COMMAND))
    await running(runner, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runner.cancelled == 1
    assert (log.types()[-1], log.events[-1].data["reason"]) == ("PluginExecutionFailed", "cancelled")
    assert plugins.active_executions == 0


async def test_a_caller_who_leaves_is_not_held_up_by_a_dead_database(
    plugins: Plugins, log: Log, runner: Runner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(executions_module, "CANCELLED_RECORD_SECONDS", 0.01)
    runner.gate.clear()
    task = asyncio.create_task(plugins.execute(COMMAND))
    await running(runner, 1)
    log.hang = True
    with caplog.at_level(logging.ERROR):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert "could not be recorded" in caplog.text


async def test_slots_are_bounded_and_given_back(plugins: Plugins, log: Log, runner: Runner) -> None:
    runner.gate.clear()
    tasks = [asyncio.create_task(plugins.execute(COMMAND)) for _ in range(2)]
    await running(runner, 2)
    assert (plugins.active_executions, plugins.slots) == (2, 2)
    recorded = len(log.events)
    with pytest.raises(TooBusy, match="all 2 execution slots of node node1 are taken") as caught:
        await plugins.execute(COMMAND)
    assert caught.value.retry_after_seconds >= 1
    assert len(log.events) == recorded
    runner.gate.set()
    await asyncio.gather(*tasks)
    assert plugins.active_executions == 0
    await plugins.execute(COMMAND)


async def test_drain_refuses_the_new_and_waits_for_the_running(plugins: Plugins, runner: Runner) -> None:
    runner.gate.clear()
    task = asyncio.create_task(plugins.execute(COMMAND))
    await running(runner, 1)
    drained = asyncio.create_task(plugins.drain(5))
    await asyncio.sleep(0)
    assert plugins.draining
    with pytest.raises(Unavailable, match="node node1 is draining") as caught:
        await plugins.execute(COMMAND)
    assert caught.value.service == "flexcore"
    assert not drained.done()
    runner.gate.set()
    assert await drained
    assert (await task).result.success


async def test_drain_gives_up_at_its_deadline(plugins: Plugins, runner: Runner) -> None:
    runner.gate.clear()
    task = asyncio.create_task(plugins.execute(COMMAND))
    await running(runner, 1)
    assert not await plugins.drain(0.01)
    runner.gate.set()
    await task
    assert await plugins.drain(0)


async def test_drain_of_an_idle_node_is_done_at_once(plugins: Plugins) -> None:
    assert await plugins.drain(0)
