"""The peer COPY: the fastest way to put the same rows into a table with the same columns and indexes."""

import time

import asyncpg

from tests.bench.appending import on_uvloop
from tests.servers import PostgresServer

ROWS = 50_000
_TABLE = "copied"


def measure(server: PostgresServer, database: str) -> float:
    """Copy the first ROWS rows of `database`'s log into a fresh table in one durable transaction; rows a second."""
    return on_uvloop(_measure(server, database))


async def _measure(server: PostgresServer, database: str) -> float:
    login = server.login("postgres", database)
    connection = await asyncpg.connect(
        host=login.host, port=login.port, user=login.user, password=login.password, database=login.database
    )
    try:
        rows = [tuple(row) for row in await connection.fetch("SELECT * FROM events ORDER BY position LIMIT $1", ROWS)]
        await connection.execute(f"DROP TABLE IF EXISTS {_TABLE}; CREATE TABLE {_TABLE} (LIKE events INCLUDING ALL)")
        begin = time.perf_counter()
        await connection.copy_records_to_table(_TABLE, records=rows)
        return len(rows) / (time.perf_counter() - begin)
    finally:
        await connection.close()
