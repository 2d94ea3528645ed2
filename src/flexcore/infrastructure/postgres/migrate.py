"""Brings the database to this release's schema. The only place that uses Alembic, so the server never loads it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from flexcore.domain.errors import FlexCoreError
from flexcore.infrastructure.postgres.access import PostgresAccess

CONNECT_SECONDS: Final = 5
# How long to wait for another node that migrates the same database, and for locks in general.
LOCK_SECONDS: Final = 60
# Any fixed number does; it names "migrating FlexCore" among the advisory locks of the database.
MIGRATION_LOCK: Final = 7_305_201_001

# What the runtime's role may do. Everything else it has is taken away, so a hand-made grant does not outlive a deploy.
_RUNTIME_RIGHTS = (
    "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
    "REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role}",
    "GRANT USAGE ON SCHEMA public TO {role}",
    "GRANT SELECT ON events, receipts TO {role}",
    "GRANT SELECT ON alembic_version TO {role}",
    "GRANT EXECUTE ON FUNCTION append_events TO {role}",
    # The queue's functions and triggers run with the rights of whoever calls them.
    "GRANT SELECT, INSERT, UPDATE, DELETE ON procrastinate_jobs, procrastinate_workers, procrastinate_events, "
    "procrastinate_periodic_defers TO {role}",
    "GRANT USAGE ON SEQUENCE procrastinate_jobs_id_seq, procrastinate_events_id_seq TO {role}",
    "GRANT SELECT, INSERT, DELETE ON execution_results, execution_cancellations TO {role}",
    # Packages of plugins are known by the hash of their bytes: nobody has to change or remove one.
    "GRANT SELECT, INSERT ON plugin_packages, plugin_package_pieces TO {role}",
    # Read models are made from the log and can be made again at any time.
    "GRANT SELECT, INSERT, UPDATE, DELETE ON projections TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON execution_history, pipeline_status, plugin_inventory, system_metrics "
    "TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON snapshots TO {role}",
    "GRANT SELECT ON leadership TO {role}",
    "GRANT EXECUTE ON FUNCTION take_leadership, check_leadership TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON users, api_tokens, api_token_uses, session_keys, login_attempts TO {role}",
    "GRANT SELECT ON access_version, audit TO {role}",
    "GRANT EXECUTE ON FUNCTION lock_accounts, begin_login, append_audit, append_audited_events TO {role}",
)


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The schema's revision before (None: an empty database) and after."""

    before: str | None
    after: str


def migrate(owner: PostgresAccess, runtime_role: str) -> MigrationReport:
    """Bring `owner`'s database to the newest schema and give `runtime_role` its rights, in one transaction.

    Safe to run twice and on several nodes at once: they take turns. Raises FlexCoreError in one line.
    """
    if runtime_role == owner.user:
        raise FlexCoreError(
            f"the role '{owner.user}' can't both own the database and run FlexCore: "
            "an owner could change events; give the runtime a role of its own"
        )
    where = f"database '{owner.database}' on {owner.host}:{owner.port} as role '{owner.user}'"
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(owner, where), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            return _migrate(connection, runtime_role)
    except DBAPIError as error:
        raise FlexCoreError(f"can't migrate {where}: {_one_line(error.orig or error)}") from error


def _connect(owner: PostgresAccess, where: str) -> psycopg.Connection:
    try:
        return psycopg.connect(
            host=owner.host,
            port=owner.port,
            dbname=owner.database,
            user=owner.user,
            password=owner.password,
            connect_timeout=CONNECT_SECONDS,
            application_name="flexcore:migrate",
            options=f"-c lock_timeout={LOCK_SECONDS * 1000}",
            tcp_user_timeout=(CONNECT_SECONDS + LOCK_SECONDS) * 1000,
        )
    except psycopg.OperationalError as error:
        raise FlexCoreError(f"can't connect to {where}: {_one_line(error)}") from error


def _migrate(connection: Connection, runtime_role: str) -> MigrationReport:
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
    known = connection.exec_driver_sql("SELECT count(*) FROM pg_roles WHERE rolname = %s", (runtime_role,))
    if known.scalar() == 0:
        raise FlexCoreError(f"the role '{runtime_role}' does not exist in PostgreSQL; create it, then migrate again")
    before = _revision(connection)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    role = connection.dialect.identifier_preparer.quote_identifier(runtime_role)
    for right in _RUNTIME_RIGHTS:
        connection.exec_driver_sql(right.format(role=role))
    after = _revision(connection)
    if after is None:
        raise RuntimeError("the migrations left no revision behind")
    return MigrationReport(before, after)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
