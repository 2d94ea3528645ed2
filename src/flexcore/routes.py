"""What a node answers to: its routes, each with the parts that it asks, as one application."""

from collections.abc import Iterator

from starlette.types import ASGIApp

from flexcore.infrastructure.telemetry.log_feed import BufferedLogFeed
from flexcore.parts import Parts
from flexcore.presentation.http.access import BearerTokens, EverybodyIsAdministrator
from flexcore.presentation.http.app import build_app, operation_table
from flexcore.presentation.http.operations import Operation
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
from flexcore.presentation.http.uploads import PackageUploads
from flexcore.settings import Settings
from flexcore.wiring import new_id


def application(settings: Settings, parts: Parts) -> ASGIApp:
    """Return the application that serves every route of a node."""
    nobody_is_asked = settings.auth.mode == "off"
    return build_app(
        operation_table(
            _operations(settings, parts),
            version=parts.node.version,
            metrics=parts.metrics.render,
            open_health=settings.auth.open_health,
        ),
        access=EverybodyIsAdministrator() if nobody_is_asked else BearerTokens(parts.accounts.directory),
        audit=parts.audit,
        max_body_bytes=settings.http.max_body_bytes,
        metrics=parts.metrics,
        new_id=new_id,
    )


def _operations(settings: Settings, parts: Parts) -> Iterator[Operation]:
    node, plugins, desk = parts.node, parts.plugins, parts.desk
    events, accounts, records = parts.log.events, parts.accounts, parts.log_records
    uploads = PackageUploads(parts.packages.incoming, settings.plugins.max_package_bytes)
    yield from HealthRoutes(parts.health.monitor, node).operations()
    yield from StatusRoutes(parts.health.monitor, plugins, desk.pipelines, events, node).operations()
    yield from PluginRoutes(plugins, parts.begin_executions).operations()
    yield from ExecutionRoutes(parts.execution_desk).operations()
    yield from PluginLifecycleRoutes(plugins, desk.commands, uploads).operations()
    yield from MarketplaceRoutes(parts.packages.desk).operations()
    yield from PipelineRoutes(desk.pipelines, desk.commands, desk.queries).operations()
    yield from CommandRoutes(desk.commands).operations()
    yield from QueryRoutes(desk.queries).operations()
    yield from EventRoutes(events).operations()
    yield from ClusterRoutes(parts.coordination.cluster).operations()
    yield from EventLogRoutes(parts.log.feed, parts.log.verifier).operations()
    yield from AuthRoutes(accounts.login, accounts.users, accounts.directory).operations()
    yield from UserRoutes(accounts.users).operations()
    yield from TokenRoutes(accounts.tokens).operations()
    yield from AuditRoutes(parts.audit_log).operations()
    yield from RuntimeRoutes(parts.runtime, node).operations()
    yield from LogRoutes(records, BufferedLogFeed(records), plugins).operations()
    yield from ServiceRoutes(parts.neighbours).operations()
    yield from GuideRoutes(plugins, records).operations()
