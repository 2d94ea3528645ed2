#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: what a FlexCore is and offers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_info
short_description: Read what a FlexCore is and offers
version_added: "0.1.0"
description:
  - Returns version, build, node and abilities of a FlexCore, whichever generation of the API it speaks.
  - On request also the node's status, its runtime and its effective configuration, which only the generation
    C(flexcore-v1) tells.
options:
  gather:
    description:
      - What to read beside. V(status) are dependencies and figures, V(runtime) workers, slots and memory, V(metrics)
        the node's counters, V(config) every setting in force with its source, where secrets are shown as C(***).
    type: list
    elements: str
    choices: [status, runtime, metrics, config]
    default: []
extends_documentation_fragment:
  - flexcore
  - flexcore.reads
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Read which FlexCore runs
  flexcore_info:
    url: http://127.0.0.1:8080
  register: server

- name: Read the effective configuration too
  flexcore_info:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    gather: [runtime, config]
  register: server
"""

RETURN = r"""
version:
  description: Version that runs, where known.
  returned: success
  type: str
  sample: 0.1.0+54bb9acc
node_id:
  description: The node that answered, where known.
  returned: success
  type: str
  sample: core1
info:
  description: What the server says of itself (C(/info), or C(/health) where there is no such route), as it is.
  returned: success
  type: dict
  sample: {"service": "flexcore", "version": "0.1.0+54bb9acc", "api_versions": ["v1"], "features": ["pipelines"]}
evidence:
  description: How the generation of the API was recognised.
  returned: success
  type: str
  sample: /info has api_versions
status:
  description: Dependencies and figures of the service.
  returned: when O(gather) has V(status)
  type: dict
  sample: {"status": "healthy", "metrics": {"plugins_active": 3}}
runtime:
  description: Workers, slots and memory of the node.
  returned: when O(gather) has V(runtime)
  type: dict
  sample: {"slots": {"total": 8, "busy": 0, "free": 8}}
metrics:
  description: Counters of the node since its start.
  returned: when O(gather) has V(metrics)
  type: list
  elements: dict
  sample: [{"name": "flexcore_events_appended_total", "type": "counter", "labels": {}, "value": 12}]
config:
  description: Settings in force, each with its source.
  returned: when O(gather) has V(config)
  type: list
  elements: dict
  sample: [{"name": "http.port", "value": 8080, "source": "/etc/flexcore/config.yaml"}]

dialect:
  description: Generation of the API that the server speaks.
  returned: success
  type: str
  sample: flexcore-v1
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.server_info import GATHERABLE, server_info

ARGUMENT_SPEC = argument_spec(
    gather={"type": "list", "elements": "str", "choices": list(GATHERABLE), "default": []},
)


async def read(module, client):
    return await server_info(client, module.params["gather"])


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(read)


if __name__ == "__main__":
    main()
