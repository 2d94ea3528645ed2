"""A pipeline is run, once for each key, and what came of it is told."""

from __future__ import annotations

from typing import Any

import pytest
from flexcore_client.errors import ClientError, InputError
from flexcore_client.pipeline_work import run_pipeline

from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import HttpDouble, Reply, Routes, serving
from tests.unit.client.asking import API, ask, told

PIPELINES = f"{API}/pipelines"


def do(double: HttpDouble, clock: FakeClock | None = None, **order: Any) -> Any:
    plain = {"pipeline_id": None, "name": None, "parameters": {}, "key": None, "wait_seconds": 5.0, "dry": False}
    return ask(double, lambda client: run_pipeline(client, **{**plain, **order}), clock)


def event(kind: str, run: str | None = None, key: str | None = None) -> dict[str, Any]:
    data = {} if run is None else {"data": {"execution_id": run}}
    return {"type": kind, **data, **({} if key is None else {"metadata": {"correlation_id": key}})}


STARTED = event("PipelineStarted", "r1", "once")


def runnable(status: str = "active", run: dict[str, Any] | None = None, *events: Any) -> Routes:
    there = {"id": "p1", "name": "look", "status": status, "last_execution_id": "r0"}
    return {
        PIPELINES: Reply({"pipelines": [there]}),
        f"{PIPELINES}/p1": Reply(there),
        f"{PIPELINES}/p2": Reply({"detail": "there is no pipeline p2"}, 404),
        f"{PIPELINES}/p1/status": Reply(run or {"execution_id": "r0", "run_status": "completed"}),
        f"POST {PIPELINES}/p1/execute": Reply({"execution_id": "r1"}, 202),
        f"{API}/events": Reply({"events": list(events)}),
        f"{API}/executions/x1": Reply({"result": {"data": {"text": "cba"}}}),
    }


def changed(done: bool = False) -> dict[str, Any]:
    before, after = {"pipeline": "look", "run": done}, {"pipeline": "look", "run": True}
    return {"changed": not done, "diff": {"before": before, "after": after}}


TURNED = {"id": "turn", "status": "completed", "execution_id": "x1"}
ENDED = {"execution_id": "r1", "run_status": "completed", "steps": [TURNED]}
RUNNING = {**ENDED, "run_status": "running"}
RESULTS = {"turn": {"text": "cba"}}


@pytest.mark.parametrize("named", [{"pipeline_id": "p1"}, {"name": "look"}])
def test_a_run_is_begun_waited_for_and_returned_with_its_results(named: dict[str, str]) -> None:
    with serving(runnable("completed", ENDED)) as double:
        result = do(double, parameters={"text": "abc"}, **named)
    assert result == {**changed(), "run": ENDED, "results": RESULTS, "repeated": False}
    assert double.writes == [f"POST {PIPELINES}/p1/execute"]
    assert [seen.json for seen in double.seen if seen.method == "POST"] == [{"parameters": {"text": "abc"}}]


def test_a_run_under_a_key_that_is_new_is_begun_under_it() -> None:
    with serving(runnable("active", ENDED)) as double:
        assert do(double, pipeline_id="p1", key="once")["repeated"] is False
    sent = next(seen for seen in double.seen if seen.method == "POST")
    assert sent.headers["idempotency-key"] == "once"
    assert sent.json == {"parameters": {}, "metadata": {"correlation_id": "once"}}


