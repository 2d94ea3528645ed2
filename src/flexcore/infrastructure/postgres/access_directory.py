"""What every node knows of the accounts by heart: the ports AccessSource, KeyStore and LoginAttempts."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from flexcore.application.access.directory import AccessState, KnownKey, KnownToken, KnownUser
from flexcore.application.access.login import Subject
from flexcore.domain.access import Role
from flexcore.infrastructure.postgres.database import Database

# A look is quick or in vain, and whoever waits for it has a caller waiting.
_LOOK_SECONDS: Final = 2.0
_VERSION: Final = "SELECT version FROM access_version"
_USERS: Final = "SELECT id::text, name, role, disabled, session_epoch FROM users"
_TOKENS: Final = "SELECT id::text, owner_id::text, name, role, secret_hash, expires_at FROM api_tokens"
_KEYS: Final = "SELECT kid, public_key, not_after FROM session_keys WHERE not_after > now()"
_USED: Final = """
INSERT INTO api_token_uses (token_id, used_at)
SELECT id, $2 FROM api_tokens WHERE id = ANY($1::uuid[])
ON CONFLICT (token_id) DO UPDATE SET used_at = greatest(api_token_uses.used_at, excluded.used_at)
"""
_PUBLISH: Final = """
INSERT INTO session_keys (kid, public_key, node_id, created_at, not_after) VALUES ($1, $2, $3, $4, $5)
"""
_FORGET: Final = "DELETE FROM session_keys WHERE not_after < now() - interval '1 day'"
_BEGIN: Final = "SELECT begin_login($1, $2, $3)"
_FORGIVE_USER: Final = "DELETE FROM login_attempts WHERE subject = $1"
_FORGIVE_SOURCE: Final = """
UPDATE login_attempts SET failures = greatest(failures - 1, 0), blocked_until = '-infinity' WHERE subject = $1
"""


class PostgresDirectory:
    """The accounts as of one moment, and the keys of sessions."""

    def __init__(self, database: Database, *, node_id: str) -> None:
        self._database = database
        self._node_id = node_id

    async def read(self, known: int) -> AccessState | None:
        """Read all accounts if there is something newer than `known`; raises Unavailable."""
        async with self._database.session(seconds=_LOOK_SECONDS, reserved=True) as connection:
            if await connection.fetchval(_VERSION) == known:
                return None
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                version = await connection.fetchval(_VERSION)
                users = await connection.fetch(_USERS)
                tokens = await connection.fetch(_TOKENS)
                keys = await connection.fetch(_KEYS)
        return AccessState(
            version,
            {row["id"]: _user(row) for row in users},
            {row["secret_hash"]: _token(row) for row in tokens},
            {row["kid"]: KnownKey(row["public_key"], row["not_after"]) for row in keys},
        )

    async def used(self, token_ids: Iterable[str], at: datetime) -> None:
        """Note that API tokens were used; raises Unavailable."""
        async with self._database.session() as connection:
            await connection.execute(_USED, list(token_ids), at)

    async def publish(self, kid: str, public_key: bytes, created_at: datetime, not_after: datetime) -> None:
        """Publish a key, and forget those whose tokens have all expired; raises Unavailable."""
        async with self._database.session() as connection:
            await connection.execute(_PUBLISH, kid, public_key, self._node_id, created_at, not_after)
            await connection.execute(_FORGET)


class PostgresLoginAttempts:
    """Counts attempts in the clock of the database, so that it is one for all nodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, subjects: Sequence[Subject]) -> float:
        """Count an attempt, or return the seconds that it has to wait; raises Unavailable."""
        keys, free = [subject.key for subject in subjects], [subject.free for subject in subjects]
        longest = [subject.longest_seconds for subject in subjects]
        async with self._database.session() as connection:
            return float(await connection.fetchval(_BEGIN, keys, free, longest))

    async def succeeded(self, user: Subject, source: Subject) -> None:
        """Forget the failures of the user, and this attempt of the source; raises Unavailable."""
        async with self._database.session() as connection, connection.transaction():
            await connection.execute(_FORGIVE_SOURCE, source.key)
            await connection.execute(_FORGIVE_USER, user.key)


def _user(row: Any) -> KnownUser:
    return KnownUser(row["name"], Role(row["role"]), row["disabled"], row["session_epoch"])


def _token(row: Any) -> KnownToken:
    return KnownToken(row["id"], row["name"], Role(row["role"]), row["owner_id"], row["expires_at"])
