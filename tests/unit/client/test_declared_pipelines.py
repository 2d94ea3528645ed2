"""A pipeline is brought to what is declared, in as few steps as it takes, and check mode predicts them."""

from __future__ import annotations

from typing import Any

import pytest
from flexcore_client.pipeline_work import bring_about

from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import HttpDouble
from tests.unit.client.asking import API, ask, keeping

PIPELINES = f"{API}/pipelines"
STEPS = [{"id": "turn", "plugin": "simple-processor", "operation": "reverse"}]
DECLARED = {
    "name": "look",
    "state": "active",
    "steps": STEPS,
    "description": None,
    "owner": "docs",
    "recreate": False,
}
SHOWN = {
    "name": "look",
    "status": "active",
    "description": "",
    "owner": "docs",
    "steps": {
        "turn": {
            "plugin": "simple-processor",
            "operation": "reverse",
            "parameters": {},
            "depends_on": [],
            "timeout_seconds": 30.0,
            "on_failure": "fail",
            "retry": {
                "max_attempts": 3.0,
                "initial_backoff_ms": 1000.0,
                "max_backoff_ms": 60000.0,
                "multiplier": 2.0,
                "jitter": 0.2,
            },
        }
    },
}


def bring(double: HttpDouble, dry: bool = False, **changed: Any) -> Any:
    return ask(double, lambda client: bring_about(client, {**DECLARED, **changed}, dry=dry))


@pytest.mark.parametrize("dry", [False, True])
def test_a_pipeline_that_is_not_there_is_created_and_activated(dry: bool) -> None:
    state = FlexCoreDouble()
    with keeping(state) as double:
        result = bring(double, dry)
    diff = {"before": {}, "after": SHOWN}
    assert result == {"changed": True, "diff": diff, "pipeline": {} if dry else next(iter(state.pipelines.values()))}
    if dry:
        assert double.writes == []
    else:
        pipeline_id = result["pipeline"]["id"]
        assert double.writes == [f"POST {PIPELINES}", f"POST {PIPELINES}/{pipeline_id}/activate"]
        assert double.seen[1].json == {"name": "look", "steps": STEPS, "description": "", "owner": "docs"}
        assert result["pipeline"]["status"] == "active"


def created(double: HttpDouble, state: FlexCoreDouble, **changed: Any) -> dict[str, Any]:
    """Let a pipeline be there, and forget what was asked for it."""
    bring(double)
    double.seen.clear()
    found = next(iter(state.pipelines.values()))
    found |= changed
    return found


@pytest.mark.parametrize("dry", [False, True])
def test_a_draft_is_activated(dry: bool) -> None:
    state = FlexCoreDouble()
    with keeping(state) as double:
        there = created(double, state, status="draft")
        result = bring(double, dry)
    assert result == {
        "changed": True,
        "diff": {"before": {**SHOWN, "status": "draft"}, "after": SHOWN},
        "pipeline": there,
    }
    assert there["status"] == ("draft" if dry else "active")
    assert double.writes == ([] if dry else [f"POST {PIPELINES}/{there['id']}/activate"])


@pytest.mark.parametrize("dry", [False, True])
def test_a_pipeline_that_differs_is_replaced_where_that_is_allowed(dry: bool) -> None:
    state = FlexCoreDouble()
    with keeping(state) as double:
        there = created(double, state, owner="somebody")
        result = bring(double, dry, recreate=True)
        assert result["diff"] == {"before": {**SHOWN, "owner": "somebody"}, "after": SHOWN}
        if dry:
            assert (result["pipeline"], double.writes) == ({}, [])
            return
    new = result["pipeline"]["id"]
    assert new != there["id"]
    assert double.writes == [
        f"DELETE {PIPELINES}/{there['id']}",
        f"POST {PIPELINES}",
        f"POST {PIPELINES}/{new}/activate",
    ]
    assert result["pipeline"] == state.pipelines[new]


@pytest.mark.parametrize("dry", [False, True])
def test_a_pipeline_is_removed(dry: bool) -> None:
    state = FlexCoreDouble()
    with keeping(state) as double:
        there = created(double, state)
        result = bring(double, dry, state="absent")
    assert result == {"changed": True, "diff": {"before": SHOWN, "after": {}}, "pipeline": {}}
    assert double.writes == ([] if dry else [f"DELETE {PIPELINES}/{there['id']}"])


def test_a_pipeline_that_is_as_it_is_declared_is_left_alone() -> None:
    state = FlexCoreDouble()
    with keeping(state) as double:
        there = created(double, state)
        assert bring(double) == {"changed": False, "diff": {"before": SHOWN, "after": SHOWN}, "pipeline": there}
        assert bring(double, state="absent", name="none") == {
            "changed": False,
            "diff": {"before": {}, "after": {}},
            "pipeline": {},
        }
    assert double.writes == []
