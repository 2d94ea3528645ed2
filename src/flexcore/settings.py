"""FlexCore's settings: the one place that knows their names, types, limits, defaults and environment variables.

Every leaf is declared with `option` or `secret`; `flexcore.configuration` reads the declarations to load, check and
explain the values. A setting `http.port` stands under `http:` `port:` in config.yaml.
"""

import socket
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

DEVELOPMENT_PASSWORD = "flexcore_dev_2025"  # noqa: S105 - public by contract, and refused in production
MINIMUM_TOKEN_LENGTH = 24


class Secret:
    """A value that never shows itself: `str`, `repr` and f-strings give `***`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, for the one call that has to send it."""
        return self._value

    def __repr__(self) -> str:
        return "***"


def option(
    description: str, *, env: str | None = None, allowed: str | None = None, unused: str | None = None, **limits: Any
) -> Meta:
    """Declare a setting: `env` overrides the file; `allowed` words a limit that a pattern alone would obscure.

    `unused` says why this version takes the setting, as deployments give it, and yet does nothing with it.
    """
    if unused:
        description = f"{description}; not used, {unused}"
    return Meta(description=description, extra={"env": env, "allowed": allowed, "unused": unused}, **limits)


def secret(description: str, *, env: str, credential: str, minimum: int = 1, development: str | None = None) -> Meta:
    """Declare a secret: read from `env`, the file named by `env`_FILE, or the systemd credential, in this order.

    Secrets are never read from config.yaml. `minimum` is a length in characters; `development` is a default that
    exists only with `environment: development`.
    """
    extra = {"env": env, "credential": credential, "minimum": minimum, "development": development}
    return Meta(description=description, extra={**extra, "allowed": None, "unused": None})


