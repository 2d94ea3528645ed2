"""Kills the parts of a cluster under load, and lets the journal judge."""

import random
from dataclasses import dataclass

from tests.crash.clients import Clients, appending
from tests.crash.cluster import Cluster, running_cluster
from tests.crash.journal import Journal
from tests.crash.verdict import Verdict, judge
from tests.integration.server.flexcore_process import TOKEN

CLIENTS = 16
_BEFORE_A_KILL = (10, 150)
"""How many more appends are acknowledged before the next kill: a random number of this range."""


@dataclass(frozen=True)
class Kills:
    """How often to kill what."""

    nodes: int
    postgres: int
    redis: int

    def in_random_order(self) -> list[str]:
        """Return the victims of all kills."""
        victims = ["node"] * self.nodes + ["postgres"] * self.postgres + ["redis"] * self.redis
        random.shuffle(victims)
        return victims


def survive(kills: Kills) -> Verdict:
    """Run two nodes under load, kill as told, each time the next one only when all is well again, then judge."""
    journal = Journal()
    with running_cluster() as cluster:
        with appending(cluster.urls, TOKEN, journal, CLIENTS) as clients:
            for victim in kills.in_random_order():
                clients.wait_for_more(random.randint(*_BEFORE_A_KILL))
                _KILL[victim](cluster, clients)
                cluster.wait_until_ready()
            clients.wait_for_more(CLIENTS)
        with cluster.nodes[0].client() as api:
            return judge(journal, api)


def _kill_node(cluster: Cluster, clients: Clients) -> None:
    node = random.choice(cluster.nodes)
    node.kill()
    clients.wait_for_more(1)  # the other node serves
    node.start()


def _kill_postgres(cluster: Cluster, clients: Clients) -> None:
    cluster.postgres.kill()
    cluster.postgres.start()


def _kill_redis(cluster: Cluster, clients: Clients) -> None:
    cluster.redis.kill()
    clients.wait_for_more(1)  # appending needs no Redis
    cluster.redis.start()


_KILL = {"node": _kill_node, "postgres": _kill_postgres, "redis": _kill_redis}
