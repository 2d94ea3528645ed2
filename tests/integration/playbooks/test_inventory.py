"""The inventory plugin: the nodes of a cluster as hosts, in groups by status and version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import dialects
from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import serving
from tests.unit.modules.documentation import block

ROOT = Path(__file__).resolve().parents[3]
CANARY = "canary-token-4711-canary-token"


def inventory(directory: Path, configuration: dict[str, Any], **variables: str) -> subprocess.CompletedProcess[str]:
    file = directory / "nodes.flexcore.yml"
    file.write_text(json.dumps({"plugin": "flexcore", **configuration}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "FLEXCORE_"))}
    result = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", file, "--list"],
        cwd=ROOT,
        env={**environment, "LC_ALL": "C.UTF-8", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert CANARY not in result.stdout + result.stderr
    return result


def test_hosts_groups_and_variables(tmp_path: Path) -> None:
    state = FlexCoreDouble()
    state.nodes["core2"] = state.node("core2", "drained")
    with serving(state) as double:  # type: ignore[arg-type]  # it is asked with get() only
        configuration = {
            "keyed_groups": [{"key": "node_status", "prefix": "now"}],
            "groups": {"leader": "node_leads"},
            "compose": {"a": "node_status"},
        }
        result = inventory(tmp_path, configuration, FLEXCORE_URL=double.url, FLEXCORE_TOKEN=CANARY)
        assert {seen.headers.get("authorization") for seen in double.seen[-2:]} == {f"Bearer {CANARY}"}
        assert double.writes == []
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found["flexcore_active"]["hosts"] == ["core1"]
    assert found["flexcore_drained"]["hosts"] == ["core2"]
    assert found["flexcore_version_0_1_0_abc"]["hosts"] == ["core1", "core2"]
    assert found["now_active"]["hosts"] == found["leader"]["hosts"] == ["core1"]
    assert sorted(found["flexcore"]["hosts"]) == ["core1", "core2"]
    # What a server says is data: Ansible marks it as such and renders no template in it.
    core2 = found["_meta"]["hostvars"]["core2"]
    for name, value in {"a": "drained", "ansible_host": "core2", "node_version": "0.1.0+abc"}.items():
        assert core2[name] == {"__ansible_unsafe": value}
    assert core2["node_leads"] is False


def test_the_example_in_its_documentation_does_what_it_says(tmp_path: Path) -> None:
    example = block(ROOT / "plugins" / "inventory" / "flexcore.py", "EXAMPLES")
    with serving(FlexCoreDouble()) as double:  # type: ignore[arg-type]  # it is asked with get() only
        assert example["url"].startswith("https://")
        result = inventory(tmp_path, {**example, "url": double.url}, FLEXCORE_TOKEN=CANARY)
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    for host in ("core1", "core2"):
        assert found["_meta"]["hostvars"][host]["ansible_user"] == {"__ansible_unsafe": "deploy"}


@pytest.mark.parametrize(
    "routes", [dialects.seed_2025(), dialects.legacy_2025(), dialects.gin_2025(), dialects.s0_client()]
)
def test_a_server_without_a_cluster_is_told_so(routes: dict[str, Any], tmp_path: Path) -> None:
    with serving(routes) as double:
        result = inventory(tmp_path, {"url": double.url, "retries": 0})
    assert "does not offer a cluster of nodes" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_a_cluster_that_does_not_answer_is_told_in_one_line(tmp_path: Path) -> None:
    with serving(FlexCoreDouble()) as double:  # type: ignore[arg-type]  # it is asked with get() only
        url = double.url
    result = inventory(tmp_path, {"url": url, "token": CANARY, "retries": 0})
    assert "connection refused" in result.stderr
    assert "Traceback" not in result.stderr
