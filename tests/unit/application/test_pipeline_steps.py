"""Making attempts: what is recorded together, and what comes twice, late, or back from the dead."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from flexcore.application import pipeline_steps
from flexcore.application.commands import CancelPipeline, DeletePipeline, StartPipeline
from flexcore.application.ports import PluginResult
from flexcore.domain.errors import Conflict, ExecutionKilled, ExecutionTimedOut, PluginFailed, TooBusy, Unavailable
from flexcore.domain.execution import FailureReason
from flexcore.domain.pipeline_definition import StepDefinition
from flexcore.domain.retry import RetryPolicy
from tests.unit.application.doubles import START
from tests.unit.application.execution_doubles import Installation
from tests.unit.application.pipeline_doubles import PipelineNode

pytestmark = pytest.mark.anyio

ONCE = RetryPolicy(max_attempts=1)
TWICE = RetryPolicy(max_attempts=2, initial_backoff_ms=4000)


def step(step_id: str, *depends_on: str, **more: Any) -> StepDefinition:
    return StepDefinition(step_id, "a", depends_on=depends_on, **more)


@pytest.fixture
def installation() -> Installation:
    return Installation()


@pytest.fixture
async def node(installation: Installation) -> PipelineNode:
    return PipelineNode(installation, "one")


@pytest.fixture
async def other(installation: Installation) -> PipelineNode:
    return PipelineNode(installation, "two")


async def test_a_step_begins_and_ends_in_both_streams_at_once(node: PipelineNode) -> None:
    pipeline_id = await node.start(step("x"), step("y", "x"))
    before = len(node.log.events)
    await node.work(node.jobs()[0])
    recorded = node.log.events[before:]
    assert [event.type for event in recorded] == [
        "PipelineStepStarted",
        "PluginExecutionStarted",
        "PluginExecutionCompleted",
        "PipelineStepCompleted",
    ]
    begun, execution, _, ended = recorded
    assert begun.data["plugin_execution_id"] == execution.data["execution_id"]
    assert (execution.data["pipeline_id"], execution.data["step_id"]) == (pipeline_id, "x")
    assert {event.metadata["correlation_id"] for event in recorded} == {"c-1"}
    assert {event.metadata["node_id"] for event in recorded} == {"one"}
    assert ended.data["queued"] == ["y"]
    assert node.jobs()[1].arguments["step_id"] == "y"


async def test_results_are_handed_on_and_too_large_ones_are_not(installation: Installation, node: PipelineNode) -> None:
    hand_on = {"size": {"$from": "steps.x.done"}}
    await node.start(step("x"), step("y", "x", parameters=hand_on))
    for number in range(2):
        await node.work(node.jobs()[number])
    assert node.runner.requests[1].data == {"size": 1}

    node.runner.answer = PluginResult(True, "large")
    pipeline_id = await node.start(step("x"), step("y", "x", parameters=hand_on))
    for number in range(2, 4):
        await node.work(node.jobs()[number])
    last = (await node.status(pipeline_id)).steps[1]
    assert (last.status, last.reason) == ("failed", "refused")
    assert last.error == "the 999 bytes of step 'x' are too many to be handed on"


async def test_the_same_job_twice_at_once_runs_the_plugin_once_or_takes_over(node: PipelineNode) -> None:
    pipeline_id = await node.start(step("x"))
    await asyncio.gather(*(node.work(node.jobs()[0]) for _ in range(4)), return_exceptions=True)
    types = Counter(node.types(pipeline_id))
    assert types["PipelineStepStarted"] == 1
    assert types["PipelineStepCompleted"] + types["PipelineStepFailed"] == 1


async def test_a_job_that_comes_late_does_nothing(node: PipelineNode) -> None:
    pipeline_id = await node.start(step("x"))
    job = node.jobs()[0]
    await node.work(job)
    before = len(node.log.events)
    await node.work(job)
    await node.send(StartPipeline(pipeline_id))
    await node.work(job)
    assert len(node.log.events) == before + 1
    assert len(node.runner.requests) == 1


async def test_an_attempt_without_its_node_is_taken_over_and_its_node_can_not_end_it_any_more(
    node: PipelineNode, other: PipelineNode
) -> None:
    pipeline_id = await node.start(step("x", retry=TWICE), step("y", "x"))
    node.runner.gate.clear()
    asleep = node.work(node.jobs()[0])
    await node.reached()

    await other.work(node.jobs()[0])
    failed = next(event for event in node.log.events if event.type == "PipelineStepFailed")
    assert (failed.data["reason"], failed.data["retry_in_ms"]) == ("node_lost", 0)
    lost = next(event for event in node.log.events if event.type == "PluginExecutionFailed")
    assert lost.data["reason"] == "node_lost"
    await other.work(node.jobs()[1])

    before = node.types(pipeline_id)
    node.runner.gate.set()
    await asleep
    assert node.types(pipeline_id) == before
    assert before.count("PipelineStepCompleted") == 1
    ends = Counter(
        event.data["execution_id"]
        for event in node.log.events
        if event.type in ("PluginExecutionCompleted", "PluginExecutionFailed")
    )
    assert set(ends.values()) == {1}


async def test_an_execution_that_was_given_up_alone_fails_its_step(node: PipelineNode) -> None:
    """The sweep of overdue executions knows nothing of pipelines."""
    pipeline_id = await node.start(step("x", retry=TWICE))
    node.runner.gate.clear()
    asleep = node.work(node.jobs()[0])
    await node.reached()
    (execution,) = node.runner.requests
    record = pipeline_steps.ExecutionRecord(execution.execution_id, "a", "run", {})
    await node.steps._ends.failed(record, FailureReason.NODE_LOST, "given up")
    node.runner.gate.set()
    await asleep
    assert node.types(pipeline_id)[-1] == "PipelineStepFailed"
    assert (await node.status(pipeline_id)).steps[0].reason == "node_lost"
    assert len(node.jobs()) == 2


async def test_a_retry_waits_for_its_pause(installation: Installation, node: PipelineNode) -> None:
    await node.start(step("x", retry=TWICE))
    node.runner.answer = PluginFailed("it broke", "e")
    await node.work(node.jobs()[0])
    again = node.jobs()[1]
    assert again.arguments["attempt"] == 2
    assert again.run_at == START + timedelta(seconds=4)


@pytest.mark.parametrize(
    ("answer", "reason", "end"),
    [
        (PluginFailed("it broke", "e"), "plugin_failed", "PluginExecutionFailed"),
        (ExecutionTimedOut("it was slow", "e"), "timed_out", "PluginExecutionFailed"),
        (PluginResult(False, {"error": "no"}), "unsuccessful", "PluginExecutionCompleted"),
        (PluginResult(False, "no"), "unsuccessful", "PluginExecutionCompleted"),
        (ExecutionKilled("it took too much", "e"), "killed", "PluginExecutionFailed"),
        (Conflict("its secret is gone"), "refused", "PluginExecutionFailed"),
        (Unavailable("plugin_runtime", "the sandbox is away"), "refused", "PluginExecutionFailed"),
    ],
)
async def test_how_a_plugin_fails_is_told(
    node: PipelineNode, answer: PluginResult | Exception, reason: str, end: str
) -> None:
    pipeline_id = await node.start(step("x", retry=ONCE))
    node.runner.answer = answer
    await node.work(node.jobs()[0])
    assert (await node.status(pipeline_id)).steps[0].reason == reason
    assert [event.type for event in node.log.events][-3:] == [end, "PipelineStepFailed", "PipelineFailed"]


async def test_a_step_that_can_not_be_begun_here_is_refused_before_it_begins(node: PipelineNode) -> None:
    pipeline_id = await node.start(step("x", retry=ONCE))
    node.runner.problem = Conflict("its secret is missing")
    await node.work(node.jobs()[0])
    found = (await node.status(pipeline_id)).steps[0]
    assert (found.status, found.reason, found.error) == ("failed", "refused", "its secret is missing")
    assert "PluginExecutionStarted" not in [event.type for event in node.log.events]


async def test_cancel_stops_the_plugin_on_another_node_at_once(node: PipelineNode, other: PipelineNode) -> None:
    pipeline_id = await node.start(step("x"))
    node.runner.gate.clear()
    running = node.work(node.jobs()[0])
    await node.reached()
    await other.send(CancelPipeline(pipeline_id, "enough"))
    async with asyncio.timeout(1):
        await running
    assert node.runner.cancelled == 1
    assert node.types(pipeline_id)[-1] == "PipelineCancelled"
    assert node.log.events[-1].data["reason"] == "cancelled"


async def test_a_pipeline_that_is_deleted_under_its_step_leaves_an_end_of_the_execution(node: PipelineNode) -> None:
    pipeline_id = await node.start(step("x"))
    node.runner.gate.clear()
    running = node.work(node.jobs()[0])
    await node.reached()
    await node.send(CancelPipeline(pipeline_id))
    await node.send(DeletePipeline(pipeline_id))
    await running
    assert node.log.events[-1].type == "PluginExecutionFailed"
    assert node.log.events[-1].data["reason"] == "cancelled"
    await node.work(node.jobs()[0])


async def test_cancel_is_seen_without_a_message(
    installation: Installation, node: PipelineNode, other: PipelineNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_steps, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(installation.channel, "publish", lambda kind, **fields: None)
    pipeline_id = await node.start(step("x"))
    node.runner.gate.clear()
    running = node.work(node.jobs()[0])
    await node.reached()
    await other.send(CancelPipeline(pipeline_id))
    async with asyncio.timeout(5):
        await running
    assert node.runner.cancelled == 1


async def test_cancelling_the_execution_of_a_step_fails_the_step_for_good(node: PipelineNode) -> None:
    pipeline_id = await node.start(step("x", retry=TWICE))
    node.runner.gate.clear()
    running = node.work(node.jobs()[0])
    await node.reached()
    assert node.node.executions.cancel(node.runner.requests[0].execution_id)
    await running
    found = (await node.status(pipeline_id)).steps[0]
    assert (found.status, found.reason, found.attempt) == ("failed", "cancelled", 1)


async def test_without_a_slot_nothing_has_begun(node: PipelineNode) -> None:
    pipeline_id = await node.start(step("x"))
    admission = node.node.executions.admission
    async with admission.slot(), admission.slot():
        with pytest.raises(TooBusy):
            await node.work(node.jobs()[0])
    assert "PipelineStepStarted" not in node.types(pipeline_id)
    await node.work(node.jobs()[0])
    assert node.types(pipeline_id)[-1] == "PipelineCompleted"


async def test_an_end_waits_for_the_event_log_to_come_back(node: PipelineNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_steps, "RECORD_PAUSE_SECONDS", 0.01)
    pipeline_id = await node.start(step("x"))
    node.runner.gate.clear()
    running = node.work(node.jobs()[0])
    await node.reached()
    node.log.down = True
    node.runner.gate.set()
    await asyncio.sleep(0.05)
    assert not running.done()
    node.log.down = False
    await running
    assert node.types(pipeline_id)[-1] == "PipelineCompleted"

    monkeypatch.setattr(pipeline_steps, "RECORD_SECONDS", 0.0)
    await node.send(StartPipeline(pipeline_id))
    node.runner.gate.clear()
    running = node.work(node.jobs()[1])
    await node.reached()
    node.log.down = True
    node.runner.gate.set()
    with pytest.raises(Unavailable):
        await running


async def test_a_node_that_stops_lets_go_of_its_steps(node: PipelineNode, other: PipelineNode) -> None:
    pipeline_id = await node.start(step("x", retry=TWICE))
    node.runner.gate.clear()
    running = node.work(node.jobs()[0])
    await node.reached()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert node.runner.cancelled == 1
    assert node.types(pipeline_id)[-1] == "PipelineStepStarted"
    await other.work(node.jobs()[0])
    await other.work(node.jobs()[1])
    assert node.types(pipeline_id)[-1] == "PipelineCompleted"


async def test_a_defect_ends_the_step_instead_of_leaving_it_for_ever(
    node: PipelineNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline_id = await node.start(step("x"))

    async def fail(command: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(node.node.plugins, "prepare", fail)
    await node.work(node.jobs()[0])
    found = (await node.status(pipeline_id)).steps[0]
    assert (found.status, found.reason) == ("failed", "refused")
    assert "a defect" not in str(found.error)


async def test_steps_that_end_at_once_get_in_nobodys_way(installation: Installation) -> None:
    nodes = [PipelineNode(installation, f"n{number}") for number in range(4)]
    names = [f"s{number}" for number in range(8)]
    pipeline_id = await nodes[0].start(*(step(name) for name in names), step("last", *names))
    await asyncio.gather(*(nodes[n % 4].work(job) for n, job in enumerate(nodes[0].jobs())))
    assert len(nodes[0].jobs()) == 9
    await nodes[0].work(nodes[0].jobs()[8])
    types = Counter(nodes[0].types(pipeline_id))
    assert (types["PipelineStepCompleted"], types["PipelineCompleted"]) == (9, 1)
