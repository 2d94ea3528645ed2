"""Names from FlexCore's API contract and deployment that several checks rely on."""

UNIT = "flexcore.service"
API = "/api/v1/flexcore"
# Sent with every request; the server has to send it back.
CORRELATION_ID = "verify"
OPEN_PATHS = ("/health", "/health?detail=true", "/health/live", "/health/ready", "/info", "/metrics", "/openapi.json")
UNKNOWN_PLUGIN = f"{API}/plugins/no-such-plugin"
TOKEN_PATHS = (f"{API}/status", f"{API}/plugins", UNKNOWN_PLUGIN, "/api/v1/plugins")
COMPONENTS = frozenset({"postgresql", "redis", "event_store", "plugin_runtime", "job_queue", "disk"})
BUILT_IN_PLUGINS = frozenset({"json-processor", "simple-processor", "flext-service"})

# What Redis answers FlexCore's user, and what it refuses it. None of these would change anything.
ALLOWED_REDIS_COMMANDS = [["PING"], ["ACL", "WHOAMI"], ["GET", "flexcore:verify"]]
REFUSED_REDIS_COMMANDS = [
    ["GET", "verify"],
    ["CONFIG", "GET", "maxmemory"],
    ["ACL", "LIST"],
    ["KEYS", "flexcore:verify"],
    ["CLIENT", "LIST"],
]
