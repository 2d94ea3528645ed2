#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: the nodes of a FlexCore cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_node_info
short_description: Read the nodes of a FlexCore cluster
version_added: "0.1.0"
description:
  - Returns the cluster's name, its leader and its nodes, as the node that is asked saw them within the last seconds.
options:
  node_id:
    description: Read only this node. When there is none, the list is empty.
    type: str
  status:
    description: Only nodes with this status.
    type: str
    choices: [active, draining, drained, lost, unknown]
extends_documentation_fragment:
  - flexcore
  - flexcore.reads
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Read the nodes that nobody hears of
  flexcore_node_info:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    status: lost
  register: lost
"""

RETURN = r"""
cluster:
  description: Name of the cluster.
  returned: success
  type: str
  sample: flexcore
leader:
  description: The node that leads. Null while none does.
  returned: success
  type: str
  sample: core1
nodes:
  description: The nodes that were asked for, in the order of their ids.
  returned: success
  type: list
  elements: dict
  contains:
    node_id:
      description: Identifier of the node.
      type: str
      sample: core2
    address:
      description: Where it can be reached, where known.
      type: str
      sample: http://10.77.0.12:8080
    version:
      description: Version that it runs, where known.
      type: str
      sample: 0.1.0+54bb9acc
    status:
      description: One of C(active), C(draining), C(drained), C(lost) and C(unknown).
      type: str
      sample: active
    last_heartbeat:
      description: When it was last heard of, RFC 3339 in UTC.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    active_executions:
      description: How many executions run on it.
      type: int
      sample: 0
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.node_work import read_nodes

ARGUMENT_SPEC = argument_spec(
    node_id={"type": "str"},
    status={"type": "str", "choices": ["active", "draining", "drained", "lost", "unknown"]},
)


async def read(module, client):
    return await read_nodes(client, module.params["node_id"], module.params["status"])


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(read)


if __name__ == "__main__":
    main()
