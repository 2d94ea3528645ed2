#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: the pipelines of a FlexCore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_pipeline_info
short_description: Read the pipelines of a FlexCore
version_added: "0.1.0"
description:
  - Returns all pipelines, or one in full with its latest run.
options:
  id:
    description: Read only the pipeline with this id. When there is none, the list is empty.
    type: str
  name:
    description: Read only the pipeline with this name. When there is none, the list is empty.
    type: str
  status:
    description: Only pipelines with this status.
    type: str
    choices: [draft, active, running, completed, failed, cancelled]
extends_documentation_fragment:
  - flexcore
  - flexcore.reads
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Read all pipelines that failed
  flexcore_pipeline_info:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    status: failed
  register: failed_pipelines

- name: Read one, with its latest run
  flexcore_pipeline_info:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    name: look at a text
"""

RETURN = r"""
pipelines:
  description: The pipelines that were asked for, the newest first.
  returned: success
  type: list
  elements: dict
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
      description: Status as the server says it.
      type: str
      sample: completed
    description:
      description: What it is for. Only when one pipeline was asked for.
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
      description: When it was last changed, RFC 3339 in UTC. Only when one pipeline was asked for.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    last_run:
      description: When its latest run began, RFC 3339 in UTC. Null before the first.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    last_execution_id:
      description: Identifier of its latest run. Null before the first. Only when one pipeline was asked for.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a12
    runs:
      description: How many runs it has had. Only when one pipeline was asked for.
      type: int
      sample: 1
    steps:
      description: Its steps, in full when one pipeline was asked for.
      type: list
      elements: dict
      sample: [{"id": "turn", "name": "turn", "type": "processor", "status": "completed"}]
    run:
      description: The latest run, with its steps and how far it is. Only when one pipeline was asked for.
      type: dict
      sample: {"execution_id": "0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a12", "run_status": "completed"}
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.pipeline_work import read_pipelines

STATUSES = ["draft", "active", "running", "completed", "failed", "cancelled"]
ARGUMENT_SPEC = argument_spec(
    id={"type": "str"},
    name={"type": "str"},
    status={"type": "str", "choices": STATUSES},
)


async def read(module, client):
    asked = module.params
    return {"pipelines": await read_pipelines(client, asked["id"], asked["name"], asked["status"])}


def main():
    FlexCoreModule(ARGUMENT_SPEC, mutually_exclusive=[("id", "name")]).run(read)


if __name__ == "__main__":
    main()
