"""Users and API tokens in PostgreSQL, through the port AccountStore."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from flexcore.application.access.accounts import (
    MAX_TOKENS,
    MAX_USERS,
    ApiToken,
    Credentials,
    User,
    UserChange,
    not_a_user,
)
from flexcore.domain.access import DEVELOPER_NAME, MACHINE_NAME
from flexcore.domain.errors import Conflict, NotFound
from flexcore.infrastructure.postgres.database import Connection, Database

_USER: Final = "name, role, disabled, created_at, updated_at"
_USERS: Final = f"SELECT {_USER} FROM users ORDER BY name LIMIT $1 OFFSET $2"  # noqa: S608 - names of ours
_ONE_USER: Final = f"SELECT {_USER} FROM users WHERE name = $1"  # noqa: S608 - names of ours
_CREDENTIALS: Final = """
SELECT id::text AS user_id, name, role, disabled, password_hash, session_epoch FROM users WHERE name = $1
"""
_ADD_USER: Final = """
INSERT INTO users (id, name, role, disabled, password_hash, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
# A session is ended by whatever makes it doubtful who holds it.
_CHANGE_USER: Final = f"""
UPDATE users SET
    role = coalesce($2, role),
    disabled = coalesce($3, disabled),
    password_hash = coalesce($4, password_hash),
    session_epoch = session_epoch + CASE WHEN $4 IS NOT NULL OR $3 THEN 1 ELSE 0 END,
    updated_at = $5
WHERE name = $1 RETURNING {_USER}
"""  # noqa: S608 - names of ours
_ADMINS: Final = "SELECT count(*) FROM users WHERE role = 'admin' AND NOT disabled"
_IS_ADMIN: Final = "SELECT EXISTS (SELECT FROM users WHERE name = $1 AND role = 'admin' AND NOT disabled)"
_TOKENS: Final = f"""
SELECT token.id::text, token.name, coalesce(owner.name, '{MACHINE_NAME}') AS owner, token.role, token.created_at,
    token.expires_at, used.used_at AS last_used
FROM api_tokens token
LEFT JOIN users owner ON owner.id = token.owner_id
LEFT JOIN api_token_uses used ON used.token_id = token.id
ORDER BY owner.name NULLS FIRST, token.name LIMIT $1 OFFSET $2
"""  # noqa: S608 - a name of ours
_ADD_TOKEN: Final = """
INSERT INTO api_tokens (id, owner_id, name, role, secret_hash, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""  # noqa: S105 - no token


class PostgresAccounts:
    """Changes take turns over all nodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def users(self, limit: int, offset: int) -> tuple[Sequence[User], int]:
        """Read users by name, and how many there are."""
        async with self._database.session() as connection:
            rows = await connection.fetch(_USERS, limit, offset)
            total = await connection.fetchval("SELECT count(*) FROM users")
        return [_user(row) for row in rows], total

    async def user(self, name: str) -> User:
        """Read one; raises NotFound."""
        async with self._database.session() as connection:
            row = await connection.fetchrow(_ONE_USER, _key(name))
        if row is None:
            raise not_a_user(name)
        return _user(row)

    async def credentials(self, name: str) -> Credentials | None:
        """Read what a login is compared with."""
        async with self._database.session() as connection:
            row = await connection.fetchrow(_CREDENTIALS, _key(name))
        return None if row is None else msgspec.convert(dict(row), Credentials)

    async def add_user(self, user_id: str, user: User, password_hash: str) -> None:
        """Add one; raises Conflict."""
        async with self._changing() as connection:
            await _add_user(connection, user_id, user, password_hash)

    async def add_first_user(self, user_id: str, user: User, password_hash: str) -> bool:
        """Add one if there is none."""
        async with self._changing() as connection:
            if await connection.fetchval("SELECT EXISTS (SELECT FROM users)"):
                return False
            await _add_user(connection, user_id, user, password_hash)
        return True

    async def change_user(self, name: str, change: UserChange, now: datetime) -> User:
        """Change one; raises NotFound, Conflict."""
        async with self._changing() as connection:
            was_admin = await connection.fetchval(_IS_ADMIN, _key(name))
            row = await connection.fetchrow(
                _CHANGE_USER, _key(name), change.role, change.disabled, change.password_hash, now
            )
            if row is None:
                raise not_a_user(name)
            if was_admin:
                await _check_admins(connection)
        return _user(row)

    async def remove_user(self, name: str) -> None:
        """Take one away; raises NotFound, Conflict."""
        async with self._changing() as connection:
            was_admin = await connection.fetchval(_IS_ADMIN, _key(name))
            if await connection.execute("DELETE FROM users WHERE name = $1", _key(name)) == "DELETE 0":
                raise not_a_user(name)
            if was_admin:
                await _check_admins(connection)

    async def end_sessions(self, name: str) -> None:
        """End all sessions of one; raises NotFound."""
        statement = "UPDATE users SET session_epoch = session_epoch + 1 WHERE name = $1"
        async with self._changing() as connection:
            if await connection.execute(statement, _key(name)) == "UPDATE 0":
                raise not_a_user(name)

    async def tokens(self, limit: int, offset: int) -> tuple[Sequence[ApiToken], int]:
        """Read tokens by owner and name, and how many there are."""
        async with self._database.session() as connection:
            rows = await connection.fetch(_TOKENS, limit, offset)
            total = await connection.fetchval("SELECT count(*) FROM api_tokens")
        return [msgspec.convert(dict(row), ApiToken) for row in rows], total

    async def add_token(self, token: ApiToken, secret_hash: bytes) -> None:
        """Add one; raises NotFound (its owner), Conflict."""
        async with self._changing() as connection:
            if await connection.fetchval("SELECT count(*) FROM api_tokens") >= MAX_TOKENS:
                raise Conflict(f"there are {MAX_TOKENS} API tokens already; delete some")
            try:
                await connection.execute(
                    _ADD_TOKEN,
                    token.id,
                    await _owner_id(connection, token.owner),
                    token.name,
                    token.role,
                    secret_hash,
                    token.created_at,
                    token.expires_at,
                )
            except asyncpg.UniqueViolationError as error:
                raise Conflict(f"{token.owner} has an API token named '{token.name}' already") from error

    async def remove_token(self, token_id: str) -> None:
        """Take one away; raises NotFound."""
        async with self._changing() as connection:
            # Compared as text, for the caller may name what is no id at all.
            found = await connection.execute("DELETE FROM api_tokens WHERE id::text = $1", _key(token_id))
        if found == "DELETE 0":
            raise NotFound(f"there is no API token '{token_id}'")

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[Connection]:
        async with self._database.session() as connection, connection.transaction():
            await connection.execute("SELECT lock_accounts()")
            yield connection


async def _add_user(connection: Connection, user_id: str, user: User, password_hash: str) -> None:
    if await connection.fetchval("SELECT count(*) FROM users") >= MAX_USERS:
        raise Conflict(f"there are {MAX_USERS} users already; delete some")
    try:
        await connection.execute(
            _ADD_USER, user_id, user.name, user.role, user.disabled, password_hash, user.created_at, user.updated_at
        )
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"there is a user '{user.name}' already") from error


async def _check_admins(connection: Connection) -> None:
    if await connection.fetchval(_ADMINS) == 0:
        raise Conflict("this is the last admin who may log in; make another one first")


async def _owner_id(connection: Connection, owner: str) -> str | None:
    if owner in (MACHINE_NAME, DEVELOPER_NAME):
        return None
    owner_id: str | None = await connection.fetchval("SELECT id FROM users WHERE name = $1", owner)
    if owner_id is None:
        raise not_a_user(owner)
    return owner_id


def _user(row: Mapping[str, Any]) -> User:
    return msgspec.convert(dict(row), User)


def _key(text: str) -> str:
    """Return what PostgreSQL can compare: nothing that is kept holds the character NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
