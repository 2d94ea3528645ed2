"""Jobs on a real queue: done once, tried again, handed back, and never lost to PostgreSQL's absences."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flexcore.domain.errors import TooBusy, Unavailable
from flexcore.infrastructure.jobs import takeover, worker
from flexcore.infrastructure.jobs.connector import DatabaseConnector
from tests.integration.jobs.conftest import Queue
from tests.servers import PostgresServer

pytestmark = pytest.mark.anyio

SECONDS = 20.0


async def until(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Wait for `condition` without holding up the loop."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - what is waited for is in PostgreSQL
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen within {seconds:g} s") from None


class Work:
    """A handler that notes what it was given, and waits at a gate."""

    def __init__(self) -> None:
        self.begun: list[Mapping[str, Any]] = []
        self.ended: list[Mapping[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures: list[Exception] = []
        self.at_once = 0
        self.most_at_once = 0
        self.cancelled = 0

    async def __call__(self, arguments: Mapping[str, Any]) -> None:
        self.begun.append(arguments)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            if self.failures:
                raise self.failures.pop(0)
            await self.gate.wait()
            self.ended.append(arguments)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1


async def test_a_job_is_done_once_with_its_arguments(queue: Queue, engine: Any) -> None:
    work = Work()
    await engine(count=work)
    queue.put("count", number=1, text="Grüße", nested={"list": [1, None]})
    await until(queue.empty, "the job's end")
    assert work.ended == work.begun == [{"number": 1, "text": "Grüße", "nested": {"list": [1, None]}}]


async def test_a_new_job_does_not_wait_for_the_next_look(
    queue: Queue, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 600.0)
    work = Work()
    await engine(count=work)
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    await until(lambda: queue.ask(listening) == [(1,)], "the worker listening")
    for number in range(1, 11):
        queue.put("count", number=number)
        await until(lambda number=number: len(work.ended) == number, "the job that was announced")


@pytest.mark.parametrize("error", [TooBusy("all slots are taken"), Unavailable("postgresql", "PostgreSQL is away")])
async def test_not_now_means_again_shortly(queue: Queue, engine: Any, error: Exception) -> None:
    work = Work()
    work.failures = [error, error]
    await engine(count=work)
    queue.put("count", number=1)
    await until(queue.empty, "the job's end")
    assert (len(work.begun), len(work.ended)) == (3, 1)


async def test_a_defect_ends_its_job_alone_and_hides_the_arguments(
    queue: Queue, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work()
    work.failures = [ValueError("a defect")]
    with caplog.at_level(logging.WARNING):
        await engine(count=work)
        queue.put("count", password="hunter2")
        await until(queue.empty, "the job's end")
        queue.put("count", password="hunter2")
        await until(lambda: len(work.ended) == 1, "the next job")
    assert "a job of task 'count' failed unexpectedly" in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_node_leaves_alone_what_it_can_not_do(queue: Queue, engine: Any) -> None:
    old, new = Work(), Work()
    await engine("old", count=old)
    queue.put("measure", number=1)
    queue.put("count", number=2)
    await until(lambda: len(old.ended) == 1, "the job that the old node knows")
    assert queue.statuses() == ["todo"]
    await engine("new", count=new, measure=new)
    await until(queue.empty, "the job that only the new node knows")
    assert (old.ended, new.ended) == ([{"number": 2}], [{"number": 1}])


async def test_a_node_that_may_not_takes_no_job(queue: Queue, engine: Any) -> None:
    allowed = False
    work = Work()
    drained = await engine("drained", may_take=lambda: allowed, count=work)
    other = Work()
    await engine("other", count=other)
    for number in range(5):
        queue.put("count", number=number)
    await until(queue.empty, "the jobs' ends")
    assert (len(work.begun), len(other.ended)) == (0, 5)
    assert drained._worker.trouble is None
    allowed = True
    await drained.close()


async def test_no_more_jobs_at_once_than_the_node_does(queue: Queue, engine: Any) -> None:
    work = Work()
    work.gate.clear()
    await engine(concurrency=3, count=work)
    for number in range(7):
        queue.put("count", number=number)
    await until(lambda: work.at_once == 3, "three jobs at once")
    work.gate.set()
    await until(queue.empty, "the jobs' ends")
    assert work.most_at_once == 3
    assert sorted(job["number"] for job in work.ended) == list(range(7))


async def test_jobs_with_one_lock_take_turns(queue: Queue, engine: Any) -> None:
    work = Work()
    work.gate.clear()
    await engine(count=work)
    for number in range(3):
        queue.put("count", lock="one", number=number)
    queue.put("count", lock="two", number=3)
    await until(lambda: work.at_once == 2, "one job of each lock")
    assert {job["number"] for job in work.begun} == {0, 3}
    work.gate.set()
    await until(queue.empty, "the jobs' ends")
    assert [job["number"] for job in work.ended if job["number"] < 3] == [0, 1, 2]


async def test_a_node_that_stops_hands_its_jobs_back_at_once(queue: Queue, engine: Any) -> None:
    stopping, other = Work(), Work()
    stopping.gate.clear()
    first = await engine("first", count=stopping)
    queue.put("count", number=1)
    await until(lambda: stopping.at_once == 1, "the job's begin")
    async with asyncio.timeout(worker.CLOSE_SECONDS + 3):
        await first.close()
    assert stopping.cancelled == 1
    assert queue.statuses() == ["todo"]
    await engine("other", count=other)
    await until(queue.empty, "the job's end")
    assert other.ended == [{"number": 1}]
    assert queue.ask("SELECT count(*) FROM procrastinate_workers") == [(1,)]


async def test_a_job_outlasts_a_restart_of_postgresql_and_is_not_doubled(
    queue: Queue, engine: Any, faulty_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(takeover, "INTERVAL_SECONDS", 0.1)
    # So long that a busy machine, too, has the first node in touch again before the second may take it for dead.
    monkeypatch.setattr(takeover, "DEAD_SECONDS", 3.0)
    work, other = Work(), Work()
    work.gate.clear()
    await engine("first", concurrency=1, count=work)
    queue.put("count", number=1)
    await until(lambda: work.at_once == 1, "the job's begin")
    await engine("second", may_take=lambda: work.at_once == 0, count=other)
    await asyncio.to_thread(faulty_postgres.kill)
    await asyncio.sleep(3.5)  # longer than a heartbeat may be missed
    await asyncio.to_thread(faulty_postgres.start)
    # Both nodes live, so nobody takes the job over in more time than that would need; then it ends while PostgreSQL is
    # away once more.
    await asyncio.sleep(7)
    assert queue.statuses() == ["doing"]
    await asyncio.to_thread(faulty_postgres.kill)
    work.gate.set()
    await until(lambda: len(work.ended) == 1, "the job's end")
    await asyncio.to_thread(faulty_postgres.start)
    await until(queue.empty, "the end reaching the queue")
    queue.put("count", number=2)
    await until(lambda: len(work.ended) + len(other.ended) == 2, "a job after the restarts")
    assert [job["number"] for job in work.begun + other.begun] == [1, 2]


async def test_a_hung_postgresql_does_not_hold_up_the_end_of_the_node(
    queue: Queue, engine: Any, faulty_postgres: PostgresServer
) -> None:
    work = Work()
    work.gate.clear()
    first = await engine(count=work)
    queue.put("count", number=1)
    await until(lambda: work.at_once == 1, "the job's begin")
    faulty_postgres.hang()
    async with asyncio.timeout(SECONDS):
        await first.close()
    assert work.cancelled == 1


async def test_the_job_of_a_dead_node_is_taken_over(queue: Queue, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(takeover, "DEAD_SECONDS", 1.0)
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.2)
    queue.put("count", number=1)
    # A node that took the job and died.
    queue.ask("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 minute')")
    queue.ask("UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM procrastinate_workers)")
    work = Work()
    await engine(count=work)
    await until(queue.empty, "the job's end")
    assert work.ended == [{"number": 1}]


async def test_a_node_that_was_taken_for_dead_can_not_end_the_job_of_another(
    queue: Queue, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    paused, other = Work(), Work()
    paused.gate.clear()
    other.gate.clear()
    await engine("paused", may_take=lambda: not paused.begun, count=paused)
    job = queue.put("count", number=1)
    await until(lambda: paused.at_once == 1, "the job's begin")
    queue.ask("SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)", job)
    await engine("other", count=other)
    await until(lambda: other.at_once == 1, "the take-over")
    with caplog.at_level(logging.WARNING):
        paused.gate.set()
        await until(lambda: "had ended, or was given to another node" in caplog.text, "the late end")
    assert queue.statuses() == ["doing"]
    other.gate.set()
    await until(queue.empty, "the end")


async def test_a_job_that_was_given_out_unheard_is_not_lost(
    queue: Queue, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = DatabaseConnector.execute_query_one_async
    unheard: list[Any] = []

    async def lose_the_first_job(self: DatabaseConnector, query: str, **arguments: Any) -> dict[str, Any]:
        row = await ask(self, query, **arguments)
        if "fetch_job" in query and row["id"] is not None and not unheard:
            unheard.append(row["id"])
            raise Unavailable("postgresql", "PostgreSQL closed the connection")
        return row

    monkeypatch.setattr(DatabaseConnector, "execute_query_one_async", lose_the_first_job)
    work = Work()
    await engine(count=work)
    for number in range(3):
        queue.put("count", number=number)
    await until(queue.empty, "the jobs' ends")
    assert unheard
    assert sorted(job["number"] for job in work.begun) == [0, 1, 2]


async def test_the_health_check_tells_of_jobs_and_of_a_worker_without_contact(
    queue: Queue, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slots:
        active, slots = 2, 8

    work = Work()
    work.gate.clear()
    node = await engine(concurrency=1, count=work)
    for number in range(3):
        queue.put("count", number=number)
    await until(lambda: work.at_once == 1, "a job's begin")
    probe = node.probe(Slots())
    assert (await probe.check()).message == (
        "2 jobs wait, 1 are being done, 1 of at most 1 here; 2 of 8 execution slots busy"
    )
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", -1.0)
    with pytest.raises(Unavailable, match=r"^the job worker has not reached the queue for .*; 2 jobs wait"):
        await probe.check()
    work.gate.set()
    await node.close()
    monkeypatch.undo()
    late = await engine(count=work)
    await late._worker.close()
    with pytest.raises(Unavailable, match=r"^the job worker does not run; "):
        await late.probe(Slots()).check()
