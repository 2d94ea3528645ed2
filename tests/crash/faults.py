"""What a full disk, a jumping clock and a connection cut in the middle do to a cluster under load."""

import itertools
import random
import re
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import psycopg

from tests.crash.clients import EVENTS, Clients, appending
from tests.crash.clock import movable_clock
from tests.crash.cluster import Cluster, running_cluster
from tests.crash.cut import Direction, cutting_proxy
from tests.crash.disk import SmallDisk
from tests.crash.journal import Journal
from tests.crash.verdict import Verdict, judge, read_log
from tests.integration.server.flexcore_process import TOKEN
from tests.servers import DURABLE, PostgresServer, serving, wait_until

CLIENTS = 16
_SOME = (20, 100)
_DISK_MEGABYTES = 192
_FAULT_SECONDS = 30
_JUMPS = (timedelta(hours=1), timedelta(hours=-1), timedelta(0))
# A path, an address, or a piece of a program: nothing that belongs in an answer.
_INNARDS = re.compile(r"/\w+/|:\d{4,5}\b|Traceback|asyncpg|Error\b")


def survive_full_disk(part: str, times: int) -> Verdict:
    """Fill up the disk of PostgreSQL's tables ("data") or of its write-ahead log ("wal"); each has one of its own."""
    with serving(SmallDisk(_DISK_MEGABYTES)) as disk:
        settings = {**DURABLE, "max_wal_size": "64MB", "min_wal_size": "32MB"}
        places = {"data": Path("data"), "wal": Path("wal")} | {part: disk.path / part}
        postgres = PostgresServer(settings=settings, **places)
        journal = Journal()
        with serving(postgres), running_cluster(postgres) as cluster:
            with _load(cluster, journal) as clients:
                for _ in range(times):
                    clients.wait_for_more(random.randint(*_SOME))
                    before = clients.troubles
                    disk.fill()
                    wait_until(
                        lambda before=before: _noticed(clients, before, postgres, part), _FAULT_SECONDS, "an error"
                    )
                    if part == "data":
                        _can_read(cluster)
                    disk.empty()
                    postgres.ensure_running()  # a full disk of the log ends it, and whoever runs it starts it again
                    cluster.wait_until_ready()
                    clients.wait_for_more(random.randint(*_SOME))
            if part == "data":
                assert any("disk is full" in detail for detail in clients.details), clients.details
            return _judge(cluster, journal, clients)


def survive_moved_clock(times: int) -> Verdict:
    """Let the clock of PostgreSQL and of one node jump by an hour, forth and back."""
    with movable_clock() as clock:
        journal = Journal()
        postgres = PostgresServer(settings=DURABLE, environ=clock.environ)
        with serving(postgres), running_cluster(postgres, first_node=clock.environ) as cluster:
            with _load(cluster, journal) as clients:
                for _ in range(times):
                    for offset in _JUMPS:
                        clients.wait_for_more(random.randint(*_SOME))
                        clock.move(offset)
                clients.wait_for_more(random.randint(*_SOME))
            assert not clients.details, clients.details
            _times_jumped_and_filters_hold(cluster)
            return _judge(cluster, journal, clients)


def survive_cuts(times: int) -> Verdict:
    """Cut connections to PostgreSQL after some bytes of what is said in either direction."""
    journal = Journal()
    with (
        serving(PostgresServer(settings=DURABLE)) as postgres,
        cutting_proxy(postgres.port) as proxy,
        running_cluster(postgres, postgres_port=proxy.port) as cluster,
    ):
        with _load(cluster, journal) as clients:
            for number in range(1, times + 1):
                clients.wait_for_more(random.randint(*_SOME))
                proxy.cut_after(random.randint(0, 5000), random.choice(list(Direction)))
                wait_until(lambda wanted=number: proxy.cuts >= wanted, _FAULT_SECONDS, "the cut")
            clients.wait_for_more(random.randint(*_SOME))
        cluster.wait_until_ready()
        return _judge(cluster, journal, clients)


def _load(cluster: Cluster, journal: Journal) -> AbstractContextManager[Clients]:
    return appending(cluster.urls, TOKEN, journal, CLIENTS)


def _judge(cluster: Cluster, journal: Journal, clients: Clients) -> Verdict:
    unclear = {detail for detail in clients.details if not detail or _INNARDS.search(detail)}
    assert not unclear, f"answers that do not say clearly what is wrong: {unclear}"
    with cluster.nodes[0].client() as api:
        return judge(journal, api)


def _noticed(clients: Clients, before: int, postgres: PostgresServer, part: str) -> bool:
    """Whether a client was told of an error since; meanwhile PostgreSQL's log is made to need its next file soon."""
    if part == "wal":
        with suppress(psycopg.OperationalError), postgres.connect() as connection:
            connection.execute("SELECT pg_switch_wal()")
    return clients.troubles > before


def _can_read(cluster: Cluster) -> None:
    with cluster.nodes[0].client() as api:
        assert api.get(EVENTS).is_success, "a full disk keeps nobody from reading"


def _times_jumped_and_filters_hold(cluster: Cluster) -> None:
    with cluster.nodes[0].client() as api:
        log = list(read_log(api))
        times = [datetime.fromisoformat(event["timestamp"]) for event in log]
        steps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert max(steps) > timedelta(minutes=50), "PostgreSQL's clock never went forth"
        assert min(steps) < timedelta(minutes=-50), "PostgreSQL's clock never went back"
        moment = sorted(times)[len(times) // 2]
        parameters: dict[str, str | int] = {"from_timestamp": moment.isoformat(), "limit": 1000}
        page = api.get(EVENTS, params=parameters).raise_for_status().json()["events"]
        expected = sorted((time, event["position"]) for event, time in zip(log, times, strict=True) if time >= moment)
        assert [event["position"] for event in page] == [position for _, position in expected[:1000]]