Port = Annotated[int, Meta(ge=1, le=65535)]
HostName = Annotated[str, Meta(pattern=r"^[^\s/@]{1,253}$")]
Text = Annotated[str, Meta(min_length=1)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")]
MarketplaceSource = Annotated[str, Meta(pattern=r"^(/|https?://[^\s/@]+(/|$))[^\s@?#]*$")]
KeyName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
PublicKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=$")]
# Host and port in a URL: a name, an address, or one of IPv6 in brackets; ports up to 65535.
_PORT = r"([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])"
_PLACE = rf"([^\s:/?#@\[\]]+|\[[0-9A-Fa-f:.]+\])(:{_PORT})?"
HOST = "a host name or an address"
URL = "an http:// or https:// URL without credentials"
NO_GRPC = "this version serves no gRPC"
NO_TRACES = "this version exports no traces"


class HttpSettings(Struct, frozen=True, kw_only=True):
    """The listening socket."""

    host: Annotated[HostName, option("Address to listen on", env="FLEXCORE_HOST", allowed=HOST)] = "127.0.0.1"
    port: Annotated[int, option("TCP port to listen on; 0 takes any free one", env="FLEXCORE_PORT", ge=0, le=65535)] = (
        8080
    )
    max_body_bytes: Annotated[
        int, option("Largest request body in bytes", env="FLEXCORE_MAX_BODY_BYTES", ge=1024, le=1 << 30)
    ] = 10 * 1024 * 1024
    tls_cert_file: Annotated[
        Text | None, option("PEM certificate chain; serves HTTPS", env="FLEXCORE_TLS_CERT_FILE")
    ] = None
    tls_key_file: Annotated[Text | None, option("PEM private key of the certificate", env="FLEXCORE_TLS_KEY_FILE")] = (
        None
    )


class GrpcSettings(Struct, frozen=True, kw_only=True):
    """The gRPC side of the API."""

    port: Annotated[Port, option("TCP port for gRPC", env="FLEXCORE_GRPC_PORT", unused=NO_GRPC)] = 50051


class AuthSettings(Struct, frozen=True, kw_only=True):
    """Who may call the API."""

    mode: Annotated[
        Literal["token", "off"],
        option("By token, or no check at all (development on a loopback address only)", env="FLEXCORE_AUTH_MODE"),
    ] = "token"
    token: Annotated[
        Secret | None,
        secret(
            "Bearer token of the machines that look after this cluster, with administrator rights",
            env="FLEXCORE_API_TOKEN",
            credential="api_token",
            minimum=MINIMUM_TOKEN_LENGTH,
        ),
    ] = None
    admin_password: Annotated[
        Secret | None,
        secret(
            "Password of the user `admin`, who is made when there are no users; later it is not looked at",
            env="FLEXCORE_ADMIN_PASSWORD",
            credential="admin_password",
            minimum=12,
        ),
    ] = None
    session_seconds: Annotated[
        int, option("How long a login lasts, in seconds", env="FLEXCORE_SESSION_SECONDS", ge=60, le=7 * 24 * 3600)
    ] = 3600
    open_health: Annotated[
        bool,
        option("Whether /health and below, /metrics and /info answer without a token", env="FLEXCORE_OPEN_HEALTH"),
    ] = True


class PostgresSettings(Struct, frozen=True, kw_only=True):
    """The database that holds the events."""

    host: Annotated[HostName, option("PostgreSQL host", env="POSTGRES_HOST", allowed=HOST)] = "127.0.0.1"
    port: Annotated[Port, option("PostgreSQL port", env="POSTGRES_PORT")] = 5432
    database: Annotated[str, option("Database name", env="POSTGRES_DB", min_length=1, max_length=63)] = "flexcore"
    user: Annotated[str, option("Role of the running server", env="POSTGRES_USER", min_length=1, max_length=63)] = (
        "flexcore"
    )
    owner_user: Annotated[
        str, option("Role that owns the schema and migrates it", env="POSTGRES_OWNER_USER", min_length=1, max_length=63)
    ] = "flexcore_owner"
    password: Annotated[
        Secret | None,
        secret(
            "Password of the running server's role",
            env="POSTGRES_PASSWORD",
            credential="postgres_password",
            development=DEVELOPMENT_PASSWORD,
        ),
    ] = None
    owner_password: Annotated[
        Secret | None,
        secret(
            "Password of the owner role; only `flexcore migrate` needs it",
            env="POSTGRES_OWNER_PASSWORD",
            credential="postgres_owner_password",
            development=DEVELOPMENT_PASSWORD,
        ),
    ] = None


class RedisSettings(Struct, frozen=True, kw_only=True):
    """Coordination between nodes."""

    host: Annotated[HostName, option("Redis host", env="REDIS_HOST", allowed=HOST)] = "127.0.0.1"
    port: Annotated[Port, option("Redis port", env="REDIS_PORT")] = 6379
    username: Annotated[Text | None, option("Redis ACL user", env="REDIS_USERNAME")] = None
    password: Annotated[
        Secret | None, secret("Password of the Redis user", env="REDIS_PASSWORD", credential="redis_password")
    ] = None


class ClusterSettings(Struct, frozen=True, kw_only=True):
    """The nodes that share one PostgreSQL and one Redis."""

    name: Annotated[
        str,
        option("Name of the cluster in its routes", env="FLEXCORE_CLUSTER_NAME", min_length=1, max_length=63),
    ] = "flexcore"


class EventStoreSettings(Struct, frozen=True, kw_only=True):
    """Where events are kept."""

    type: Annotated[Literal["postgres"], option("Kind of event store", env="EVENT_STORE_TYPE")] = "postgres"
    connection: Annotated[
        Secret | None,
        secret(
            "postgres:// address that overrides postgres.host, port, database, user and password",
            env="EVENT_STORE_CONNECTION",
            credential="event_store_connection",
        ),
    ] = None


class ExecutionSettings(Struct, frozen=True, kw_only=True):
    """Limits of plugin executions."""

    slots: Annotated[
        int, option("Executions that may run at once on this node", env="FLEXCORE_EXECUTION_SLOTS", ge=1, le=1024)
    ] = 128
    queue: Annotated[
        int,
        option(
            "Requests that may wait for one of these slots; more are answered with 429",
            env="FLEXCORE_EXECUTION_QUEUE",
            ge=0,
            le=10_000,
        ),
    ] = 512
    queue_seconds: Annotated[
        int,
        option(
            "How long such a request waits at most before it is answered with 429, in seconds",
            env="FLEXCORE_EXECUTION_QUEUE_SECONDS",
            ge=1,
            le=300,
        ),
    ] = 10
    max_timeout_seconds: Annotated[
        int,
        option(
            "Longest time limit a caller may ask for, in seconds",
            env="FLEXCORE_EXECUTION_MAX_TIMEOUT_SECONDS",
            ge=1,
            le=300,
        ),
    ] = 300
    max_kept_result_bytes: Annotated[
        int,
        option(
            "Largest answer of a plugin that is kept for asking later, in bytes of JSON",
            env="FLEXCORE_EXECUTION_MAX_KEPT_RESULT_BYTES",
            ge=0,
            le=10 * 1024 * 1024,
        ),
    ] = 1024 * 1024
    keep_results_hours: Annotated[
        int,
        option(
            "How long answers of plugins are kept for asking later, in hours",
            env="FLEXCORE_EXECUTION_KEEP_RESULTS_HOURS",
            ge=1,
            le=24 * 366,
        ),
    ] = 24 * 7


class PluginSettings(Struct, frozen=True, kw_only=True):
    """Plugins that come as packages."""

    directory: Annotated[
        Text | None,
        option(
            "Directory that packages are unpacked to, this node's own; by default `plugins` in the state directory",
            env="FLEXCORE_PLUGINS_DIRECTORY",
        ),
    ] = None
    max_package_bytes: Annotated[
        int,
        option("Largest package in bytes", env="FLEXCORE_PLUGINS_MAX_PACKAGE_BYTES", ge=1024, le=1 << 30),
    ] = 64 * 1024 * 1024
    require_signature: Annotated[
        bool,
        option(
            "Refuse uploaded packages that no trusted key signed (marketplace.trusted_keys)",
            env="FLEXCORE_PLUGINS_REQUIRE_SIGNATURE",
        ),
    ] = False


class MarketplaceSettings(Struct, frozen=True, kw_only=True):
    """Where packages come from that nobody uploads."""

    source: Annotated[
        MarketplaceSource | None,
        option(
            "Directory, or http:// or https:// URL of one, that `flexcore marketplace index` was run on",
            env="FLEXCORE_MARKETPLACE_SOURCE",
            allowed="an absolute path, or an http:// or https:// URL without credentials",
        ),
    ] = None
    trusted_keys: Annotated[
        dict[KeyName, PublicKey],
        option(
            "Ed25519 public keys whose signatures count, name to key in base64, as `flexcore plugin key` prints it",
            allowed="names (letters, digits, dots, dashes, underscores), each with the base64 of 32 bytes",
        ),
    ] = msgspec.field(default_factory=dict)
    allow_unsigned: Annotated[
        bool,
        option("Install packages of the marketplace that are not signed", env="FLEXCORE_MARKETPLACE_ALLOW_UNSIGNED"),
    ] = False


ConnectionName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
PostgresUrl = Annotated[
    str,
    Meta(
        pattern=rf"^postgresql://[^\s:/?#@]+@{_PLACE}/[^\s/?#]+(\?sslmode=(disable|allow|prefer|require|verify-full))?$"
    ),
]
AbsolutePath = Annotated[str, Meta(pattern=r"^/[^/\0]+(/[^/\0]+)*$")]


class BuiltinSettings(Struct, frozen=True, kw_only=True):
    """What the plugins that come with FlexCore may reach."""

    postgres_connections: Annotated[
        dict[ConnectionName, PostgresUrl],
        option(
            "Databases of postgres-processor, name to URL; the password of one is the secret <name>_password of the "
            "plugin, the systemd credential plugin_secret_postgres-processor_<name>_password",
            allowed="names (lower case letters, digits, underscores), each with a URL such as "
            "postgresql://reader@db.example.com:5432/sales?sslmode=verify-full, without a password",
        ),
    ] = msgspec.field(default_factory=dict)
    read: Annotated[
        list[AbsolutePath],
        option("Files and directories that data-processor may read", allowed="absolute paths below /"),
    ] = msgspec.field(default_factory=list)
    write: Annotated[
        list[AbsolutePath],
        option("Directories that data-processor may write to", allowed="absolute paths below /"),
    ] = msgspec.field(default_factory=list)


PluginId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
NetworkRule = Annotated[str, Meta(pattern=r"^(\*|[^\s:/\[\]]{1,253}|\[[0-9A-Fa-f:.]+\]):(\*|[1-9][0-9]{0,4})$")]


class SandboxSettings(Struct, frozen=True, kw_only=True):
    """How plugins are kept to what they may."""

    mode: Annotated[
        Literal["enforced", "strict"],
        option(
            "What to do about a means of isolation that this host does not have: warn, or refuse to start",
            env="FLEXCORE_SANDBOX_MODE",
        ),
    ] = "enforced"
    socket: Annotated[
        Text | None,
        option(
            "Unix socket of the sandbox supervisor's own unit; without one the server starts a supervisor itself",
            env="FLEXCORE_SANDBOX_SOCKET",
        ),
    ] = None
    credentials_directory: Annotated[
        Text | None,
        option(
            "Directory with the secrets of plugins, each in a file plugin_secret_<plugin id>_<name>; systemd sets it",
            env="CREDENTIALS_DIRECTORY",
        ),
    ] = None
    network: Annotated[
        dict[PluginId, list[NetworkRule]],
        option(
            "What plugins may connect to beside what their manifests name, by plugin id. Only these rules reach the "
            "services that FlexCore itself uses",
            allowed="plugin ids, each with a list of host:port, *.domain:port or *:port, where the port may be *",
        ),
    ] = msgspec.field(default_factory=dict)


class JobSettings(Struct, frozen=True, kw_only=True):
    """Work from the queue: asynchronous executions and the steps of pipelines."""

    concurrency: Annotated[
        int,
        option(
            "Jobs that may run at once on this node; each execution among them takes a slot as well",
            env="FLEXCORE_JOBS_CONCURRENCY",
            ge=1,
            le=1024,
        ),
    ] = 8


class LogSettings(Struct, frozen=True, kw_only=True):
    """What is logged, and how much of it the logs routes can serve."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], option("Lowest level that is logged", env="FLEXCORE_LOG_LEVEL")
    ] = "info"
    # Searching them, and collecting garbage among them, holds up every request: a million takes over a second.
    buffer_records: Annotated[
        int,
        option("Records kept in memory for the logs routes", env="FLEXCORE_LOG_BUFFER_RECORDS", ge=100, le=100_000),
    ] = 10_000


class TelemetrySettings(Struct, frozen=True, kw_only=True):
    """Where traces go and metrics are collected."""

    service_name: Annotated[
        str,
        option(
            "Name of this service in traces", env="OTEL_SERVICE_NAME", unused=NO_TRACES, min_length=1, max_length=255
        ),
    ] = "flexcore"
    otlp_endpoint: Annotated[
        Url | None,
        option("OpenTelemetry collector", env="OTEL_EXPORTER_OTLP_ENDPOINT", allowed=URL, unused=NO_TRACES),
    ] = None
    prometheus_endpoint: Annotated[
        Url | None,
        option(
            "Prometheus server",
            env="PROMETHEUS_ENDPOINT",
            allowed=URL,
            unused="this version sends Prometheus nothing; let it scrape /metrics",
        ),
    ] = None


ServiceName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
ServiceUrl = Annotated[str, Meta(pattern=rf"^https?://{_PLACE}/?$")]


class Settings(Struct, frozen=True, kw_only=True):
    """Everything the server can be told."""

    environment: Annotated[
        Literal["development", "staging", "production"],
        option("What this node is for; production refuses development defaults", env="FLEXCORE_ENV"),
    ] = "development"
    debug: Annotated[bool, option("Log at debug level; refused in production", env="FLEXCORE_DEBUG")] = False
    # 54 characters, because PostgreSQL cuts application_name ("flexcore:<node_id>") at 63.
    node_id: Annotated[
        str,
        option(
            "Name of this node, unique in its cluster; the host name by default",
            env="FLEXCORE_NODE_ID",
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,53}$",
            allowed="up to 54 letters, digits, dots, dashes and underscores",
        ),
    ] = msgspec.field(default_factory=lambda: socket.gethostname()[:54])
    state_directory: Annotated[
        Text | None,
        option(
            "Directory of this node's own state, such as its signed checkpoints of the event log; systemd sets it. "
            "Without one there are no checkpoints",
            env="STATE_DIRECTORY",
        ),
    ] = None
    drain_seconds: Annotated[
        int,
        option(
            "How long SIGTERM waits for running executions, in seconds", env="FLEXCORE_DRAIN_SECONDS", ge=0, le=3600
        ),
    ] = 20
    http: HttpSettings = HttpSettings()
    grpc: GrpcSettings = GrpcSettings()
    auth: AuthSettings = AuthSettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    cluster: ClusterSettings = ClusterSettings()
    event_store: EventStoreSettings = EventStoreSettings()
    executions: ExecutionSettings = ExecutionSettings()
    plugins: PluginSettings = PluginSettings()
    marketplace: MarketplaceSettings = MarketplaceSettings()
    builtins: BuiltinSettings = BuiltinSettings()

    sandbox: SandboxSettings = SandboxSettings()
    jobs: JobSettings = JobSettings()
    logs: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    services: Annotated[
        dict[ServiceName, ServiceUrl],
        option(
            "FLEXT services shown by the services routes, name to base URL",
            allowed="service names (lower case letters, digits, dashes), each with an http:// or https:// base URL",
        ),
    ] = msgspec.field(
        default_factory=lambda: {
            "flext-service": "http://127.0.0.1:8081",
            "flext-auth": "http://127.0.0.1:8082",
            "flext-web": "http://127.0.0.1:8083",
            "flext-cli": "http://127.0.0.1:8084",
        }
    )
