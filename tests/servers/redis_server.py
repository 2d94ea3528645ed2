"""A Redis server for the tests."""

import secrets
import signal

import redis

from tests.servers.server import Login, Server, find_program


class RedisServer(Server):
    """Redis as FlexCore meets it in production: append-only file, `default` user off, an ACL user of its own."""

    name = "redis"
    runtime = "flexcore"

    def __init__(self) -> None:
        self._program = find_program("redis-server", "redis-server")
        super().__init__()
        self._passwords = {role: secrets.token_urlsafe(12) for role in ("admin", self.runtime)}
        self._configuration = self.directory / "redis.conf"

    def _prepare(self) -> None:
        rights = "+@all -@admin -@dangerous -@scripting +eval +evalsha +script|load +script|exists +info"
        self._configuration.write_text(
            f"""
            bind 127.0.0.1
            port {self.port}
            dir {self.directory}
            appendonly yes
            maxmemory-policy noeviction
            daemonize no
            user default off
            user admin on >{self._passwords["admin"]} ~* &* +@all
            user {self.runtime} on >{self._passwords[self.runtime]} ~flexcore:* &flexcore:* {rights}
            """
        )

    def login(self, role: str = runtime) -> Login:
        """How `role` (flexcore or admin) reaches the server."""
        return Login("127.0.0.1", self.port, role, self._passwords[role])

    def connect(self, role: str = "admin") -> redis.Redis:
        """Open a client whose every step is bounded in time."""
        login = self.login(role)
        return redis.Redis(
            host=login.host,
            port=login.port,
            username=login.user,
            password=login.password,
            socket_timeout=5,
            socket_connect_timeout=5,
        )

    def _command(self) -> list[str]:
        return [self._program, str(self._configuration)]

    def _stop_signal(self) -> signal.Signals:
        return signal.SIGTERM

    def _answers(self) -> bool:
        with self.connect() as client:
            try:
                return bool(client.ping())
            except redis.exceptions.ConnectionError:  # also while it loads its data
                return False
