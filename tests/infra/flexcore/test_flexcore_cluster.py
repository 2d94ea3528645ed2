"""The nodes know each other, one of them leads, and each one works."""

from typing import Any

import pytest

from tests.infra.contract import CLUSTER, NODE, NODES, UNIT
from tests.infra.node import Node

pytestmark = pytest.mark.unit(UNIT)


@pytest.fixture
def nodes(http: dict[str, Any], run) -> dict[str, dict[str, Any] | None]:
    """What the node says of each node of the inventory that answers, None if it knows no such node."""
    known = {node["node_id"]: node for node in http["known"][NODES]["body"]["nodes"]}
    expected = [
        core.variables["flexcore_node_id"] for core in run.group("flexcore") if core.name not in run.unreachable
    ]
    return {node_id: known.get(node_id) for node_id in expected}


def test_knows_every_node_of_the_inventory(nodes: dict[str, Any]) -> None:
    assert {node_id: node and node["status"] for node_id, node in nodes.items()} == dict.fromkeys(nodes, "active")


def test_all_nodes_run_one_release(http: dict[str, Any], nodes: dict[str, Any]) -> None:
    assert {node["version"] for node in nodes.values() if node} == {http["open"]["/health"]["body"]["version"]}


def test_one_node_leads_and_all_agree_on_it(http: dict[str, Any], leaders: dict[str, str | None], run) -> None:
    assert set(leaders.values()) <= {core.variables["flexcore_node_id"] for core in run.group("flexcore")}
    assert len(set(leaders.values())) == 1, leaders


def test_belongs_to_the_inventorys_cluster(node: Node, http: dict[str, Any]) -> None:
    assert http["known"][CLUSTER]["body"]["cluster"] == node.variables["flexcore_cluster_name"]


def test_nothing_that_runs_in_the_node_fails(http: dict[str, Any]) -> None:
    workers = http["known"][NODE]["body"]["workers"]
    assert workers
    assert {worker["name"]: worker["message"] for worker in workers if worker["status"] != "running"} == {}
