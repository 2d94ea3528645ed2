"""PostgreSQL's failures as sentences for the caller, without addresses or secrets."""

import asyncpg

from flexcore.domain.errors import Unavailable

SERVICE = "postgresql"
EVENT_STORE = "event_store"

# Errors that say that the connection or the server behind it is gone, not that a statement was wrong.
CONNECTION_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What asyncpg raises for a connection that the server ended while it was idle.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)

# Anything that can come out of an attempt to connect.
CONNECT_FAILED = (*CONNECTION_LOST, asyncpg.PostgresError)

_STATEMENT_REASONS: tuple[tuple[type[asyncpg.PostgresError], str, str], ...] = (
    (asyncpg.QueryCanceledError, SERVICE, "PostgreSQL took too long over a statement and was told to stop"),
    (asyncpg.LockNotAvailableError, EVENT_STORE, "another transaction holds the event log"),
    (asyncpg.UndefinedTableError, EVENT_STORE, "the database has no FlexCore schema; run 'flexcore migrate'"),
    (asyncpg.UndefinedFunctionError, EVENT_STORE, "the database schema is out of date; run 'flexcore migrate'"),
    (asyncpg.InsufficientPrivilegeError, EVENT_STORE, "FlexCore's role lacks rights; run 'flexcore migrate'"),
    (asyncpg.ReadOnlySQLTransactionError, SERVICE, "PostgreSQL is read-only"),
    (asyncpg.DiskFullError, SERVICE, "PostgreSQL's disk is full"),
    (asyncpg.InsufficientResourcesError, SERVICE, "PostgreSQL is out of resources"),
)

_CONNECT_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.InvalidPasswordError, "PostgreSQL refuses the password of FlexCore's role"),
    (asyncpg.InvalidAuthorizationSpecificationError, "PostgreSQL refuses FlexCore's role"),
    (asyncpg.InvalidCatalogNameError, "PostgreSQL has no such database"),
    (asyncpg.CannotConnectNowError, "PostgreSQL is starting up or shutting down"),
    (asyncpg.AdminShutdownError, "PostgreSQL is shutting down"),
    (asyncpg.CrashShutdownError, "PostgreSQL is recovering from a crash"),
    (asyncpg.TooManyConnectionsError, "PostgreSQL has no connection left"),
    (asyncpg.InsufficientPrivilegeError, "FlexCore's role may not connect to the database"),
    (TimeoutError, "PostgreSQL does not answer"),
    (ConnectionRefusedError, "PostgreSQL refuses connections"),
    (ConnectionError, "PostgreSQL closed the connection"),
    (asyncpg.PostgresConnectionError, "PostgreSQL closed the connection"),
    (asyncpg.InterfaceError, "PostgreSQL closed the connection"),
    (asyncpg.InternalClientError, "PostgreSQL closed the connection"),
    (OSError, "PostgreSQL can't be reached"),
)


def connection_reason(error: BaseException) -> str:
    """Say why there is no connection to PostgreSQL, for an `error` of connecting or of a connection that broke."""
    for kind, reason in _CONNECT_REASONS:
        if isinstance(error, kind):
            return reason
    return f"PostgreSQL refuses the connection ({type(error).__name__})"


def unavailable_statement(error: asyncpg.PostgresError) -> Unavailable | None:
    """Translate a statement's failure that is the database's state; None for one that is a defect of ours."""
    for kind, service, reason in _STATEMENT_REASONS:
        if isinstance(error, kind):
            return Unavailable(service, reason)
    return None
