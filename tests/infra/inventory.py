"""What an Ansible inventory says about its hosts, with every variable templated.

Inventories of this project use lookups (environment, generated passwords, vault), which `ansible-inventory --list`
prints unevaluated. So the suite asks Ansible's own inventory manager, in this process, and templates a variable when a
test asks for it: a secret that nothing needs is never decrypted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# Ansible reads its configuration when it is imported, from the current directory unless told otherwise.
os.environ.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))

from ansible import constants  # noqa: E402
from ansible.cli import CLI  # noqa: E402
from ansible.errors import AnsibleError  # noqa: E402
from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.plugins.loader import init_plugin_loader  # noqa: E402
from ansible.template import Templar  # noqa: E402
from ansible.utils.collection_loader import AnsibleCollectionConfig  # noqa: E402
from ansible.vars.hostvars import HostVars  # noqa: E402
from ansible.vars.manager import VariableManager  # noqa: E402


class InventoryError(Exception):
    """The inventory, or a variable in it, cannot be used; the message says which and why."""


class Inventory:
    """One inventory as `ansible-playbook -i` would read it, with the roles' defaults below its variables."""

    def __init__(self, source: Path) -> None:
        """Read `source`, an inventory file or directory. Raises InventoryError when it is not a usable one."""
        if not source.exists():
            known = ", ".join(sorted(f"inventories/{p.name}" for p in (ROOT / "inventories").glob("*/")))
            raise InventoryError(f"inventory {source}: no such file or directory; this checkout has {known or 'none'}")
        self.source = source
        self._loader = DataLoader()
        self._loader.set_basedir(str(ROOT))
        self._loader.set_vault_secrets(_prepare_ansible())
        try:
            self._manager = InventoryManager(loader=self._loader, sources=[str(source)])
        except AnsibleError as error:
            raise InventoryError(f"inventory {source}: {error}") from None
        self._variables = VariableManager(loader=self._loader, inventory=self._manager)
        HostVars(self._manager, self._variables, self._loader)  # makes `hostvars[...]` known to templates
        if not self._manager.hosts:
            raise InventoryError(f"inventory {source}: holds no host")

    def hosts(self, group: str = "all") -> tuple[str, ...]:
        """Names of the hosts in `group`, in inventory order; empty when there is no such group."""
        if group != "all" and group not in self._manager.groups:
            return ()
        return tuple(host.name for host in self._manager.get_hosts(group))

    def variables(self, host: str) -> HostVariables:
        """Variables of one host, templated on access."""
        raw = self._variables.get_vars(host=self._manager.get_host(host))
        return HostVariables(host, {**self._role_defaults, **raw}, self._loader)

    @cached_property
    def _role_defaults(self) -> dict[str, Any]:
        # Every role prefixes its variables with its own name, so the roles' defaults can share one mapping.
        defaults: dict[str, Any] = {}
        for file in sorted((ROOT / "roles").glob("*/defaults/main.yml")):
            defaults.update(self._loader.load_from_file(str(file), trusted_as_template=True) or {})
        return defaults


class HostVariables(Mapping[str, Any]):
    """Variables of one host; reading one templates it and everything that it refers to."""

    def __init__(self, host: str, raw: Mapping[str, Any], loader: DataLoader) -> None:
        self._host = host
        self._raw = raw
        self._templar = Templar(loader=loader, variables=dict(raw))

    def __getitem__(self, name: str) -> Any:
        if name not in self._raw:
            raise InventoryError(f"{self._host}: variable {name} is neither in the inventory nor a role's default")
        try:
            return self._templar.template(self._raw[name])
        except AnsibleError as error:
            raise InventoryError(f"{self._host}: variable {name} cannot be templated: {error}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def secret(self, name: str) -> Secret:
        """The variable as a value that no failure report prints. Raises InventoryError when it is empty."""
        value = str(self[name] or "")
        if not value:
            raise InventoryError(f"{self._host}: variable {name} is empty, but should hold a secret")
        return Secret(name, value)

    def get(self, name: str, default: Any = None) -> Any:
        """The variable, or `default` when it is not set anywhere."""
        return self[name] if name in self._raw else default


class Secret:
    """A value that must reach a host but no report: its representation is its name."""

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def __repr__(self) -> str:
        return f"<secret {self.name}>"

    def reveal(self) -> str:
        """The value itself, for the one place that sends it to the host."""
        return self._value


@cache
def _prepare_ansible() -> list[Any]:
    """Set up what Ansible keeps once for a process: its plugin loader and the vault secrets, which are returned."""
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()
    return CLI.setup_vault_secrets(DataLoader(), list(constants.DEFAULT_VAULT_IDENTITY_LIST), auto_prompt=False)
