"""Asynchronous executions over several nodes: begun again, ended once, cancelled anywhere, repeated under their key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from flexcore.application import cancellation as cancellation_module
from flexcore.application import execution_history as history_module
from flexcore.application import executions as executions_module
from flexcore.application.plugin_views import ExecutePlugin
from flexcore.application.plugins import Plugins
from flexcore.application.ports import Append, PluginAnswer, PluginResult
from flexcore.application.read_models.execution_history import ExecutionQuery, ExecutionStatus
from flexcore.domain.errors import (
    Conflict,
    ExecutionCancelled,
    ExecutionTimedOut,
    InvalidInput,
    NotFound,
    PluginFailed,
    TooBusy,
    Unavailable,
)
from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent
from tests.unit.application.execution_doubles import Installation, Node

pytestmark = pytest.mark.anyio

COMMAND = ExecutePlugin("a", "run", {"size": 3}, correlation_id="c-1", user_id="ann", timeout_seconds=9)
ENDS = ("PluginExecutionCompleted", "PluginExecutionFailed")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions_module, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(history_module, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(cancellation_module, "LOOK_SECONDS", 0.001)


@pytest.fixture
def installation() -> Installation:
    return Installation()


@pytest.fixture
def one(installation: Installation) -> Node:
    return installation.node("one")


@pytest.fixture
def two(installation: Installation) -> Node:
    return installation.node("two")


@asynccontextmanager
async def told(*nodes: Node) -> AsyncIterator[None]:
    """Let `nodes` look for what is to be cancelled, and listen, for the length of a block."""
    tasks = [asyncio.ensure_future(node.cancellation.fulfil()) for node in nodes]
    await asyncio.sleep(0)
    yield
    for task in tasks:
        task.cancel()


def ends(installation: Installation) -> list[str]:
    return [kind for kind in installation.log.types() if kind in ENDS]


async def test_it_is_queued_with_its_event_and_run_by_another_node(
    installation: Installation, one: Node, two: Node
) -> None:
    queued = await one.begin.queue(COMMAND, None)
    assert queued.status == "queued"
    (event,) = installation.log.events[-1:]
    assert (event.type, event.aggregate_id) == ("PluginExecutionQueued", "a")
    assert event.data == {
        "execution_id": queued.execution_id,
        "operation": "run",
        "attempt": 0,
        "timeout_seconds": 9,
    }
    assert (await one.desk.get(queued.execution_id)).status == "queued"

    await two.work()
    (request,) = two.runner.requests
    assert (request.execution_id, request.data, request.correlation_id) == (queued.execution_id, {"size": 3}, "c-1")
    found = await one.desk.get(queued.execution_id)
    assert (found.status, found.node_id, found.attempt, found.user_id) == ("completed", "two", 1, "ann")
    assert found.result == PluginAnswer(True, {"done": 1})
    assert (await one.desk.page(ExecutionQuery())).executions[0].execution_id == queued.execution_id


async def test_no_argument_reaches_the_log_and_any_reaches_the_plugin(installation: Installation, one: Node) -> None:
    data = {"size": 7}
    await one.begin.queue(replace(COMMAND, data=data), None)
    assert "7" not in str([event.data for event in installation.log.events[-1:]])
    await one.work()
    assert one.runner.requests[0].data == data


async def test_what_can_not_be_run_is_refused_at_once(installation: Installation, one: Node) -> None:
    with pytest.raises(NotFound):
        await one.begin.queue(replace(COMMAND, plugin_id="b"), None)
    with pytest.raises(InvalidInput):
        await one.begin.queue(replace(COMMAND, data={"size": "big"}), None)
    await one.plugins.drain(0)
    with pytest.raises(Unavailable, match="draining"):
        await one.begin.queue(COMMAND, None)
    assert installation.log.jobs == []


async def test_without_a_slot_the_job_waits(installation: Installation, one: Node) -> None:
    busy = installation.node("busy", slots=1)
    busy.runner.gate.clear()
    await busy.begin.queue(COMMAND, None)
    await busy.begin.queue(COMMAND, None)
    first = busy.work(0)
    await busy.reached()
    with pytest.raises(TooBusy):
        await busy.work(1)
    await one.work(1)
    busy.runner.gate.set()
    await first
    assert ends(installation) == ["PluginExecutionCompleted"] * 2


@pytest.mark.parametrize(
    ("error", "status"),
    [(PluginFailed("it broke", "e"), "failed"), (ExecutionTimedOut("it was slow", "e"), "timed_out")],
)
async def test_a_failure_is_an_end_and_no_reason_to_try_again(
    one: Node, installation: Installation, error: Exception, status: str
) -> None:
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    one.runner.answer = error
    await one.work()
    found = await one.desk.get(execution_id)
    assert (found.status, found.error, found.result, found.result_note) == (status, str(error), None, None)
    await one.work()
    assert len(one.runner.requests) == 1


async def test_without_a_sandbox_it_begins_again_where_there_is_one(
    installation: Installation, one: Node, two: Node
) -> None:
    queued = await one.begin.queue(COMMAND, None)
    one.runner.answer = Unavailable("plugin_runtime", "the sandbox is away")
    with pytest.raises(Unavailable):
        await one.work()
    assert (await one.desk.get(queued.execution_id)).status == "running"
    await two.work()
    found = await two.desk.get(queued.execution_id)
    assert (found.status, found.node_id, found.attempt) == ("completed", "two", 2)


async def test_a_node_that_takes_over_begins_again_and_the_late_end_is_none(
    installation: Installation, one: Node, two: Node
) -> None:
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    one.runner.gate.clear()
    one.runner.answer = PluginResult(True, "of the first")
    two.runner.answer = PluginResult(True, "of the second")
    paused = one.work()
    await one.reached()
    await two.work()
    assert (await two.desk.get(execution_id)).attempt == 2
    one.runner.gate.set()
    await paused
    assert ends(installation) == ["PluginExecutionCompleted"]
    found = await one.desk.get(execution_id)
    assert (found.node_id, found.result) == ("two", PluginAnswer(True, "of the second"))
    attempts = [event.data["attempt"] for event in installation.log.events if event.type == "PluginExecutionStarted"]
    assert attempts == [1, 2]


async def test_the_answer_is_that_of_the_attempt_whose_end_counts(
    installation: Installation, one: Node, two: Node
) -> None:
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    for node, text in ((one, "of the first"), (two, "of the second")):
        node.runner.gate.clear()
        node.runner.answer = PluginResult(True, text)
    paused = one.work()
    await one.reached()
    other = two.work()
    await two.reached()
    one.runner.gate.set()
    await paused
    two.runner.gate.set()
    await other
    assert ends(installation) == ["PluginExecutionCompleted"]
    assert (await one.desk.get(execution_id)).result == PluginAnswer(True, "of the first")


async def test_a_job_that_comes_again_after_the_end_does_nothing(installation: Installation, one: Node) -> None:
    await one.begin.queue(COMMAND, None)
    await one.work()
    before = installation.log.types()
    await one.work()
    assert installation.log.types() == before
    assert len(one.runner.requests) == 1


async def test_the_end_of_its_node_leaves_no_end_of_the_execution(
    installation: Installation, one: Node, two: Node
) -> None:
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    one.runner.gate.clear()
    cut_off = one.work()
    await one.reached()
    cut_off.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut_off
    assert (one.runner.cancelled, ends(installation)) == (1, [])
    await two.work()
    assert (await two.desk.get(execution_id)).status == "completed"


async def test_the_end_waits_for_postgresql(installation: Installation, one: Node) -> None:
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    one.runner.gate.clear()
    job = one.work()
    await one.reached()
    installation.log.down = True
    one.runner.gate.set()
    await asyncio.sleep(0.01)
    assert not job.done()
    installation.log.down = False
    await job
    assert ((await one.desk.get(execution_id)).status, len(one.runner.requests)) == ("completed", 1)


async def test_a_plugin_that_is_not_to_run_any_more_is_refused(installation: Installation, one: Node) -> None:
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    await installation.log.append(Append([("x", NewEvent("PluginDisabled", "a", PLUGIN_AGGREGATE))]))
    await one.work()
    found = await one.desk.get(execution_id)
    assert (found.status, one.runner.requests) == ("failed", [])
    assert "inactive" in str(found.error)


async def test_a_node_without_the_code_leaves_it_to_others_for_a_while(
    installation: Installation, one: Node, two: Node
) -> None:
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    old = installation.node("old")
    await old.plugins.register_builtins()
    old.runner.manifests = {}
    with pytest.raises(Unavailable, match="lacks its code"):
        await old.work()
    installation.time += timedelta(hours=1)
    await old.work()
    assert "lacks its code" in str((await two.desk.get(execution_id)).error)


async def test_what_is_queued_is_cancelled_without_running(installation: Installation, one: Node, two: Node) -> None:
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    assert (await two.desk.cancel(execution_id)).status == "cancelled"
    await one.work()
    assert one.runner.requests == []
    assert ends(installation) == ["PluginExecutionFailed"]
    assert (await one.desk.get(execution_id)).status == "cancelled"
    with pytest.raises(Conflict, match="has ended already, as cancelled"):
        await one.desk.cancel(execution_id)


async def test_what_runs_is_killed_on_the_node_that_runs_it(
    installation: Installation, one: Node, two: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation_module, "LOOK_SECONDS", 600.0)
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    one.runner.gate.clear()
    async with told(one, two):
        job = one.work()
        await one.reached()
        assert (await two.desk.cancel(execution_id)).status == "cancelled"
        await job
    assert (one.runner.cancelled, ends(installation)) == (1, ["PluginExecutionFailed"])
    found = await two.desk.get(execution_id)
    assert (found.status, found.node_id) == ("cancelled", "one")
    assert one.executions.admission.active == 0


async def test_a_message_that_is_lost_only_costs_time(
    installation: Installation, one: Node, two: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation.channel, "publish", lambda kind, **fields: None)
    one.runner.gate.clear()
    running = asyncio.create_task(one.begin.execute(COMMAND, None))
    await one.reached()
    (row,) = installation.history.rows().values()
    async with told(one, two):
        assert (await two.desk.cancel(row.execution_id)).status == "cancelled"
    with pytest.raises(ExecutionCancelled) as caught:
        await running
    assert caught.value.execution_id == row.execution_id


async def test_who_cancels_too_late_hears_how_it_ended(installation: Installation, one: Node, two: Node) -> None:
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    history = dict(installation.history.rows())
    await one.work()
    installation.history.rows = lambda: history  # it has not heard of the end yet
    with pytest.raises(Conflict, match="has ended already, as completed"):
        await two.desk.cancel(execution_id)
    assert ends(installation) == ["PluginExecutionCompleted"]
    with pytest.raises(NotFound):
        await two.desk.cancel("nobody")


async def test_nobody_confirms_the_end_on_a_dead_node_and_no_other_begins_it_again(
    installation: Installation, one: Node, two: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "CANCEL_SECONDS", 0.01)
    execution_id = (await one.begin.queue(COMMAND, None)).execution_id
    one.runner.gate.clear()
    dead = one.work()
    await one.reached()
    assert (await two.desk.cancel(execution_id)).status == "cancelling"
    await two.work()
    assert (two.runner.requests, ends(installation)) == ([], ["PluginExecutionFailed"])
    assert (await two.desk.get(execution_id)).status == "cancelled"
    dead.cancel()


async def test_the_same_key_is_the_same_queued_execution(installation: Installation, one: Node, two: Node) -> None:
    first = await one.begin.queue(COMMAND, "k")
    assert await two.begin.queue(replace(COMMAND, correlation_id="c-2"), "k") == first
    assert len(installation.log.jobs) == 1
    assert await two.begin.queue(COMMAND, "other") != first
    for other in (replace(COMMAND, data={}), replace(COMMAND, timeout_seconds=8)):
        with pytest.raises(Conflict):
            await two.begin.queue(other, "k")
    with pytest.raises(Conflict):
        await two.begin.execute(COMMAND, "k")


async def test_the_same_key_gets_the_first_answer_from_any_node(
    installation: Installation, one: Node, two: Node
) -> None:
    first = await one.begin.execute(COMMAND, "k")
    two.runner.answer = PluginResult(True, "another")
    again = await two.begin.execute(replace(COMMAND, correlation_id="c-2"), "k")
    assert again == first
    assert two.runner.requests == []
    with pytest.raises(Conflict, match="the key 'k' was used for another request"):
        await two.begin.execute(replace(COMMAND, data={}), "k")


@pytest.mark.parametrize("error", [PluginFailed("it broke", "e"), ExecutionTimedOut("it was slow", "e")])
async def test_the_same_key_gets_the_first_failure(
    installation: Installation, one: Node, two: Node, error: Exception
) -> None:
    one.runner.answer = error
    for node in (one, two):
        with pytest.raises(type(error), match=str(error)):
            await node.begin.execute(COMMAND, "k")
    assert two.runner.requests == []


async def test_the_same_key_while_the_first_runs_says_what_to_do(one: Node, two: Node) -> None:
    one.runner.gate.clear()
    first = asyncio.create_task(one.begin.execute(COMMAND, "k"))
    await one.reached()
    with pytest.raises(Conflict, match=r"still runs, as execution one-\d+; GET /api/v1/flexcore/executions/one-"):
        await two.begin.execute(COMMAND, "k")
    one.runner.gate.set()
    answer = await first
    assert await two.begin.execute(COMMAND, "k") == answer


async def test_two_with_one_key_at_once_run_once(
    installation: Installation, one: Node, two: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one.plugins.register_builtins()
    prepare, meet = Plugins.prepare, asyncio.Barrier(2)

    async def both_at_once(self: Plugins, command: ExecutePlugin, execution_id: str | None = None) -> object:
        request = await prepare(self, command, execution_id)
        await meet.wait()
        return request

    monkeypatch.setattr(Plugins, "prepare", both_at_once)
    outcomes = await asyncio.gather(*(node.begin.execute(COMMAND, "k") for node in (one, two)), return_exceptions=True)
    assert len(one.runner.requests) + len(two.runner.requests) == 1
    assert len(ends(installation)) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) in (0, 1)


async def test_an_answer_that_is_not_kept_is_said_to_be(installation: Installation, one: Node, two: Node) -> None:
    one.runner.answer = PluginResult(True, "large")
    queued = await one.begin.queue(COMMAND, None)
    await one.work()
    found = await two.desk.get(queued.execution_id)
    assert (found.result, found.result_note) == (
        None,
        "not kept: its 999 bytes are more than executions.max_kept_result_bytes",
    )
    waited = await one.begin.execute(COMMAND, None)
    note = (await two.desk.get(waited.execution_id)).result_note
    assert "Idempotency-Key" in str(note)
    await one.begin.execute(COMMAND, "k")
    with pytest.raises(Conflict, match="its answer is not kept any more, or was too large"):
        await two.begin.execute(COMMAND, "k")


async def test_what_a_dead_node_ran_for_a_caller_is_given_up_after_its_time(
    installation: Installation, one: Node, two: Node
) -> None:
    one.runner.gate.clear()
    dead = asyncio.create_task(one.begin.execute(COMMAND, "k"))
    await one.reached()
    (row,) = installation.history.rows().values()
    assert row.deadline is not None
    installation.queue.time = row.deadline + timedelta(seconds=29)
    await two.sweep.look()
    assert ends(installation) == []
    installation.queue.time = row.deadline + timedelta(seconds=31)
    await two.sweep.look()
    found = await two.desk.get(row.execution_id)
    assert (found.status, found.node_id) == (ExecutionStatus.NODE_LOST, "one")
    with pytest.raises(Conflict, match="whether it took effect is unknown"):
        await two.begin.execute(COMMAND, "k")
    # The node was only slow.
    one.runner.gate.set()
    with pytest.raises(Conflict, match="whether it took effect is unknown"):
        await dead
    assert ends(installation) == ["PluginExecutionFailed"]
    await two.sweep.look()
    assert (len(ends(installation)), installation.queue.forgotten) == (1, 3)


async def test_what_a_job_will_begin_again_is_not_given_up(installation: Installation, one: Node, two: Node) -> None:
    await one.begin.queue(COMMAND, None)
    one.runner.gate.clear()
    dead = one.work()
    await one.reached()
    installation.queue.time += timedelta(hours=1)
    await two.sweep.look()
    assert ends(installation) == []
    dead.cancel()


async def test_an_end_that_came_too_late_for_its_caller_is_recorded_all_the_same(
    installation: Installation, one: Node
) -> None:
    one.runner.gate.clear()
    running = asyncio.create_task(one.begin.execute(COMMAND, None))
    await one.reached()
    installation.log.down = True
    one.runner.gate.set()
    with pytest.raises(Unavailable, match="could not be recorded yet"):
        await running
    installation.log.down = False
    async with asyncio.timeout(5):
        while not ends(installation):  # noqa: ASYNC110 - it happens in the background
            await asyncio.sleep(0)
    assert ends(installation) == ["PluginExecutionCompleted"]
