"""FlexCore's own side of the event-store benchmarks: its log in a PostgreSQL with durable settings."""

import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType

import msgspec
import uuid_utils

from flexcore.application.events import Events
from flexcore.domain.events import NewEvent
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.migrate import migrate
from tests.bench.appending import Measured, append_for, on_uvloop
from tests.bench.events import STREAMS, TYPES, event_type, payload
from tests.integration.conftest import access
from tests.servers import DURABLE, PostgresServer, serving

SETTINGS = MappingProxyType(
    {**DURABLE, "shared_buffers": "1GB", "max_wal_size": "4GB", "min_wal_size": "2GB", "max_connections": "300"}
)
AGGREGATE_TYPE = "Execution"
LOADED_STREAMS = 20_000
_TEMPLATE = "migrated"
_CALL = 1000
_WAL_MEGABYTES = 2000
_numbers = itertools.count(1)

# The columns of _CALL events for one call of the log's own function, so that the loaded log is one that it wrote.
_LOAD = """
WITH new AS (
    SELECT number, 'execution-' || number %% %(streams)s::bigint AS stream, (number - %(after)s)::int AS place,
        (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex(number %% 4096), 3, '0') || '8' || lpad(to_hex(number), 15, '0'))::uuid AS id,
        (%(types)s::text[])[1 + number %% cardinality(%(types)s::text[])] AS type
    FROM generate_series(%(after)s::bigint + 1, %(after)s::bigint + %(count)s) AS number
)
SELECT (appended).positions FROM (
    SELECT append_events(
        array_agg(%(aggregate)s::text), array_agg(stream ORDER BY place),
        array_agg(0), array_agg(place ORDER BY place), array_agg(id ORDER BY place),
        array_agg(type ORDER BY place),
        array_agg(replace(replace(%(data)s, '000000000000', lpad(number::text, 12, '0')), 'STATUS', type)
            ORDER BY place),
        array_agg('{"correlation_id":"load"}'::text), array_agg(NULL::bigint),
        ARRAY[]::int[], ARRAY[]::text[], ARRAY[]::text[], ARRAY[]::text[], ARRAY[]::int[], ARRAY[]::jsonb[]
    ) AS appended FROM new
) AS call
"""


@contextlib.contextmanager
def durable_postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL that keeps its promises, with room for 300 connections and FlexCore's schema as a template."""
    with serving(PostgresServer(settings=SETTINGS)) as server:
        _fill_log(server)
        server.create_roles()
        server.create_database(_TEMPLATE)
        migrate(access(server, _TEMPLATE, server.owner), server.runtime)
        yield server


def _fill_log(server: PostgresServer) -> None:
    """Bring the server to where one is that has run for a while: it has all the files for its log that it needs."""
    with server.connect() as connection:
        for _ in range(_WAL_MEGABYTES):
            connection.execute("SELECT pg_logical_emit_message(false, 'warm-up', repeat('x', 1000000))")
        connection.execute("CHECKPOINT")


def empty_log(server: PostgresServer) -> str:
    """Make a database with an empty log and return its name."""
    name = f"log_{next(_numbers)}"
    server.create_database(name, _TEMPLATE)
    return name


def loaded_log(server: PostgresServer, events: int) -> str:
    """Make a database with a log of so many events in LOADED_STREAMS streams, and return its name."""
    name = empty_log(server)
    data = msgspec.json.encode(payload(0) | {"status": "STATUS"}).decode()
    with server.connect(database=name) as connection:
        connection.execute("SET synchronous_commit = off")  # for the loading alone
        for after in range(0, events, _CALL):
            connection.execute(
                _LOAD,
                {
                    "after": after,
                    "count": _CALL,
                    "streams": LOADED_STREAMS,
                    "types": list(TYPES),
                    "aggregate": AGGREGATE_TYPE,
                    "data": data,
                },
            )
        # What autovacuum and the checkpointer would do by and by.
        connection.execute("VACUUM ANALYZE events")
        connection.execute("CHECKPOINT")
    return name


@contextlib.asynccontextmanager
async def opened(server: PostgresServer, name: str) -> AsyncIterator[Database]:
    """Connect to a log as the server does."""
    database = Database(access(server, name, server.runtime), node_id="bench")
    await database.connect()
    try:
        yield database
    finally:
        await database.close()


def measure(server: PostgresServer, name: str, *, writers: int, batch: int = 1) -> Measured:
    """Append with expected versions, `batch` events at a time, each writer to streams of its own."""
    return on_uvloop(_measure(server, name, writers, batch))


async def _measure(server: PostgresServer, name: str, writers: int, batch: int) -> Measured:
    async with opened(server, name) as database:
        events = Events(PostgresEventStore(database), lambda: str(uuid_utils.uuid7()))
        run = uuid.uuid4().hex
        versions = [[0] * STREAMS for _ in range(writers)]

        async def append(writer: int, turn: int) -> None:
            stream = turn % STREAMS
            version = versions[writer][stream]
            await events.append(
                [
                    NewEvent(
                        type=event_type(turn + offset),
                        aggregate_id=f"{run}-{writer}-{stream}",
                        aggregate_type=AGGREGATE_TYPE,
                        data=payload(turn + offset),
                        expected_version=version + offset,
                    )
                    for offset in range(batch)
                ]
            )
            versions[writer][stream] += batch

        return await append_for(writers, append, events=batch)
