#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: the plugins of a FlexCore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_plugin_info
short_description: Read the plugins of a FlexCore
version_added: "0.1.0"
description:
  - Returns all plugins of a FlexCore, or one, in the same form whichever generation of the API the server speaks.
  - Runs where FlexCore can be reached, which is usually its own host. Where that host's Python lacks httpx, it goes on
    under the interpreter of the deployed FlexCore, C(/opt/flexcore/current/bin/python).
options:
  id:
    description: Read only the plugin with this id. When there is none, the list is empty.
    type: str
  status:
    description: Only plugins with this status, such as V(active), V(inactive) or V(error).
    type: str
  type:
    description: Only plugins of this type.
    type: str
  url:
    description:
      - Address of FlexCore, C(http://host:port) or C(https://host:port). It must not hold user information.
      - Falls back to the environment variable E(FLEXCORE_URL).
    type: str
  token:
    description:
      - Bearer token for FlexCore.
      - Falls back to the environment variable E(FLEXCORE_TOKEN).
    type: str
  api:
    description: Generation of FlexCore's API. V(auto) finds it out.
    type: str
    choices: [auto, flexcore-v1, seed-2025, legacy-2025, gin-2025, s0-client]
    default: auto
  timeout:
    description: Seconds for the whole call, all its retries included.
    type: float
    default: 5.0
  ca_path:
    description: File with the authorities to trust for HTTPS. By default those of the system.
    type: path
  validate_certs:
    description: Whether to check the server's certificate.
    type: bool
    default: true
attributes:
  check_mode:
    description: The module only reads, and does the same in check mode.
    support: full
  diff_mode:
    description: Nothing is changed, so there is no difference to show.
    support: none
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Read all plugins
  flexcore_plugin_info:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
  register: found

- name: Require that a plugin is active
  flexcore_plugin_info:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    id: json-processor
    status: active
  register: processor
  failed_when: processor.plugins | length == 0
"""

RETURN = r"""
plugins:
  description: The plugins that were asked for, in the server's order.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Identifier of the plugin.
      type: str
      sample: json-processor
    name:
      description: Name of the plugin.
      type: str
      sample: json-processor
    version:
      description: Version of the plugin, where known.
      type: str
      sample: 1.0.0
    type:
      description: Type of the plugin, where known.
      type: str
      sample: processor
    status:
      description: Status as the server says it.
      type: str
      sample: active
    description:
      description: What the plugin does, where known.
      type: str
      sample: Transforms JSON documents
    dependencies:
      description: Plugins that it depends on.
      type: list
      elements: str
      sample: []
    capabilities:
      description: What it can do.
      type: list
      elements: str
      sample: [transform]
    entry_point:
      description: What is called, where known.
      type: str
      sample: json_processor:main
    details:
      description: Every other field of the server's answer, as it is.
      type: dict
      sample: {"execution_count": 12}
dialect:
  description: Generation of the API that the server speaks.
  returned: success
  type: str
  sample: flexcore-v1
"""

import asyncio

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flexcore_client.ansible_module import (
    connection_options,
    flexcore_target,
    reporting_errors,
    require_httpx,
    tls_options,
)
from ansible.module_utils.flexcore_client.client import FlexCoreClient
from ansible.module_utils.flexcore_client.transport import HttpTransport, Timeouts

ARGUMENT_SPEC = {
    **connection_options(),
    "id": {"type": "str"},
    "status": {"type": "str"},
    "type": {"type": "str"},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    require_httpx(module)
    asked = module.params
    with reporting_errors(module):
        target = flexcore_target(module)
        timeouts = Timeouts(total=asked["timeout"])
        transport = HttpTransport(target.address, token=target.token, timeouts=timeouts, tls=tls_options(module))
        plugins, dialect = asyncio.run(read(target, transport, asked["id"]))
    wanted = [
        plugin.to_dict()
        for plugin in plugins
        if asked["status"] in (None, plugin.status) and asked["type"] in (None, plugin.type)
    ]
    module.exit_json(changed=False, plugins=wanted, dialect=dialect)


async def read(target, transport, plugin_id):
    async with transport:
        client = FlexCoreClient(target, transport)
        if plugin_id is None:
            plugins = await client.plugins()
        else:
            plugin = await client.plugin(plugin_id)
            plugins = [] if plugin is None else [plugin]
        return plugins, (await client.dialect()).name


if __name__ == "__main__":
    main()
