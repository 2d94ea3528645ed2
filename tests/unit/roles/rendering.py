"""Renders a role's templates as Ansible does, from its defaults, its private variables and what a test gives."""

import functools
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, lookup_loader
from ansible.template import Templar, trust_as_template
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT = Path(__file__).resolve().parents[3]
SYSTEM = "Debian-12"
GROUPS = ["postgresql", "redis", "flexcore", "monitoring"]
FACTS = {
    "distribution": "Debian",
    "distribution_major_version": "12",
    "architecture": "x86_64",
    "all_ipv4_addresses": ["192.0.2.1"],
    "all_ipv6_addresses": [],
}


@functools.cache
def own_variables(role: Path) -> dict[str, Any]:
    """Read what stands in a role's defaults and private variables; not to be changed, for all tests share it."""
    loader = DataLoader()
    files = [role / "defaults/main.yml", *sorted(role.glob("vars/main/*.yml")), *role.glob(f"vars/{SYSTEM}.yml")]
    found: dict[str, Any] = {}
    for file in files:
        found |= loader.load_from_file(str(file), trusted_as_template=True)
    return found


class Role:
    """One role with variables, on a host called `host1`."""

    def __init__(self, name: str, **variables: Any) -> None:
        """Take the role `name`; `variables` stand above its defaults, as the inventory's do."""
        if AnsibleCollectionConfig.collection_finder is None:
            init_plugin_loader()
        lookup_loader.add_directory(str(ROOT / "plugins" / "lookup"))
        self.path = ROOT / "roles" / name
        around: dict[str, Any] = {
            "inventory_hostname": "host1",
            "group_names": GROUPS,
            "groups": {name: ["host1"] for name in GROUPS},
            "hostvars": {},
            "ansible_facts": FACTS,
            "role_path": str(self.path),
        }
        self._templar = Templar(DataLoader(), variables=around | own_variables(self.path) | variables)

    def text(self, template: str) -> str:
        """Render the template `templates/<template>`."""
        directory = self.path / "templates"
        templar = self._templar.copy_with_new_env(searchpath=[str(directory)])
        source = trust_as_template((directory / template).read_text())
        return str(templar.template(source, escape_backslashes=False, overrides={"trim_blocks": True}))

    def value(self, name: str) -> Any:
        """Give the value of one variable."""
        return self._templar.template(trust_as_template("{{ " + name + " }}"))
