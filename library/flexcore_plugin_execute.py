#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: one operation of a plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_plugin_execute
short_description: Execute an operation of a plugin of a FlexCore
version_added: "0.1.0"
description:
  - Has a plugin do one operation, waits for its end and returns its result.
  - With O(key) it is done once, however often the task runs.
  - Servers of other generations than C(flexcore-v1) execute it too, but know neither O(key) nor O(wait=false).
options:
  id:
    description: Identifier of the plugin.
    type: str
    required: true
  operation:
    description: Which operation. By default the plugin's own default one.
    type: str
  data:
    description:
      - What to work on. Values under names such as C(password), C(token) or C(api_key), at any depth, are kept out of
        every output.
    type: dict
    default: {}
  secret_data:
    description: More of it, laid over O(data), of which no value ever appears in any output.
    type: dict
  key:
    description:
      - Makes the execution happen once. When the plugin has been executed with this key before, nothing is done and the
        earlier execution is returned, whatever its data was.
      - Letters, digits and C(._:-), 128 at most. It becomes the correlation id of the execution.
    type: str
  execution_timeout:
    description: Seconds that the plugin may take, 1 to 300.
    type: float
    default: 30.0
  wait:
    description: Whether to wait for the end.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait for at most. By default O(execution_timeout) and 10 more, for the queue.
    type: float
  fail_on_unsuccessful:
    description:
      - Whether the task fails when the plugin answers that it did not succeed. An execution that failed or timed out
        always makes it fail.
    type: bool
    default: true
attributes:
  check_mode:
    description: Looks whether the key was used, predicts, and executes nothing.
    support: full
  diff_mode:
    description: What an execution changes is known to the plugin alone. The diff says whether one takes place.
    support: partial
extends_documentation_fragment:
  - flexcore
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Count the words of a text
  flexcore_plugin_execute:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    id: simple-processor
    operation: count
    data:
      text: how many words is this
  register: counted

- name: Import the customers of this month, once
  flexcore_plugin_execute:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    id: simple-processor
    operation: reverse
    data:
      text: customers
    secret_data:
      password: "{{ import_password }}"
    key: import-customers-2026-11
    execution_timeout: 300
"""

RETURN = r"""
execution:
  description: The execution. Empty in check mode, unless it took place before.
  returned: success, and when it did not succeed
  type: dict
  contains:
    execution_id:
      description: Identifier of the execution. Null on servers that give none.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a11
    status:
      description: Where it stands, such as C(completed), C(failed), C(timed_out), C(cancelled) or C(running).
      type: str
      sample: completed
    success:
      description: The plugin's own verdict, null without an answer.
      type: bool
      sample: true
    result:
      description: What the plugin answered, as C(success) and C(data), where it is kept.
      type: dict
      sample: {"success": true, "data": {"words": 5}}
    error:
      description: Why it failed, where it did.
      type: str
      sample: null
execution_id:
  description: Identifier of the execution.
  returned: when it did not end within O(wait_timeout)
  type: str
  sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a11
status:
  description: Where it stands then, C(queued) or C(running).
  returned: when it did not end within O(wait_timeout)
  type: str
  sample: running
repeated:
  description: Whether it took place before, under the same key.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.execution_work import Order, execute

ARGUMENT_SPEC = argument_spec(
    id={"type": "str", "required": True},
    operation={"type": "str"},
    data={"type": "dict", "default": {}},
    secret_data={"type": "dict", "no_log": True},
    key={"type": "str", "no_log": False},
    execution_timeout={"type": "float", "default": 30.0},
    wait={"type": "bool", "default": True},
    wait_timeout={"type": "float"},
    fail_on_unsuccessful={"type": "bool", "default": True},
)


async def work(module, client):
    asked = module.params
    order = Order(
        plugin_id=asked["id"],
        operation=asked["operation"],
        data={**asked["data"], **(asked["secret_data"] or {})},
        key=asked["key"],
        timeout_seconds=asked["execution_timeout"],
        wait=asked["wait"],
        wait_seconds=asked["wait_timeout"],
        tolerate_no_success=not asked["fail_on_unsuccessful"],
    )
    return await execute(client, order, dry=module.check_mode)


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(work)


if __name__ == "__main__":
    main()
