"""How the settings reach what FlexCore connects to, and the small things that every process of it needs."""

import gc
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import uuid_utils

from flexcore.application.events import Events
from flexcore.application.ports import PluginCodes
from flexcore.domain.manifest import Permissions
from flexcore.infrastructure.checkpoints import CheckpointFile
from flexcore.infrastructure.marketplace.signatures import TrustedKeys
from flexcore.infrastructure.plugin_runtime import SandboxAccess
from flexcore.infrastructure.plugin_services import PluginServices
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.redis.connection import RedisAccess
from flexcore.infrastructure.sandbox.catalogue import Grant
from flexcore.settings import Secret, Settings

POSTGRES_PORT: Final = 5432


def runtime_access(settings: Settings) -> PostgresAccess:
    """How the server reaches its database."""
    postgres = settings.postgres
    return PostgresAccess(postgres.host, postgres.port, postgres.database, postgres.user, given(postgres.password))


def owner_access(settings: Settings) -> PostgresAccess:
    """How the owner of the schema reaches it, for migrations."""
    postgres = settings.postgres
    return PostgresAccess(
        postgres.host, postgres.port, postgres.database, postgres.owner_user, given(postgres.owner_password)
    )


def redis_access(settings: Settings) -> RedisAccess:
    """How the server reaches Redis."""
    redis = settings.redis
    password = None if redis.password is None else redis.password.reveal()
    return RedisAccess(redis.host, redis.port, redis.username, password)


def access_token(settings: Settings) -> str:
    """Return the token of the machines; one that nobody knows where nobody is asked for one."""
    return uuid_utils.uuid4().hex if settings.auth.token is None else settings.auth.token.reveal()


def sandbox_access(settings: Settings, grants: Mapping[str, Grant]) -> SandboxAccess:
    """How the server reaches its sandbox, and what plugins reach from there."""
    sandbox, postgres, redis = settings.sandbox, settings.postgres, settings.redis
    granted = {plugin_id: tuple(rules) for plugin_id, rules in sandbox.network.items()}
    for plugin_id, grant in grants.items():
        granted[plugin_id] = (*granted.get(plugin_id, ()), *grant.permissions.network)
    return SandboxAccess(
        strict=sandbox.mode == "strict",
        socket=None if sandbox.socket is None else Path(sandbox.socket),
        credentials=None if sandbox.credentials_directory is None else Path(sandbox.credentials_directory),
        granted=granted,
        protected=((postgres.host, postgres.port), (redis.host, redis.port)),
    )


def given(secret: Secret | None) -> str:
    """Return a secret that the configuration was loaded with as required."""
    if secret is None:
        raise ValueError("a required secret is missing from a loaded configuration")
    return secret.reveal()


def checkpoint_file(settings: Settings) -> CheckpointFile | None:
    """Return where this node keeps its signed checkpoints, None if it has no state directory."""
    return None if settings.state_directory is None else CheckpointFile(Path(settings.state_directory))


def plugin_services(settings: Settings, *, builtins: PluginCodes, database: Database, events: Events) -> PluginServices:
    """Build what knows which plugins there are and brings their packages here."""
    directory = settings.plugins.directory
    if directory is None and settings.state_directory is not None:
        directory = str(Path(settings.state_directory, "plugins"))
    return PluginServices(
        database=database,
        events=events,
        builtins=builtins,
        directory=None if directory is None else Path(directory).absolute(),
        max_package_bytes=settings.plugins.max_package_bytes,
        marketplace=settings.marketplace.source,
        keys=TrustedKeys(settings.marketplace.trusted_keys),
        require_signature=settings.plugins.require_signature,
        allow_unsigned=settings.marketplace.allow_unsigned,
        new_id=new_id,
        node_id=settings.node_id,
    )


def secrets(settings: Settings) -> Iterator[Secret]:
    """Every secret that is set, for whoever has to keep them out of what it shows."""
    candidates = (
        settings.auth.token,
        settings.auth.admin_password,
        settings.postgres.password,
        settings.postgres.owner_password,
        settings.redis.password,
        settings.event_store.connection,
    )
    yield from (secret for secret in candidates if secret is not None)


def builtin_grants(settings: Settings) -> dict[str, Grant]:
    """Return what the settings let the built-in plugins do, and what they tell them."""
    grants = {}
    if (url := settings.services.get("flext-service")) is not None:
        address = urlsplit(url)
        where = _where(address, 443 if address.scheme == "https" else 80)
        grants["flext-service"] = Grant(Permissions(network=(where,)), {"url": url})
    builtins = settings.builtins
    if builtins.read or builtins.write:
        grants["data-processor"] = Grant(Permissions(read=tuple(builtins.read), write=tuple(builtins.write)))
    if builtins.postgres_connections:
        addresses = {name: urlsplit(url) for name, url in builtins.postgres_connections.items()}
        network = dict.fromkeys(_where(address, POSTGRES_PORT) for address in addresses.values())
        passwords = tuple(f"{name}_password" for name in addresses)
        known = {name: _connection(name, address) for name, address in addresses.items()}
        grants["postgres-processor"] = Grant(
            Permissions(network=tuple(network), secrets=passwords), {"connections": known}
        )
    return grants


def _connection(name: str, address: SplitResult) -> dict[str, Any]:
    """Tell postgres-processor about one database."""
    return {
        "host": address.hostname,
        "port": address.port or POSTGRES_PORT,
        "user": unquote(address.username or ""),
        "database": unquote(address.path.removeprefix("/")),
        "sslmode": address.query.removeprefix("sslmode=") or "prefer",
        "secret": f"{name}_password",
    }


def _where(address: SplitResult, usual_port: int) -> str:
    """Write host and port as a permission has them."""
    host = address.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{address.port or usual_port}"


def tune_collector() -> None:
    """Let the garbage collector look at new objects only, and seldom; for a process whose parts are all built.

    Events and requests are trees: they go with their last reference. By default the collector searches all of them
    for cycles every 700 allocations, which takes half the time of a replay and shows in the slowest requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def new_id() -> str:
    """Return a fresh UUIDv7."""
    return str(uuid_utils.uuid7())


def now() -> datetime:
    """Return the present time, aware and in UTC."""
    return datetime.now(UTC)
