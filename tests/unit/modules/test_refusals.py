"""What modules refuse, and what they say when something cannot be done or does not end: the same in check mode."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import dialects
from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import Reply, Routes, Seen, serving
from tests.unit.modules.conftest import RunModule
from tests.unit.modules.scenarios import DECLARED, EVENT, STEPS, package, with_greeter, with_pipeline, with_token

Prepare = Callable[[FlexCoreDouble], None]
EXECUTE = {"id": "simple-processor", "data": {"text": "abc"}}


def as_is(double: FlexCoreDouble) -> None:
    """Prepare nothing."""


def outcome(status: str, **changed: Any) -> Prepare:
    def prepare(double: FlexCoreDouble) -> None:
        with_pipeline()(double)
        double.outcome.update({"status": status, **changed})

    return prepare


def two_of_one_name(double: FlexCoreDouble) -> None:
    with_pipeline()(double)
    double.pipelines["p2"] = {**double.pipelines["p1"], "id": "p2"}


def never_drained(double: FlexCoreDouble) -> None:
    double._ordered = lambda name, status: Reply(double.node(name, "draining"))  # type: ignore[method-assign]
    double.nodes["core2"] = double.node("core2", "draining")


@pytest.mark.parametrize(
    ("module", "arguments", "prepare", "failure", "words"),
    [
        ("flexcore_event_info", {"limit": 10_001}, as_is, "input", "allowed are 0 to 10000"),
        ("flexcore_event_info", {"since": "yesterday"}, as_is, "input", "since is 'yesterday'"),
        ("flexcore_event", {**EVENT, "key": "no blanks"}, as_is, "input", "key is 'no blanks'"),
        ("flexcore_event", {**EVENT, "expected_version": 3}, as_is, "api_error", "is at version 0, not at 3"),
        ("flexcore_logs", {"source": "file"}, as_is, "input", "path is missing"),
        ("flexcore_logs", {"source": "file", "path": "/nowhere"}, as_is, "unsupported", "No such file"),
        ("flexcore_logs", {"since": "1m", "until": "2m"}, as_is, "input", "which is before since"),
        ("flexcore_logs", {"pattern": "("}, as_is, "input", "no regular expression"),
        ("flexcore_token", {"name": "a"}, as_is, "input", "role is missing"),
        ("flexcore_token", {"name": "a", "role": "viewer", "owner": "b"}, as_is, "input", "owner is given"),
        (
            "flexcore_token",
            {"name": "a", "role": "viewer", "expires_at": "soon"},
            as_is,
            "input",
            "expires_at is 'soon'",
        ),
        (
            "flexcore_token",
            {"name": "a", "role": "viewer", "path": "/nowhere/t"},
            as_is,
            "input",
            "directory is not there",
        ),
        ("flexcore_plugin", {"src": "{directory}/x.tar.gz", "id": "other"}, as_is, "input", "is of plugin 'greeter'"),
        (
            "flexcore_plugin",
            {"src": "{directory}/x.tar.gz", "version": "2"},
            as_is,
            "input",
            "but the package in src has",
        ),
        (
            "flexcore_plugin",
            {"src": "{directory}/x.tar.gz", "state": "latest"},
            as_is,
            "input",
            "package has one version",
        ),
        ("flexcore_plugin", {"src": "/x", "state": "absent"}, as_is, "input", "id is missing"),
        ("flexcore_plugin", {"id": "greeter", "state": "enabled"}, as_is, "input", "is not installed"),
        ("flexcore_plugin", {"id": "greeter", "version": ">9"}, as_is, "input", "has no version of greeter within >9"),
        (
            "flexcore_plugin",
            {"id": "unknown"},
            as_is,
            "input",
            "the marketplace has no plugin unknown; the server's setting marketplace.source",
        ),
        ("flexcore_plugin", {"id": "greeter", "version": "new"}, as_is, "input", "no version"),
        ("flexcore_plugin_execute", {**EXECUTE, "id": "nope"}, as_is, "api_error", "no such plugin"),
        ("flexcore_plugin_execute", {**EXECUTE, "id": "sleeper"}, as_is, "api_error", "its status is inactive"),
        ("flexcore_plugin_execute", {**EXECUTE, "execution_timeout": 0.5}, as_is, "input", "allowed are 1 to 300"),
        ("flexcore_pipeline", {"name": "look"}, as_is, "input", "give steps"),
        (
            "flexcore_pipeline",
            {**DECLARED, "owner": "b"},
            with_pipeline(),
            "input",
            "differs from what is declared (owner)",
        ),
        ("flexcore_pipeline", {**DECLARED, "steps": STEPS[:1]}, with_pipeline(), "input", "(step count)"),
        ("flexcore_pipeline", {**DECLARED, "steps": STEPS[::-1]}, with_pipeline(), "input", "(order of steps)"),
        (
            "flexcore_pipeline",
            {**DECLARED, "owner": "b", "recreate": True},
            with_pipeline("running"),
            "input",
            "cannot be replaced now",
        ),
        ("flexcore_pipeline", DECLARED, two_of_one_name, "input", "2 pipelines are called 'look'"),
        ("flexcore_pipeline_run", {"name": "look"}, as_is, "input", "there is no pipeline 'look'"),
        ("flexcore_pipeline_run", {"name": "look"}, with_pipeline("draft"), "api_error", "it is a draft"),
        ("flexcore_pipeline_run", {"name": "look"}, with_pipeline("running"), "api_error", "it is running already"),
        ("flexcore_node", {"node_id": "core9", "state": "active"}, as_is, "api_error", "Known are: core1, core2"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_what_cannot_be_is_refused_before_anything_is_written(
    module: str,
    arguments: dict[str, Any],
    prepare: Prepare,
    failure: str,
    words: str,
    check_mode: bool,
    run_module: RunModule,
    tmp_path: Path,
) -> None:
    Path(package(tmp_path)).rename(tmp_path / "x.tar.gz")
    given = {k: v.replace("{directory}", str(tmp_path)) if isinstance(v, str) else v for k, v in arguments.items()}
    state = FlexCoreDouble()
    prepare(state)
    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        result = run_module(module, check_mode=check_mode, url=double.url, **given)
        # Whether a plugin can be executed is for the server to say; check mode alone looks for itself.
        assert double.writes == [] or (module == "flexcore_plugin_execute" and failure == "api_error")
    assert (result["failed"], result["failure"]) == (True, failure)
    assert words in result["msg"]


@pytest.mark.parametrize(
    ("module", "arguments", "prepare", "failure", "words"),
    [
        (
            "flexcore_plugin_execute",
            EXECUTE,
            outcome("failed", error="division by zero"),
            "api_error",
            "it ended as failed: division by zero",
        ),
        ("flexcore_plugin_execute", EXECUTE, outcome("completed", success=False), "api_error", "did not succeed"),
        ("flexcore_plugin_execute", {**EXECUTE, "wait_timeout": 0.01}, outcome("running"), "timeout", "still running"),
        (
            "flexcore_pipeline_run",
            {"id": "p1"},
            outcome("failed", error="no input"),
            "api_error",
            "failed: step turn: no input",
        ),
        ("flexcore_pipeline_run", {"id": "p1"}, outcome("cancelled"), "api_error", "cancelled"),
        (
            "flexcore_pipeline_run",
            {"id": "p1", "wait_timeout": 0.01},
            outcome("running"),
            "timeout",
            "1 of 1 steps done",
        ),
        (
            "flexcore_node",
            {"node_id": "core2", "state": "drained", "wait_timeout": 0.01},
            never_drained,
            "timeout",
            "still draining",
        ),
    ],
)
def test_what_ends_badly_or_not_at_all(
    module: str, arguments: dict[str, Any], prepare: Prepare, failure: str, words: str, run_module: RunModule
) -> None:
    state = FlexCoreDouble()
    prepare(state)
    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        result = run_module(module, url=double.url, **arguments)
    assert (result["failed"], result["failure"]) == (True, failure)
    assert words in result["msg"]


def test_a_plugin_that_says_no_is_tolerated_when_asked_to(run_module: RunModule) -> None:
    state = FlexCoreDouble()
    outcome("completed", success=False)(state)
    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        result = run_module("flexcore_plugin_execute", url=double.url, **EXECUTE, fail_on_unsuccessful=False)
    assert (result["changed"], result["execution"]["success"]) == (True, False)


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Reply({"result": {"success": False}}), "says that it is not well"),
        (Reply({"detail": "it crashed"}, 500), "it crashed"),
        (Reply({"detail": "no such operation"}, 400), None),
    ],
)
def test_waiting_for_a_plugin_that_was_changed(health: Reply, words: str | None, run_module: RunModule) -> None:
    state = FlexCoreDouble()
    state._execute = lambda seen, name: health  # type: ignore[method-assign]
    state._routes.clear()
    state._add_plugins()
    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        result = run_module(
            "flexcore_plugin", url=double.url, id="sleeper", state="enabled", wait_timeout=0.01, retries=0
        )
    assert result.get("failure") == (None if words is None else "timeout")
    assert words is None or words in result["msg"]


@pytest.mark.parametrize(
    ("routes", "path", "answer", "data"),
    [
        (dialects.seed_2025(), "/api/v1/flexcore/plugins/p1/execute", {"rows": 3}, {"rows": 3}),
        (dialects.legacy_2025(), "/plugins/p1/execute", [1], [1]),
        (dialects.gin_2025(), "/api/v1/plugins/p1/execute", {"success": True, "n": 1}, {"success": True, "n": 1}),
        (dialects.s0_client(), "/api/v1/plugins/p1/execute", {"n": 1}, {"n": 1}),
    ],
)
def test_other_generations_execute_too(
    routes: Routes, path: str, answer: Any, data: Any, run_module: RunModule
) -> None:
    order = {"id": "p1", "operation": "go", "data": {"a": 1}}
    with serving({**routes, f"POST {path}": Reply(answer)}) as double:
        predicted = run_module("flexcore_plugin_execute", check_mode=True, url=double.url, **order)
        assert double.writes == []
        result = run_module("flexcore_plugin_execute", url=double.url, **order)
        sent = double.seen[-1].json
        for more in ({"key": "once"}, {"wait": False}):
            refused = run_module("flexcore_plugin_execute", url=double.url, **order, **more)
            assert refused["failure"] == "unsupported"
    assert (predicted["changed"], result["changed"], result["execution"]["result"]["data"]) == (True, True, data)
    assert sent in ({"a": 1}, {"plugin_id": "p1", "operation": "go", "params": {"a": 1}})


def test_an_event_that_was_changed_in_the_log_fails_the_task_when_asked(run_module: RunModule) -> None:
    state = FlexCoreDouble()
    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        run_module("flexcore_event", url=double.url, **EVENT)
        state.events[0]["hash"] = "1" * 64
        told = run_module("flexcore_event_info", url=double.url, verify=True, verify_from=1, limit=0)
        failed = run_module("flexcore_event_info", url=double.url, verify=True, fail_on_unverified=True)
    assert (told["verification"]["first_bad_position"], told["events"]) == (1, [])
    assert "The event at position 1 is not what was recorded" in failed["msg"]
    assert len(failed["events"]) == 1


def test_records_that_match_fail_the_task_when_asked(run_module: RunModule, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text('{"level": "error", "message": "data loss", "component": "postgres"}\nfine\n')
    arguments = {"source": "file", "path": str(file), "pattern": "loss", "fail_on_match": True}
    result = run_module("flexcore_logs", **arguments)
    assert result["msg"] == "1 records match, the last one: data loss"
    assert result["records"][0]["component"] == "postgres"
    assert "failed" not in run_module("flexcore_logs", **arguments, component="redis")
    found = run_module("flexcore_logs", path=str(file), lines=1, unit="none.service")
    assert found["source"] in ("journald", "file")


def test_a_node_that_is_down_is_told_and_not_waited_for(run_module: RunModule) -> None:
    state = FlexCoreDouble()
    state.nodes["core2"] = state.node("core2", "lost")
    state._ordered = lambda name, status: Reply(state.nodes[name])  # type: ignore[method-assign]
    state._routes.clear()
    state._add_cluster()
    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        result = run_module("flexcore_node", url=double.url, node_id="core2", state="drained")
    assert (result["changed"], result["node"]["status"]) == (True, "lost")


def bad_packages(directory: Path) -> dict[str, tuple[str, str]]:
    wheel, archive, text = directory / "a.whl", directory / "b.tar.gz", directory / "c.txt"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("greeter/__init__.py", "")
    archive.write_bytes(gzip.compress(b"no archive"))
    text.write_text("")
    cut = directory / "d.whl"
    cut.write_bytes(b"PK")
    toml = directory / "e.whl"
    with zipfile.ZipFile(toml, "w") as file:
        file.writestr("greeter/flexcore-plugin.toml", "id = ")
    nameless = directory / "f.whl"
    with zipfile.ZipFile(nameless, "w") as file:
        file.writestr("greeter-1.dist-info/flexcore-plugin.toml", 'id = "greeter"')
    return {
        "wheel": (str(wheel), "has no flexcore-plugin.toml"),
        "archive": (str(archive), "cannot be read"),
        "text": (str(text), "allowed are packages that end in .whl or .tar.gz"),
        "cut": (str(cut), "cannot be read"),
        "toml": (str(toml), "its flexcore-plugin.toml cannot be read"),
        "nameless": (str(nameless), "names no version"),
        "absent": (str(directory / "g.whl"), "No such file"),
    }


@pytest.mark.parametrize("kind", ["wheel", "archive", "text", "cut", "toml", "nameless", "absent"])
def test_a_package_that_is_none(kind: str, run_module: RunModule, tmp_path: Path) -> None:
    path, words = bad_packages(tmp_path)[kind]
    result = run_module("flexcore_plugin", url="http://127.0.0.1:1", src=path)
    assert result["failure"] == "input"
    assert words in result["msg"]


def test_an_answer_of_another_form_is_a_bad_body(run_module: RunModule) -> None:
    api = "/api/v1/flexcore"
    routes: Routes = {
        **dialects.flexcore_v1(),
        f"{api}/cluster/status": Reply([]),
        f"{api}/services": Reply({"services": 7}),
        f"POST {api}/plugins/simple-processor/execute": Reply({"status": "queued"}, 202),
        f"{api}/plugins/simple-processor": Reply(dialects.v1_plugin("simple-processor")),
    }
    with serving(routes) as double:
        for module, arguments in (
            ("flexcore_node_info", {}),
            ("flexcore_services_info", {}),
            ("flexcore_plugin_execute", EXECUTE),
        ):
            assert run_module(module, url=double.url, **arguments)["failure"] == "bad_body"


def test_a_route_that_a_server_lacks_is_unsupported(run_module: RunModule) -> None:
    def refuse(_seen: Seen) -> Reply:
        return Reply({"detail": "not allowed"}, 405)

    with serving({**dialects.flexcore_v1(), "/api/v1/flexcore/cluster/status": refuse}) as double:
        result = run_module("flexcore_node_info", url=double.url)
        missing = run_module("flexcore_event_info", url=double.url)
    assert result["failure"] == missing["failure"] == "unsupported"


def test_a_token_that_cannot_be_kept_is_told(run_module: RunModule, tmp_path: Path) -> None:
    state = FlexCoreDouble()
    with_token(role="admin")(state)
    (tmp_path / "token").mkdir()
    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        result = run_module(
            "flexcore_token", url=double.url, name="monitoring", role="viewer", path=str(tmp_path / "token")
        )
    assert "the text of the new token is lost" in result["msg"]
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_greeters_that_differ_in_writing_only_are_the_same(run_module: RunModule) -> None:
    state = FlexCoreDouble()
    with_greeter("1.2")(state)
    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        assert not run_module("flexcore_plugin", url=double.url, id="greeter", version="1.2.0")["changed"]


@pytest.mark.parametrize("data", [{"deep": [{"password": "canary-pw"}]}, '{"deep": [{"password": "canary-pw"}]}'])
def test_what_ansible_refuses_or_logs_shows_no_nested_secret(
    data: Any, run_module: RunModule, host_log: list[str]
) -> None:
    accepted = run_module("flexcore_plugin_execute", url="http://me:canary-pw@127.0.0.1:1", id="p1", data=data)
    assert accepted["failure"] == "input"
    assert "Invoked with" in host_log[0]
    assert "canary" not in repr(accepted) + "".join(host_log)
    if isinstance(data, dict):
        refused = run_module("flexcore_plugin_execute", url="http://127.0.0.1:1", data=data)
        assert "missing required arguments: id" in refused["msg"]
        assert "canary" not in repr(refused)
