"""Nodes that share pipelines, one log, one queue and one channel, in memory."""

import asyncio
import json
import uuid
from typing import Any

from flexcore.application.aggregates import Aggregates, Snapshot
from flexcore.application.command_bus import CommandBus, CommandLog, Outcome, Request
from flexcore.application.commands import ActivatePipeline, CreatePipeline, StartPipeline
from flexcore.application.events import Events
from flexcore.application.execution_ends import ExecutionEnds
from flexcore.application.jobs import Tasks
from flexcore.application.pipeline_snapshots import PIPELINES
from flexcore.application.pipeline_steps import RUN_ENDED, PipelineSteps
from flexcore.application.pipeline_streams import PipelineStreams
from flexcore.application.pipeline_views import PipelinePage, PipelineStatusView
from flexcore.application.pipelines import RUN_STEP, Pipelines
from flexcore.application.ports import Job
from flexcore.domain.pipeline_definition import PipelineDefinition, StepDefinition
from tests.unit.application.execution_doubles import Installation, Node


class NoSnapshots:
    """Keeps none."""

    async def newest(self, aggregate_type: str, aggregate_id: str, schema_version: int) -> Snapshot | None:
        return None

    async def keep(self, snapshot: Snapshot) -> None:
        """Do nothing."""


class NoList:
    """Lists none."""

    async def page(self, *, status: str | None, limit: int, offset: int) -> PipelinePage:
        return PipelinePage((), 0, limit, offset)

    async def running(self) -> int:
        return 0


class PipelineNode:
    """One node's use cases of pipelines."""

    def __init__(self, installation: Installation, node_id: str) -> None:
        log = installation.log
        self.log = log
        self.node: Node = installation.node(node_id)
        self.runner = self.node.runner
        events = Events(log, lambda: str(uuid.uuid4()))
        commands = CommandLog(events, log, lambda: installation.time)
        streams = PipelineStreams(Aggregates(PIPELINES, events, NoSnapshots()))
        self.pipelines = Pipelines(
            log=commands,
            streams=streams,
            listed=NoList(),
            plugins=self.node.plugins,
            new_id=lambda: str(uuid.uuid4()),
            clock=lambda: installation.time,
            max_timeout_seconds=300,
            on_cancelled=lambda execution_id: installation.channel.publish(RUN_ENDED, execution_id=execution_id),
        )
        self.commands = CommandBus(commands)
        self.pipelines.register(self.commands)
        self.steps = PipelineSteps(
            events=events,
            ends=ExecutionEnds(events, log),
            streams=streams,
            plugins=self.node.plugins,
            executions=self.node.executions,
            results=installation.results,
            clock=lambda: installation.time,
            node_id=node_id,
            draw=lambda: 0.0,
        )
        self.steps.register(Tasks(), installation.channel)

    async def send(self, command: object, key: str | None = None) -> Outcome:
        return await self.commands.send(command, Request("c-1", "ann", key, "f"))

    async def start(self, *steps: StepDefinition, **parameters: Any) -> str:
        """Create, activate and start a pipeline; gives its id."""
        created = await self.send(CreatePipeline(PipelineDefinition("orders", steps)))
        await self.send(ActivatePipeline(created.aggregate_id))
        await self.send(StartPipeline(created.aggregate_id, parameters))
        return created.aggregate_id

    async def status(self, pipeline_id: str) -> PipelineStatusView:
        return await self.pipelines.status(pipeline_id)

    def jobs(self) -> list[Job]:
        """The jobs of steps that were ever queued."""
        return [job for job in self.log.jobs if job.task == RUN_STEP]

    def work(self, job: Job) -> "asyncio.Task[None]":
        """Do a job, as the worker does: with its arguments as JSON brings them."""
        return asyncio.create_task(self.steps.run(json.loads(json.dumps(job.arguments))))

    async def reached(self) -> None:
        """Wait until one more plugin runs."""
        async with asyncio.timeout(5):
            await self.runner.reached.acquire()

    def types(self, pipeline_id: str) -> list[str]:
        return [event.type for event in self.log.events if event.aggregate_id == pipeline_id]
