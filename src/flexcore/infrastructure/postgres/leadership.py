"""Terms of leadership, counted where they are checked: in PostgreSQL, which never forgets one."""

import asyncpg

from flexcore.domain.errors import LeadershipLost
from flexcore.infrastructure.postgres.database import Connection, Database

# Raised by the SQL function check_leadership.
LEADERSHIP_LOST_STATE = "FC412"


class PostgresLeadershipTerms:
    """The table `leadership` through the port LeadershipTerms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, node_id: str) -> int:
        """Begin a term and return its token, which ends every earlier term; raises Unavailable.

        Waits for transactions of the earlier leader that passed their check: what comes after sees all they wrote.
        """
        async with self._database.session() as connection:
            return int(await connection.fetchval("SELECT take_leadership($1)", node_id))

    async def confirm(self, token: int) -> None:
        """Raise LeadershipLost if a later term has begun; raises Unavailable."""
        async with self._database.session() as connection:
            newest = await connection.fetchval("SELECT token FROM leadership")
        if newest != token:
            raise LeadershipLost(f"term {token} is over: PostgreSQL is at term {newest}")


async def check_leadership(connection: Connection, token: int) -> None:
    """Let the transaction under way commit only in the term `token`: until it ends, no other term can begin.

    Raises LeadershipLost; the transaction can't go on then.
    """
    try:
        await connection.execute("SELECT check_leadership($1)", token)
    except asyncpg.PostgresError as error:
        if error.sqlstate == LEADERSHIP_LOST_STATE:
            raise LeadershipLost(error.args[0]) from error
        raise
