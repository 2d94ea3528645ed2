"""Two nodes with one PostgreSQL and one Redis, each of which can be killed and brought back."""

import contextlib
import signal
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import httpx

from flexcore.infrastructure.postgres.migrate import migrate
from tests.integration.conftest import access
from tests.integration.server.flexcore_process import TOKEN, FlexCoreProcess
from tests.servers import DURABLE, PostgresServer, RedisServer, free_port, serving, wait_until

DATABASE = "flexcore"
READY_SECONDS = 60.0


class ClusterNode:
    """A node that keeps its name and its port when it is started again."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.name = name
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # Every request would be a line; the tests look at answers.
        self._environ = {**environ, "FLEXCORE_NODE_ID": name, "FLEXCORE_PORT": str(port), "FLEXCORE_LOG_LEVEL": "error"}
        self._process: FlexCoreProcess | None = None

    @property
    def pid(self) -> int:
        """Process id of the running node."""
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process.pid

    def start(self) -> None:
        """Start it and return at once."""
        self._process = FlexCoreProcess(self._environ)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
            self._process.end()
            self._process = None

    def client(self) -> httpx.Client:
        """Open a client of this node."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=15.0, trust_env=False)

    def wait_until_ready(self) -> None:
        """Return once it says that a request would succeed; raises TimeoutError."""
        with self.client() as api:
            wait_until(lambda: _is_ready(api), READY_SECONDS, f"readiness of {self.name}")


class Cluster:
    """The running whole."""

    def __init__(self, postgres: PostgresServer, redis: RedisServer, nodes: tuple[ClusterNode, ...]) -> None:
        self.postgres = postgres
        self.redis = redis
        self.nodes = nodes

    @property
    def urls(self) -> list[str]:
        """Base URL of each node."""
        return [node.url for node in self.nodes]

    def wait_until_ready(self) -> None:
        """Return once every node is ready."""
        for node in self.nodes:
            node.wait_until_ready()


@contextlib.contextmanager
def running_cluster(
    postgres: PostgresServer | None = None,
    *,
    nodes: int = 2,
    first_node: Mapping[str, str] = MappingProxyType({}),
    postgres_port: int | None = None,
) -> Iterator[Cluster]:
    """Run `nodes` nodes with a Redis and a PostgreSQL for the length of a block.

    `first_node` are more variables for the first of them; `postgres_port` is where they find PostgreSQL when something
    stands between.
    """
    with contextlib.ExitStack() as stack:
        if postgres is None:
            postgres = stack.enter_context(serving(PostgresServer(settings=DURABLE)))
        redis = stack.enter_context(serving(RedisServer()))
        postgres.create_roles()
        postgres.create_database(DATABASE)
        migrate(access(postgres, DATABASE, postgres.owner), postgres.runtime)
        login, cache = postgres.login(postgres.runtime, DATABASE), redis.login()
        variables = {
            "POSTGRES_HOST": login.host,
            "POSTGRES_PORT": str(postgres_port or login.port),
            "POSTGRES_DB": login.database,
            "POSTGRES_USER": login.user,
            "POSTGRES_PASSWORD": login.password,
            "REDIS_HOST": cache.host,
            "REDIS_PORT": str(cache.port),
            "REDIS_USERNAME": cache.user,
            "REDIS_PASSWORD": cache.password,
        }
        names = [f"node{number}" for number in range(1, nodes + 1)]
        members = tuple(ClusterNode(name, variables | (first_node if name == names[0] else {})) for name in names)
        for node in members:
            stack.callback(node.kill)
            node.start()
        cluster = Cluster(postgres, redis, members)
        cluster.wait_until_ready()
        yield cluster


def _is_ready(api: httpx.Client) -> bool:
    try:
        return api.get("/health/ready").is_success
    except httpx.TransportError:
        return False
