"""The plugins' use cases, but for running them."""

import asyncio

import pytest

from flexcore.application.plugin_views import ExecutePlugin
from flexcore.application.ports import Append, ResourceUsage
from flexcore.domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent, PluginEvent
from tests.unit.application.doubles import Log, Runner, manifest, node

pytestmark = pytest.mark.anyio


def command(plugin_id: str = "a", **changes: object) -> ExecutePlugin:
    values = {"operation": "run", "data": {}, "correlation_id": "c", **changes}
    return ExecutePlugin(plugin_id=plugin_id, **values)  # type: ignore[arg-type]


async def change(log: Log, event_type: PluginEvent, plugin_id: str = "a") -> None:
    await log.append(Append([("x", NewEvent(event_type, plugin_id, PLUGIN_AGGREGATE))]))


async def test_registration_happens_once_over_nodes_and_restarts() -> None:
    log, runner = Log(), Runner(manifest("a"), manifest("b"))
    for name in ("node1", "node2", "node1"):
        plugins = node(log, runner, name)
        await plugins.register_builtins()
        await plugins.register_builtins()
    assert [(event.type, event.aggregate_id) for event in log.events] == [
        ("PluginRegistered", "a"), ("PluginRegistered", "b"),
    ]  # fmt: skip
    assert log.events[0].metadata["node_id"] == "node1"


async def test_whoever_waits_for_the_registration_does_not_do_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    log, looks = Log(), 0
    look = log.stream_version

    async def slow_look(plugin_id: str) -> int:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        return await look(plugin_id)

    monkeypatch.setattr(log, "stream_version", slow_look)
    plugins = node(log, Runner(manifest("a")))
    await asyncio.gather(*(plugins.register_builtins() for _ in range(3)))
    assert looks == 1


async def test_two_nodes_that_register_at_once_register_once() -> None:
    log = Log()
    one, two = node(log, Runner(manifest("a")), "one"), node(log, Runner(manifest("a")), "two")
    others = two.register_builtins()
    # The other node comes in between the first one's look and its append.
    log.before_append = lambda: pytest.fail("not awaited") if run_to_end(others) else None
    await one.register_builtins()
    assert log.types() == ["PluginRegistered"]


