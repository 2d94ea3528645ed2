#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: a run of a pipeline."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_pipeline_run
short_description: Run a pipeline of a FlexCore
version_added: "0.1.0"
description:
  - Begins a run of a pipeline, waits for its end and returns what its steps gave.
  - With O(key) it is run once, however often the task runs.
options:
  id:
    description: Identifier of the pipeline.
    type: str
  name:
    description: Name of the pipeline, in place of O(id).
    type: str
  parameters:
    description:
      - Parameters of the run. Values under names such as C(password), C(token) or C(api_key), at any depth, are kept
        out of every output.
    type: dict
    default: {}
  secret_parameters:
    description: More of them, laid over O(parameters), of which no value ever appears in any output.
    type: dict
  key:
    description:
      - Makes the run happen once. When the pipeline was run with this key before, nothing is done and the earlier run
        is returned, whatever its parameters were.
      - Letters, digits and C(._:-), 128 at most. It becomes the correlation id of the run.
    type: str
  wait:
    description: Whether to wait for the end.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait for at most. The run goes on when they are over.
    type: float
    default: 600.0
attributes:
  check_mode:
    description: Looks whether the pipeline can be run and whether the key was used, predicts, and runs nothing.
    support: full
  diff_mode:
    description: What a run changes is known to its plugins alone. The diff says whether one takes place.
    support: partial
extends_documentation_fragment:
  - flexcore
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Look at a text
  flexcore_pipeline_run:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    name: look at a text
    parameters:
      text: stressed desserts
    wait_timeout: 60
  register: looked

- name: Close the books of a month, once
  flexcore_pipeline_run:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    name: look at a text
    parameters:
      text: books of 2026-10
    key: close-2026-10
"""

RETURN = r"""
run:
  description: The run. Empty in check mode, unless it took place before.
  returned: success, and when it did not succeed
  type: dict
  contains:
    execution_id:
      description: Identifier of the run.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a12
    id:
      description: Identifier of the pipeline.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a11
    name:
      description: Name of the pipeline. Only of the latest run, as all that follows but C(run_status).
      type: str
      sample: look at a text
    status:
      description: Status of the pipeline.
      type: str
      sample: completed
    started_at:
      description: When the run began, RFC 3339 in UTC.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    completed_at:
      description: When it ended, RFC 3339 in UTC. Null until then.
      type: str
      sample: "2026-11-20T09:30:01.000Z"
    progress:
      description: How many steps have ended, one way or another.
      type: dict
      sample: {"steps_done": 2, "steps_total": 2, "percent": 100.0}
    run_status:
      description:
        - Where it stands, C(running), C(completed), C(failed) or C(cancelled), or C(unknown) when another began since.
      type: str
      sample: completed
    steps:
      description: Its steps and how they ended.
      type: list
      elements: dict
      sample: [{"id": "turn", "status": "completed", "attempt": 1}]
results:
  description: What the steps gave, by the step's id, as far as it is kept. Only of the latest run, once it has ended.
  returned: success, and when it did not succeed
  type: dict
  sample: {"turn": {"text": "stressed desserts"}}
execution_id:
  description: Identifier of the run.
  returned: when it did not end within O(wait_timeout)
  type: str
  sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a12
status:
  description: Where it stands then.
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
from ansible.module_utils.flexcore_client.pipeline_work import run_pipeline

ARGUMENT_SPEC = argument_spec(
    id={"type": "str"},
    name={"type": "str"},
    parameters={"type": "dict", "default": {}},
    secret_parameters={"type": "dict", "no_log": True},
    key={"type": "str", "no_log": False},
    wait={"type": "bool", "default": True},
    wait_timeout={"type": "float", "default": 600.0},
)


async def work(module, client):
    asked = module.params
    return await run_pipeline(
        client,
        pipeline_id=asked["id"],
        name=asked["name"],
        parameters={**asked["parameters"], **(asked["secret_parameters"] or {})},
        key=asked["key"],
        wait_seconds=asked["wait_timeout"] if asked["wait"] else None,
        dry=module.check_mode,
    )


def main():
    one = [("id", "name")]
    FlexCoreModule(ARGUMENT_SPEC, required_one_of=one, mutually_exclusive=one).run(work)


if __name__ == "__main__":
    main()
