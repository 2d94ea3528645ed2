"""What has to be done so that a pipeline is as it is declared, and what counts as a difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from flexcore_client.change import Change
from flexcore_client.errors import InputError
from flexcore_client.pipeline_goal import PipelineGoal, PipelinePlan, filled_in

TURN = {"id": "turn", "plugin": "simple-processor", "operation": "reverse"}
COUNT = {"id": "count", "plugin": "simple-processor", "depends_on": ["turn"]}
RETRY = {"max_attempts": 3.0, "initial_backoff_ms": 1000.0, "max_backoff_ms": 60000.0, "multiplier": 2.0, "jitter": 0.2}
FILLED = {
    "plugin": "simple-processor",
    "parameters": {},
    "depends_on": [],
    "timeout_seconds": 30.0,
    "on_failure": "fail",
    "retry": RETRY,
}


def goal(**changed: Any) -> PipelineGoal:
    plain = {"state": "active", "steps": [TURN, COUNT], "description": None, "owner": None, "recreate": False}
    return PipelineGoal("look", **{**plain, **changed})


def pipeline(status: str = "active", steps: Any = (TURN, COUNT), **changed: Any) -> dict[str, Any]:
    """A pipeline as the server has it: each step is called by its id, and has an operation."""
    there = [step if isinstance(step, str) else {"operation": "default", "name": step["id"], **step} for step in steps]
    about = {"id": "p1", "name": "look", "description": "turns", "owner": "docs"}
    return {**about, "status": status, "steps": there, **changed}


def shown(status: str = "active", description: str = "", owner: str = "") -> dict[str, Any]:
    steps = {"turn": {**FILLED, "operation": "reverse"}, "count": {**FILLED, "depends_on": ["turn"]}}
    return {"name": "look", "status": status, "description": description, "owner": owner, "steps": steps}


def test_what_creates_a_pipeline_is_what_was_declared_and_nothing_that_was_left_out() -> None:
    retry = {"max_attempts": 5, "jitter": None}
    declared = goal(steps=[{**TURN, "name": None, "retry": retry}, COUNT], owner="docs")
    assert declared.body == {
        "name": "look",
        "steps": [{**TURN, "retry": {"max_attempts": 5}}, COUNT],
        "description": "",
        "owner": "docs",
    }
    assert goal(steps=None, description="turns").body == {
        "name": "look",
        "steps": [],
        "description": "turns",
        "owner": "",
    }


@pytest.mark.parametrize(
    ("wanted", "found", "before", "after", "steps"),
    [
        (goal(), None, {}, shown(), {"creates": True, "activates": True}),
        (goal(state="present"), None, {}, shown("draft"), {"creates": True}),
        (
            goal(description="turns", owner="docs"),
            None,
            {},
            shown(description="turns", owner="docs"),
            {"creates": True, "activates": True},
        ),
        (goal(), pipeline(), shown(), shown(), {}),
        (goal(), pipeline("draft"), shown("draft"), shown(), {"activates": True}),
        (goal(state="present"), pipeline("draft"), shown("draft"), shown("draft"), {}),
        (goal(), pipeline("failed"), shown("failed"), shown("failed"), {}),
        (goal(), pipeline("running"), shown("running"), shown("running"), {}),
        (goal(owner="docs"), pipeline(), shown(owner="docs"), shown(owner="docs"), {}),
        (goal(description="", owner=""), pipeline(description=None, owner=None), shown(), shown(), {}),
        (
            goal(owner="team", recreate=True),
            pipeline("completed"),
            shown("completed", owner="docs"),
            shown(owner="team"),
            {"removes": True, "creates": True, "activates": True},
        ),
        (
            goal(owner="team", recreate=True, state="present"),
            pipeline("completed"),
            shown("completed", owner="docs"),
            shown("draft", owner="team"),
            {"removes": True, "creates": True},
        ),
        (goal(recreate=True), pipeline("running"), shown("running"), shown("running"), {}),
        (goal(state="absent"), None, {}, {}, {}),
        (goal(state="absent"), pipeline(), shown(), {}, {"removes": True}),
        (goal(state="absent", recreate=True), pipeline("running"), shown("running"), {}, {"removes": True}),
    ],
)
def test_the_plan_is_what_leads_from_what_is_there_to_what_is_declared(
    wanted: PipelineGoal, found: Any, before: dict[str, Any], after: dict[str, Any], steps: dict[str, bool]
) -> None:
    assert wanted.plan(found) == PipelinePlan(Change(before, after), **steps)


def test_without_steps_only_the_state_is_declared() -> None:
    plan = goal(steps=None).plan(pipeline("draft", [{**TURN, "name": "turn round"}, "rubbish"], description="old"))
    before = {"name": "look", "status": "draft", "description": "", "owner": "", "steps": {"turn": FILLED}}
    assert plan == PipelinePlan(Change(before, {**before, "status": "active"}), activates=True)


@pytest.mark.parametrize(
    ("wanted", "found", "words"),
    [
        (
            goal(steps=None),
            None,
            "there is no pipeline 'look', and steps are missing to create it: give steps",
        ),
        (
            goal(owner="team"),
            pipeline(),
            "pipeline 'look' differs from what is declared (owner): the server changes none in place, so set recreate "
            "to have it removed and created anew, or use another name",
        ),
        (
            goal(owner="team", recreate=True),
            pipeline("running"),
            "pipeline 'look' is running, so it cannot be replaced now: wait for the run to end",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(wanted: PipelineGoal, found: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        wanted.plan(found)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("wanted", "found", "differences"),
    [
        (goal(owner="", description=""), pipeline(), "description, owner"),
        (goal(steps=[TURN]), pipeline(), "step count"),
        (goal(), pipeline(steps=[TURN]), "step count"),
        (goal(steps=[COUNT, TURN]), pipeline(), "order of steps"),
        (goal(steps=[]), pipeline(), "step turn, step count"),
        (goal(), {**pipeline(), "steps": None}, "step turn, step count"),
        (goal(steps=[{**TURN, "plugin": "other"}, COUNT]), pipeline(), "step turn"),
        (goal(steps=[{**COUNT, "on_failure": "continue"}, {**TURN, "name": "a"}]), pipeline(), "step turn, step count"),
        (goal(owner="team", steps=[{**TURN, "operation": "count"}, COUNT]), pipeline(), "owner, step turn"),
    ],
)
def test_every_difference_is_named_once(wanted: PipelineGoal, found: Any, differences: str) -> None:
    with pytest.raises(InputError) as caught:
        wanted.plan(found)
    assert f"differs from what is declared ({differences}): " in str(caught.value)


@pytest.mark.parametrize(
    ("step", "declared", "expected"),
    [
        ({"plugin": "p"}, {}, {}),
        # What the server fills in where nothing is declared is no difference.
        ({"plugin": "p", "operation": "default", "name": "turn"}, {}, {}),
        ({"plugin": "p", "operation": "reverse"}, {"operation": "reverse"}, {"operation": "reverse"}),
        ({"plugin": "p"}, {"operation": "reverse"}, {"operation": None}),
        ({"plugin": "p", "name": "turn"}, {"name": "Turn"}, {"name": "turn"}),
        ({"plugin": "p"}, {"name": "Turn"}, {"name": ""}),
        ({"plugin": "p", "name": "turn"}, {"name": ""}, {}),
        ({"plugin": "p", "parameters": {"a": 1}}, {}, {"parameters": {"a": 1}}),
        ({"plugin": "p", "parameters": None, "retry": None}, {}, {}),
        ({"plugin": "p", "depends_on": ["b", "a"]}, {}, {"depends_on": ["a", "b"]}),
        ({"plugin": "p", "timeout_seconds": 5}, {}, {"timeout_seconds": 5.0}),
        ({"plugin": "p", "on_failure": "continue"}, {}, {"on_failure": "continue"}),
        (
            {"plugin": "p", "retry": {"max_attempts": 5, "jitter": None}},
            {},
            {"retry": {**RETRY, "max_attempts": 5.0}},
        ),
    ],
)
def test_a_step_is_compared_with_what_the_server_fills_in(
    step: Mapping[str, Any], declared: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    found = filled_in(step, declared)
    assert found == {**FILLED, "plugin": "p", **expected}
    assert isinstance(found["timeout_seconds"], float)
    assert all(isinstance(value, float) for value in found["retry"].values())
