"""Calls about pipelines: what is asked, how often, and how a run is found, begun once and waited for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from flexcore_client.errors import ClientError, InputError
from flexcore_client.pipeline_calls import PipelineCalls

from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import Reply, serving
from tests.unit.client.asking import API, asked, busy, caller, told

PIPELINES = f"{API}/pipelines"
PAGE = {"limit": "50", "offset": "0"}

call = caller(PipelineCalls)


def lists(*rows: Any) -> Reply:
    return Reply({"pipelines": list(rows)})


@pytest.mark.parametrize(("status", "query"), [(None, PAGE), ("failed", {"status": "failed", **PAGE})])
def test_the_list_is_that_of_the_server(status: str | None, query: dict[str, str]) -> None:
    with serving({PIPELINES: lists({"id": "p1"}, "rubbish", {"id": "p2"})}) as double:
        assert call(double, "rows", status) == [{"id": "p1"}, {"id": "p2"}]
    assert asked(double) == [(f"GET {PIPELINES}", query, None)]


def test_one_is_found_by_its_id_alone() -> None:
    with serving({f"{PIPELINES}/a%2Fb": Reply({"id": "a/b"})}) as double:
        assert call(double, "find", pipeline_id="a/b") == {"id": "a/b"}
    assert len(double.seen) == 1


def test_one_is_found_by_its_name() -> None:
    routes = {
        PIPELINES: lists({"id": "p1", "name": "other"}, {"id": "p2", "name": "look"}),
        f"{PIPELINES}/p2": Reply({"id": "p2"}),
    }
    with serving(routes) as double:
        assert call(double, "find", name="look") == {"id": "p2"}
        assert call(double, "find", name="none") is None
    assert double.paths == [PIPELINES, f"{PIPELINES}/p2", PIPELINES]


def test_a_name_that_several_have_is_refused() -> None:
    rows = lists({"id": "p1", "name": "look"}, {"id": "p2", "name": "look"})
    with serving({PIPELINES: rows}) as double, pytest.raises(InputError) as caught:
        call(double, "find", name="look")
    assert str(caught.value) == "2 pipelines are called 'look': name one by its id: p1, p2"


def test_one_is_created_once_though_the_server_is_asked_again() -> None:
    replies = iter([busy(1), *[Reply({"id": "p1"}, 201)] * 2])
    with serving({f"POST {PIPELINES}": lambda _seen: next(replies)}) as double:
        for _ in range(2):
            assert call(double, "create", {"name": "look"}) == {"id": "p1"}
    keys = [UUID(seen.headers["idempotency-key"]) for seen in double.seen]
    assert keys[0] == keys[1] != keys[2]
    assert [seen.json for seen in double.seen] == [{"name": "look"}] * 3


@pytest.mark.parametrize(
    ("method", "route", "answer"),
    [
        ("activate", f"POST {PIPELINES}/a%2Fb/activate", {"status": "active"}),
        ("remove", f"DELETE {PIPELINES}/a%2Fb", None),
        ("status", f"{PIPELINES}/a%2Fb/status", {"run_status": "running"}),
    ],
)
def test_what_may_be_asked_twice_is(method: str, route: str, answer: Any) -> None:
    replies = iter([busy(1), Reply("", 204) if answer is None else Reply(answer)])
    with serving({route: lambda _seen: next(replies)}) as double:
        assert call(double, method, "a/b") == answer
    assert [(query, document) for _, query, document in asked(double)] == [({}, None)] * 2


def test_a_run_is_begun_once_under_its_key_or_one_of_its_own() -> None:
    begun = Reply({"execution_id": "r1"}, 202)
    replies = iter([busy(1), begun, begun, begun])
    with serving({f"POST {PIPELINES}/a%2Fb/execute": lambda _seen: next(replies)}) as double:
        for key in ("once", None, None):
            assert call(double, "start", "a/b", {"text": "abc"}, key) == "r1"
    body = {"parameters": {"text": "abc"}}
    keyed = {**body, "metadata": {"correlation_id": "once"}}
    assert [seen.json for seen in double.seen] == [keyed, keyed, body, body]
    keys = [seen.headers["idempotency-key"] for seen in double.seen]
    assert keys[:2] == ["once", "once"]
    assert UUID(keys[2]) != UUID(keys[3])


def event(kind: str, run: str | None = None, key: str | None = None) -> dict[str, Any]:
    data = {} if run is None else {"data": {"execution_id": run}}
    return {"type": kind, **data, **({} if key is None else {"metadata": {"correlation_id": key}})}


STARTED = event("PipelineStarted", "r1", "once")


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([STARTED], "running"),
        ([STARTED, event("StepCompleted", "r1")], "running"),
        ([STARTED, event("PipelineCompleted", "r1")], "completed"),
        ([STARTED, event("PipelineCompleted", "r1"), event("StepForgotten", "r1")], "completed"),
        ([STARTED, event("PipelineFailed", "r1")], "failed"),
        ([STARTED, event("PipelineCancelled", "r1", "once")], "cancelled"),
        ([event("PipelineFailed"), STARTED], "running"),
        ([event("PipelineStarted", "r0", "other"), event("PipelineFailed", "r0"), STARTED], "running"),
        ([STARTED, event("PipelineStarted", "r2", "other"), event("PipelineFailed", "r2")], "running"),
        ([STARTED, event("PipelineFailed")], "running"),
        ([event("PipelineStarted", "r0", "other"), event("PipelineCompleted", "r0")], None),
        ([event("PipelineCompleted", "r0", "once")], None),
        ([], None),
    ],
)
def test_an_earlier_run_and_its_end_are_found_in_the_events(events: list[Any], found: str | None) -> None:
    with serving({f"{API}/events": Reply({"events": events})}) as double:
        earlier = call(double, "earlier", "p1", "once")
    assert earlier == (None if found is None else {"execution_id": "r1", "run_status": found})
    assert double.seen[0].query == {"aggregate_id": "p1", "aggregate_type": "Pipeline", "limit": "1000"}


@pytest.mark.parametrize(
    "last",
    [
        {"execution_id": "r1", "run_status": "completed"},
        {"execution_id": "r1", "run_status": None},
        {"execution_id": "r2", "run_status": "running"},
    ],
    ids=["its end", "no word of it", "another run"],
)
def test_the_end_of_a_run_is_looked_for_every_fifth_of_a_second(last: dict[str, Any]) -> None:
    clock, statuses = FakeClock(), iter([{"execution_id": "r1", "run_status": "running"}, last])
    with serving({f"{PIPELINES}/p1/status": lambda _seen: Reply(next(statuses))}) as double:
        assert call(double, "ended", "p1", "r1", 5.0, clock=clock) == last
    assert clock.slept == [0.2]


def test_a_run_that_does_not_end_in_time_is_told_with_how_far_it_is() -> None:
    clock = FakeClock()
    running = {"execution_id": "r1", "run_status": "running", "progress": {"steps_done": 1, "steps_total": 3}}
    with serving({f"{PIPELINES}/p1/status": Reply(running)}) as double, pytest.raises(ClientError) as caught:
        call(double, "ended", "p1", "r1", 0.5, clock=clock)
    assert clock.slept == [0.2, 0.2, pytest.approx(0.1)]
    assert told(caught.value) == {
        "kind": "timeout",
        "text": f"Waiting for run r1 at {double.url}: it still runs after 0.5 s, 1 of 3 steps done. "
        "Look at it later by its id, or allow more time (wait_timeout).",
        "phase": "total",
        "http_status": None,
        "facts": {"execution_id": "r1", "status": "running"},
    }


def test_the_results_are_what_the_steps_gave_as_far_as_it_is_kept() -> None:
    steps = [
        {"id": "turn", "status": "completed", "execution_id": "x/1"},
        {"id": "none", "status": "completed", "execution_id": None},
        {"id": "failed", "status": "failed", "execution_id": "x2"},
        {"id": "forgotten", "status": "completed", "execution_id": "x3"},
        {"id": "kept nothing", "status": "completed", "execution_id": "x4"},
    ]
    routes = {
        f"{API}/executions/x%2F1": Reply({"result": {"data": {"text": "cba"}}}),
        f"{API}/executions/x2": Reply({"result": {"data": "half of it"}}),
        f"{API}/executions/x3": Reply({"detail": "there is no execution x3"}, 404),
        f"{API}/executions/x4": Reply({"result": None}),
    }
    with serving(routes) as double:
        assert call(double, "results", {"steps": steps}) == {"turn": {"text": "cba"}}
        assert call(double, "results", {"steps": None}) == {}
    assert double.paths == [f"{API}/executions/{name}" for name in ("x%2F1", "x3", "x4")]
