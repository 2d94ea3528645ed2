#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: the log of a FlexCore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_logs
short_description: Read the log of a FlexCore
version_added: "0.1.0"
description:
  - Returns the newest log records of a FlexCore, newest last, from the server itself or from the journal of its host.
  - Runs on FlexCore's host. Where that host's Python lacks httpx, it goes on under the interpreter of the deployed
    FlexCore, C(/opt/flexcore/current/bin/python). The journal alone needs no httpx.
  - Reading the journal takes root, or membership of the group C(systemd-journal).
options:
  lines:
    description: How many records to return at most, 1 to 10000.
    type: int
    default: 100
  level:
    description: The least severe level to return.
    type: str
    choices: [debug, info, warning, error, critical]
  since:
    description: Only records from this time on. RFC 3339, or an age such as V(30s), V(15m), V(2h) or V(1d).
    type: str
  source:
    description:
      - Where to read. V(http) asks the server. V(journald) reads the journal of the host, also when FlexCore is dead.
      - V(auto) asks the server, and reads the journal with a warning when the server gives none.
    type: str
    choices: [auto, http, journald]
    default: auto
  unit:
    description: The unit to read from the journal.
    type: str
    default: flexcore.service
  url:
    description:
      - Address of FlexCore, C(http://host:port) or C(https://host:port). It must not hold user information.
      - Falls back to the environment variable E(FLEXCORE_URL).
      - Without one, O(source=auto) reads the journal.
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
- name: Read the errors of the last quarter of an hour
  flexcore_logs:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    level: error
    since: 15m
  register: log

- name: Read why FlexCore does not start
  flexcore_logs:
    source: journald
    lines: 50
  become: true
"""

RETURN = r"""
records:
  description: The log records, newest last.
  returned: success
  type: list
  elements: dict
  contains:
    timestamp:
      description: Time of the record, RFC 3339 in UTC, where known.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    level:
      description: One of debug, info, warning, error and critical, where known.
      type: str
      sample: error
    message:
      description: What happened.
      type: str
      sample: PostgreSQL does not answer
    component:
      description: Part of the server that wrote it, where known.
      type: str
      sample: postgres
    correlation_id:
      description: The request that it belongs to, where known.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a11
    node_id:
      description: The node that wrote it, where known.
      type: str
      sample: core1
    fields:
      description: Every other field of the record.
      type: dict
      sample: {"attempt": 3}
source:
  description: Where the records come from, http or journald.
  returned: success
  type: str
  sample: http
truncated:
  description: Whether the search in the journal ended before enough records were found, for reasons of time or size.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flexcore_client.ansible_module import (
    connection_options,
    flexcore_target,
    reporting_errors,
    require_httpx,
    tls_options,
)
from ansible.module_utils.flexcore_client.clock import SystemClock
from ansible.module_utils.flexcore_client.log_query import log_query
from ansible.module_utils.flexcore_client.logs import SOURCES, read_logs
from ansible.module_utils.flexcore_client.normalise import LEVELS

ARGUMENT_SPEC = {
    **connection_options(),
    "lines": {"type": "int", "default": 100},
    "level": {"type": "str", "choices": list(LEVELS)},
    "since": {"type": "str"},
    "source": {"type": "str", "choices": list(SOURCES), "default": "auto"},
    "unit": {"type": "str", "default": "flexcore.service"},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    asked = module.params
    over_http = asked["source"] == "http" or (asked["source"] == "auto" and asked["url"])
    if over_http:
        require_httpx(module)
    clock = SystemClock()
    with reporting_errors(module):
        read = read_logs(
            flexcore_target(module) if over_http else None,
            log_query(asked["lines"], asked["level"], asked["since"], clock.now()),
            source=asked["source"],
            unit=asked["unit"],
            timeout=asked["timeout"],
            tls=tls_options(module),
            clock=clock,
        )
    if read.fallback_reason:
        module.warn(f"{read.fallback_reason} The journal of {asked['unit']} was read instead.")
    records = [record.to_dict() for record in read.records]
    module.exit_json(changed=False, records=records, source=read.source, truncated=read.truncated)


if __name__ == "__main__":
    main()
