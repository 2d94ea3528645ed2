"""What `/health` asks PostgreSQL."""

import asyncio
from typing import Final

import asyncpg

from flexcore.application.ports import ProbeResult
from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.failures import (
    CONNECT_FAILED,
    EVENT_STORE,
    SERVICE,
    connection_reason,
)
from flexcore.infrastructure.postgres.schema import SCHEMA_REVISION, is_served_by

PROBE_SECONDS: Final = 1.5
CLOSE_SECONDS: Final = 0.3


class PostgresProbe:
    """Checks that PostgreSQL takes a new connection and answers on it.

    A new connection each time, because an established one still answers when the postmaster hangs.
    """

    name = "postgresql"

    def __init__(self, access: PostgresAccess, *, node_id: str) -> None:
        self._access = access
        self._application_name = f"flexcore:{node_id}"

    async def check(self) -> ProbeResult:
        """Raise Unavailable unless PostgreSQL answers as the one that takes writes."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                version, standby = await self._ask()
        except CONNECT_FAILED as error:
            raise Unavailable(SERVICE, connection_reason(error)) from error
        if standby:
            raise Unavailable(SERVICE, "PostgreSQL answers, but as a standby, which takes no writes")
        return ProbeResult(version.split()[0], "takes connections and answers queries")

    async def _ask(self) -> tuple[str, bool]:
        connection = await asyncpg.connect(
            host=self._access.host,
            port=self._access.port,
            database=self._access.database,
            user=self._access.user,
            password=self._access.password,
            timeout=PROBE_SECONDS,
            server_settings={"application_name": self._application_name},
        )
        try:
            row = await connection.fetchrow("SELECT current_setting('server_version'), pg_is_in_recovery()")
            await connection.close(timeout=CLOSE_SECONDS)
        finally:
            connection.terminate()
        return row[0], row[1]


class EventStoreProbe:
    """Checks that a request would reach the event log: by the pool that requests use, on a connection kept for this."""

    name = EVENT_STORE

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> ProbeResult:
        """Raise Unavailable unless the schema serves this release and the log can be read and appended to."""
        async with self._database.session(seconds=PROBE_SECONDS, reserved=True) as connection:
            revision = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
            if revision is None or not is_served_by(revision):
                raise Unavailable(
                    EVENT_STORE,
                    f"the database schema is at revision {revision or 'none'}, FlexCore needs {SCHEMA_REVISION}; "
                    "run 'flexcore migrate'",
                )
            events, may_append = await connection.fetchrow(
                "SELECT coalesce(max(position), 0), has_function_privilege('append_events'::regproc, 'EXECUTE') "
                "FROM events"
            )
            if not may_append:
                raise Unavailable(EVENT_STORE, "FlexCore's role may not append events; run 'flexcore migrate'")
        return ProbeResult(None, f"schema {revision}, {events} events")
