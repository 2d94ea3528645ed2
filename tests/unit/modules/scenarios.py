"""What every module is put through with and without check mode: see test_check_mode."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.doubles.flexcore_double import FlexCoreDouble


@dataclass(frozen=True)
class Scenario:
    """A call of a module on a FlexCore that was prepared for it."""

    module: str
    arguments: dict[str, Any] = field(default_factory=dict)
    changes: bool = True
    # What a second run does: a module without a key that runs something does so again.
    repeats: bool = False
    prepare: Callable[[FlexCoreDouble], None] = lambda double: None

    @property
    def name(self) -> str:
        words = [str(value) for value in self.arguments.values() if isinstance(value, (str, int))]
        return "-".join([self.module.removeprefix("flexcore_"), *words])


def package(directory: Path, version: str = "1.5.0") -> str:
    """Write a package of the plugin greeter that a double can read."""
    path = directory / f"greeter-{version}.tar.gz"
    manifest = f'id = "greeter"\nname = "Greeter"\nversion = "{version}"\n'.encode()
    # Without compression: the double looks for the manifest in the bytes that it gets.
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:
        member = tarfile.TarInfo("greeter/flexcore-plugin.toml")
        member.size = len(manifest)
        archive.addfile(member, io.BytesIO(manifest))
    return str(path)


STEPS = [
    {"id": "turn", "plugin": "simple-processor", "operation": "reverse", "parameters": {"api_key": "canary-api-key"}},
    {"id": "count", "plugin": "simple-processor", "depends_on": ["turn"], "retry": {"max_attempts": 5}},
]
DECLARED = {"name": "look", "owner": "docs", "steps": STEPS}


def with_greeter(version: str = "1.2.0", status: str = "active") -> Callable[[FlexCoreDouble], None]:
    def prepare(double: FlexCoreDouble) -> None:
        double.plugins["greeter"] = double.plugin("greeter", version, status)

    return prepare


def with_pipeline(status: str = "active", **changed: Any) -> Callable[[FlexCoreDouble], None]:
    def prepare(double: FlexCoreDouble) -> None:
        double.pipelines["p1"] = {
            "id": "p1",
            "name": "look",
            "status": status,
            "owner": "docs",
            "description": "as it was",
            "steps": [
                {
                    "operation": "default",
                    "parameters": {},
                    "depends_on": [],
                    "timeout_seconds": 30,
                    "retry": {"max_attempts": 3},
                    "name": step["id"],
                    "type": "processor",
                    **step,
                }
                for step in STEPS
            ],
            **changed,
        }

    return prepare


def with_drained(double: FlexCoreDouble) -> None:
    double.nodes["core2"] = double.node("core2", "drained")


def with_token(**changed: Any) -> Callable[[FlexCoreDouble], None]:
    def prepare(double: FlexCoreDouble) -> None:
        for token in (double.token("monitoring", **changed), double.token("monitoring", "admin", "somebody")):
            double.tokens[token["id"]] = token

    return prepare


def plugin(changes: bool = True, prepare: Any = Scenario.prepare, **arguments: Any) -> Scenario:
    return Scenario("flexcore_plugin", arguments, changes, prepare=prepare)


def pipeline(changes: bool = True, prepare: Any = Scenario.prepare, **arguments: Any) -> Scenario:
    return Scenario("flexcore_pipeline", {**DECLARED, **arguments}, changes, prepare=prepare)


def reads(module: str, **arguments: Any) -> Scenario:
    return Scenario(module, arguments, changes=False)


TOKEN = {"name": "monitoring", "role": "viewer"}
EVENT = {"type": "ReleaseDeployed", "aggregate_type": "Application", "aggregate_id": "shop"}
EXECUTE = {
    "id": "simple-processor",
    "operation": "reverse",
    "data": {"text": "abc", "nested": [{"password": "canary-pw"}]},
}

SCENARIOS = [
    reads("flexcore_health"),
    reads("flexcore_info", gather=["status", "runtime", "metrics", "config"]),
    reads("flexcore_logs", source="http"),
    reads("flexcore_plugin_info"),
    reads("flexcore_event_info", verify=True),
    reads("flexcore_pipeline_info"),
    reads("flexcore_node_info"),
    reads("flexcore_services_info"),
    plugin(id="greeter"),
    plugin(id="greeter", version=">=1.0,<1.3"),
    plugin(id="greeter", state="latest"),
    plugin(id="greeter", state="enabled", version="1.2.0"),
    plugin(id="greeter", state="disabled", version="1.2.0"),
    plugin(id="greeter", version="1.3.0", prepare=with_greeter()),
    plugin(id="greeter", version="1.0.0", prepare=with_greeter()),
    plugin(id="greeter", state="latest", prepare=with_greeter(status="inactive")),
    plugin(id="greeter", state="absent", prepare=with_greeter()),
    plugin(id="sleeper", state="enabled"),
    plugin(id="simple-processor", state="disabled"),
    plugin(src="{directory}/greeter-1.5.0.tar.gz"),
    plugin(src="{directory}/greeter-1.5.0.tar.gz", state="enabled", prepare=with_greeter(status="inactive")),
    plugin(False, id="greeter", version="~=1.1", prepare=with_greeter()),
    plugin(False, id="greeter", prepare=with_greeter("0.9")),
    plugin(False, id="greeter", state="latest", prepare=with_greeter("3.0")),
    plugin(False, id="greeter", state="absent"),
    plugin(False, id="simple-processor", state="enabled"),
    plugin(False, id="sleeper", state="disabled"),
    plugin(False, src="{directory}/greeter-1.5.0.tar.gz", prepare=with_greeter("1.5.0")),
    Scenario("flexcore_plugin_execute", EXECUTE, repeats=True),
    Scenario("flexcore_plugin_execute", {**EXECUTE, "key": "once-1", "secret_data": {"pin": "canary-pin"}}),
    Scenario("flexcore_plugin_execute", {**EXECUTE, "key": "once-2", "wait": False}),
    Scenario("flexcore_event", EVENT, repeats=True),
    Scenario("flexcore_event", {**EVENT, "key": "shop-2.4.0", "data": {"release": "2.4.0"}}),
    Scenario("flexcore_event", {**EVENT, "expected_version": 0}),
    pipeline(),
    pipeline(state="present"),
    pipeline(state="absent", prepare=with_pipeline()),
    pipeline(prepare=with_pipeline("draft")),
    pipeline(prepare=with_pipeline(owner="somebody"), recreate=True),
    pipeline(False, prepare=with_pipeline("failed")),
    pipeline(False, state="absent"),
    pipeline(False, state="present", prepare=with_pipeline("draft")),
    Scenario("flexcore_pipeline_run", {"name": "look"}, repeats=True, prepare=with_pipeline()),
    Scenario("flexcore_pipeline_run", {"id": "p1", "key": "close-2026-10"}, prepare=with_pipeline("completed")),
    Scenario("flexcore_token", {**TOKEN, "path": "{directory}/token"}),
    Scenario("flexcore_token", {**TOKEN, "path": "{directory}/token"}, prepare=with_token()),
    Scenario("flexcore_token", TOKEN, prepare=with_token(role="admin")),
    Scenario("flexcore_token", TOKEN, prepare=with_token(expires_at="2020-01-01T00:00:00Z")),
    Scenario("flexcore_token", {**TOKEN, "expires_at": "2099-01-01T00:00:00Z"}, prepare=with_token()),
    Scenario("flexcore_token", {"name": "monitoring", "state": "absent"}, prepare=with_token()),
    Scenario("flexcore_token", {"name": "monitoring", "state": "absent", "owner": "nobody"}, changes=False),
    Scenario("flexcore_token", TOKEN, changes=False, prepare=with_token(expires_at="2099-01-01T00:00:00Z")),
    Scenario("flexcore_node", {"node_id": "core2", "state": "drained"}),
    Scenario("flexcore_node", {"node_id": "core2", "state": "active"}, prepare=with_drained),
    Scenario("flexcore_node", {"node_id": "core1", "state": "active"}, changes=False),
    Scenario("flexcore_node", {"node_id": "core2", "state": "drained"}, changes=False, prepare=with_drained),
]
