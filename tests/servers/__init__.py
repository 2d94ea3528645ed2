"""Real PostgreSQL and Redis servers for the tests: free loopback ports, own directories, child processes.

Each can be killed, hung (SIGSTOP), continued and started again on the same port and data. They die with the test
process, even when that is killed. Works as root (the servers then run as an unprivileged user) and as anyone else.
"""

from tests.servers.postgres_server import DURABLE, PostgresServer
from tests.servers.redis_server import RedisServer
from tests.servers.server import Login, MissingServer, Server, free_port, serving, wait_until

__all__ = [
    "DURABLE",
    "Login",
    "MissingServer",
    "PostgresServer",
    "RedisServer",
    "Server",
    "free_port",
    "serving",
    "wait_until",
]
