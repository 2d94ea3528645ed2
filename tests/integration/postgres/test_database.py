"""FlexCore's connections through every way in which PostgreSQL can go away and come back."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from flexcore.application.ports import Append, ProbeResult
from flexcore.domain.errors import Unavailable
from flexcore.domain.events import NewEvent
from flexcore.infrastructure.postgres import database as database_module
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import SESSION_SECONDS, Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.probe import EventStoreProbe, PostgresProbe
from flexcore.infrastructure.postgres.schema import SCHEMA_REVISION
from tests.integration.conftest import access
from tests.servers import PostgresServer, free_port, wait_until

pytestmark = pytest.mark.anyio

# What the contract allows from a fault to its showing, and from the repair to its showing.
SHOWN_SECONDS = 5.0


async def works(database: Database) -> None:
    await PostgresEventStore(database).append(Append([(str(uuid.uuid4()), NewEvent("X", "a", "Thing"))]))


async def works_again(database: Database) -> None:
    """Return once the database serves; fails after the contract's five seconds."""
    async with asyncio.timeout(SHOWN_SECONDS):
        while True:
            try:
                await works(database)
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def refused(database: Database) -> Unavailable:
    """Expect Unavailable from a call, within the time that any call may take."""
    async with asyncio.timeout(SHOWN_SECONDS + 2):
        with pytest.raises(Unavailable) as caught:
            await works(database)
    return caught.value


def sessions(server: PostgresServer, database: str) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flexcore:node1' AND datname = %s"
    with server.connect() as connection:
        (number,) = connection.execute(query, (database,)).fetchone() or (0,)
    return int(number)


