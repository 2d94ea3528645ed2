"""Check mode is a promise: it writes nothing, what it predicts is what happens, and the second run changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import HttpDouble, serving
from tests.unit.modules.conftest import ROOT, RunModule
from tests.unit.modules.scenarios import SCENARIOS, Scenario, package

CANARIES = ("canary-token", "canary-api-key", "canary-pw", "canary-pin", "canary-secret")


def test_every_module_is_put_through_it() -> None:
    modules = {path.stem for path in (ROOT / "library").glob("*.py")}
    assert {scenario.module for scenario in SCENARIOS} == modules
    changing = {name for name in modules if not name.endswith(("_info", "_health", "_logs"))}
    assert {scenario.module for scenario in SCENARIOS if scenario.changes} == changing


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_check_mode_predicts_and_writes_nothing(
    scenario: Scenario, run_module: RunModule, host_log: list[str], tmp_path: Path
) -> None:
    state = FlexCoreDouble()
    scenario.prepare(state)
    package(tmp_path)
    arguments = {
        name: value.replace("{directory}", str(tmp_path)) if isinstance(value, str) else value
        for name, value in scenario.arguments.items()
    }

    def run(double: HttpDouble, check_mode: bool) -> dict[str, Any]:
        result = run_module(
            scenario.module, check_mode=check_mode, url=double.url, token="canary-token-0123456789", **arguments
        )
        assert "failed" not in result, result["msg"]
        assert "warnings" not in result
        # The text of a new token is what such a task is for, unless it goes to a file.
        shown = json.dumps({**result, "token": None if "path" not in arguments else result.get("token")})
        assert not [canary for canary in CANARIES if canary in shown]
        return result

    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        predicted = run(double, check_mode=True)
        assert double.writes == []
        done = run(double, check_mode=False)
        assert (predicted["changed"], done["changed"]) == (scenario.changes, scenario.changes)
        assert bool(double.writes) is scenario.changes
        assert predicted.get("diff") == done.get("diff")
        before = len(double.writes)
        again = [run(double, check_mode=True), run(double, check_mode=False)]
        assert [result["changed"] for result in again] == [scenario.repeats] * 2
        assert scenario.repeats or len(double.writes) == before
    assert len(host_log) == 4
    assert not [canary for canary in CANARIES if canary in "".join(host_log)]
    if "diff" in done:
        differs = done["diff"]["before"] != done["diff"]["after"]
        assert differs is done["changed"]


def test_a_token_in_a_file_is_for_its_user_only_and_is_made_anew_when_lost(
    run_module: RunModule, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    arguments = {
        "name": "monitoring",
        "role": "viewer",
        "path": str(file),
        "username": "admin",
        "password": "canary-pw",
    }
    with serving(FlexCoreDouble()) as double:  # type: ignore[arg-type]  # it is asked with get() only
        texts = []
        for _ in range(2):
            result = run_module("flexcore_token", url=double.url, **arguments)
            assert (result["changed"], "token" in result) == (True, False)
            assert file.stat().st_mode & 0o777 == 0o600
            texts.append(file.read_text().strip())
            file.write_text("")
        assert double.seen[0].path == "/auth/login"
        assert double.seen[1].headers["authorization"] == "Bearer canary-token-of-a-login"
    assert texts[0] != texts[1]
    assert all(text.startswith("canary-secret-") for text in texts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["token"]
