"""Finds variables that look like a role's own but that the role does not have."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.yaml import yaml_load
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: unknown_role_variables
author: FlexCore Ops contributors
version_added: "0.1.0"
short_description: Variables with a role's prefix that its argument specification does not name
description:
  - Ansible accepts a misspelled variable silently and then uses the default. This lookup returns every variable of the
    host whose name starts with C(<role>_) and that C(meta/argument_specs.yml) of the role does not list, so that a
    preflight can refuse it.
options:
  _terms:
    description: Paths of roles, as in C(role_path).
    required: true
"""

EXAMPLES = """
- name: Refuse variables this role does not have
  ansible.builtin.assert:
    that: query('unknown_role_variables', role_path) | length == 0
"""

RETURN = """
_raw:
  description: One text for each unknown variable, with the most similar known name where there is one.
  type: list
  elements: str
"""


class LookupModule(LookupBase):
    """Compares the variables of the host with the options of a role."""

    def run(self, terms, variables=None, **kwargs):
        """Return the unknown variables of the roles at the paths ``terms``, sorted by name."""
        return [unknown for path in terms for unknown in self._unknown(Path(str(path)), variables or {})]

    def _unknown(self, role: Path, variables):
        options = self._specified(role)
        names = sorted(name for name in variables if re.match(rf"{re.escape(role.name)}_", name))
        return [self._described(name, options) for name in names if name not in options]

    @staticmethod
    def _specified(role: Path) -> set[str]:
        specification = role / "meta" / "argument_specs.yml"
        try:
            document = yaml_load(specification.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise AnsibleError(f"cannot read the argument specification {specification}: {error}") from error
        entries = document["argument_specs"].values()
        return {name for entry in entries for name in entry.get("options", {})}

    @staticmethod
    def _described(name: str, options: set[str]) -> str:
        similar = difflib.get_close_matches(name, sorted(options), n=1, cutoff=0.75)
        return f"{name} (did you mean {similar[0]}?)" if similar else name
