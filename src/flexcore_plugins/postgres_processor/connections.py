"""Connections to the databases that the operator names, and what PostgreSQL says as an answer of the plugin."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg

from flexcore_plugin import OperationFailed, secret

CONNECT_SECONDS: Final = 10
APPLICATION: Final = "flexcore postgres-processor"
_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")


class Databases:
    """The connections of the configuration, by name: host, port, user, database, sslmode and the name of a secret."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._known: Mapping[str, Mapping[str, Any]] = configuration.get("connections", {})

    @property
    def names(self) -> list[str]:
        """The names of all connections; raises OperationFailed if there is none."""
        if not self._known:
            raise OperationFailed("no connection is configured; name one in the setting builtins.postgres_connections")
        return list(self._known)

    @asynccontextmanager
    async def open(
        self, name: str, *, timeout_seconds: float, read_only: bool = False
    ) -> AsyncIterator[asyncpg.Connection]:
        """Connect; errors of PostgreSQL inside the block are raised as OperationFailed."""
        if name not in self.names:
            raise OperationFailed(f"there is no connection '{name}'; there are: {', '.join(self.names)}")
        known = self._known[name]
        try:
            connection = await asyncpg.connect(
                host=known["host"],
                port=known["port"],
                user=known["user"],
                database=known["database"],
                password=secret(known["secret"]),
                ssl=_tls(known["sslmode"]),
                timeout=CONNECT_SECONDS,
                # One execution asks once, and a pool in between need not keep its statements.
                statement_cache_size=0,
                server_settings={
                    "application_name": APPLICATION,
                    "statement_timeout": str(round(timeout_seconds * 1000)),
                    "default_transaction_read_only": "on" if read_only else "off",
                },
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "it does not answer in time"
            raise OperationFailed(
                f"PostgreSQL at {known['host']}:{known['port']} can't be used: {reason}", connection=name
            ) from None
        try:
            for kind in ("json", "jsonb"):
                await connection.set_type_codec(kind, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
            yield connection
        except asyncpg.QueryCanceledError:
            raise OperationFailed(
                f"the statement was stopped: it was not done after {timeout_seconds:g} s; ask for less, or for more "
                "timeout_seconds"
            ) from None
        except asyncpg.PostgresError as error:
            raise refused(error) from None
        except (asyncpg.InterfaceError, ValueError) as error:
            raise OperationFailed(f"this cannot be asked: {error}") from None
        except OSError as error:
            raise OperationFailed(f"the connection broke: {error}", connection=name) from None
        finally:
            await _close(connection)


def _tls(mode: str) -> Any:
    """Tell asyncpg what to do about TLS, by the names that libpq has for it."""
    if mode != "verify-full":
        return mode
    return ssl.create_default_context(cafile=str(_AUTHORITIES) if _AUTHORITIES.exists() else None)


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=1)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


def refused(error: asyncpg.PostgresError) -> OperationFailed:
    """Hand on what PostgreSQL says."""
    details = {"sqlstate": error.sqlstate}
    for name in ("detail", "hint", "position", "table_name", "column_name", "constraint_name", "where"):
        if text := getattr(error, "context" if name == "where" else name, None):
            details[name] = text
    return OperationFailed(f"PostgreSQL refuses: {error}", **details)