def run_to_end(coroutine: object) -> bool:
    """Run a coroutine that never waits; True if it did wait after all."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return False
    return True


async def test_a_new_version_is_registered_once_more() -> None:
    log = Log()
    await node(log, Runner(manifest("a", "1.0"))).register_builtins()
    await node(log, Runner(manifest("a", "1.1"))).register_builtins()
    await node(log, Runner(manifest("a", "1.0"))).register_builtins()
    assert [event.data["version"] for event in log.events] == ["1.0", "1.1"]


async def test_a_database_that_was_away_at_the_start_is_made_up_for() -> None:
    log, runner = Log(), Runner(manifest("a"))
    plugins = node(log, runner)
    log.down = True
    with pytest.raises(Unavailable):
        await plugins.register_builtins()
    log.down = False
    assert (await plugins.get("a")).id == "a"


async def test_page_is_ordered_filtered_and_cut() -> None:
    log, runner = Log(), Runner(manifest("c"), manifest("a"), manifest("b", type="service"), manifest("d"))
    plugins = node(log, runner)
    await plugins.register_builtins()
    await change(log, PluginEvent.DISABLED, "d")

    async def ids(**filters: object) -> tuple[list[str], int]:
        page = await plugins.page(**filters)  # type: ignore[arg-type]
        return [view.id for view in page.plugins], page.total

    assert await ids() == (["a", "b", "c", "d"], 4)
    assert await ids(status="active") == (["a", "b", "c"], 3)
    assert await ids(status="inactive") == (["d"], 1)
    assert await ids(status="error") == ([], 0)
    assert await ids(type="service") == (["b"], 1)
    assert await ids(type="service", status="inactive") == ([], 0)
    assert await ids(limit=2, offset=1) == (["b", "c"], 4)
    assert await ids(offset=99) == ([], 4)


@pytest.mark.parametrize(
    ("filters", "field"),
    [({"status": "asleep"}, "status"), ({"limit": 0}, "limit"), ({"limit": 201}, "limit"), ({"offset": -1}, "offset")],
)
async def test_page_refuses_what_it_can_not_mean(filters: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await node(Log(), Runner()).page(**filters)  # type: ignore[arg-type]
    assert [error.field for error in caught.value.errors] == [field]


async def test_a_plugin_without_code_here_is_an_error_here_only() -> None:
    log = Log()
    await node(log, Runner(manifest("a"), manifest("b"))).register_builtins()
    old_node = node(log, Runner(manifest("a")), "old")
    view = await old_node.get("b")
    assert (view.status, view.health_status) == ("error", "unhealthy")
    with pytest.raises(Conflict, match="can't run on node old, which lacks its code"):
        await old_node.execute(command("b"))


async def test_get_shows_the_contracts_fields() -> None:
    plugins = node(log := Log(), Runner(manifest("a")))
    view = await plugins.get("a")
    assert (view.id, view.name, view.version, view.type, view.status) == ("a", "A", "1.0", "processor", "active")
    assert (view.health_status, view.execution_count, view.average_duration_ms) == ("unknown", 0, None)
    assert view.created_at == view.updated_at == log.events[0].timestamp


async def test_status_joins_history_and_this_nodes_usage() -> None:
    plugins = node(Log(), Runner(manifest("a")))
    await plugins.execute(command())
    status = await plugins.status("a")
    assert (status.metrics.total_executions, status.metrics.successful_executions) == (1, 1)
    assert status.health_status == "healthy"
    assert status.resource_usage == ResourceUsage(1.0, 2.0, 3)
    assert status.metrics.uptime_seconds >= 0


async def test_what_does_not_exist_is_not_found() -> None:
    log = Log()
    plugins = node(log, Runner(manifest("a")))
    await plugins.register_builtins()
    await change(log, PluginEvent.REMOVED)
    for plugin_id in ("a", "never"):
        for call in (plugins.get(plugin_id), plugins.status(plugin_id), plugins.execute(command(plugin_id))):
            with pytest.raises(NotFound, match=f"there is no plugin '{plugin_id}'"):
                await call
    with pytest.raises(InvalidInput, match="plugin_id must be"):
        await plugins.get("No Slug")


async def test_an_inactive_plugin_does_not_run() -> None:
    log, runner = Log(), Runner(manifest("a"))
    plugins = node(log, runner)
    await plugins.register_builtins()
    await change(log, PluginEvent.DISABLED)
    with pytest.raises(Conflict, match="plugin 'a' is inactive"):
        await plugins.execute(command())
    assert runner.requests == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operation": "fly"}, "'fly' is not an operation of plugin 'a'; allowed are: run, stop"),
        ({"data": {"size": "big"}}, "parameters.data.size must be an integer"),
        ({"data": {"colour": 1}}, "parameters.data.colour is unknown; allowed are: size"),
        ({"timeout_seconds": 0.5}, "parameters.timeout_seconds must be 1 to 300"),
        ({"timeout_seconds": 301}, "parameters.timeout_seconds must be 1 to 300"),
        ({"timeout_seconds": float("nan")}, "parameters.timeout_seconds must be 1 to 300"),
    ],
)
async def test_wrong_input_is_refused_before_anything_is_recorded(changes: dict[str, object], message: str) -> None:
    log, runner = Log(), Runner(manifest("a"))
    with pytest.raises(InvalidInput) as caught:
        await node(log, runner).execute(command(**changes))
    assert message in str(caught.value)
    assert caught.value.errors
    assert (runner.requests, set(log.types()) - {"PluginRegistered"}) == ([], set())


async def test_no_operation_means_the_default_one() -> None:
    runner = Runner(manifest("a"))
    await node(Log(), runner).execute(command(operation=None))
    assert runner.requests[0].operation == "run"
