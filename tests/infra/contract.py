"""Names from FlexCore's API contract and deployment that several checks rely on."""

UNIT = "flexcore.service"
SANDBOX_UNIT = "flexcore-sandbox.service"
SANDBOX_SOCKET = "/run/flexcore-sandbox/supervisor.sock"
PLUGINS_DIRECTORY = "/var/lib/flexcore-plugins"
# What no plugin may read, however far it gets out of its sandbox.
PRIVATE_PLACES = (
    "/etc/shadow",
    "/etc/flexcore/config.yaml",
    "/etc/flexcore/credentials/api_token",
    "/etc/flexcore/tls/server.pem",
    "/run/credentials/flexcore.service/api_token",
    "/var/lib/flexcore/checkpoint_key.pem",
)
COMMAND = "/usr/local/sbin/flexcore"
STATE_DIRECTORY = "/var/lib/flexcore"
# A log may be too long to be verified in passing: so many of its newest events are.
VERIFIED_EVENTS = 100_000
API = "/api/v1/flexcore"
# Sent with every request; the server has to send it back.
CORRELATION_ID = "verify"
# Open to everybody, the first ones unless the inventory closes them.
HEALTH_PATHS = ("/health", "/health?detail=true", "/health/live", "/health/ready", "/info", "/metrics")
OPEN_PATHS = (*HEALTH_PATHS, "/openapi.json")
UNKNOWN_PLUGIN = f"{API}/plugins/no-such-plugin"
CLUSTER = f"{API}/cluster/status"
NODES = f"{API}/cluster/nodes"
NODE = f"{API}/runtime/status"
TOKEN_PATHS = (f"{API}/status", f"{API}/plugins", UNKNOWN_PLUGIN, "/api/v1/plugins", CLUSTER, NODES, NODE)
COMPONENTS = frozenset({"postgresql", "redis", "event_store", "plugin_runtime", "job_queue", "disk"})
BUILT_IN_PLUGINS = frozenset(
    {
        "data-processor",
        "data-transformer",
        "flext-service",
        "json-processor",
        "postgres-processor",
        "simple-processor",
    }
)

# What Redis answers FlexCore's user, and what it refuses it. None of these would change anything.
ALLOWED_REDIS_COMMANDS = [["PING"], ["ACL", "WHOAMI"], ["GET", "flexcore:verify"]]
REFUSED_REDIS_COMMANDS = [
    ["GET", "verify"],
    ["CONFIG", "GET", "maxmemory"],
    ["ACL", "LIST"],
    ["KEYS", "flexcore:verify"],
    ["CLIENT", "LIST"],
]

# Sessions that one node has in PostgreSQL at most: those of requests, of jobs, of the listener and of the probes, and
# those of a `flexcore` command beside them.
SESSIONS_OF_A_NODE = 20

# What the server's role may do in the database. Of what has been recorded it may change nothing.
RECORDED = {"public.events": {"SELECT"}, "public.receipts": {"SELECT"}, "public.audit": {"SELECT"}}
EVERYTHING = {"SELECT", "INSERT", "UPDATE", "DELETE"}
WORKED_ON = {
    "public.alembic_version": {"SELECT"},
    "public.leadership": {"SELECT"},
    "public.access_version": {"SELECT"},
    "public.users": EVERYTHING,
    "public.api_tokens": EVERYTHING,
    "public.api_token_uses": EVERYTHING,
    "public.session_keys": EVERYTHING,
    "public.login_attempts": EVERYTHING,
    "public.plugin_packages": {"SELECT", "INSERT"},
    "public.plugin_package_pieces": {"SELECT", "INSERT"},
    "public.execution_results": {"SELECT", "INSERT", "DELETE"},
    "public.execution_cancellations": {"SELECT", "INSERT", "DELETE"},
    "public.procrastinate_jobs": EVERYTHING,
    "public.procrastinate_workers": EVERYTHING,
    "public.procrastinate_events": EVERYTHING,
    "public.procrastinate_periodic_defers": EVERYTHING,
    "public.projections": EVERYTHING,
    "public.execution_history": EVERYTHING,
    "public.pipeline_status": EVERYTHING,
    "public.plugin_inventory": EVERYTHING,
    "public.system_metrics": EVERYTHING,
    "public.snapshots": EVERYTHING,
}
# Functions that act with their owner's rights, which is how events are appended and terms of leadership counted.
PRIVILEGED_FUNCTIONS = {
    *("append_events", "append_audited_events", "append_audit", "lock_accounts"),
    *("take_leadership", "check_leadership"),
}
