"""A node's stream: what it says, and what may be appended to it."""

import pytest

from flexcore.domain.events import NewEvent, RecordedEvent
from flexcore.domain.node import NODE_AGGREGATE, Node, NodeEvent, may_name_a_node
from tests.unit.application.doubles import START


def recorded(event: NewEvent, version: int) -> RecordedEvent:
    return RecordedEvent(
        str(version),
        version,
        event.type,
        event.aggregate_id,
        event.aggregate_type,
        version,
        event.data,
        event.metadata,
        START,
        "0" * 64,
    )


def test_drain_and_resume_follow_each_other() -> None:
    node = Node("a")
    assert node.resume({}) is None
    drained = node.drain({"correlation_id": "x"})
    assert drained == NewEvent(NodeEvent.DRAINED, "a", NODE_AGGREGATE, {}, {"correlation_id": "x"}, expected_version=0)
    node = node.after([recorded(drained, 1)])
    assert (node.drained, node.version) == (True, 1)
    assert node.drain({}) is None
    resumed = node.resume({})
    assert resumed is not None
    assert (resumed.type, resumed.expected_version) == (NodeEvent.RESUMED, 1)
    node = node.after([recorded(resumed, 2)])
    assert (node.drained, node.version) == (False, 2)


@pytest.mark.parametrize(("node_id", "may"), [("core1", True), ("a.b_c-d", True), ("", False), ("a/b", False)])
def test_what_may_name_a_node(node_id: str, may: bool) -> None:
    assert may_name_a_node(node_id) is may