@pytest.fixture
def patient_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let closing a connection in good order take for ever, so that a test shows that nobody waits for it."""
    monkeypatch.setattr(database_module, "CLOSE_SECONDS", 60.0)


@pytest.fixture
async def absent() -> AsyncIterator[Database]:
    """Connections to a server that is not there."""
    database = Database(PostgresAccess("127.0.0.1", free_port(), "flexcore", "flexcore", "x"), node_id="node1")
    await database.connect()
    yield database
    await database.close()


async def test_sessions_carry_the_nodes_name(database: Database, faulty_postgres: PostgresServer) -> None:
    await works(database)
    async with database.session() as connection:
        assert await connection.fetchval("SHOW application_name") == "flexcore:node1"
        assert await connection.fetchval("SHOW statement_timeout") == "4s"


async def test_an_absent_server_is_said_at_once_and_kindly(absent: Database) -> None:
    error = await refused(absent)
    assert (error.service, str(error)) == ("postgresql", "PostgreSQL refuses connections")
    start = time.monotonic()
    for _ in range(20):
        await refused(absent)
    assert time.monotonic() - start < SHOWN_SECONDS


async def test_a_server_that_comes_late_is_used(
    runtime_access: PostgresAccess, faulty_postgres: PostgresServer
) -> None:
    faulty_postgres.stop()
    database = Database(runtime_access, node_id="node1")
    await database.connect()
    try:
        await refused(database)
        await asyncio.to_thread(faulty_postgres.start)
        await works_again(database)
    finally:
        await database.close()


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_a_server_that_dies_and_returns(database: Database, faulty_postgres: PostgresServer, how: str) -> None:
    await works(database)
    getattr(faulty_postgres, how)()
    await refused(database)
    await asyncio.to_thread(faulty_postgres.start)
    await works_again(database)


@pytest.mark.usefixtures("patient_close")
async def test_a_server_that_hangs_costs_no_caller_more_than_its_time(
    database: Database, faulty_postgres: PostgresServer, runtime_access: PostgresAccess
) -> None:
    await works(database)
    faulty_postgres.hang()
    # Alone, on a connection that is open: nobody else finds out first.
    await refused(database)
    faulty_postgres.resume()
    await works_again(database)
    faulty_postgres.hang()
    errors = await asyncio.gather(*(refused(database) for _ in range(20)))
    assert "PostgreSQL does not answer" in {str(error).partition(" while ")[0] for error in errors}
    start = time.monotonic()
    await refused(database)
    assert time.monotonic() - start < 1.0, "once it is known, nobody waits for a silent server"
    faulty_postgres.resume()
    await works_again(database)
    await asyncio.gather(*(works(database) for _ in range(20)))


@pytest.mark.usefixtures("patient_close")
async def test_connections_of_a_hung_server_do_not_stay_behind(
    database: Database, faulty_postgres: PostgresServer, runtime_access: PostgresAccess
) -> None:
    for _ in range(3):
        await asyncio.gather(*(works(database) for _ in range(10)))
        faulty_postgres.hang()
        callers = [asyncio.create_task(refused(database)) for _ in range(10)]
        # The probe finds out first, and that frees all the others.
        async with asyncio.timeout(SESSION_SECONDS - 1):
            with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
                await EventStoreProbe(database).check()
            await asyncio.gather(*callers)
        faulty_postgres.resume()
        await works_again(database)
    await asyncio.to_thread(
        wait_until,
        lambda: sessions(faulty_postgres, runtime_access.database) <= 5,
        SHOWN_SECONDS,
        "end of the old sessions",
    )


async def test_a_lost_connection_costs_one_call_not_the_next(
    database: Database, faulty_postgres: PostgresServer, runtime_access: PostgresAccess
) -> None:
    await works(database)
    with faulty_postgres.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flexcore:node1'"
        )
    await works_again(database)


async def test_a_slow_statement_is_stopped_and_its_connection_stays(database: Database) -> None:
    async def server_process(statement: str) -> int:
        async with database.session() as connection:
            await connection.fetch(statement)
            return int(connection.get_server_pid())

    before = await server_process("SELECT 1")
    with pytest.raises(Unavailable, match="took too long over a statement"):
        await server_process("SELECT pg_sleep(30)")
    assert await server_process("SELECT 1") == before


async def test_a_cancelled_caller_leaves_a_clean_connection(database: Database) -> None:
    async def sleep() -> None:
        async with database.session() as connection:
            await connection.fetch("SELECT pg_sleep(3)")

    task = asyncio.create_task(sleep())
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await asyncio.gather(*(works(database) for _ in range(10)))


async def test_callers_beyond_the_connections_are_told_to_come_back(database: Database) -> None:
    release = asyncio.Event()

    async def hold() -> None:
        async with database.session() as connection:
            await connection.fetch("SELECT 1")
            await release.wait()

    holders = [asyncio.create_task(hold()) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="connections to PostgreSQL are busy"):
        await works(database)
    assert "events" in (await EventStoreProbe(database).check()).message, "the probe has a connection of its own"
    release.set()
    await asyncio.gather(*holders)
    await works(database)


async def test_defects_are_not_disguised_as_outages(database: Database) -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError):
        async with database.session() as connection:
            await connection.fetch("SELEKT 1")
    await works(database)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": "secret-but-wrong"}, "PostgreSQL refuses the password of FlexCore's role"),
        ({"user": "nobody"}, "PostgreSQL refuses the password of FlexCore's role"),
        ({"database": "nowhere"}, "PostgreSQL has no such database"),
        ({"host": "host.invalid"}, "PostgreSQL can't be reached"),
    ],
)
async def test_wrong_settings_are_named_without_their_values(
    runtime_access: PostgresAccess, change: dict[str, str], reason: str
) -> None:
    wrong = replace(runtime_access, **change)
    database = Database(wrong, node_id="node1")
    await database.connect()
    try:
        assert str(await refused(database)) == reason
    finally:
        await database.close()
    with pytest.raises(Unavailable, match=reason):
        await PostgresProbe(wrong, node_id="node1").check()


async def test_the_probe_names_the_servers_version(runtime_access: PostgresAccess) -> None:
    result = await PostgresProbe(runtime_access, node_id="node1").check()
    assert result.version is not None
    assert 15 <= float(result.version) < 30


async def test_a_hung_postmaster_is_found_although_old_connections_answer(
    runtime_access: PostgresAccess, faulty_postgres: PostgresServer
) -> None:
    probe = PostgresProbe(runtime_access, node_id="node1")
    await probe.check()
    faulty_postgres.hang(children=False)
    async with asyncio.timeout(SHOWN_SECONDS):
        with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
            await probe.check()
    faulty_postgres.resume()
    await probe.check()


async def test_a_dead_server_is_found_by_both_probes(
    database: Database, runtime_access: PostgresAccess, faulty_postgres: PostgresServer
) -> None:
    probes = PostgresProbe(runtime_access, node_id="node1"), EventStoreProbe(database)
    for probe in probes:
        await probe.check()
    faulty_postgres.kill()
    for probe in probes:
        with pytest.raises(Unavailable):
            await probe.check()


async def test_the_event_store_probe_wants_the_schema(
    database: Database, postgres_server: PostgresServer, empty_database: str
) -> None:
    assert await EventStoreProbe(database).check() == ProbeResult(None, f"schema {SCHEMA_REVISION}, 0 events")
    empty = Database(access(postgres_server, empty_database, postgres_server.runtime), node_id="node1")
    await empty.connect()
    try:
        with pytest.raises(Unavailable, match="run 'flexcore migrate'"):
            await EventStoreProbe(empty).check()
    finally:
        await empty.close()


@pytest.mark.parametrize(("revision", "serves"), [("0000", False), (SCHEMA_REVISION, True), ("9999", True)])
async def test_an_older_schema_does_not_serve_and_a_newer_one_does(
    database: Database, postgres_server: PostgresServer, database_name: str, revision: str, serves: bool
) -> None:
    with postgres_server.connect(database=database_name) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))
        try:
            if serves:
                await EventStoreProbe(database).check()
            else:
                with pytest.raises(Unavailable, match="is at revision 0000, FlexCore needs"):
                    await EventStoreProbe(database).check()
        finally:
            connection.execute("UPDATE alembic_version SET version_num = %s", (SCHEMA_REVISION,))


async def test_closing_is_quick_even_when_the_server_hangs(
    runtime_access: PostgresAccess, faulty_postgres: PostgresServer
) -> None:
    database = Database(runtime_access, node_id="node1")
    await database.connect()
    await works(database)
    faulty_postgres.hang()
    async with asyncio.timeout(SHOWN_SECONDS):
        await database.close()
    faulty_postgres.resume()
