"""The lease in Redis and the terms in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

from flexcore.domain.errors import LeadershipLost, Unavailable
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.leadership import PostgresLeadershipTerms, check_leadership
from flexcore.infrastructure.redis import leader_lease
from flexcore.infrastructure.redis.connection import RedisAccess
from flexcore.infrastructure.redis.leader_lease import RedisLeaderLease
from tests.servers import PostgresServer, RedisServer

pytestmark = pytest.mark.anyio

MakeLease = Callable[..., RedisLeaderLease]


@pytest.fixture
async def lease_of(redis_access: RedisAccess) -> AsyncIterator[MakeLease]:
    leases: list[RedisLeaderLease] = []

    def make(node_id: str, incarnation: str = "1") -> RedisLeaderLease:
        leases.append(RedisLeaderLease(redis_access, node_id=node_id, incarnation=incarnation))
        return leases[-1]

    yield make
    for lease in leases:
        await lease.close()


@pytest.fixture
def terms(database: Database) -> PostgresLeadershipTerms:
    return PostgresLeadershipTerms(database)


async def test_the_lease_has_one_holder(lease_of: MakeLease) -> None:
    first, second = lease_of("a"), lease_of("b")
    assert (await first.look()).holder is None
    assert (await first.acquire()).mine
    assert (await first.acquire()).mine
    seen = await second.acquire()
    assert (seen.holder, seen.mine) == ("a", False)
    await second.release()
    assert (await first.look()).mine
    await first.release()
    assert (await second.acquire()).mine


async def test_a_restarted_node_does_not_hold_what_its_earlier_process_held(lease_of: MakeLease) -> None:
    await lease_of("a", "1").acquire()
    seen = await lease_of("a", "2").acquire()
    assert (seen.holder, seen.mine) == ("a", False)


async def test_the_lease_runs_out_and_is_lengthened(
    lease_of: MakeLease, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_server.connect() as client:
        monkeypatch.setattr(leader_lease, "LEASE_SECONDS", 1.0)
        await lease_of("a").acquire()
        assert 0 < client.pttl(leader_lease.KEY) <= 1000
        monkeypatch.setattr(leader_lease, "LEASE_SECONDS", 50.0)
        await lease_of("a").acquire()
        assert client.pttl(leader_lease.KEY) > 1000


@pytest.mark.parametrize("disturbance", ["kill", "hang"])
async def test_without_redis_it_is_unavailable_in_time(
    lease_of: MakeLease, faulty_redis: RedisServer, disturbance: str
) -> None:
    lease = lease_of("a")
    await lease.acquire()
    getattr(faulty_redis, disturbance)()
    for ask in (lease.acquire, lease.look, lease.release):
        with pytest.raises(Unavailable, match="Redis"):
            async with asyncio.timeout(5):
                await ask()
    faulty_redis.ensure_running()
    with faulty_redis.connect() as client:
        # One that was killed may have come back with an older lease.
        client.delete(leader_lease.KEY)
    assert (await lease.acquire()).mine


async def test_terms_only_grow(terms: PostgresLeadershipTerms) -> None:
    first = await terms.take("a")
    await terms.confirm(first)
    second = await terms.take("b")
    assert second == first + 1
    await terms.confirm(second)
    with pytest.raises(LeadershipLost, match=f"term {first} is over"):
        await terms.confirm(first)


async def test_a_leader_of_an_earlier_term_can_not_write(database: Database, terms: PostgresLeadershipTerms) -> None:
    first = await terms.take("a")
    async with database.session() as connection, connection.transaction():
        await check_leadership(connection, first)
    second = await terms.take("b")
    with pytest.raises(LeadershipLost, match=f"term {first} .* is over: it is at term {second}"):
        async with database.session() as connection, connection.transaction():
            await check_leadership(connection, first)


async def test_no_term_begins_between_a_leaders_check_and_its_commit(
    database: Database, terms: PostgresLeadershipTerms, postgres_server: PostgresServer
) -> None:
    first = await terms.take("a")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%take_leadership%'"
    with postgres_server.connect() as observer:
        async with database.session() as connection, connection.transaction():
            await check_leadership(connection, first)
            successor = asyncio.create_task(terms.take("b"))
            while observer.execute(waiting).fetchone() == (0,):
                assert not successor.done()
                await asyncio.sleep(0.01)
    assert await successor == first + 1


async def test_two_checks_of_one_term_do_not_wait_for_each_other(
    database: Database, terms: PostgresLeadershipTerms
) -> None:
    token = await terms.take("a")
    async with asyncio.timeout(2):
        async with database.session() as one, one.transaction(), database.session() as two, two.transaction():
            await check_leadership(one, token)
            await check_leadership(two, token)


@pytest.mark.parametrize("statement", ["UPDATE leadership SET token = 0", "DELETE FROM leadership"])
def test_the_runtime_can_not_turn_the_terms_back(
    postgres_server: PostgresServer, runtime_access: PostgresAccess, statement: str
) -> None:
    with (
        postgres_server.connect(postgres_server.runtime, runtime_access.database) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)
