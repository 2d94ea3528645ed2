"""What the event store costs: beside its peers, beside COPY, when it is long, and through HTTP.

All on one PostgreSQL with durable settings, all with the same events. `peer_name=goal` stands where there is no peer:
the peer's figure is then what this project wants to reach.
"""

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence

import pytest

from flexcore.application.ports import EventQuery, FeedPoint
from flexcore.application.verification import Verifier
from flexcore.infrastructure.checkpoints import NoCheckpoints
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.stored_chain import PostgresStoredChain
from flexcore.maintenance import PATIENT_PAGE
from flexcore.wiring import tune_collector
from tests.bench import event_log, message_db, pyeventsourcing, raw_copy
from tests.bench.appending import best, on_uvloop, percentile
from tests.bench.event_log import AGGREGATE_TYPE, LOADED_STREAMS
from tests.bench.events import TYPES
from tests.bench.figures import RUNS, alternate, print_figure
from tests.bench.load import post_events
from tests.bench.memory import resident_megabytes
from tests.integration.server.flexcore_process import TOKEN, FlexCoreProcess, running
from tests.servers import PostgresServer, RedisServer, serving, wait_until

WRITERS = 128
BATCH = 1000
BATCH_CALLERS = 4
LONG = 2_000_000
SAMPLES = 100
REPLAYED = 500_000
REPLAY_PAGE = 2000
HTTP_SECONDS = 5

GOAL_APPEND_P99_MS = 20
GOAL_QUERY_MS = 10
GOAL_REPLAY = 150_000
GOAL_VERIFY = 100_000
GOAL_HTTP = 4000
GOAL_HTTP_P99_MS = 50
GOAL_IDLE_MB = 150
GOAL_LOADED_MB = 400


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """The one PostgreSQL of all figures."""
    with event_log.durable_postgres() as server:
        server.create_database(pyeventsourcing.DATABASE)
        message_db.install(server)
        tune_collector()  # as the server does
        yield server


@pytest.fixture(scope="module")
def long_log(postgres: PostgresServer) -> str:
    """Name of a database with two million events."""
    return event_log.loaded_log(postgres, LONG)


def test_append_128_writers(postgres: PostgresServer) -> None:
    """Single events, each durable when its append returns; the peers each at the setting that suits them best."""
    rounds = [
        (
            event_log.measure(postgres, event_log.empty_log(postgres), writers=WRITERS),
            pyeventsourcing.measure(postgres, threads=32),
            pyeventsourcing.measure(postgres, threads=WRITERS),
            message_db.measure(postgres, writers=WRITERS, connections=32),
            message_db.measure(postgres, writers=WRITERS, connections=WRITERS),
        )
        for _ in range(RUNS)
    ]
    ours, *others = ([one[side] for one in rounds] for side in range(5))
    p50, p99 = [run.p50_ms for run in ours], [run.p99_ms for run in ours]
    for peer, runs in (("pyeventsourcing", best(others[:2])), ("message_db", best(others[2:]))):
        rates = [run.rate for run in ours], [run.rate for run in runs]
        print_figure(f"append_128_vs_{peer}", *rates, unit="events/s", peer_name=peer, more_is_better=True)
        for which, mine, theirs in (
            ("p50", p50, [run.p50_ms for run in runs]),
            ("p99", p99, [run.p99_ms for run in runs]),
        ):
            name = f"append_128_{which}_vs_{peer}"
            print_figure(name, mine, theirs, unit="ms", peer_name=peer, more_is_better=False)
    print_goal("append_128_p99", p99, GOAL_APPEND_P99_MS, unit="ms", more_is_better=False)


def test_append_in_batches(postgres: PostgresServer) -> None:
    """Batches of a thousand, against COPY of the same rows and against pyeventsourcing's batches."""
    copied = event_log.loaded_log(postgres, raw_copy.ROWS)
    rounds = [
        (
            event_log.measure(postgres, event_log.empty_log(postgres), writers=BATCH_CALLERS, batch=BATCH),
            raw_copy.measure(postgres, copied),
            pyeventsourcing.measure(postgres, threads=1, batch=BATCH),
            pyeventsourcing.measure(postgres, threads=BATCH_CALLERS, batch=BATCH),
        )
        for _ in range(RUNS)
    ]
    ours = [one[0].rate for one in rounds]
    theirs = [run.rate for run in best([[one[2] for one in rounds], [one[3] for one in rounds]])]
    for peer, rates in (("copy", [one[1] for one in rounds]), ("pyeventsourcing", theirs)):
        print_figure(f"batch_vs_{peer}", ours, rates, unit="events/s", peer_name=peer, more_is_better=True)


def test_append_on_two_million(postgres: PostgresServer, long_log: str) -> None:
    """Single events of 128 writers on top of a long log, against an empty one."""
    ours, empty = alternate(
        lambda: event_log.measure(postgres, long_log, writers=WRITERS).rate,
        lambda: event_log.measure(postgres, event_log.empty_log(postgres), writers=WRITERS).rate,
    )
    print_figure("append_on_2m_vs_empty", ours, empty, unit="events/s", peer_name="empty_log", more_is_better=True)


Question = Callable[[], Awaitable[Sequence[object]]]


async def _stream(store: PostgresEventStore, head: int) -> Question:
    name = f"execution-{random.randrange(LOADED_STREAMS)}"
    return lambda: store.stream(AGGREGATE_TYPE, name)


async def _latest_100(store: PostgresEventStore, head: int) -> Question:
    async def ask() -> Sequence[object]:
        return await store.feed(await store.head() - 100, 100)

    return ask


