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
extends_documentation_fragment:
  - flexcore
  - flexcore.reads
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
      description: Status as the server says it, where it does.
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

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec

ARGUMENT_SPEC = argument_spec(id={"type": "str"}, status={"type": "str"}, type={"type": "str"})


async def read(module, client):
    asked = module.params
    if asked["id"] is None:
        plugins = await client.plugins()
    else:
        plugin = await client.plugin(asked["id"])
        plugins = [] if plugin is None else [plugin]
    wanted = [
        plugin.to_dict()
        for plugin in plugins
        if asked["status"] in (None, plugin.status) and asked["type"] in (None, plugin.type)
    ]
    return {"plugins": wanted, "dialect": (await client.dialect()).name}


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(read)


if __name__ == "__main__":
    main()
