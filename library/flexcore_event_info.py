#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: events of a FlexCore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_event_info
short_description: Read events of a FlexCore and verify their chain
version_added: "0.1.0"
description:
  - Returns events in the order they were recorded, and on request has the server verify the chain of hashes that ties
    them together.
options:
  aggregate_type:
    description: Only events of aggregates of this type.
    type: str
  aggregate_id:
    description: Only events of this aggregate.
    type: str
  event_type:
    description: Only events of this type.
    type: str
  since:
    description: Only events from this time on. RFC 3339, or an age such as V(30s), V(15m), V(2h) or V(1d).
    type: str
  until:
    description: Only events before this time, in the forms of O(since).
    type: str
    aliases: [before]
  limit:
    description: How many events to return at most, the oldest first, 0 to 10000.
    type: int
    default: 100
  verify:
    description: Whether to have the chain of hashes recomputed. Allow a long log more O(timeout).
    type: bool
    default: false
  verify_from:
    description: First position to verify. By default the first of all.
    type: int
  verify_to:
    description: Last position to verify. By default the end of the log.
    type: int
  fail_on_unverified:
    description: Whether the task fails when an event is not what was recorded.
    type: bool
    default: false
extends_documentation_fragment:
  - flexcore
  - flexcore.reads
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Read what happened to an application today
  flexcore_event_info:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    aggregate_type: Application
    aggregate_id: shop
    since: 1d
  register: history

- name: Require that nobody changed the log
  flexcore_event_info:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    limit: 0
    verify: true
    fail_on_unverified: true
    timeout: 300
"""

RETURN = r"""
events:
  description: The events that were asked for, the oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Identifier of the event.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a11
    position:
      description: Position among all events, from 1.
      type: int
      sample: 4711
    type:
      description: Type of the event.
      type: str
      sample: ReleaseDeployed
    aggregate_id:
      description: What it happened to.
      type: str
      sample: shop
    aggregate_type:
      description: Type of that.
      type: str
      sample: Application
    version:
      description: Version of the aggregate with it.
      type: int
      sample: 3
    data:
      description: The fact.
      type: dict
      sample: {"release": "2.4.0"}
    metadata:
      description: What else is known of it.
      type: dict
      sample: {"correlation_id": "shop-2.4.0"}
    timestamp:
      description: When it was recorded, RFC 3339 in UTC.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    hash:
      description: Its link in the chain, 64 hexadecimal digits.
      type: str
      sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
truncated:
  description: Whether there are more events than O(limit).
  returned: success
  type: bool
  sample: false
verification:
  description: What the server found, with C(verified), C(checked) and C(first_bad_position).
  returned: when O(verify) is set
  type: dict
  sample: {"verified": true, "checked": 4711, "first_bad_position": null}
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.errors import InputError
from ansible.module_utils.flexcore_client.event_work import MOST_EVENTS, read_events, wanted_events

ARGUMENT_SPEC = argument_spec(
    aggregate_type={"type": "str"},
    aggregate_id={"type": "str"},
    event_type={"type": "str"},
    since={"type": "str"},
    until={"type": "str", "aliases": ["before"]},
    limit={"type": "int", "default": 100},
    verify={"type": "bool", "default": False},
    verify_from={"type": "int"},
    verify_to={"type": "int"},
    fail_on_unverified={"type": "bool", "default": False},
)
FILTERS = ("aggregate_type", "aggregate_id", "event_type", "since", "until")


async def read(module, client):
    asked = module.params
    if not 0 <= asked["limit"] <= MOST_EVENTS:
        raise InputError(f"limit is {asked['limit']}: allowed are 0 to {MOST_EVENTS}")
    wanted = wanted_events({name: asked[name] for name in FILTERS}, client.clock.now())
    bounds = (asked["verify_from"], asked["verify_to"]) if asked["verify"] else None
    found = await read_events(client, wanted, asked["limit"], bounds)
    if asked["fail_on_unverified"] and found.get("verification", {}).get("verified") is False:
        bad = found["verification"]
        module.fail_json(
            msg=f"The event at position {bad.get('first_bad_position')} is not what was recorded: {bad.get('reason')}",
            changed=False,
            **found,
        )
    return found


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(read)


if __name__ == "__main__":
    main()
