#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: a node of a FlexCore cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_node
short_description: Take a node of a FlexCore cluster out of work and back
version_added: "0.1.0"
description:
  - A drained node finishes what it does and takes nothing new until it is resumed, also after a restart.
  - Any node of the cluster can be asked.
options:
  node_id:
    description: The node. A node that is down can be named too, and obeys when it starts.
    type: str
    required: true
  state:
    description: V(drained) takes it out of work, V(active) back into it.
    type: str
    choices: [drained, active]
    required: true
  wait:
    description:
      - Whether to wait until the node has come to O(state). A node that drains has come to it when nothing runs on it
        any more.
      - A node that is down is not waited for.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait for at most. The node goes on draining when they are over.
    type: float
    default: 300.0
extends_documentation_fragment:
  - flexcore
  - flexcore.writes
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Take this host's node out of work before its kernel is replaced
  flexcore_node:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    node_id: "{{ inventory_hostname }}"
    state: drained

- name: Let it work again
  flexcore_node:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    node_id: "{{ inventory_hostname }}"
    state: active
"""

RETURN = r"""
node:
  description: The node as it is. In check mode as it was.
  returned: success, and when it did not come to O(state) in time
  type: dict
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
      sample: drained
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
from ansible.module_utils.flexcore_client.node_work import STATES, bring_about

ARGUMENT_SPEC = argument_spec(
    node_id={"type": "str", "required": True},
    state={"type": "str", "choices": list(STATES), "required": True},
    wait={"type": "bool", "default": True},
    wait_timeout={"type": "float", "default": 300.0},
)


async def ensure(module, client):
    asked = module.params
    seconds = asked["wait_timeout"] if asked["wait"] else None
    return await bring_about(client, asked["node_id"], asked["state"], seconds, dry=module.check_mode)


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(ensure)


if __name__ == "__main__":
    main()
