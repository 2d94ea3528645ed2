"""Nodes that share one log, one queue and one channel, in memory."""

import asyncio
import itertools
import json
from collections.abc import Collection
from datetime import datetime

from flexcore.application.admission import Admission
from flexcore.application.cancellation import Cancellation
from flexcore.application.command_bus import CommandBus, CommandLog
from flexcore.application.events import Events
from flexcore.application.execution_ends import ExecutionEnds
from flexcore.application.execution_history import ExecutionDesk
from flexcore.application.executions import Executions
from flexcore.application.orphans import OrphanSweep
from flexcore.application.plugin_codes import NodePlugins
from flexcore.application.plugin_executions import PluginExecutions
from flexcore.application.plugin_registry import PluginRegistry
from flexcore.application.plugin_views import ExecutePlugin
from flexcore.application.plugins import Plugins
from flexcore.application.queued_executions import QueuedExecutions
from flexcore.application.read_models.execution_history import (
    ExecutionHistoryProjection,
    ExecutionPage,
    ExecutionQuery,
    ExecutionRow,
)
from flexcore.infrastructure.json_schema import JsonSchemaRules
from tests.unit.application.cluster_doubles import Channel
from tests.unit.application.doubles import START, Log, Results, Runner, manifest


class History:
    """ExecutionHistory, folded from the log at each question."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def rows(self) -> dict[str, ExecutionRow]:
        projection = ExecutionHistoryProjection()
        rows: dict[str, ExecutionRow] = {}
        for event in self._log.events:
            if (key := projection.key(event)) is not None:
                rows[key] = projection.apply(rows.get(key), event)
        return rows

    async def page(self, query: ExecutionQuery) -> ExecutionPage:
        rows = sorted(self.rows().values(), key=lambda row: -row.position)
        found = [row for row in rows if query.status in (None, row.status)]
        return ExecutionPage(tuple(found[: query.limit]), None, has_more=False)

    async def get(self, execution_id: str) -> ExecutionRow | None:
        return self.rows().get(execution_id)

    async def overdue(self, at: datetime, limit: int = 100) -> list[ExecutionRow]:
        rows = self.rows().values()
        return [row for row in rows if row.status == "running" and row.deadline is not None and row.deadline < at]


class CancelRequests:
    """The port of the same name."""

    def __init__(self) -> None:
        self.wanted: set[str] = set()

    async def add(self, execution_id: str) -> None:
        self.wanted.add(execution_id)

    async def among(self, execution_ids: Collection[str]) -> set[str]:
        return self.wanted & set(execution_ids)


class Queue:
    """ExecutionQueue over the log's jobs."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.time = START
        self.forgotten = 0

    async def now(self) -> datetime:
        return self.time

    async def queued(self, execution_ids: Collection[str]) -> set[str]:
        return {job.arguments["execution_id"] for job in self._log.jobs} & set(execution_ids)

    async def forget(self) -> None:
        self.forgotten += 1


class Installation:
    """What all nodes of a test share."""

    def __init__(self) -> None:
        self.log = Log()
        self.results = Results()
        self.requests = CancelRequests()
        self.channel = Channel()
        self.history = History(self.log)
        self.queue = Queue(self.log)
        self.time = START

    def node(self, node_id: str, slots: int = 2) -> "Node":
        return Node(self, node_id, slots)


class Node:
    """One node's use cases."""

    def __init__(self, installation: Installation, node_id: str, slots: int) -> None:
        numbers = itertools.count(1)
        log = installation.log
        events = Events(log, lambda: f"{node_id}-{next(numbers)}")
        ends = ExecutionEnds(events, log)
        self._log = log
        self.runner = Runner(manifest("a"))
        self.executions = Executions(
            events=events,
            ends=ends,
            results=installation.results,
            runner=self.runner,
            clock=lambda: installation.time,
            node_id=node_id,
            admission=Admission(node_id=node_id, slots=slots),
        )
        codes = NodePlugins(self.runner)
        self.plugins = Plugins(
            registry=PluginRegistry(
                events=events,
                history=log,
                builtins=codes.builtins,
                new_id=lambda: f"{node_id}-{next(numbers)}",
                node_id=node_id,
            ),
            inventory=log,
            runner=self.runner,
            codes=codes,
            rules=JsonSchemaRules(),
            executions=self.executions,
            new_id=lambda: f"{node_id}-{next(numbers)}",
            node_id=node_id,
            max_timeout_seconds=300,
        )
        self.cancellation = Cancellation(installation.requests, installation.channel, self.executions)
        commands_log = CommandLog(events, log, lambda: START)
        commands = CommandBus(commands_log)
        self.queued = QueuedExecutions(
            log=commands_log,
            ends=ends,
            plugins=self.plugins,
            executions=self.executions,
            cancellation=self.cancellation,
            clock=lambda: installation.time,
            node_id=node_id,
        )
        commands.register(ExecutePlugin, self.queued.queue)
        self.begin = PluginExecutions(
            plugins=self.plugins,
            executions=self.executions,
            commands=commands,
            ends=ends,
            receipts=log,
            results=installation.results,
        )
        self.desk = ExecutionDesk(
            history=installation.history,
            ends=ends,
            results=installation.results,
            cancellation=self.cancellation,
            node_id=node_id,
        )
        self.sweep = OrphanSweep(installation.history, ends, installation.queue)

    def work(self, number: int = 0) -> "asyncio.Task[None]":
        """Begin the job of this number, as the worker does: with its arguments as JSON brings them."""
        arguments = json.loads(json.dumps(self._log.jobs[number].arguments))
        return asyncio.create_task(self.queued.run(arguments))

    async def reached(self) -> None:
        """Wait until one more plugin runs."""
        async with asyncio.timeout(5):
            await self.runner.reached.acquire()
