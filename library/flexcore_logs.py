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
  - Runs on FlexCore's host. Reading the journal takes root, or membership of the group C(systemd-journal).
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
  until:
    description: Only records up to this time, in the forms of O(since).
    type: str
    aliases: [before]
  component:
    description: Only records of this part of the server, such as V(postgres).
    type: str
  pattern:
    description: Only records in whose message or fields this regular expression (Python's) occurs.
    type: str
  fail_on_match:
    description:
      - Whether the task fails when there is a record that is asked for, for example one of O(level=error).
      - The records are in the result all the same.
    type: bool
    default: false
  source:
    description:
      - Where to read. V(http) asks the server. V(journald) reads the journal of the host, also when FlexCore is dead.
        V(file) reads the file O(path).
      - V(auto) takes the first of these that gives any records, with a warning when it is not the first choice.
    type: str
    choices: [auto, http, journald, file]
    default: auto
  unit:
    description: The unit to read from the journal.
    type: str
    default: flexcore.service
  path:
    description: A log file on the host, of JSON objects or text, one a line. Without one, O(source=auto) looks at none.
    type: path
  url:
    description:
      - Address of FlexCore, C(http://host:port) or C(https://host:port). It must not hold user information.
      - Falls back to the environment variable E(FLEXCORE_URL).
      - Without one, O(source=auto) does not ask the server.
    type: str
  timeout:
    description: Seconds for each place that is read, all retries included.
    type: float
    default: 5.0
extends_documentation_fragment:
  - flexcore
  - flexcore.reads
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

- name: Fail when anything went wrong since the upgrade began
  flexcore_logs:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    level: error
    since: "{{ upgrade_began }}"
    pattern: "(?i)traceback|in-memory|data loss"
    fail_on_match: true

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
  description: Where the records come from, http, journald or file.
  returned: success
  type: str
  sample: http
truncated:
  description: Whether the search ended before O(lines) records were found, for reasons of time or size.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.clock import SystemClock
from ansible.module_utils.flexcore_client.errors import InputError
from ansible.module_utils.flexcore_client.log_query import log_query
from ansible.module_utils.flexcore_client.logs import SOURCES, LogPlaces, read_logs
from ansible.module_utils.flexcore_client.normalise import LEVELS

ARGUMENT_SPEC = argument_spec(
    lines={"type": "int", "default": 100},
    level={"type": "str", "choices": list(LEVELS)},
    since={"type": "str"},
    until={"type": "str", "aliases": ["before"]},
    component={"type": "str"},
    pattern={"type": "str"},
    fail_on_match={"type": "bool", "default": False},
    source={"type": "str", "choices": list(SOURCES), "default": "auto"},
    unit={"type": "str", "default": "flexcore.service"},
    path={"type": "path"},
)


def main():
    module = FlexCoreModule(ARGUMENT_SPEC)
    with module.reporting_errors():
        read = find(module, SystemClock())
    if read.fallback_reason:
        module.warn(f"{read.fallback_reason} The source {read.source} was read instead.")
    records = [record.to_dict() for record in read.records]
    answer = {"changed": False, "records": records, "source": read.source, "truncated": read.truncated}
    if module.params["fail_on_match"] and records:
        last = records[-1]
        module.fail_json(msg=f"{len(records)} records match, the last one: {last['message']}", **answer)
    module.exit_json(**answer)


def find(module, clock):
    asked = module.params
    source = asked["source"]
    if source == "file" and not asked["path"]:
        raise InputError("path is missing: name the log file to read")
    over_http = source == "http" or (source == "auto" and module.connection_options["url"])
    query = log_query(
        asked["lines"],
        asked["level"],
        asked["since"],
        clock.now(),
        until=asked["until"],
        component=asked["component"],
        pattern=asked["pattern"],
    )
    places = LogPlaces(module.target() if over_http else None, asked["unit"], asked["path"])
    return read_logs(places, query, source=source, connection=module.connection(), clock=clock)


if __name__ == "__main__":
    main()
