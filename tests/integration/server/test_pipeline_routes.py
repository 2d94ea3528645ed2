"""Pipelines over HTTP, as far as they don't run."""

from typing import Any

import httpx
import pytest

PIPELINES = "/api/v1/flexcore/pipelines"
ECHO = {"plugin": "simple-processor", "operation": "echo"}


def create(client: httpx.Client, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.post(PIPELINES, json={"name": "orders", "steps": list(steps), **more})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_new_pipeline_is_a_draft_with_what_was_filled_in(checked: httpx.Client) -> None:
    pipeline = create(
        checked,
        {"id": "first", "plugin": "simple-processor"},
        {"id": "second", **ECHO, "depends_on": ["first"], "parameters": {"x": {"$from": "steps.first"}}},
        owner="ada",
    )
    assert (pipeline["status"], pipeline["owner"], pipeline["last_run"]) == ("draft", "ada", None)
    first, second = pipeline["steps"]
    assert (first["name"], first["type"], first["operation"], first["status"]) == (
        "first", "processor", "echo", "pending",
    )  # fmt: skip
    assert second["depends_on"] == ["first"]
    assert second["retry"]["max_attempts"] == 3
    assert checked.get(f"{PIPELINES}/{pipeline['id']}").json() == pipeline
    status = checked.get(f"{PIPELINES}/{pipeline['id']}/status").json()
    assert status["progress"] == {"steps_done": 0, "steps_total": 2, "percent": 0.0}
    assert status["execution_id"] is None


@pytest.mark.parametrize(
    ("steps", "field", "message"),
    [
        (
            [{"id": "a", **ECHO, "depends_on": ["b"]}, {"id": "b", **ECHO, "depends_on": ["a"]}],
            "steps",
            "depend on each other in a circle: a → b → a",
        ),
        ([{"id": "a", "plugin": "nope"}], "steps[0].plugin", "'nope' is not a known plugin"),
        ([{"id": "a", "plugin": "simple-processor", "operation": "nope"}], "steps[0].operation", "'nope' is not an"),
        ([{"id": "a", "plugin": "simple-processor", "operation": "uppercase"}], "steps[0].parameters.text", "required"),
        ([{"id": "a", **ECHO, "depends_on": ["b"]}], "steps[0].depends_on", "names 'b', which is no step"),
        ([{"id": "a", **ECHO, "parameters": {"x": {"$from": "steps.b"}}}], "steps[0].parameters.x", "does not depend"),
        ([{"id": "a", **ECHO}, {"id": "a", **ECHO}], "steps[1].id", "earlier step"),
        ([{"id": "a", **ECHO, "timeout_seconds": 301}], "steps[0].timeout_seconds", "<= 300"),
        ([{"id": "a", **ECHO, "retry": {"max_attempts": 0}}], "steps[0].retry.max_attempts", ">= 1"),
        ([{"id": "a", **ECHO, "retry": {"initial_backoff_ms": 9, "max_backoff_ms": 8}}],
         "steps[0].retry.max_backoff_ms", "must be initial_backoff_ms to"),
        ([{"id": "a", **ECHO, "on_failure": "panic"}], "steps[0].on_failure", "panic"),
        ([], "steps", "length >= 1"),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused_at_creation(
    checked: httpx.Client, steps: list[dict[str, Any]], field: str, message: str
) -> None:
    answer = checked.post(PIPELINES, json={"name": "orders", "steps": steps})
    assert answer.status_code == 400
    (wrong,) = answer.json()["errors"]
    assert wrong["field"] == field
    assert message in wrong["message"]
    assert checked.get(PIPELINES).json()["total"] == 0


def test_pipelines_are_listed_newest_first(checked: httpx.Client) -> None:
    ids = [create(checked, {"id": "a", **ECHO}, name=f"p{number}")["id"] for number in range(3)]
    checked.post(f"{PIPELINES}/{ids[0]}/activate")
    page = checked.get(PIPELINES).json()
    assert [pipeline["id"] for pipeline in page["pipelines"]] == ids[::-1]
    assert (page["total"], page["limit"], page["offset"]) == (3, 50, 0)
    assert set(page["pipelines"][0]) == {"id", "name", "status", "owner", "created_at", "last_run", "steps"}
    assert page["pipelines"][0]["steps"] == [{"id": "a", "name": "a", "type": "processor", "status": "pending"}]
    second = checked.get(PIPELINES, params={"limit": 1, "offset": 1}).json()
    assert ([pipeline["id"] for pipeline in second["pipelines"]], second["total"]) == ([ids[1]], 3)
    active = checked.get(PIPELINES, params={"status": "active"}).json()
    assert [pipeline["id"] for pipeline in active["pipelines"]] == [ids[0]]
    for query in ("limit=0", "limit=201", "offset=-1", "status=broken", "page=2"):
        assert checked.get(f"{PIPELINES}?{query}").status_code == 400


def test_a_pipeline_that_is_not_there_is_a_404_everywhere(checked: httpx.Client) -> None:
    gone = create(checked, {"id": "a", **ECHO})["id"]
    assert checked.delete(f"{PIPELINES}/{gone}").status_code == 204
    for pipeline_id in ("nope", gone):
        one = f"{PIPELINES}/{pipeline_id}"
        answers = [checked.get(one), checked.get(f"{one}/status"), checked.delete(one)]
        answers += [checked.post(f"{one}/{verb}") for verb in ("activate", "execute", "cancel")]
        assert {answer.status_code for answer in answers} == {404}
    assert checked.get(PIPELINES).json()["total"] == 0


def test_what_does_not_fit_the_present_state_is_a_409(checked: httpx.Client) -> None:
    one = f"{PIPELINES}/{create(checked, {'id': 'a', **ECHO})['id']}"
    assert checked.post(f"{one}/execute").status_code == 409
    assert checked.post(f"{one}/cancel").status_code == 409
    for _ in range(2):
        assert checked.post(f"{one}/activate").json()["status"] == "active"


def test_an_idempotency_key_makes_one_pipeline_of_two_requests(checked: httpx.Client) -> None:
    body = {"name": "orders", "steps": [{"id": "a", **ECHO}]}
    first, again = (checked.post(PIPELINES, json=body, headers={"idempotency-key": "k-1"}) for _ in range(2))
    assert first.status_code == 201
    assert again.json() == first.json()
    assert checked.get(PIPELINES).json()["total"] == 1
    other = checked.post(PIPELINES, json={**body, "name": "others"}, headers={"idempotency-key": "k-1"})
    assert other.status_code == 409
    assert checked.post(PIPELINES, json=body, headers={"idempotency-key": "k-2"}).status_code == 201
