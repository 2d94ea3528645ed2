"""The composition root: builds every part, joins them, runs them and takes them down. Nothing else knows them all."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvloop
from starlette.types import ASGIApp

from flexcore.application.admission import Admission
from flexcore.application.assembly import buses
from flexcore.application.audit_trail import AuditTrail
from flexcore.application.background import Background
from flexcore.application.checkpoints import Checkpointer
from flexcore.application.events import Events
from flexcore.application.feed import Feed
from flexcore.application.health import HealthMonitor, Status
from flexcore.application.jobs import Tasks
from flexcore.application.membership import NodeRecord
from flexcore.application.pipeline_steps import PipelineSteps
from flexcore.application.plugins import Plugins
from flexcore.application.ports import Appended, LiveChannel
from flexcore.application.runtime import EffectiveSetting, Runtime
from flexcore.application.services import ServiceView
from flexcore.application.verification import Verifier
from flexcore.configuration import Configuration
from flexcore.infrastructure.access_services import AccessServices
from flexcore.infrastructure.checkpoints import NoCheckpoints
from flexcore.infrastructure.execution_services import ExecutionServices
from flexcore.infrastructure.jobs.engine import JobEngine
from flexcore.infrastructure.json_schema import JsonSchemaRules
from flexcore.infrastructure.plugin_runtime import PluginRuntime
from flexcore.infrastructure.postgres.audit_log import PostgresAuditLog
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.leadership import PostgresLeadershipTerms
from flexcore.infrastructure.postgres.probe import EventStoreProbe, PostgresProbe
from flexcore.infrastructure.postgres.read_models import ReadModels
from flexcore.infrastructure.postgres.snapshots import PostgresSnapshots
from flexcore.infrastructure.postgres.stored_chain import PostgresStoredChain
from flexcore.infrastructure.redis.coordination import Coordination
from flexcore.infrastructure.redis.probe import RedisProbe
from flexcore.infrastructure.sandbox.catalogue import BuiltinPlugins
from flexcore.infrastructure.sandbox.probe import PluginRuntimeProbe
from flexcore.infrastructure.services.directory import HttpServiceDirectory
from flexcore.infrastructure.telemetry import logs
from flexcore.infrastructure.telemetry.log_buffer import LogBuffer
from flexcore.infrastructure.telemetry.log_feed import BufferedLogFeed
from flexcore.infrastructure.telemetry.metrics import MeteredPluginRunner, Metrics
from flexcore.infrastructure.telemetry.process import measure
from flexcore.infrastructure.telemetry.self_checks import DiskProbe
from flexcore.infrastructure.telemetry.service_manager import notify
from flexcore.presentation.http.access import BearerTokens, EverybodyIsAdministrator
from flexcore.presentation.http.app import build_app, operation_table
from flexcore.presentation.http.lifecycle import Lifecycle
from flexcore.presentation.http.node import SERVICE, Node
from flexcore.presentation.http.routes.audit import AuditRoutes
from flexcore.presentation.http.routes.auth import AuthRoutes
from flexcore.presentation.http.routes.cluster import ClusterRoutes
from flexcore.presentation.http.routes.commands import CommandRoutes
from flexcore.presentation.http.routes.event_log import EventLogRoutes
from flexcore.presentation.http.routes.events import EventRoutes
from flexcore.presentation.http.routes.executions import ExecutionRoutes
from flexcore.presentation.http.routes.guide import GuideRoutes
from flexcore.presentation.http.routes.health import HealthRoutes
from flexcore.presentation.http.routes.logs import LogRoutes
from flexcore.presentation.http.routes.marketplace import MarketplaceRoutes
from flexcore.presentation.http.routes.pipelines import PipelineRoutes
from flexcore.presentation.http.routes.plugin_lifecycle import PluginLifecycleRoutes
from flexcore.presentation.http.routes.plugins import PluginRoutes
from flexcore.presentation.http.routes.queries import QueryRoutes
from flexcore.presentation.http.routes.runtime import RuntimeRoutes
from flexcore.presentation.http.routes.services import ServiceRoutes
from flexcore.presentation.http.routes.status import StatusRoutes
from flexcore.presentation.http.routes.tokens import TokenRoutes
from flexcore.presentation.http.routes.users import UserRoutes
from flexcore.presentation.http.server import Server, bind
from flexcore.presentation.http.tls import TlsFiles
from flexcore.presentation.http.uploads import PackageUploads
from flexcore.settings import Settings
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
    secrets,
    tune_collector,
)

VITAL: Final = frozenset({"postgresql", "event_store"})
"""Components without which the node is unhealthy; the others degrade it."""
NEEDED: Final = frozenset({"postgresql", "event_store", "redis", "plugin_runtime"})
"""Components without which a request could fail."""

SERVING_PAGE: Final = 1000
"""Events that a verification in the server looks at in one go, which holds up its requests for some milliseconds."""
EXIT_FORCED: Final = 1

_logger = logging.getLogger("flexcore.server")


@dataclass(frozen=True, slots=True)
class _Runtime:
    """The parts that the life of the process is about."""

    app: ASGIApp
    monitor: HealthMonitor
    plugins: Plugins
    node: Node


def serve(configuration: Configuration) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code; raises ListenError."""
    settings = configuration.settings
    tls = _tls(settings)
    context = None if tls is None else tls.context()
    listener = bind(settings.http.host, settings.http.port)
    buffer = LogBuffer(settings.logs.buffer_records)
    logs.install(
        level="debug" if settings.debug else settings.logs.level,
        buffer=buffer,
        node_id=settings.node_id,
        hidden=(secret.reveal() for secret in secrets(settings)),
    )
    for line in configuration.unused():
        _logger.warning(line)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(configuration, buffer, listener, tls, context))


