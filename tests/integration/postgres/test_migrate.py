"""Migrations: complete, repeatable, safe when two nodes start at once, and clear when they can't run."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql

from flexcore.domain import chain
from flexcore.domain.errors import FlexCoreError
from flexcore.infrastructure.postgres import migrate as migrate_module
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.migrate import MigrationReport, migrate
from flexcore.infrastructure.postgres.migrations.versions.r0001_events import STATEMENTS as FIRST_SCHEMA
from flexcore.infrastructure.postgres.schema import SCHEMA_REVISION
from tests.integration.conftest import access
from tests.servers import PostgresServer, free_port


def test_the_newest_migration_is_the_revision_the_server_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate_module.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_REVISION]


def test_a_second_run_changes_nothing(postgres_server: PostgresServer, empty_database: str) -> None:
    owner = access(postgres_server, empty_database, postgres_server.owner)
    assert migrate(owner, postgres_server.runtime) == MigrationReport(None, SCHEMA_REVISION)
    assert migrate(owner, postgres_server.runtime) == MigrationReport(SCHEMA_REVISION, SCHEMA_REVISION)


def test_nodes_that_migrate_at_once_take_turns(postgres_server: PostgresServer, empty_database: str) -> None:
    owner = access(postgres_server, empty_database, postgres_server.owner)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: migrate(owner, postgres_server.runtime), range(4)))
    assert sorted(report.before or "" for report in reports) == ["", *[SCHEMA_REVISION] * 3]
    assert {report.after for report in reports} == {SCHEMA_REVISION}


def test_rights_given_by_hand_do_not_outlive_a_migration(
    postgres_server: PostgresServer, owner_access: PostgresAccess
) -> None:
    with postgres_server.connect(postgres_server.owner, owner_access.database) as connection:
        connection.execute("GRANT ALL ON events TO flexcore")
    migrate(owner_access, postgres_server.runtime)
    with (
        postgres_server.connect(postgres_server.runtime, owner_access.database) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table events"),
    ):
        connection.execute("DELETE FROM events")


@pytest.mark.parametrize("statement", ["UPDATE events SET type = 'x'", "DELETE FROM events", "TRUNCATE events"])
@pytest.mark.parametrize(
    ("role", "reason"),
    [("flexcore", "permission denied"), ("flexcore_owner", "append-only"), ("postgres", "append-only")],
)
def test_nobody_changes_events(
    postgres_server: PostgresServer, database_name: str, statement: str, role: str, reason: str
) -> None:
    with (
        postgres_server.connect(role, database_name) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match=reason),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("table", ["events", "receipts"])
def test_the_runtime_appends_through_the_function_alone(
    postgres_server: PostgresServer, database_name: str, table: str
) -> None:
    with (
        postgres_server.connect(postgres_server.runtime, database_name) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"permission denied for table {table}"),
    ):
        connection.execute(sql.SQL("INSERT INTO {0} SELECT * FROM {0}").format(sql.Identifier(table)))


def test_events_of_the_first_schema_are_chained(postgres_server: PostgresServer, empty_database: str) -> None:
    owner = access(postgres_server, empty_database, postgres_server.owner)
    with postgres_server.connect(postgres_server.owner, empty_database) as connection:
        for statement in FIRST_SCHEMA:
            connection.execute(statement)
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
        for number in range(1, 4):
            connection.execute(
                "SELECT append_events(%s::uuid[], ARRAY['X'], ARRAY['Thing'], ARRAY['ä'], %s::jsonb[], "
                "ARRAY['{}'::jsonb], ARRAY[NULL::bigint])",
                ([uuid.uuid4()], [f'{{"number": {number}, "text": "ü"}}']),
            )
    assert migrate(owner, postgres_server.runtime) == MigrationReport("0001", SCHEMA_REVISION)
    with postgres_server.connect(database=empty_database) as connection:
        rows = connection.execute(
            "SELECT position, id::text, version, recorded_at, type, aggregate_type, aggregate_id, data, metadata, hash "
            "FROM events ORDER BY position"
        ).fetchall()
    assert [row[7] for row in rows] == [f'{{"text": "ü", "number": {number}}}' for number in (1, 2, 3)]
    link = chain.GENESIS
    for *content, stored in rows:
        link = chain.link(link, tuple(content))
        assert stored == link


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE mine ()", "DROP TABLE events", "UPDATE alembic_version SET version_num = '0'"]
)
def test_the_runtime_can_not_change_the_schema(
    postgres_server: PostgresServer, database_name: str, statement: str
) -> None:
    with (
        postgres_server.connect(postgres_server.runtime, database_name) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_a_wrong_password_is_one_line_without_it(owner_access: PostgresAccess, postgres_server: PostgresServer) -> None:
    with pytest.raises(FlexCoreError) as caught:
        migrate(replace(owner_access, password="not-the-password"), postgres_server.runtime)
    message = str(caught.value)
    assert "password authentication failed" in message
    assert f"as role '{postgres_server.owner}'" in message
    assert "not-the-password" not in message
    assert "\n" not in message


def test_an_unreachable_server_is_one_line(owner_access: PostgresAccess, postgres_server: PostgresServer) -> None:
    port = free_port()
    with pytest.raises(FlexCoreError, match=f"127.0.0.1:{port} as role .*refused") as caught:
        migrate(replace(owner_access, port=port), postgres_server.runtime)
    assert "\n" not in str(caught.value)


def test_a_missing_database_is_named(owner_access: PostgresAccess, postgres_server: PostgresServer) -> None:
    with pytest.raises(FlexCoreError, match='database "nowhere" does not exist'):
        migrate(replace(owner_access, database="nowhere"), postgres_server.runtime)


def test_a_missing_runtime_role_is_named_and_nothing_is_changed(
    postgres_server: PostgresServer, empty_database: str
) -> None:
    owner = access(postgres_server, empty_database, postgres_server.owner)
    with pytest.raises(FlexCoreError, match="role 'nobody' does not exist"):
        migrate(owner, "nobody")
    with postgres_server.connect(database=empty_database) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_the_runtime_may_not_own_the_database(owner_access: PostgresAccess) -> None:
    with pytest.raises(FlexCoreError, match="can't both own the database and run FlexCore"):
        migrate(owner_access, owner_access.user)


def test_a_role_without_rights_on_the_database_is_told_so(postgres_server: PostgresServer, empty_database: str) -> None:
    runtime = access(postgres_server, empty_database, postgres_server.runtime)
    with pytest.raises(FlexCoreError, match="permission denied for schema public"):
        migrate(runtime, postgres_server.owner)
