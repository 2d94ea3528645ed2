#!/usr/bin/python
# Copyright: FlexCore Ops contributors
"""Ansible module: an API token of a FlexCore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flexcore_token
short_description: Have API tokens of a FlexCore made and revoked
version_added: "0.1.0"
description:
  - Has an API token of the user that the task logs in as, or have it revoked. A token is known by its owner and name.
  - The server shows the text of a token once, when it is made. With O(path) the text goes to a file on the host and
    into no output. Otherwise it is in the result; such a task should have C(no_log).
  - A token with another role or another end than is wanted, one that has expired, and one whose text O(path) should
    hold but does not, is revoked and made anew.
options:
  name:
    description: Name of the token.
    type: str
    required: true
  state:
    description: V(present) has it exist, V(absent) has it revoked.
    type: str
    choices: [present, absent]
    default: present
  role:
    description: What it may do, no more than its owner. Needed with O(state=present).
    type: str
    choices: [viewer, operator, admin]
  expires_at:
    description: End of its life, RFC 3339. By default it has none, and an existing token's is left as it is.
    type: str
  path:
    description: File on the host to keep the text in, readable for the user of the task only.
    type: path
  owner:
    description: User whose token it is. By default the one that the task logs in as. Another's can only be revoked.
    type: str
extends_documentation_fragment:
  - flexcore
  - flexcore.writes
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
- name: Have a token for the monitoring on this host
  flexcore_token:
    url: http://127.0.0.1:8080
    username: admin
    password: "{{ flexcore_admin_password }}"
    name: monitoring
    role: viewer
    path: "{{ token_directory }}/monitoring.token"

- name: Revoke the token of a program that is gone
  flexcore_token:
    url: http://127.0.0.1:8080
    token: "{{ flexcore_api_token }}"
    name: importer
    owner: admin
    state: absent
"""

RETURN = r"""
token:
  description: Text of the token. Secret, and shown this once.
  returned: when a token was made and O(path) is not given
  type: str
  sample: VALUE_SPECIFIED_IN_NO_LOG_PARAMETER
details:
  description: What is known of the token. Empty when it is absent, and in check mode when one would be made.
  returned: success
  type: dict
  contains:
    id:
      description: Identifier of the token.
      type: str
      sample: 0197f0c4-7a3e-7cc0-8000-2b8f6f1f8a11
    name:
      description: Name of the token.
      type: str
      sample: monitoring
    owner:
      description: User whose token it is.
      type: str
      sample: admin
    role:
      description: What it may do.
      type: str
      sample: viewer
    created_at:
      description: When it was made, RFC 3339 in UTC.
      type: str
      sample: "2026-11-20T09:30:00.000Z"
    expires_at:
      description: When it ends, RFC 3339 in UTC. Null when it does not.
      type: str
      sample: null
"""

from ansible.module_utils.flexcore_client.ansible_module import FlexCoreModule, argument_spec
from ansible.module_utils.flexcore_client.errors import InputError
from ansible.module_utils.flexcore_client.token_work import ROLES, STATES, TokenGoal, bring_about

ARGUMENT_SPEC = argument_spec(
    name={"type": "str", "required": True},
    state={"type": "str", "choices": list(STATES), "default": "present"},
    role={"type": "str", "choices": list(ROLES)},
    expires_at={"type": "str"},
    path={"type": "path"},
    owner={"type": "str"},
)


async def ensure(module, client):
    asked = module.params
    if asked["owner"] and asked["state"] == "present":
        raise InputError("owner is given with state present: a token is made for the user that logs in")
    goal = TokenGoal(asked["name"], asked["state"], asked["role"], asked["expires_at"], asked["path"])
    return await bring_about(client, goal, asked["owner"], dry=module.check_mode)


def main():
    FlexCoreModule(ARGUMENT_SPEC).run(ensure)


if __name__ == "__main__":
    main()
