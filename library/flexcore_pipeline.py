#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: a pipeline of a FlexCore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_pipeline
short_description: Declare pipelines of a FlexCore
version_added: "0.1.0"
description:
  - Has a pipeline of plugin steps created, activated or removed. A pipeline is known by its name.
  - A server changes no pipeline in place. One that differs from its declaration makes the task fail and say in what,
    unless O(recreate) allows to replace it.
options:
  name:
    description: Name of the pipeline.
    type: str
    required: true
  state:
    description:
      - V(present) has it exist, V(active) has it ready to be run too, V(absent) has it gone. Its events stay.
      - A pipeline that ran stays ready to be run.
    type: str
    choices: [present, active, absent]
    default: active
  steps:
    description:
      - What it does. Only needed to create or compare it.
      - Values under names such as C(password), C(token) or C(api_key) are kept out of every output.
    type: list
    elements: dict
    suboptions:
      id:
        description: Identifier of the step within the pipeline.
        type: str
        required: true
      plugin:
        description: Plugin that does it.
        type: str
        required: true
      operation:
        description: Operation of the plugin. By default the plugin's own default one, which is then not compared.
        type: str
      name:
        description: Name for people.
        type: str
      parameters:
        description:
          - What the operation works on. C({"$from":"steps.<id>.<path>"}) stands for a part of an earlier step's result
            and C({"$from":"parameters.<path>"}) for a parameter of the run.
        type: dict
      depends_on:
        description: Steps that have to end before it begins.
        type: list
        elements: str
      timeout_seconds:
        description: Seconds that one attempt may take. The server's default is 30.
        type: float
      retry:
        description: How often it is tried and with which pauses. What is left out has the server's default.
        type: dict
        suboptions:
          max_attempts:
            description: Attempts, the first included. By default 3.
            type: int
          initial_backoff_ms:
            description: Milliseconds before the second attempt. By default 1000.
            type: int
          max_backoff_ms:
            description: Milliseconds between two attempts at most. By default 60000.
            type: int
          multiplier:
            description: By how much each pause is longer than the one before. By default 2.
            type: float
          jitter:
            description: Random part of a pause, 0 to 1. By default 0.2.
            type: float
      on_failure:
        description: What becomes of the run when the step has failed for good. By default V(fail).
        type: str
        choices: [fail, continue, skip_dependents]
  description:
    description: What the pipeline is for. Not compared when it is left out.
    type: str
  owner:
    description: Who answers for it. Not compared when it is left out.
    type: str
  recreate:
    description: Whether a pipeline that differs may be removed and created anew, which gives it another id.
    type: bool
    default: false
extends_documentation_fragment:
  - flexcore
  - flexcore.writes
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Have a pipeline that turns a text round and counts it
  flexcore_pipeline:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    name: look at a text
    owner: docs
    steps:
      - id: turn
        plugin: simple-processor
        operation: reverse
        parameters:
          text: {"$from": parameters.text}
      - id: count
        plugin: simple-processor
        operation: count
        parameters:
          text: {"$from": steps.turn.text}
        depends_on: [turn]
        retry:
          max_attempts: 5

- name: Remove a pipeline
  flexcore_pipeline:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    name: look at a text
    state: absent
"""

RETURN = r"""
pipeline:
  description: The pipeline as the server has it. Empty when it is absent, and in check mode when it would be created.
  returned: success
  type: dict
  contains:
    id:
      description: Identifier of the pipeline.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a11
    name:
      description: Name of the pipeline.
      type: str
      sample: look at a text
    status:
      description: Status, C(draft), C(active), C(running), C(completed), C(failed) or C(cancelled).
      type: str
      sample: active
    description:
      description: What it is for.
      type: str
      sample: Turns a text and counts it
    owner:
      description: Who answers for it.
      type: str
      sample: docs
    created_at:
      description: When it was created, RFC 3339 in UTC.
      type: str
      sample: "2026-11-20T09:00:00.000Z"
    updated_at:
      description: When it was last changed, RFC 3339 in UTC.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    last_run:
      description: When its latest run began, RFC 3339 in UTC. Null before the first.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    last_execution_id:
      description: Identifier of its latest run. Null before the first.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a12
    runs:
      description: How many runs it has had.
      type: int
      sample: 1
    steps:
      description: Its steps in full.
      type: list
      elements: dict
      sample: [{"id": "turn", "plugin": "simple-processor", "operation": "reverse"}]
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.pipeline_goal import STATES
from ansible.module_utils.flexcore_client.pipeline_work import bring_about

STEP = {
    "id": {"type": "str", "required": True},
    "plugin": {"type": "str", "required": True},
    "operation": {"type": "str"},
    "name": {"type": "str"},
    "parameters": {"type": "dict"},
    "depends_on": {"type": "list", "elements": "str"},
    "timeout_seconds": {"type": "float"},
    "retry": {
        "type": "dict",
        "options": {
            "max_attempts": {"type": "int"},
            "initial_backoff_ms": {"type": "int"},
            "max_backoff_ms": {"type": "int"},
            "multiplier": {"type": "float"},
            "jitter": {"type": "float"},
        },
    },
    "on_failure": {"type": "str", "choices": ["fail", "continue", "skip_dependents"]},
}
ARGUMENT_SPEC = argument_spec(
    name={"type": "str", "required": True},
    state={"type": "str", "choices": list(STATES), "default": "active"},
    steps={"type": "list", "elements": "dict", "options": STEP},
    description={"type": "str"},
    owner={"type": "str"},
    recreate={"type": "bool", "default": False},
)
DECLARED = ("name", "state", "steps", "description", "owner", "recreate")


async def ensure(module, client):
    declared = {name: module.params[name] for name in DECLARED}
    return await bring_about(client, declared, dry=module.check_mode)


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(ensure)


if __name__ == "__main__":
    main()