async def _serve(
    configuration: Configuration,
    buffer: LogBuffer,
    listener: socket.socket,
    tls: TlsFiles | None,
    context: ssl.SSLContext | None,
) -> int:
    settings = configuration.settings
    url = _url(listener, context, settings.node_id)
    if context is None and settings.auth.mode == "token" and not _loopback(listener):
        _logger.warning(
            "tokens and passwords pass the network unencrypted: set http.tls_cert_file and http.tls_key_file, "
            "or let something that speaks TLS stand before FlexCore"
        )
    async with _runtime(configuration, buffer, url) as runtime:
        tune_collector()
        lifecycle = Lifecycle(
            Server(
                runtime.app,
                listener,
                context,
                new_id=new_id,
                on_listening=lambda: _announce(runtime.node, url),
            ),
            runtime.plugins,
            runtime.monitor,
            drain_seconds=settings.drain_seconds,
            on_stopping=lambda: _tell_service_manager("STOPPING=1"),
            on_reload=lambda: None if tls is None or context is None else tls.reload(context),
        )
        ended_in_order = await lifecycle.run()
    _logger.info("stopped")
    return 0 if ended_in_order else EXIT_FORCED


@asynccontextmanager
async def _runtime(configuration: Configuration, buffer: LogBuffer, url: str) -> AsyncIterator[_Runtime]:
    """Build the parts and start them in the order in which they need each other."""
    settings = configuration.settings
    node = Node(settings.node_id, version("flexcore"), settings.environment)
    metrics = Metrics(version=node.version, node_id=node.node_id)
    access = runtime_access(settings)
    database = Database(access, node_id=node.node_id)
    audit_log = PostgresAuditLog(database)
    audit = AuditTrail(audit_log, clock=now, new_id=new_id, node_id=node.node_id)
    store = PostgresEventStore(database)
    events = Events(store, new_id)
    events.listen(metrics.events_appended)
    feed = Feed(store)
    stored = PostgresStoredChain(database, page=SERVING_PAGE)
    checkpoints = checkpoint_file(settings)
    grants = builtin_grants(settings)
    packages = plugin_services(settings, builtins=BuiltinPlugins(grants), database=database, events=events)
    sandbox = PluginRuntime(
        events=events,
        audit=audit,
        node_id=node.node_id,
        configuration={plugin_id: grant.configuration for plugin_id, grant in grants.items()},
        own_port=urlsplit(url).port,
        access=sandbox_access(settings, grants),
    )
    runner = MeteredPluginRunner(sandbox.runner, metrics)
    coordination = Coordination(
        redis_access(settings),
        name=settings.cluster.name,
        identity=NodeRecord(node.node_id, new_id(), url, node.version, node.started_at),
        events=events,
        terms=PostgresLeadershipTerms(database),
        executions=lambda: admission.active,
        stopping=lambda: monitor.draining,
        clock=now,
    )
    accounts = AccessServices(
        database=database,
        channel=coordination.channel,
        clock=now,
        new_id=new_id,
        node_id=node.node_id,
        cluster=settings.cluster.name,
        machine_token=access_token(settings),
        first_password=None if settings.auth.admin_password is None else settings.auth.admin_password.reveal(),
        session_seconds=settings.auth.session_seconds,
        audit=audit,
    )
    admission = Admission(
        node_id=node.node_id,
        slots=settings.executions.slots,
        queue=settings.executions.queue,
        queue_seconds=settings.executions.queue_seconds,
        held=lambda: coordination.drain.reason,
    )
    services = ExecutionServices(
        database=database,
        events=events,
        runner=runner,
        clock=now,
        node_id=node.node_id,
        admission=admission,
        max_kept_result_bytes=settings.executions.max_kept_result_bytes,
        keep_results_hours=settings.executions.keep_results_hours,
    )
    executions = services.here
    tasks = Tasks()
    jobs = JobEngine(
        access,
        node_id=node.node_id,
        tasks=tasks,
        concurrency=settings.jobs.concurrency,
        may_take=lambda: admission.free > 0,
    )
    events.listen(lambda appended: _tell_of(coordination.channel, appended))
    coordination.channel.subscribe("events", lambda _: feed.wake())
    read_models = ReadModels(database, store, coordination.channel, coordination.leadership)
    metrics.watch_projections(lambda: read_models.lag.events)
    plugins = Plugins(
        registry=packages.registry,
        inventory=read_models.plugins,
        runner=runner,
        codes=packages.codes,
        rules=JsonSchemaRules(),
        executions=executions,
        new_id=new_id,
        node_id=node.node_id,
        max_timeout_seconds=settings.executions.max_timeout_seconds,
    )
    desk = buses(
        events=events,
        receipts=services.receipts,
        plugins=plugins,
        system=read_models.system,
        listed=read_models.pipelines,
        snapshots=PostgresSnapshots(database),
        new_id=new_id,
        clock=now,
        channel=coordination.channel,
        max_timeout_seconds=settings.executions.max_timeout_seconds,
    )
    packages.join(runner=runner, channel=coordination.channel, log=desk.log, commands=desk.commands)
    begin_executions, execution_desk = services.join(
        plugins=plugins,
        history=read_models.executions,
        channel=coordination.channel,
        leadership=coordination.leadership,
        tasks=tasks,
        log=desk.log,
        commands=desk.commands,
        queries=desk.queries,
    )
    steps = PipelineSteps(
        events=events,
        ends=services.ends,
        streams=desk.streams,
        plugins=plugins,
        executions=executions,
        results=services.results,
        clock=now,
        node_id=node.node_id,
    )
    steps.register(tasks, coordination.channel)
    redis_probe = RedisProbe(
        host=settings.redis.host,
        port=settings.redis.port,
        username=settings.redis.username,
        password=None if settings.redis.password is None else settings.redis.password.reveal(),
        node_id=node.node_id,
    )
    monitor = HealthMonitor(
        (
            PostgresProbe(access, node_id=node.node_id),
            redis_probe,
            EventStoreProbe(database),
            PluginRuntimeProbe(packages.codes, sandbox.runner, new_id),
            jobs.probe(admission),
            DiskProbe(Path(tempfile.gettempdir())),
        ),
        vital=VITAL,
        needed=NEEDED,
        held=lambda: coordination.drain.reason,
    )
    metrics.watch_cluster(coordination.cluster.overview, lambda: coordination.leadership.token is not None)
    metrics.watch_dependencies(lambda: _dependencies_up(monitor))
    directory = HttpServiceDirectory(settings.services, lambda: _itself(node, monitor, url))
    runtime = Runtime(
        membership=coordination.membership,
        leadership=coordination.leadership,
        executions=executions,
        workers=lambda: (jobs.worker(), *coordination.workers()),
        process=lambda: measure(runner, packages.codes),
        sandbox=sandbox.status,
        samples=metrics.samples,
        settings=[EffectiveSetting(*setting) for setting in configuration.values()],
    )
    operations = operation_table(
        (
            *HealthRoutes(monitor, node).operations(),
            *StatusRoutes(monitor, plugins, desk.pipelines, events, node).operations(),
            *PluginRoutes(plugins, begin_executions).operations(),
            *ExecutionRoutes(execution_desk).operations(),
            *PluginLifecycleRoutes(
                plugins, desk.commands, PackageUploads(packages.incoming, settings.plugins.max_package_bytes)
            ).operations(),
            *MarketplaceRoutes(packages.desk).operations(),
            *PipelineRoutes(desk.pipelines, desk.commands, desk.queries).operations(),
            *CommandRoutes(desk.commands).operations(),
            *QueryRoutes(desk.queries).operations(),
            *EventRoutes(events).operations(),
            *ClusterRoutes(coordination.cluster).operations(),
            *EventLogRoutes(feed, Verifier(stored, checkpoints or NoCheckpoints())).operations(),
            *AuthRoutes(accounts.login, accounts.users, accounts.directory).operations(),
            *UserRoutes(accounts.users).operations(),
            *TokenRoutes(accounts.tokens).operations(),
            *AuditRoutes(audit_log).operations(),
            *RuntimeRoutes(runtime, node).operations(),
            *LogRoutes(buffer, BufferedLogFeed(buffer), plugins).operations(),
            *ServiceRoutes(directory).operations(),
            *GuideRoutes(plugins, buffer).operations(),
        ),
        version=node.version,
        metrics=metrics.render,
        open_health=settings.auth.open_health,
    )
    app = build_app(
        operations,
        access=EverybodyIsAdministrator() if settings.auth.mode == "off" else BearerTokens(accounts.directory),
        audit=audit,
        max_body_bytes=settings.http.max_body_bytes,
        metrics=metrics,
        new_id=new_id,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        await database.connect()
        stack.push_async_callback(audit.close)
        audit.start()
        # Before anything that takes work, for it knows whether this node may.
        stack.push_async_callback(coordination.close)
        await coordination.start()
        stack.push_async_callback(accounts.close)
        accounts.start()
        stack.push_async_callback(sandbox.close)
        await sandbox.start()
        stack.push_async_callback(jobs.close)
        await jobs.start()
        stack.push_async_callback(read_models.close)
        read_models.start()
        stack.push_async_callback(redis_probe.close)
        stack.push_async_callback(directory.close)
        stack.push_async_callback(monitor.close)
        await monitor.start()
        stack.push_async_callback(packages.close)
        await packages.start()
        background = Background()
        stack.push_async_callback(background.close)
        if checkpoints is None:
            _logger.warning("no state_directory is set, so no checkpoints of the event log are signed")
        else:
            checkpointer = Checkpointer(stored, checkpoints, node_id=node.node_id, clock=now)
            background.run("checkpointer", checkpointer.run)
        stack.push_async_callback(services.close)
        services.start()
        yield _Runtime(app, monitor, plugins, node)


def _tell_of(channel: LiveChannel, appended: Appended) -> None:
    """Wake those who follow the log, on all nodes."""
    if appended.events:
        channel.publish("events", position=appended.events[-1].position)


def _tls(settings: Settings) -> TlsFiles | None:
    certificate, key = settings.http.tls_cert_file, settings.http.tls_key_file
    if certificate is None or key is None:
        return None
    return TlsFiles(Path(certificate), Path(key))


def _itself(node: Node, monitor: HealthMonitor, url: str) -> ServiceView:
    return ServiceView(
        service_name=SERVICE,
        url=url,
        status=monitor.snapshot().status.value,
        response_time_ms=0.0,
        last_check=now(),
        details={"version": node.version, "uptime": node.uptime_seconds, "node_id": node.node_id},
    )


def _dependencies_up(monitor: HealthMonitor) -> dict[str, bool]:
    return {name: found.status is Status.HEALTHY for name, found in monitor.snapshot().components.items()}


def _loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _url(listener: socket.socket, tls: ssl.SSLContext | None, node_id: str) -> str:
    """Return the address to reach this node at; one that listens everywhere goes by its name."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = node_id
    return f"{'http' if tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"


def _announce(node: Node, url: str) -> None:
    _logger.info("listening on %s", url, extra={"url": url, "version": node.version})
    _tell_service_manager("READY=1")


def _tell_service_manager(state: str) -> None:
    try:
        notify(state)
    except OSError as error:
        _logger.warning("cannot tell the service manager %s: %s", state, error.strerror)
