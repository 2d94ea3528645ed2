"""The election: one leader, its work, and every way in which a term ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from flexcore.application import leadership
from flexcore.application.leadership import LeaderElection
from flexcore.domain.errors import LeadershipLost, Unavailable
from tests.unit.application.cluster_doubles import Channel, Lease, Redis, Terms

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RENEW_SECONDS", "CAMPAIGN_SECONDS", "FIRST_RESTART_SECONDS", "LAST_RESTART_SECONDS"):
        monkeypatch.setattr(leadership, name, 0.005)


class Cluster:
    """Nodes that share everything."""

    def __init__(self) -> None:
        self.redis = Redis()
        self.terms = Terms()
        self.channel = Channel()

    @asynccontextmanager
    async def node(self, node_id: str, may_lead: Callable[[], bool] = lambda: True) -> AsyncIterator[LeaderElection]:
        election = LeaderElection(
            node_id=node_id,
            lease=Lease(self.redis, node_id),
            terms=self.terms,
            channel=self.channel,
            may_lead=may_lead,
        )
        election.start()
        try:
            yield election
        finally:
            await election.close()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


class Work:
    """Leader's work that records in which terms it ran, and never ends by itself."""

    def __init__(self) -> None:
        self.terms: list[int] = []
        self.running = 0
        self.failures: list[Exception] = []

    async def __call__(self, token: int) -> None:
        self.terms.append(token)
        if self.failures:
            raise self.failures.pop()
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.running -= 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the election announces nothing, it is asked
            await asyncio.sleep(0.002)


async def test_one_of_two_leads_and_both_know_who(cluster: Cluster) -> None:
    async with cluster.node("a") as first, cluster.node("b") as second:
        await until(lambda: first.token == 1 and second.leader == "a")
        assert (first.leader, second.token) == ("a", None)


async def test_work_runs_in_every_term_and_ends_with_it(cluster: Cluster) -> None:
    work = Work()
    async with cluster.node("a") as node:
        node.run_while_leading("work", work)
        await until(lambda: work.running == 1)
        cluster.redis.holder = "b"
        await until(lambda: node.token is None and work.running == 0)
        cluster.redis.holder = None
        await until(lambda: work.running == 1)
    assert (work.terms, work.running) == ([1, 2], 0)


async def test_work_given_to_a_leader_starts_at_once(cluster: Cluster) -> None:
    work = Work()
    async with cluster.node("a") as node:
        await until(lambda: node.token == 1)
        node.run_while_leading("work", work)
        await until(lambda: work.running == 1)


@pytest.mark.parametrize("error", [Unavailable("postgresql", "away"), ValueError("a defect")])
async def test_work_that_fails_is_started_again(cluster: Cluster, error: Exception) -> None:
    work = Work()
    work.failures = [error]
    async with cluster.node("a") as node:
        node.run_while_leading("work", work)
        await until(lambda: work.running == 1)
    assert work.terms == [1, 1]


async def test_work_that_returns_is_done_for_the_term(cluster: Cluster) -> None:
    terms: list[int] = []

    async def work(token: int) -> None:
        terms.append(token)

    async with cluster.node("a") as node:
        node.run_while_leading("work", work)
        await until(lambda: terms == [1])
        cluster.redis.holder = "b"
        await until(lambda: node.token is None)
        cluster.redis.holder = None
        await until(lambda: terms == [1, 2])


async def test_a_later_term_in_postgresql_ends_this_one_though_the_lease_is_still_held(cluster: Cluster) -> None:
    async with cluster.node("a") as node:
        await until(lambda: node.token == 1)
        await cluster.terms.take("b")
        await until(lambda: node.token == 3)


async def test_refused_work_makes_the_node_look_at_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leadership, "RENEW_SECONDS", 3600)
    work = Work()
    work.failures = [LeadershipLost("term 1 is over")]
    async with cluster.node("a") as node:
        await until(lambda: node.token == 1)
        await cluster.terms.take("b")
        node.run_while_leading("work", work)
        await until(lambda: node.token == 3)


async def test_without_redis_the_leader_goes_on_and_nobody_new_is_elected(cluster: Cluster) -> None:
    work = Work()
    async with cluster.node("a") as first, cluster.node("b") as second:
        first.run_while_leading("work", work)
        await until(lambda: work.running == 1)
        cluster.redis.down = True
        await asyncio.sleep(0.05)
        assert (first.token, second.token, work.running) == (1, None, 1)
        cluster.redis.holder, cluster.redis.down = None, False
        # Whichever is first: never both.
        await until(lambda: cluster.redis.holder is not None)
        await until(lambda: [first.token, second.token].count(None) == 1)
        assert cluster.terms.newest in (first.token, second.token)


async def test_without_redis_a_later_term_still_ends_this_one(cluster: Cluster) -> None:
    async with cluster.node("a") as node:
        await until(lambda: node.token == 1)
        cluster.redis.down = True
        await cluster.terms.take("b")
        await until(lambda: node.token is None)


async def test_without_postgresql_nobody_begins_a_term_and_the_lease_stays_free_for_others(cluster: Cluster) -> None:
    cluster.terms.down = True
    async with cluster.node("a") as node:
        await asyncio.sleep(0.03)
        assert node.token is None
        cluster.terms.down = False
        await until(lambda: node.token == 1)


async def test_a_leader_cut_off_from_postgresql_lets_others_try(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster.node("a") as node:
        await until(lambda: node.token == 1)
        cluster.terms.down = True
        await asyncio.sleep(0.03)
        assert node.token == 1
        monkeypatch.setattr(leadership, "UNCONFIRMED_SECONDS", 0.01)
        await until(lambda: node.token is None)


async def test_an_unwilling_node_gives_the_lease_back(cluster: Cluster) -> None:
    willing = {"a": True}
    async with cluster.node("a", lambda: willing["a"]) as first, cluster.node("b") as second:
        await until(lambda: first.token == 1)
        willing["a"] = False
        await until(lambda: second.token == 2)
        assert first.token is None
        await until(lambda: first.leader == "b")


async def test_closing_gives_the_lease_back(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster.node("b") as second:
        await until(lambda: second.token == 1)
        async with cluster.node("a") as first:
            # Only the news of the lease can make it look again.
            monkeypatch.setattr(leadership, "CAMPAIGN_SECONDS", 3600)
            await until(lambda: first.leader == "b")
            await second.close()
            assert second.token is None
            await until(lambda: first.token == 2)


async def test_closing_does_not_need_redis(cluster: Cluster) -> None:
    async with cluster.node("a") as node:
        await until(lambda: node.token == 1)
        cluster.redis.down = True
    assert node.token is None


async def test_work_that_ignores_its_cancellation_is_named(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leadership, "CANCELLATION_SECONDS", 0.01)
    release = asyncio.Event()

    async def stubborn(token: int) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with cluster.node("a") as node:
        node.run_while_leading("stubborn work", stubborn)
        await until(lambda: node.token == 1)
    assert "stubborn work goes on although its term is over" in caplog.text
    release.set()
    await asyncio.sleep(0)
