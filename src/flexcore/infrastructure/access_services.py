"""Everything about who may call, joined."""

import asyncio
import logging
from typing import Final

from flexcore.application.access.accounts import ApiTokens, Users
from flexcore.application.access.directory import Directory
from flexcore.application.access.login import Login
from flexcore.application.audit import Audit, AuditOutcome, AuditRecord
from flexcore.application.background import CANCELLATION_SECONDS, cancel
from flexcore.application.ports import Clock, LiveChannel, NewId
from flexcore.domain.errors import InvalidInput, TooBusy, Unavailable
from flexcore.infrastructure.passwords import Argon2Passwords
from flexcore.infrastructure.postgres.access_directory import PostgresDirectory, PostgresLoginAttempts
from flexcore.infrastructure.postgres.accounts import PostgresAccounts
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.sessions import JsonWebTokens

FIRST_USER: Final = "admin"
_RETRY_SECONDS: Final = 1.0
_logger = logging.getLogger("flexcore.access")


class AccessServices:
    """Users, tokens, logins and the directory of one node.

    `machine_token` is that of the credential, `first_password` that of the user who is made if there is none.
    """

    def __init__(
        self,
        *,
        database: Database,
        channel: LiveChannel,
        clock: Clock,
        new_id: NewId,
        node_id: str,
        cluster: str,
        machine_token: str,
        first_password: str | None,
        session_seconds: int,
        audit: Audit,
    ) -> None:
        self._audit = audit
        store = PostgresAccounts(database)
        source = PostgresDirectory(database, node_id=node_id)
        sessions = JsonWebTokens(source, audience=cluster, seconds=session_seconds, clock=clock)
        self._passwords = Argon2Passwords()
        self._first_password = first_password
        self.directory = Directory(source, sessions, channel, machine_token=machine_token, clock=clock)
        changed = self.directory.changed
        self.users = Users(store, self._passwords, clock=clock, new_id=new_id, changed=changed)
        self.tokens = ApiTokens(store, clock=clock, new_id=new_id, changed=changed)
        self.login = Login(store, self._passwords, PostgresLoginAttempts(database), sessions, self.users)

    def start(self) -> None:
        """Begin to follow the accounts, and make the first one."""
        self.directory.start()
        self._first_user = asyncio.create_task(self._make_first_user(), name="first user")

    async def close(self) -> None:
        """Stop."""
        await cancel([self._first_user], CANCELLATION_SECONDS)
        await self.directory.close()
        await self._passwords.close()

    async def _make_first_user(self) -> None:
        """Make the first admin as soon as PostgreSQL answers, if there is no user at all."""
        while True:
            if await self._first_user_settled():
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _first_user_settled(self) -> bool:
        try:
            if self._first_password is None:
                if not (await self.users.page(1, 0))[1]:
                    _logger.info("there are no users, and no auth.admin_password to make the first one with")
            elif await self.users.create_first(FIRST_USER, self._first_password):
                _logger.info("made the first user", extra={"user": FIRST_USER})
                self._audit.record(
                    AuditRecord(
                        actor="flexcore",
                        action="createFirstUser",
                        target=f"user {FIRST_USER}",
                        outcome=AuditOutcome.SUCCEEDED,
                    )
                )
                await self.directory.changed()
        except (Unavailable, TooBusy):
            return False
        except InvalidInput as error:
            _logger.error("no first user was made: auth.admin_password: %s", error)  # noqa: TRY400 - no defect
        return True
