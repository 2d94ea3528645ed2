"""A process that leads, and goes on writing in its term whatever it hears: what the fencing token is there for.

It is told PostgreSQL's and Redis' addresses by the server's own variables, and prints what becomes of it.
"""

import asyncio
import os
import sys

from flexcore.application.leadership import LeaderElection
from flexcore.domain.errors import LeadershipLost, Unavailable
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.leadership import PostgresLeadershipTerms, check_leadership
from flexcore.infrastructure.redis.connection import RedisAccess
from flexcore.infrastructure.redis.leader_lease import RedisLeaderLease
from flexcore.infrastructure.redis.live_channel import RedisLiveChannel


async def main(node_id: str) -> None:
    env = os.environ
    redis = RedisAccess(env["REDIS_HOST"], int(env["REDIS_PORT"]), env["REDIS_USERNAME"], env["REDIS_PASSWORD"])
    database = Database(
        PostgresAccess(
            env["POSTGRES_HOST"],
            int(env["POSTGRES_PORT"]),
            env["POSTGRES_DB"],
            env["POSTGRES_USER"],
            env["POSTGRES_PASSWORD"],
        ),
        node_id=node_id,
    )
    await database.connect()
    channel = RedisLiveChannel(redis, node_id=node_id, origin=node_id)
    channel.start()
    election = LeaderElection(
        node_id=node_id,
        lease=RedisLeaderLease(redis, node_id=node_id, incarnation="1"),
        terms=PostgresLeadershipTerms(database),
        channel=channel,
    )
    writers: list[asyncio.Task[None]] = []

    async def lead(token: int) -> None:
        # In a task of its own, which the end of the term does not touch.
        writers.append(asyncio.create_task(write(database, token)))

    election.run_while_leading("stubborn writer", lead)
    election.start()
    await asyncio.Event().wait()


async def write(database: Database, token: int) -> None:
    while True:
        try:
            async with database.session() as connection, connection.transaction():
                await check_leadership(connection, token)
                await connection.execute("INSERT INTO written (token) VALUES ($1)", token)
                # Long enough for a pause to fall between the check and the commit.
                await asyncio.sleep(0.02)
            say("written")
        except LeadershipLost:
            say("refused")
            await asyncio.sleep(0.05)
        except Unavailable:
            await asyncio.sleep(0.05)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
