"""The audit trail in PostgreSQL: append-only, chained, in pages, and each record once."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import asyncpg
import psycopg
import pytest
import uuid_utils

from flexcore.application.audit import AuditOutcome, AuditQuery, StampedRecord
from flexcore.domain.errors import InvalidInput
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.audit_log import PostgresAuditLog
from flexcore.infrastructure.postgres.database import Database
from tests.servers import PostgresServer

pytestmark = pytest.mark.anyio
NOW = datetime.now(UTC)


def records(numbers: Iterable[int], actor: str = "ada", action: str = "enablePlugin") -> list[StampedRecord]:
    return [
        StampedRecord(
            id=str(uuid_utils.uuid7()),
            node_id="node1",
            at=NOW,
            actor=actor,
            action=action,
            target=f"/{number}",
            outcome=AuditOutcome.SUCCEEDED,
            detail="200",
            source=None,
            correlation_id="c-1",
            count=1,
        )
        for number in numbers
    ]


async def targets(log: PostgresAuditLog, query: AuditQuery) -> list[str]:
    """Read all pages."""
    found, cursor = [], None
    while True:
        page = await log.page(AuditQuery(query.actor, query.action, query.since, query.to, query.limit, cursor))
        found += [entry.target for entry in page.audit]
        cursor = page.next_cursor
        if not page.has_more:
            assert cursor is None
            return found


async def test_the_trail_is_read_in_pages_newest_first(database: Database) -> None:
    log = PostgresAuditLog(database)
    await log.append(records(range(7)))
    await log.append(records(range(7, 10), actor="bob", action="drainNode"))
    assert await targets(log, AuditQuery(limit=3)) == [f"/{number}" for number in range(9, -1, -1)]
    assert await targets(log, AuditQuery(actor="bob", limit=2)) == ["/9", "/8", "/7"]
    assert await targets(log, AuditQuery(action="drainNode", actor="ada")) == []
    first = (await log.page(AuditQuery(limit=1))).audit[0]
    assert (first.position, first.timestamp, first.node_id) == (10, NOW, "node1")


async def test_times_cut_out_a_part(database: Database) -> None:
    log = PostgresAuditLog(database)
    assert (await log.page(AuditQuery(since=NOW))).audit == ()
    for number in range(5):
        await log.append(records([number]))
    moments = [entry.recorded_at for entry in reversed((await log.page(AuditQuery())).audit)]
    assert await targets(log, AuditQuery(since=moments[1], to=moments[3])) == ["/2", "/1"]
    assert await targets(log, AuditQuery(since=moments[4] + timedelta(seconds=1))) == []
    assert len(await targets(log, AuditQuery(to=moments[4] + timedelta(days=1), limit=2))) == 5


@pytest.mark.parametrize("query", [AuditQuery(limit=0), AuditQuery(cursor="nonsense"), AuditQuery(actor="a\0")])
async def test_a_wrong_question_is_refused(database: Database, query: AuditQuery) -> None:
    with pytest.raises(InvalidInput):
        await PostgresAuditLog(database).page(query)


async def test_what_is_sent_again_is_there_once(database: Database) -> None:
    log = PostgresAuditLog(database)
    await log.append(records([0]))
    batch = records([1, 2])
    other = PostgresAuditLog(database)
    await other.append(batch)  # as this node did, without hearing the answer
    await log.append([*batch, *records([3])], again=True)
    assert await targets(log, AuditQuery()) == ["/3", "/2", "/1", "/0"]


async def test_nodes_that_write_at_once_make_one_chain_without_gaps(
    database: Database, runtime_access: PostgresAccess
) -> None:
    logs = [PostgresAuditLog(database) for _ in range(4)]
    await asyncio.gather(*(log.append(records([number])) for number in range(50) for log in logs))
    async with database.session() as connection:
        rows = await connection.fetch(
            "SELECT position, hash, audit_link(lag(hash, 1, '') OVER (ORDER BY position), audit) AS link FROM audit"
        )
    assert sorted(row["position"] for row in rows) == list(range(1, 201))
    assert all(row["hash"] == row["link"] for row in rows)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_nobody_changes_the_trail(
    database: Database, postgres_server: PostgresServer, runtime_access: PostgresAccess, statement: str
) -> None:
    await PostgresAuditLog(database).append(records([0]))
    async with database.session() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    with (
        postgres_server.connect(database=runtime_access.database) as owner,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
    ):
        owner.execute(statement)


async def test_the_runtime_writes_by_the_function_alone(database: Database) -> None:
    async with database.session() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO audit SELECT * FROM audit")
