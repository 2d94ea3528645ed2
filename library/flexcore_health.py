#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: the health of FlexCore and of the PostgreSQL and Redis it uses."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_health
short_description: Check the health of FlexCore, PostgreSQL and Redis
version_added: "0.1.0"
description:
  - Asks one or many services at once how they are and returns a verdict on each.
  - A FlexCore is asked over HTTP, in whichever generation of its API it speaks. A claim is not taken for evidence. An
    API that is not known, a redirect or a page that is not JSON is C(UNKNOWN), never C(HEALTHY).
  - A PostgreSQL or Redis is asked in its own protocol, without credentials, so that the one at fault is named even
    while FlexCore itself is dead. Its version, and whether FlexCore can log in to it, come from FlexCore's own answer.
  - An unhealthy service is data, not a failure of the module, unless O(fail_on_unhealthy) is set.
options:
  url:
    description:
      - Address of one service to check. Not looked at when O(targets) is given.
      - C(http://host:port) and C(https://host:port) are FlexCore, C(postgresql://host:port) and C(redis://host:port)
        are what their names say. It must not hold user information.
      - Falls back to the environment variable E(FLEXCORE_URL).
    type: str
  targets:
    description: Services to check at once.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the service in the result. By default C(flexcore), C(postgresql) or C(redis).
        type: str
      url:
        description: Address of the service, as in O(url).
        type: str
        required: true
  timeout:
    description: Seconds for each target, all its retries included.
    type: float
    default: 5.0
  deadline:
    description:
      - Seconds for all targets together, which are checked 100 at a time. By default only O(timeout) limits them.
      - A target whose turn does not come in this time is C(UNKNOWN).
    type: float
  retries:
    description:
      - How many more times a target that is not healthy is asked before its verdict counts.
    type: int
    default: 0
  max_response_time_ms:
    description: A healthy service that takes longer than this many milliseconds is C(DEGRADED).
    type: float
  wait:
    description:
      - Whether to repeat the check until all targets are healthy or O(wait_timeout) is over.
      - In check mode it looks once, because what would make the targets healthy has not been done either.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds to wait for at most, with O(wait). A check that is under way when they are over comes to its end, which
        O(timeout) and O(deadline) limit.
    type: float
    default: 60.0
  wait_interval:
    description: Seconds between two checks, with O(wait).
    type: float
    default: 1.0
  wait_stable:
    description: How many checks in a row must find all targets healthy, with O(wait).
    type: int
    default: 1
  fail_on_unhealthy:
    description: Whether the task fails when a target is not healthy.
    type: bool
    default: false
attributes:
  check_mode:
    description: The module only reads, and does the same in check mode, but for the waiting.
    support: full
  diff_mode:
    description: Nothing is changed, so there is no difference to show.
    support: none
extends_documentation_fragment:
  - flexcore
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Look at FlexCore on this host
  flexcore_health:
    url: http://127.0.0.1:8080
  register: health

- name: Wait after a deployment until FlexCore and what it needs are healthy, twice in a row
  flexcore_health:
    targets:
      - name: flexcore
        url: "http://{{ ansible_host }}:8080"
      - url: "postgresql://{{ flexcore_postgresql_host }}:{{ flexcore_postgresql_port }}"
      - url: "redis://{{ flexcore_redis_host }}:{{ flexcore_redis_port }}"
    wait: true
    wait_timeout: 120
    wait_stable: 2
    fail_on_unhealthy: true

- name: Call a slow answer a degraded service
  flexcore_health:
    url: https://flexcore.example.org:8443
    max_response_time_ms: 200
    retries: 2
"""

RETURN = r"""
healthy:
  description: Whether every target is C(HEALTHY).
  returned: always
  type: bool
  sample: true
targets:
  description: The verdict on each target, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    service_name:
      description: Name of the target.
      type: str
      sample: flexcore
    status:
      description: One of C(HEALTHY), C(DEGRADED), C(UNHEALTHY) and C(UNKNOWN).
      type: str
      sample: HEALTHY
    response_time_ms:
      description: Milliseconds that the deciding request took. Null when there was no answer.
      type: float
      sample: 4.2
    version:
      description: Version that the service runs, where known.
      type: str
      sample: 0.1.0
    uptime:
      description: Seconds since the service started, where known.
      type: int
      sample: 86400
    last_check:
      description: When the verdict was reached, RFC 3339 in UTC.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    details:
      description:
        - C(url), C(service) (flexcore, postgresql or redis), C(cause) and C(culprit) (the service to look at) always.
        - For FlexCore also C(dialect), C(evidence), C(caveat), C(node_id) and C(components).
        - C(failure), C(phase) and C(message) when no usable answer came.
      type: dict
      sample: {"url": "http://127.0.0.1:8080", "service": "flexcore", "cause": null, "culprit": null}
waited_seconds:
  description: How long it took until the result was final.
  returned: when O(wait) is set and the run is not in check mode
  type: float
  sample: 3.2
"""

from ansible.module_utils.flexcore_client.address import password_in
from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.clock import SystemClock
from ansible.module_utils.flexcore_client.event_loop import run
from ansible.module_utils.flexcore_client.fanout import CheckOptions, check_all
from ansible.module_utils.flexcore_client.retry import RetryPolicy
from ansible.module_utils.flexcore_client.targets import parse_targets
from ansible.module_utils.flexcore_client.waiter import wait_until

ARGUMENT_SPEC = argument_spec(
    targets={
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str"}, "url": {"type": "str", "required": True}},
    },
    deadline={"type": "float"},
    retries={"type": "int", "default": 0},
    max_response_time_ms={"type": "float"},
    wait={"type": "bool", "default": False},
    wait_timeout={"type": "float", "default": 60.0},
    wait_interval={"type": "float", "default": 1.0},
    wait_stable={"type": "int", "default": 1},
    fail_on_unhealthy={"type": "bool", "default": False},
)


def main():
    module = FlexCoreModule(ARGUMENT_SPEC)
    asked = module.params
    waiting = asked["wait"] and not module.check_mode
    url = module.connection_options["url"]
    entries = asked["targets"] or ([{"url": url}] if url else [])
    module.hide(password_in(entry["url"]) for entry in entries)
    with module.reporting_errors():
        connection = module.connection()
        targets = parse_targets(entries, connection.token, connection.api)
        module.warn_of_plain_http([entry["url"] for entry in entries])
        waited = run(check(asked, waiting, targets, connection))
    results = [result.to_dict() for result in waited.last]
    answer = {"changed": False, "healthy": all(result.healthy for result in waited.last), "targets": results}
    if waiting:
        answer["waited_seconds"] = waited.elapsed
    if asked["fail_on_unhealthy"] and not answer["healthy"]:
        ill = [result for result in waited.last if not result.healthy]
        causes = [f"{one.service_name} is {one.status.value}: {one.details['cause']}" for one in ill]
        module.fail_json(msg="; ".join(causes), **answer)
    module.exit_json(**answer)


async def check(asked, waiting, targets, connection):
    options = CheckOptions(
        timeout=asked["timeout"],
        deadline=asked["deadline"],
        max_response_time_ms=asked["max_response_time_ms"],
        retry=RetryPolicy(retries=asked["retries"]),
        connection=connection,
    )
    clock = SystemClock()
    return await wait_until(
        lambda: check_all(targets, options, clock),
        lambda results: all(result.healthy for result in results),
        timeout=asked["wait_timeout"] if waiting else 0,
        interval=asked["wait_interval"],
        stable=asked["wait_stable"] if waiting else 1,
        clock=clock,
    )


if __name__ == "__main__":
    main()
