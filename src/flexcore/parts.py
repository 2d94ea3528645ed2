"""The parts of a node: built area by area from the settings, and joined in the order in which they need each other."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from urllib.parse import urlsplit

from flexcore.application.admission import Admission
from flexcore.application.assembly import buses
from flexcore.application.audit_trail import AuditTrail
from flexcore.application.jobs import Tasks
from flexcore.application.membership import NodeRecord
from flexcore.application.pipeline_steps import PipelineSteps
from flexcore.application.plugins import Plugins
from flexcore.application.runtime import EffectiveSetting, Runtime
from flexcore.application.services import ServiceView
from flexcore.configuration import Configuration
from flexcore.infrastructure.access_services import AccessServices
from flexcore.infrastructure.event_services import EventServices
from flexcore.infrastructure.execution_services import ExecutionServices
from flexcore.infrastructure.health_services import HealthServices
from flexcore.infrastructure.jobs.engine import JobEngine
from flexcore.infrastructure.json_schema import JsonSchemaRules
from flexcore.infrastructure.plugin_runtime import PluginRuntime
from flexcore.infrastructure.postgres.audit_log import PostgresAuditLog
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.leadership import PostgresLeadershipTerms
from flexcore.infrastructure.postgres.read_models import ReadModels
from flexcore.infrastructure.postgres.snapshots import PostgresSnapshots
from flexcore.infrastructure.redis.coordination import Coordination
from flexcore.infrastructure.sandbox.catalogue import BuiltinPlugins
from flexcore.infrastructure.sandbox.probe import PluginRuntimeProbe
from flexcore.infrastructure.services.directory import HttpServiceDirectory
from flexcore.infrastructure.telemetry.log_buffer import LogBuffer
from flexcore.infrastructure.telemetry.metrics import MeteredPluginRunner, Metrics
from flexcore.infrastructure.telemetry.process import measure
from flexcore.presentation.http.node import SERVICE, Node
from flexcore.wiring import (
    access_token,
    builtin_grants,
    checkpoint_file,
    new_id,
    now,
    plugin_services,
    redis_access,
    runtime_access,
    sandbox_access,
)


class Parts:
    """Everything that a node at `url` is made of but its routes. `buffer` holds its latest log records."""

    def __init__(self, configuration: Configuration, buffer: LogBuffer, url: str) -> None:
        settings = configuration.settings
        access = runtime_access(settings)
        self.node = node = Node(settings.node_id, version("flexcore"), settings.environment)
        self.url = url
        self.log_records = buffer
        self.metrics = Metrics(version=node.version, node_id=node.node_id)
        self.tasks = Tasks()

        self.database = Database(access, node_id=node.node_id)
        self.audit_log = PostgresAuditLog(self.database)
        self.audit = AuditTrail(self.audit_log, clock=now, new_id=new_id, node_id=node.node_id)
        self.log = EventServices(
            database=self.database,
            checkpoints=checkpoint_file(settings),
            clock=now,
            new_id=new_id,
            node_id=node.node_id,
        )
        events = self.log.events
        self.coordination = Coordination(
            redis_access(settings),
            name=settings.cluster.name,
            identity=NodeRecord(node.node_id, new_id(), url, node.version, node.started_at),
            events=events,
            terms=PostgresLeadershipTerms(self.database),
            executions=lambda: self.admission.active,
            stopping=lambda: self.health.monitor.draining,
            clock=now,
        )
        channel, leadership = self.coordination.channel, self.coordination.leadership
        self.accounts = AccessServices(
            database=self.database,
            channel=channel,
            clock=now,
            new_id=new_id,
            node_id=node.node_id,
            cluster=settings.cluster.name,
            machine_token=access_token(settings),
            first_password=None if settings.auth.admin_password is None else settings.auth.admin_password.reveal(),
            session_seconds=settings.auth.session_seconds,
            audit=self.audit,
        )
        self.read_models = ReadModels(self.database, self.log.store, channel, leadership)

        grants = builtin_grants(settings)
        self.packages = plugin_services(
            settings, builtins=BuiltinPlugins(grants), database=self.database, events=events
        )
        self.sandbox = PluginRuntime(
            events=events,
            audit=self.audit,
            node_id=node.node_id,
            configuration={plugin_id: grant.configuration for plugin_id, grant in grants.items()},
            own_port=urlsplit(url).port,
            access=sandbox_access(settings, grants),
        )
        self._runner = MeteredPluginRunner(self.sandbox.runner, self.metrics)
        self.admission = Admission(
            node_id=node.node_id,
            slots=settings.executions.slots,
            queue=settings.executions.queue,
            queue_seconds=settings.executions.queue_seconds,
            held=lambda: self.coordination.drain.reason,
        )
        self.executions = ExecutionServices(
            database=self.database,
            events=events,
            runner=self._runner,
            clock=now,
            node_id=node.node_id,
            admission=self.admission,
            max_kept_result_bytes=settings.executions.max_kept_result_bytes,
            keep_results_hours=settings.executions.keep_results_hours,
        )
        self.plugins = Plugins(
            registry=self.packages.registry,
            inventory=self.read_models.plugins,
            runner=self._runner,
            codes=self.packages.codes,
            rules=JsonSchemaRules(),
            executions=self.executions.here,
            new_id=new_id,
            node_id=node.node_id,
            max_timeout_seconds=settings.executions.max_timeout_seconds,
        )
        self.desk = buses(
            events=events,
            receipts=self.executions.receipts,
            plugins=self.plugins,
            system=self.read_models.system,
            listed=self.read_models.pipelines,
            snapshots=PostgresSnapshots(self.database),
            new_id=new_id,
            clock=now,
            channel=channel,
            max_timeout_seconds=settings.executions.max_timeout_seconds,
        )

        self.jobs = JobEngine(
            access,
            node_id=node.node_id,
            tasks=self.tasks,
            concurrency=settings.jobs.concurrency,
            may_take=lambda: self.admission.free > 0,
        )
        self.health = HealthServices(
            postgres=access,
            database=self.database,
            redis=redis_access(settings),
            probes=(
                PluginRuntimeProbe(self.packages.codes, self.sandbox.runner, new_id),
                self.jobs.probe(self.admission),
            ),
            held=lambda: self.coordination.drain.reason,
            node_id=node.node_id,
        )
        self.neighbours = HttpServiceDirectory(settings.services, self._itself)
        self.runtime = Runtime(
            membership=self.coordination.membership,
            leadership=leadership,
            executions=self.executions.here,
            workers=lambda: (self.jobs.worker(), *self.coordination.workers()),
            process=lambda: measure(self._runner, self.packages.codes),
            sandbox=self.sandbox.status,
            samples=self.metrics.samples,
            settings=[EffectiveSetting(*setting) for setting in configuration.values()],
        )
        self._join()

    def _join(self) -> None:
        """Let the areas know of each other."""
        channel, leadership, desk = self.coordination.channel, self.coordination.leadership, self.desk
        self.log.events.listen(self.metrics.events_appended)
        self.log.join(channel)
        self.packages.join(runner=self._runner, channel=channel, log=desk.log, commands=desk.commands)
        self.begin_executions, self.execution_desk = self.executions.join(
            plugins=self.plugins,
            history=self.read_models.executions,
            channel=channel,
            leadership=leadership,
            tasks=self.tasks,
            log=desk.log,
            commands=desk.commands,
            queries=desk.queries,
        )
        PipelineSteps(
            events=self.log.events,
            ends=self.executions.ends,
            streams=desk.streams,
            plugins=self.plugins,
            executions=self.executions.here,
            results=self.executions.results,
            clock=now,
            node_id=self.node.node_id,
        ).register(self.tasks, channel)
        self.metrics.watch_projections(lambda: self.read_models.lag.events)
        self.metrics.watch_cluster(self.coordination.cluster.overview, lambda: leadership.token is not None)
        self.metrics.watch_dependencies(self.health.components_up)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the parts in the order in which they need each other, and end them in the opposite one."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            await self.database.connect()
            stack.push_async_callback(self.audit.close)
            self.audit.start()
            # Before anything that takes work, for it knows whether this node may.
            stack.push_async_callback(self.coordination.close)
            await self.coordination.start()
            stack.push_async_callback(self.accounts.close)
            self.accounts.start()
            stack.push_async_callback(self.sandbox.close)
            await self.sandbox.start()
            stack.push_async_callback(self.jobs.close)
            await self.jobs.start()
            stack.push_async_callback(self.read_models.close)
            self.read_models.start()
            stack.push_async_callback(self.neighbours.close)
            stack.push_async_callback(self.health.close)
            await self.health.start()
            stack.push_async_callback(self.packages.close)
            await self.packages.start()
            stack.push_async_callback(self.log.close)
            self.log.start()
            stack.push_async_callback(self.executions.close)
            self.executions.start()
            yield

    def _itself(self) -> ServiceView:
        node = self.node
        return ServiceView(
            service_name=SERVICE,
            url=self.url,
            status=self.health.monitor.snapshot().status.value,
            response_time_ms=0.0,
            last_check=now(),
            details={"version": node.version, "uptime": node.uptime_seconds, "node_id": node.node_id},
        )
