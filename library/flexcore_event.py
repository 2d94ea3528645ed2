#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: an event in the log of a FlexCore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_event
short_description: Record an event in the log of a FlexCore
version_added: "0.1.0"
description:
  - Appends one fact to the stream of an aggregate. What is recorded is never changed or removed.
  - With O(key) or O(expected_version) it is recorded once, however often the task runs; with neither, every time.
options:
  type:
    description: Type of the event, in the past tense, such as V(ReleaseDeployed).
    type: str
    required: true
  aggregate_type:
    description: Type of what it happened to. C(Pipeline) and C(Plugin) are FlexCore's own.
    type: str
    required: true
  aggregate_id:
    description: What it happened to.
    type: str
    required: true
  data:
    description:
      - The fact. Values under names such as C(password), C(token) or C(api_key) are kept out of every output, but not
        out of the log. Secrets do not belong in an event.
    type: dict
    default: {}
  metadata:
    description: What else is to be known of it.
    type: dict
    default: {}
  expected_version:
    description:
      - Version that the aggregate has to have just before, 0 for a new one. When it has another, the task fails, unless
        the version that follows is this very event.
    type: int
  key:
    description:
      - Makes the event be recorded once. When the aggregate has an event that was recorded with this key, that one is
        returned.
      - Letters, digits and C(._:-), 128 at most. It becomes the correlation id of the event.
    type: str
extends_documentation_fragment:
  - flexcore
  - flexcore.writes
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Record a deployment, once for each release
  flexcore_event:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    type: ReleaseDeployed
    aggregate_type: Application
    aggregate_id: shop
    data:
      release: "2.4.0"
    key: shop-2.4.0

- name: Record the first event of a stream
  flexcore_event:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    type: ApplicationRegistered
    aggregate_type: Application
    aggregate_id: billing
    expected_version: 0
"""

RETURN = r"""
event:
  description: Where the event is in the log. Empty in check mode, unless it was there before.
  returned: success
  type: dict
  contains:
    id:
      description: Identifier of the event.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a11
    position:
      description: Position among all events.
      type: int
      sample: 4711
    version:
      description: Version that the aggregate has with it.
      type: int
      sample: 3
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.event_work import record

ARGUMENT_SPEC = argument_spec(
    type={"type": "str", "required": True},
    aggregate_type={"type": "str", "required": True},
    aggregate_id={"type": "str", "required": True},
    data={"type": "dict", "default": {}},
    metadata={"type": "dict", "default": {}},
    expected_version={"type": "int"},
    key={"type": "str", "no_log": False},
)
FIELDS = ("type", "aggregate_type", "aggregate_id", "data", "metadata", "expected_version")


async def work(module, client):
    asked = module.params
    event = {name: asked[name] for name in FIELDS if asked[name] is not None}
    return await record(client, event, asked["key"], dry=module.check_mode)


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(work)


if __name__ == "__main__":
    main()