async def _by_type_and_time(store: PostgresEventStore, head: int) -> Question:
    (first,) = await store.feed(random.randrange(head // 2), 1)
    query = EventQuery(event_type=first.type, from_timestamp=first.timestamp, limit=100)
    return lambda: _read(store, query, FeedPoint())


async def _feed_500(store: PostgresEventStore, head: int) -> Question:
    after = FeedPoint(random.randrange(head - 500))
    return lambda: _read(store, EventQuery(limit=500), after)


async def _read(store: PostgresEventStore, query: EventQuery, after: FeedPoint) -> Sequence[object]:
    events, _ = await store.read(query, after)
    return events


@pytest.mark.parametrize(
    ("name", "prepare", "events"),
    [
        ("stream", _stream, LONG // LOADED_STREAMS),
        ("latest_100", _latest_100, 100),
        ("by_type_and_time", _by_type_and_time, 100),
        ("feed_500", _feed_500, 500),
    ],
)
def test_query(
    postgres: PostgresServer,
    long_log: str,
    name: str,
    prepare: Callable[[PostgresEventStore, int], Awaitable[Question]],
    events: int,
) -> None:
    """One question after the other, each about another part of the long log."""

    async def ask() -> list[float]:
        async with event_log.opened(postgres, long_log) as database:
            store = PostgresEventStore(database)
            head = await store.head()
            times = []
            for _ in range(SAMPLES):
                question = await prepare(store, head)
                begin = time.perf_counter()
                found = await question()
                times.append((time.perf_counter() - begin) * 1000)
                assert len(found) == events
            return times

    runs = [on_uvloop(ask()) for _ in range(RUNS)]
    for percent in (50, 95):
        times = [percentile(run, percent) for run in runs]
        print_goal(f"query_{name}_p{percent}", times, GOAL_QUERY_MS, unit="ms", more_is_better=False)


def test_replay(postgres: PostgresServer, long_log: str) -> None:
    """Read events in their order and fold each into a state, on one connection."""

    async def replay() -> float:
        async with event_log.opened(postgres, long_log) as database:
            store = PostgresEventStore(database)
            states: Counter[str] = Counter()
            begin = time.perf_counter()
            for after in range(0, REPLAYED, REPLAY_PAGE):
                for event in await store.feed(after, REPLAY_PAGE):
                    states[event.data["status"]] += event.data["metrics"]["rows"]
            seconds = time.perf_counter() - begin
            assert set(states) == set(TYPES)
            return REPLAYED / seconds

    rates = [on_uvloop(replay()) for _ in range(RUNS)]
    print_goal("replay", rates, GOAL_REPLAY, unit="events/s", more_is_better=True)


def test_verify(postgres: PostgresServer, long_log: str) -> None:
    """Recompute the chain of events as `flexcore events verify` does."""

    async def verify() -> float:
        async with event_log.opened(postgres, long_log) as database:
            verifier = Verifier(PostgresStoredChain(database, page=PATIENT_PAGE), NoCheckpoints())
            begin = time.perf_counter()
            found = await verifier.verify(1, REPLAYED)
            seconds = time.perf_counter() - begin
            assert (found.verified, found.checked) == (True, REPLAYED)
            return REPLAYED / seconds

    rates = [on_uvloop(verify()) for _ in range(RUNS)]
    print_goal("verify", rates, GOAL_VERIFY, unit="events/s", more_is_better=True)


def test_http(postgres: PostgresServer) -> None:
    """POST events from 64 clients to a real server process, on the same CPUs as its PostgreSQL and the clients."""
    idle, loaded, runs = [], [], []
    with serving(RedisServer()) as redis:
        for _ in range(RUNS):
            with running(_environ(postgres, redis)) as process:
                _wait_until_ready(process)
                idle.append(resident_megabytes(process.pid))
                runs.append(post_events(f"{process.url}/api/v1/flexcore/events", TOKEN, seconds=HTTP_SECONDS))
                loaded.append(resident_megabytes(process.pid))
    print_goal("http_post_events", [run.rate for run in runs], GOAL_HTTP, unit="events/s", more_is_better=True)
    print_goal("http_post_events_p50", [run.p50_ms for run in runs], GOAL_HTTP_P99_MS, unit="ms", more_is_better=False)
    print_goal("http_post_events_p99", [run.p99_ms for run in runs], GOAL_HTTP_P99_MS, unit="ms", more_is_better=False)
    print_goal("memory_idle", idle, GOAL_IDLE_MB, unit="MB", more_is_better=False)
    print_goal("memory_loaded", loaded, GOAL_LOADED_MB, unit="MB", more_is_better=False)


def _environ(postgres: PostgresServer, redis: RedisServer) -> dict[str, str]:
    login, cache = postgres.login(postgres.runtime, event_log.empty_log(postgres)), redis.login()
    return {
        "POSTGRES_HOST": login.host,
        "POSTGRES_PORT": str(login.port),
        "POSTGRES_DB": login.database,
        "POSTGRES_PASSWORD": login.password,
        "REDIS_HOST": cache.host,
        "REDIS_PORT": str(cache.port),
        "REDIS_USERNAME": cache.user,
        "REDIS_PASSWORD": cache.password,
    }


def _wait_until_ready(process: FlexCoreProcess) -> None:
    with process.client() as client:
        wait_until(lambda: client.get("/health/ready").is_success, 30, "readiness")


def print_goal(name: str, ours: Sequence[float], goal: float, *, unit: str, more_is_better: bool) -> None:
    """Print a figure that has no peer beside what it should be at least, or at most."""
    print_figure(name, ours, [goal], unit=unit, peer_name="goal", more_is_better=more_is_better)
