"""Renders a role's templates as Ansible does, from its defaults, its private variables and what a test gives."""

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


class Role:
    """One role with variables, on a host called `host1`."""

    def __init__(self, name: str, **variables: Any) -> None:
        """Take the role `name`; `variables` stand above its defaults, as the inventory's do."""
        if AnsibleCollectionConfig.collection_finder is None:
            init_plugin_loader()
        lookup_loader.add_directory(str(ROOT / "plugins" / "lookup"))
        self.path = ROOT / "roles" / name
        self._loader = DataLoader()
        merged: dict[str, Any] = {
            "inventory_hostname": "host1",
            "group_names": GROUPS,
            "groups": {name: ["host1"] for name in GROUPS},
            "hostvars": {},
            "ansible_facts": FACTS,
            "role_path": str(self.path),
        }
        layers = [self.path / "defaults/main.yml", *sorted(self.path.glob("vars/main/*.yml"))]
        for file in (*layers, *self.path.glob(f"vars/{SYSTEM}.yml")):
            merged |= self._loader.load_from_file(str(file), trusted_as_template=True)
        self._templar = Templar(self._loader, variables=merged | variables)

    def text(self, template: str) -> str:
        """Render the template `templates/<template>`."""
        directory = self.path / "templates"
        templar = self._templar.copy_with_new_env(searchpath=[str(directory)])
        source = trust_as_template((directory / template).read_text())
        return str(templar.template(source, escape_backslashes=False, overrides={"trim_blocks": True}))

    def value(self, name: str) -> Any:
        """Give the value of one variable."""
        return self._templar.template(trust_as_template("{{ " + name + " }}"))
