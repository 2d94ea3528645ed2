"""Joins the buses with those who do the commands and answer the queries."""

from dataclasses import dataclass
from typing import Any

from flexcore.application.aggregates import Aggregates, Snapshots
from flexcore.application.command_bus import CommandBus, CommandLog
from flexcore.application.events import Events
from flexcore.application.pipeline_list import PipelineList
from flexcore.application.pipeline_snapshots import PIPELINES
from flexcore.application.pipeline_steps import RUN_ENDED
from flexcore.application.pipeline_streams import PipelineStreams
from flexcore.application.pipelines import Pipelines
from flexcore.application.plugin_views import PluginPage
from flexcore.application.plugins import Plugins
from flexcore.application.ports import Clock, LiveChannel, NewId, Receipts
from flexcore.application.queries import GetPipelineStatus, GetSystemMetrics, ListActivePlugins
from flexcore.application.query_bus import QueryBus
from flexcore.application.read_models.system_metrics import SystemMetrics


@dataclass(frozen=True, slots=True)
class Buses:
    """Where commands and queries go, and the pipelines for what no query asks."""

    commands: CommandBus
    queries: QueryBus
    pipelines: Pipelines
    streams: PipelineStreams
    log: CommandLog


def buses(
    *,
    events: Events,
    receipts: Receipts,
    plugins: Plugins,
    system: SystemMetrics,
    listed: PipelineList,
    snapshots: Snapshots,
    new_id: NewId,
    clock: Clock,
    channel: LiveChannel,
    max_timeout_seconds: int,
) -> Buses:
    """Build the buses with all their handlers."""
    log = CommandLog(events, receipts, clock)
    streams = PipelineStreams(Aggregates(PIPELINES, events, snapshots))
    pipelines = Pipelines(
        log=log,
        streams=streams,
        listed=listed,
        plugins=plugins,
        new_id=new_id,
        clock=clock,
        max_timeout_seconds=max_timeout_seconds,
        on_cancelled=lambda execution_id: channel.publish(RUN_ENDED, execution_id=execution_id),
    )
    commands = CommandBus(log)
    pipelines.register(commands)
    queries = QueryBus()

    async def active_plugins(query: ListActivePlugins) -> PluginPage:
        return await plugins.page(status="active", type=query.type, limit=query.limit, offset=query.offset)

    async def system_metrics(query: GetSystemMetrics) -> dict[str, Any]:
        return (await system.read()).counters()

    queries.register(GetPipelineStatus, lambda query: pipelines.status(query.pipeline_id))
    queries.register(ListActivePlugins, active_plugins)
    queries.register(GetSystemMetrics, system_metrics)
    return Buses(commands, queries, pipelines, streams, log)