@pytest.mark.parametrize(
    ("status", "run", "results"),
    [
        (ENDED, ENDED, RESULTS),
        (RUNNING, RUNNING, {}),
        ({"execution_id": "r2", "run_status": "running"}, {"execution_id": "r1", "run_status": "unknown"}, {}),
    ],
    ids=["ended", "running", "another began since"],
)
def test_a_run_that_is_not_waited_for_is_returned_as_it_is(status: Any, run: Any, results: Any) -> None:
    clock = FakeClock()
    with serving(runnable("active", status)) as double:
        result = do(double, clock, pipeline_id="p1", wait_seconds=None)
    assert result == {**changed(), "run": run, "results": results, "repeated": False}
    assert clock.slept == []


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize(
    ("status", "run", "results"),
    [
        (ENDED, ENDED, RESULTS),
        ({"execution_id": "r2", "run_status": "running"}, {"execution_id": "r1", "run_status": "completed"}, {}),
    ],
    ids=["the latest", "another began since"],
)
def test_what_was_run_under_a_key_is_returned_and_not_run_again(status: Any, run: Any, results: Any, dry: bool) -> None:
    with serving(runnable("running", status, STARTED, event("PipelineCompleted", "r1"))) as double:
        result = do(double, name="look", key="once", dry=dry)
    assert result == {**changed(done=True), "run": run, "results": results, "repeated": True}
    assert double.writes == []


def test_check_mode_does_not_wait_for_an_earlier_run() -> None:
    clock = FakeClock()
    with serving(runnable("running", RUNNING, STARTED)) as double:
        assert do(double, clock, pipeline_id="p1", key="once", dry=True)["run"] == RUNNING
    assert clock.slept == []


@pytest.mark.parametrize("key", [None, "once"])
def test_check_mode_predicts_a_run(key: str | None) -> None:
    with serving(runnable()) as double:
        result = do(double, pipeline_id="p1", key=key, dry=True)
    assert result == {**changed(), "run": {}, "results": {}, "repeated": False}
    assert double.writes == []


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize(
    ("status", "reason"), [("draft", "it is a draft"), ("running", "it is running already, as r0")]
)
def test_what_cannot_be_run_now_is_refused(status: str, reason: str, dry: bool) -> None:
    with serving(runnable(status)) as double, pytest.raises(ClientError) as caught:
        do(double, pipeline_id="p1", dry=dry)
    assert told(caught.value) == {
        "kind": "api_error",
        "text": f"Running pipeline 'look' at {double.url}: {reason}. "
        "Activate it (flexcore_pipeline), or wait for the end of its run.",
        "phase": None,
        "http_status": 409,
        "facts": {},
    }
    assert double.writes == []


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"name": "none"}, "there is no pipeline 'none': create it first"),
        ({"pipeline_id": "p2"}, "there is no pipeline 'p2': create it first"),
    ],
)
def test_a_pipeline_that_is_not_there_cannot_be_run(order: dict[str, str], words: str) -> None:
    with serving(runnable()) as double, pytest.raises(InputError) as caught:
        do(double, **order)
    assert str(caught.value) == words
    assert double.writes == []


def test_a_wrong_key_is_refused_before_anybody_is_asked() -> None:
    with serving({}) as double, pytest.raises(InputError, match=r"^key is '-': allowed are"):
        do(double, name="look", key="-")
    assert double.seen == []


@pytest.mark.parametrize(
    ("status", "steps", "results", "said"),
    [
        (
            "failed",
            [
                TURNED,
                {"id": "count", "status": "failed", "error": "no input", "reason": "unused"},
                {"id": "send", "status": "failed", "error": None, "reason": "its target is away"},
                {"id": "last", "status": "skipped", "error": "never began"},
            ],
            RESULTS,
            "r1 failed: step count: no input; step send: its target is away",
        ),
        ("failed", None, {}, "r1 failed"),
        ("cancelled", [TURNED], RESULTS, "r1 cancelled"),
    ],
)
def test_a_run_that_is_no_success_is_a_failure_that_shows_it(
    status: str, steps: Any, results: dict[str, Any], said: str
) -> None:
    run = {"execution_id": "r1", "run_status": status, "steps": steps}
    with serving(runnable("active", run)) as double, pytest.raises(ClientError) as caught:
        do(double, pipeline_id="p1")
    assert told(caught.value) == {
        "kind": "api_error",
        "text": f"Running pipeline 'look' at {double.url}: run {said}. Read the log of the plugin whose step failed.",
        "phase": None,
        "http_status": None,
        "facts": {"run": run, "results": results},
    }
