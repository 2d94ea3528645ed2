"""A PostgreSQL server for the tests."""

import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql

from tests.servers.server import START_SECONDS, Login, Server, find_program

DURABLE = MappingProxyType({"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"})
"""Settings for a server of which a test believes that what it acknowledged is on the disk."""


class PostgresServer(Server):
    """PostgreSQL with data checksums and scram-sha-256 only, and FlexCore's two roles.

    It forgoes fsync unless `settings` say otherwise. `data` and `wal` are places for the tables and the write-ahead
    log, from its own directory if relative; `environ` are variables that the server runs with.
    """

    name = "postgresql"
    owner = "flexcore_owner"
    runtime = "flexcore"

    def __init__(
        self,
        *,
        settings: Mapping[str, str] = MappingProxyType({}),
        data: Path = Path("data"),
        wal: Path | None = None,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._programs = _postgres_programs()
        super().__init__(environ)
        self._passwords = {role: secrets.token_urlsafe(12) for role in ("postgres", self.owner, self.runtime)}
        self._settings = settings
        self._data = self.directory / data
        self._wal = None if wal is None else self.directory / wal

    def login(self, role: str, database: str = "postgres") -> Login:
        """How `role` (postgres, flexcore_owner or flexcore) reaches `database`."""
        return Login("127.0.0.1", self.port, role, self._passwords[role], database)

    def connect(self, role: str = "postgres", database: str = "postgres") -> psycopg.Connection:
        """Open a connection in autocommit mode."""
        login = self.login(role, database)
        return psycopg.connect(
            host=login.host,
            port=login.port,
            user=login.user,
            password=login.password,
            dbname=login.database,
            connect_timeout=5,
            autocommit=True,
        )

    def create_roles(self) -> None:
        """Create FlexCore's owner role and its runtime role, neither with any special right."""
        with self.connect() as connection:
            for role in (self.owner, self.runtime):
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(self._passwords[role])
                    )
                )

    def create_database(self, name: str, template: str = "template0") -> None:
        """Create an empty database that FlexCore's owner role owns, or a copy of `template`."""
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(self.owner), sql.Identifier(template)
                )
            )

    def drop_database(self, name: str) -> None:
        """Drop a database, ending its sessions."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _prepare(self) -> None:
        password_file = self.directory / "superuser"
        password_file.write_text(self._passwords["postgres"])
        password_file.chmod(0o644)  # in a directory that only its owner enters
        with self.log.open("ab") as log:
            initdb = self._spawn(
                [
                    str(self._programs / "initdb"),
                    f"--pgdata={self._data}",
                    "--username=postgres",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--data-checksums",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                    *([] if self._wal is None else [f"--waldir={self._wal}"]),
                ],
                log,
            )
        if initdb.wait(START_SECONDS) != 0:
            raise RuntimeError(f"initdb failed:\n{self.log.read_text()[-4000:]}")

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": "60",
            "log_min_messages": "warning",
            # In its directory, which goes with it: a killed server would leave them in /dev/shm for ever.
            "dynamic_shared_memory_type": "mmap",
            **self._settings,
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self._data), *options]

    def _stop_signal(self) -> signal.Signals:
        return signal.SIGINT  # "fast": ends the sessions, then writes everything out

    def _answers(self) -> bool:
        try:
            with self.connect() as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False


def _postgres_programs() -> Path:
    """Find the directory of the newest PostgreSQL's programs, Debian's place first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return (found[-1] if found else Path(find_program("initdb", "postgresql"))).parent
