#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: a plugin of a FlexCore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_plugin
short_description: Install, upgrade, switch and remove plugins of a FlexCore
version_added: "0.1.0"
description:
  - Brings one plugin to the state that is wanted, from a package on the host or from the marketplace that the server
    knows, and waits until it answers.
  - An upgrade is in place. The server keeps the old version until the new one answers.
  - Speaks the generation C(flexcore-v1) only, and says so of a server that is of another.
options:
  id:
    description: Identifier of the plugin. Not needed with O(src), whose manifest names it.
    type: str
  state:
    description:
      - V(present) has it installed, V(absent) not. V(enabled) lets it be executed, V(disabled) not.
      - V(latest) has the newest version that the marketplace has, within O(version).
      - V(present) and V(latest) leave an installed plugin enabled or disabled as it is.
      - V(enabled) and V(disabled) install a plugin that is missing only when O(src) or O(version) says which.
    type: str
    choices: [present, absent, enabled, disabled, latest]
    default: present
  version:
    description:
      - The version that is wanted, or a range such as V(>=1.2,<2), V(~=1.4) or V(==1.*), as Python packages have them.
      - An installed version within the range stays, but for O(state=latest). Otherwise the newest of the marketplace
        within it is taken. Without O(version) every installed one is good enough.
      - With O(src), the package's version has to be within it.
    type: str
  src:
    description:
      - Package, C(.whl) or C(.tar.gz), with a manifest C(flexcore-plugin.toml). It is beside the playbook, or, with
        O(remote_src), on the host where the module runs.
      - Reading it takes Python 3.11 or later on that host.
    type: path
  remote_src:
    description: Whether O(src) is on the host already. Otherwise it is copied there for as long as the task runs.
    type: bool
    default: false
  cascade:
    description: Whether O(state=absent) also removes the plugins that depend on it. Otherwise they make it fail.
    type: bool
    default: false
  wait:
    description: Whether to wait until an enabled plugin that was changed answers.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait for that at most.
    type: float
    default: 60.0
extends_documentation_fragment:
  - flexcore
  - flexcore.writes
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Have a plugin from the marketplace, in any version that fits
  flexcore_plugin:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    id: greeter
    version: ">=1.2,<2"

- name: Keep it at the newest of those
  flexcore_plugin:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    id: greeter
    version: ">=1.2,<2"
    state: latest

- name: Have the plugin that was built beside the playbook, and in use
  flexcore_plugin:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    src: dist/greeter-1.5.0.tar.gz
    state: enabled

- name: Take a plugin out of use
  flexcore_plugin:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    id: simple-processor
    state: disabled

- name: Remove one together with what depends on it
  flexcore_plugin:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    id: greeter
    state: absent
    cascade: true
"""

RETURN = r"""
plugin:
  description: The plugin as it is, or in check mode as it would be. Empty when it is absent.
  returned: success
  type: dict
  contains:
    id:
      description: Identifier of the plugin.
      type: str
      sample: greeter
    version:
      description: Version of the plugin.
      type: str
      sample: 1.3.0
    status:
      description: Status of the plugin, C(active), C(inactive) or C(error).
      type: str
      sample: active
actions:
  description: What was done, or in check mode would be, in this order. Of C(install), C(upgrade), C(enable), C(disable)
    and C(remove).
  returned: success
  type: list
  elements: str
  sample: [upgrade]
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.plugin_goal import STATES
from ansible.module_utils.flexcore_client.plugin_work import bring_about

ARGUMENT_SPEC = argument_spec(
    id={"type": "str"},
    state={"type": "str", "choices": list(STATES), "default": "present"},
    version={"type": "str"},
    src={"type": "path"},
    remote_src={"type": "bool", "default": False},
    cascade={"type": "bool", "default": False},
    wait={"type": "bool", "default": True},
    wait_timeout={"type": "float", "default": 60.0},
)


async def ensure(module, client):
    asked = module.params
    return await bring_about(
        client,
        plugin_id=asked["id"],
        state=asked["state"],
        version=asked["version"],
        src=asked["src"],
        cascade=asked["cascade"],
        wait_seconds=asked["wait_timeout"] if asked["wait"] else None,
        dry=module.check_mode,
    )


def main():
    FlexCoreModule(ARGUMENT_SPEC, required_one_of=[("id", "src")]).run(ensure)


if __name__ == "__main__":
    main()
