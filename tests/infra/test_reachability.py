"""Every host of the inventory can be verified at all. Of a host that cannot, nothing else is checked."""

import pytest

from tests.infra.node import Node


def test_host_is_reachable(node: Node, run) -> None:
    if node.name in run.unreachable:
        pytest.fail(f"{node.name}: {run.unreachable[node.name]}", pytrace=False)
