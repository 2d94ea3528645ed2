"""A node as its event stream knows it: whether an operator has drained it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from flexcore.domain.events import NewEvent, RecordedEvent

NODE_AGGREGATE: Final = "Node"


# As the setting node_id allows.
_NODE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,53}")


def may_name_a_node(node_id: str) -> bool:
    """Whether a node can have this id at all."""
    return _NODE_ID.fullmatch(node_id) is not None


class NodeEvent(StrEnum):
    """The events of the aggregate `Node`."""

    DRAINED = "NodeDrained"
    RESUMED = "NodeResumed"


class NodeStatus(StrEnum):
    """How a node is seen. Draining: takes nothing new and still works; lost: gone without a word."""

    ACTIVE = "active"
    DRAINING = "draining"
    DRAINED = "drained"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Node:
    """One node; `version` is that of its stream, 0 for one that nobody ever drained."""

    node_id: str
    version: int = 0
    drained: bool = False

    def after(self, events: Iterable[RecordedEvent]) -> "Node":
        """Apply later events of the node's stream."""
        node = self
        for event in events:
            node = replace(node, version=event.version, drained=event.type == NodeEvent.DRAINED)
        return node

    def drain(self, metadata: Mapping[str, Any]) -> NewEvent | None:
        """Let the node take nothing new; None if it is so already."""
        return None if self.drained else self._event(NodeEvent.DRAINED, metadata)

    def resume(self, metadata: Mapping[str, Any]) -> NewEvent | None:
        """Let the node take work again; None if it does already."""
        return self._event(NodeEvent.RESUMED, metadata) if self.drained else None

    def _event(self, event_type: NodeEvent, metadata: Mapping[str, Any]) -> NewEvent:
        return NewEvent(event_type, self.node_id, NODE_AGGREGATE, {}, metadata, expected_version=self.version)
