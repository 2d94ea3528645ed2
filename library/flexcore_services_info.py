#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: the services that a FlexCore looks after."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_services_info
short_description: Read the services that a FlexCore looks after
version_added: "0.1.0"
description:
  - Returns FlexCore itself and the FLEXT services that it was told of, as it saw them within the last seconds.
options:
  name:
    description: Read only the service with this name. When there is none, the list is empty.
    type: str
  status:
    description: Only services with this status.
    type: str
    choices: [healthy, degraded, unhealthy, unknown]
extends_documentation_fragment:
  - flexcore
  - flexcore.reads
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Require that the login service is well
  flexcore_services_info:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    name: flext-auth
    status: healthy
  register: auth
  failed_when: auth.services | length == 0
"""

RETURN = r"""
services:
  description: The services that were asked for.
  returned: success
  type: list
  elements: dict
  contains:
    service_name:
      description: Name of the service.
      type: str
      sample: flext-auth
    url:
      description: Where FlexCore asks it.
      type: str
      sample: http://127.0.0.1:8082
    status:
      description: One of C(healthy), C(degraded), C(unhealthy) and C(unknown).
      type: str
      sample: healthy
    response_time_ms:
      description: Milliseconds that it took to answer. Null when it did not.
      type: float
      sample: 3.1
    last_check:
      description: When FlexCore asked it, RFC 3339 in UTC.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    details:
      description: What else FlexCore knows of it.
      type: dict
      sample: {}
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.node_work import read_services

ARGUMENT_SPEC = argument_spec(
    name={"type": "str"},
    status={"type": "str", "choices": ["healthy", "degraded", "unhealthy", "unknown"]},
)


async def read(module, client):
    return {"services": await read_services(client, module.params["name"], module.params["status"])}


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(read)


if __name__ == "__main__":
    main()
